"""The programs of the tutorials: only their import lines are ours."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Client, connect, serving, until

import millstream
from millstream.testing import Reply, StandInProvider, chat_stream

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCE = str(Path(millstream.__file__).parents[1])
WORDS = [f"word{number} " for number in range(40)]
CALLS = [{"name": "get_weather", "args": {"city": city}, "id": f"call_{city}"} for city in ("Paris", "Oslo")]


def weather(request: Any) -> Reply:
    """Asks for the tool first, then answers."""
    first = request.json["messages"][-1]["role"] == "user"
    body = chat_stream(tool_calls=CALLS, usage=(50, 20)) if first else chat_stream(WORDS, usage=(90, 40))
    return Reply(body.replace(b"chatcmpl-standin", b"chatcmpl-1" if first else b"chatcmpl-2"), pause=0.001)


def load(name: str, provider: StandInProvider, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize("name", ["chat_endpoint", "event_stream"])
def test_only_import_lines_are_ours(name: str) -> None:
    lines = [line for line in (EXAMPLES / f"{name}.py").read_text().splitlines() if "millstream" in line]
    assert lines == ["from millstream import ChatOpenAI, create_react_agent, tool"]


def test_the_chat_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandInProvider(weather) as provider:
        app = load("chat_endpoint", provider, monkeypatch)["app"]
        with serving(app) as server, Client(server.port, "/chat", {"message": "Weather?"}) as client:
            parts = list(client.parts())
        assert b"".join(parts).decode() == "".join(WORDS)
        assert len(parts) > 10


def test_the_chat_endpoint_lets_go_of_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(request: Any) -> Reply:
        return Reply(chat_stream([f"word{number} " for number in range(2_000)]), pause=0.01)

    with StandInProvider(endless) as provider:
        app = load("chat_endpoint", provider, monkeypatch)["app"]
        with serving(app) as server:
            with Client(server.port, "/chat", {"message": "Talk"}) as client:
                next(client.parts())
            left = time.monotonic()
            assert provider.wait_until(lambda p: p.requests[0].connection.closed_at is not None)
            closed = provider.requests[0].connection.closed_at
            assert closed is not None
            print(f"provider closed after {(closed - left) * 1000:.1f} ms")
            until(lambda: not server.tasks())


def test_the_event_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandInProvider(weather) as provider:
        app = load("event_stream", provider, monkeypatch)["app"]
        with serving(app) as server, Client(server.port, "/events?message=Weather", method="GET") as client:
            raw = b"".join(client.parts()).decode()
    events = [json.loads(frame.removeprefix("data: ")) for frame in raw.split("\n\n") if frame]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "usage" and kinds[-1] == "usage" and kinds[5:-1] == ["token"] * 40
    assert sorted(kinds[1:5]) == ["tool_call", "tool_call", "tool_result", "tool_result"]
    assert [event["args"]["city"] for event in events if event["type"] == "tool_call"] == ["Paris", "Oslo"]
    results = {event["result"] for event in events if event["type"] == "tool_result"}
    assert results == {f"It's 21 degrees and sunny in {city}." for city in ("Paris", "Oslo")}
    assert "".join(event["content"] for event in events if event["type"] == "token") == "".join(WORDS)
    assert events[-1] == {"type": "usage", "input_tokens": 90, "output_tokens": 40}


@contextmanager
def as_users_run_it(name: str, provider: StandInProvider) -> Iterator[int]:
    """The example in a process of its own, by uvicorn; its port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", str(port), "--log-level", "error"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": SOURCE, "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-secret"},
    )
    try:
        until(lambda: process.poll() is not None or answers(port), timeout=20)
        yield port
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_hundred_clients_at_once() -> None:
    """Each gets its own answer whole, and its first token soon after the provider sent it."""

    def talk(request: Any) -> Reply:
        asked = request.json["messages"][-1]["content"]
        return Reply(chat_stream([f"{asked}-{number} " for number in range(40)]), pause=0.015)

    async def ask(port: int, name: str) -> tuple[str, float, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"message": name}).encode()
        head = (
            f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        first, text = 0.0, b""
        while size := int(await reader.readline(), 16):
            text += (await reader.readexactly(size + 2))[:-2]
            first = first or time.monotonic()
        writer.close()
        await writer.wait_closed()
        return name, first, text.decode()

    async def crowd(port: int) -> list[tuple[str, float, str]]:
        return await asyncio.gather(*(ask(port, f"q{number}") for number in range(100)))

    with StandInProvider(talk) as provider, as_users_run_it("chat_endpoint", provider) as port:
        asyncio.run(ask(port, "warm"))
        told = asyncio.run(crowd(port))
        sent = {
            request.json["messages"][-1]["content"]: next(
                at for at, piece in request.sent if re.search(rb'"content":"q', piece)
            )
            for request in provider.requests[1:]
        }
    assert all(text == "".join(f"{name}-{number} " for number in range(40)) for name, _, text in told)
    late = sorted(first - sent[name] for name, first, _ in told)
    print(f"first token after the provider sent it: median {late[50] * 1000:.0f} ms, slowest {late[-1] * 1000:.0f} ms")
    # Promised: 200 ms. This only says that nobody waits for another's stream to end (600 ms and more).
    assert late[50] < 0.5
