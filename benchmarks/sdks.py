"""Our client of a provider against the official SDKs: what import, memory and a chunk cost, and what a cut stream gives.

    python benchmarks/sdks.py --sdks VENV/bin/python      (an environment with `openai` and `anthropic`)

Each figure is measured in a process of its own, in turn; medians of `--rounds`. A chunk's cost is the client's processor time over
real HTTP on this machine, from the second request on, the same bytes for all (`provider.py`, in bursts).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

HERE = Path(__file__).parent
CHUNKS = 2_000
CLIENTS = ("ours", "sdk")
WIRES = ("chat", "responses", "anthropic")


@contextmanager
def provider(wire: str, cut: bool) -> Any:
    command = [sys.executable, str(HERE / "provider.py"), str(CHUNKS), "0", wire, *(["cut"] if cut else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def ours(wire: str, url: str) -> Any:
    from millstream import ChatAnthropic, ChatOpenAI

    if wire == "anthropic":
        model: Any = ChatAnthropic(model="claude-x", base_url=url, api_key="unused", max_tokens=4096)
    else:
        model = ChatOpenAI(
            model="gpt-4o", base_url=f"{url}/v1", api_key="unused", use_responses_api=wire == "responses"
        )
    return lambda: model.astream("why")


def sdk(wire: str, url: str) -> Any:
    messages: Any = [{"role": "user", "content": "why"}]
    if wire == "anthropic":
        import anthropic

        claude = anthropic.AsyncAnthropic(base_url=url, api_key="unused")
        make = lambda: claude.messages.create(model="claude-x", max_tokens=4096, messages=messages, stream=True)  # noqa: E731
    else:
        import openai

        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused")
        if wire == "responses":
            make = lambda: client.responses.create(model="gpt-4o", input="why", stream=True)  # noqa: E731
        else:
            make = lambda: client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)  # noqa: E731

    async def stream() -> AsyncIterator[Any]:
        async for chunk in await make():
            yield chunk

    return stream


def measure(client: str, wire: str) -> dict[str, Any]:
    """Import and the first client, then the cost of chunks, then what a cut stream gives; in this process."""
    start = perf_counter()
    stream = (ours if client == "ours" else sdk)(wire, "http://127.0.0.1:9")
    made = perf_counter() - start
    del stream

    async def read(stream: Any) -> int:
        return len([None async for _ in stream()])

    async def cost(url: str) -> tuple[float, float]:
        stream = (ours if client == "ours" else sdk)(wire, url)
        await read(stream)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = []
        for _ in range(5):
            start = process_time()
            assert await read(stream) >= CHUNKS
            figures.append((process_time() - start) / CHUNKS * 1e6)
        return statistics.median(figures), memory

    async def cut(url: str) -> str:
        stream = (ours if client == "ours" else sdk)(wire, url)
        try:
            return f"no error after {await read(stream)} chunks"
        except Exception as error:
            return type(error).__name__

    with provider(wire, cut=False) as url:
        each, memory = asyncio.run(cost(url))
    with provider(wire, cut=True) as url:
        told = asyncio.run(cut(url))
    return {"import_ms": made * 1000, "rss_mb": memory, "chunk_us": each, "cut": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sdks", required=True, help="the interpreter with openai and anthropic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CLIENT", "WIRE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one)))
        return
    print("| wire | client | import and client, ms | peak RSS, MB | CPU, µs/chunk | a stream cut between frames |")
    print("|---|---|--:|--:|--:|---|")
    for wire in WIRES:
        rows: dict[str, list[dict[str, Any]]] = {client: [] for client in CLIENTS}
        for _ in range(given.rounds):
            for client in CLIENTS:
                python = sys.executable if client == "ours" else given.sdks
                command = [python, __file__, "--sdks", given.sdks, "--one", client, wire]
                env = {**os.environ, "PYTHONPATH": str(HERE.parent / "src") if client == "ours" else ""}
                rows[client].append(json.loads(subprocess.check_output(command, env=env)))
        for client, found in rows.items():
            middle = [statistics.median(row[key] for row in found) for key in ("import_ms", "rss_mb", "chunk_us")]
            print(f"| {wire} | {client} | {middle[0]:.0f} | {middle[1]:.1f} | {middle[2]:.1f} | {found[0]['cut']} |")


if __name__ == "__main__":
    main()
