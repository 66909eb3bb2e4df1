"""The three wires over real HTTP: what the client's processor does for a chunk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

from cases import Budget, case, floor, size

PROVIDER = Path(__file__).parent.parent / "provider.py"
CHUNKS = size(2_000, 50)
Reader = Callable[[str], Awaitable[int]]


@contextmanager
def provider(pause_ms: float, wire: str) -> Iterator[str]:
    command = [sys.executable, str(PROVIDER), str(CHUNKS), str(pause_ms), wire]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def processor_time(make: Callable[[str, str], Reader], pause_ms: float, wire: str) -> float:
    """Microseconds a chunk, of the second request on: the connection and the code are warm."""

    async def main(url: str) -> float:
        read = make(url, wire)
        await read(url)
        start = process_time()
        assert await read(url) >= CHUNKS
        return (process_time() - start) / CHUNKS * 1e6

    with provider(pause_ms, wire) as url:
        return asyncio.run(main(url))


def library(url: str, wire: str) -> Reader:
    model: Any
    if wire == "anthropic":
        from names import ChatAnthropic

        model = ChatAnthropic(model="claude-x", base_url=url, api_key="unused", max_tokens=4096)
    else:
        from names import ChatOpenAI

        more = {"use_responses_api": True} if wire == "responses" else {"stream_usage": True}
        model = ChatOpenAI(model="gpt-4o", base_url=f"{url}/v1", api_key="unused", **more)

    async def read(url: str) -> int:
        seen = 0
        async for _ in model.astream("why"):
            seen += 1
        return seen

    return read


def lines(url: str, wire: str) -> Reader:
    """The HTTP client that ours uses, its lines, and a JSON parser."""
    import httpx2
    import orjson

    client = httpx2.AsyncClient()
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "why"}]}

    async def read(url: str) -> int:
        seen = 0
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {") and orjson.loads(line[6:]):
                    seen += 1
        return seen

    return read


@case("OpenAI wire, in bursts, client CPU", "µs/chunk", Budget(1.2, of="floor"))
def bursts() -> float:
    return processor_time(library, 0, "chat")


@case("OpenAI wire, paced, client CPU", "µs/chunk", Budget(1.2, of="floor"), repeat=3)
def paced() -> float:
    return processor_time(library, 1, "chat")


@case("OpenAI responses, in bursts, client CPU", "µs/chunk", Budget(1.4, of="floor"))
def responses_bursts() -> float:
    return processor_time(library, 0, "responses")


@case("OpenAI responses, paced, client CPU", "µs/chunk", Budget(1.4, of="floor"), repeat=3)
def responses_paced() -> float:
    return processor_time(library, 1, "responses")


@case("Anthropic wire, in bursts, client CPU", "µs/chunk", Budget(1.4, of="floor"))
def anthropic_bursts() -> float:
    return processor_time(library, 0, "anthropic")


@case("Anthropic wire, paced, client CPU", "µs/chunk", Budget(1.4, of="floor"), repeat=3)
def anthropic_paced() -> float:
    return processor_time(library, 1, "anthropic")


@floor(bursts)
def bursts_floor() -> float:
    return processor_time(lines, 0, "chat")


@floor(paced)
def paced_floor() -> float:
    return processor_time(lines, 1, "chat")


@floor(responses_bursts)
def responses_bursts_floor() -> float:
    return processor_time(lines, 0, "responses")


@floor(responses_paced)
def responses_paced_floor() -> float:
    return processor_time(lines, 1, "responses")


@floor(anthropic_bursts)
def anthropic_bursts_floor() -> float:
    return processor_time(lines, 0, "anthropic")


@floor(anthropic_paced)
def anthropic_paced_floor() -> float:
    return processor_time(lines, 1, "anthropic")
