"""A react agent: a tool call, the tool, an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

LONG = [f"tok{n % 10} " for n in range(size(1_000, 30))]
"""Long enough that the run around it does not count: what one more token costs."""
SHORT = LONG[:40]
"""An answer as agents give it, with its share of the whole run."""
RUNS = size(100, 3)
INPUT = {"messages": [("user", "what is a mill?")]}


def agent(tokens: list[str], *, sync: bool = False) -> Any:
    from doubles import Scripted, alookup, lookup
    from names import create_react_agent

    return create_react_agent(Scripted(tokens=tokens, calls_tool=True), [lookup if sync else alookup])


def per_token(start: float, seen: int, tokens: list[str], runs: int) -> float:
    assert seen >= len(tokens) * runs, f"{seen} items for {runs} answers of {len(tokens)} tokens"
    return (perf_counter() - start) / len(tokens) / runs * 1e6


async def drained(make: Callable[[], AsyncIterator[Any]], tokens: list[str]) -> float:
    """Microseconds a token, over as many runs as make a thousand tokens."""
    runs = max(1, len(LONG) // len(tokens))
    start, seen = perf_counter(), 0
    for _ in range(runs):
        async for _ in make():
            seen += 1
    return per_token(start, seen, tokens, runs)


def messages(tokens: list[str]) -> float:
    it = agent(tokens)
    return asyncio.run(drained(lambda: it.astream(INPUT, stream_mode="messages"), tokens))


def sync_messages(tokens: list[str]) -> float:
    it, runs = agent(tokens, sync=True), max(1, len(LONG) // len(tokens))
    start, seen = perf_counter(), 0
    for _ in range(runs):
        for _ in it.stream(INPUT, stream_mode="messages"):
            seen += 1
    return per_token(start, seen, tokens, runs)


def events(tokens: list[str]) -> float:
    it = agent(tokens)
    return asyncio.run(drained(lambda: it.astream_events(INPUT, version="v2"), tokens))


@case('agent, astream(stream_mode="messages"), long answer', "µs/token", Budget(1 / 20))
def astream_messages() -> float:
    return messages(LONG)


@case('agent, astream(stream_mode="messages"), 40 tokens', "µs/token", Budget(1 / 20))
def astream_messages_short() -> float:
    return messages(SHORT)


@case('agent, stream(stream_mode="messages"), long answer', "µs/token", Budget(1 / 20))
def stream_messages() -> float:
    return sync_messages(LONG)


@case('agent, stream(stream_mode="messages"), 40 tokens', "µs/token", Budget(1 / 20))
def stream_messages_short() -> float:
    return sync_messages(SHORT)


@case("agent, astream_events, long answer", "µs/token", Budget(1 / 12))
def astream_events() -> float:
    return events(LONG)


@case("agent, astream_events, 40 tokens", "µs/token", Budget(1 / 12))
def astream_events_short() -> float:
    return events(SHORT)


@case("agent, one short run, ainvoke", "µs/run", Budget(1 / 10))
def ainvoke() -> float:
    it = agent(["a mill ", "grinds"])

    async def main() -> float:
        start = perf_counter()
        for _ in range(RUNS):
            result = await it.ainvoke(INPUT)
        assert [m.type for m in result["messages"]] == ["human", "ai", "tool", "ai"]
        return (perf_counter() - start) / RUNS * 1e6

    return asyncio.run(main())


def plain() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", {"langgraph_node": "agent"}
    yield "found mill", {"langgraph_node": "tools"}
    for token in LONG:
        yield token, {"langgraph_node": "agent"}


async def aplain() -> AsyncIterator[Any]:
    for item in plain():
        yield item


@floor(astream_messages)
def astream_messages_floor() -> float:
    return asyncio.run(drained(aplain, LONG))


@floor(stream_messages)
def stream_messages_floor() -> float:
    start, seen = perf_counter(), 0
    for _ in plain():
        seen += 1
    return per_token(start, seen, LONG, 1)


@floor(astream_events)
def astream_events_floor() -> float:
    async def events() -> AsyncIterator[Any]:
        async for token, metadata in aplain():
            for name in ("on_chat_model_stream", "on_chain_stream"):
                yield {
                    "event": name,
                    "run_id": "1",
                    "tags": [],
                    "metadata": metadata,
                    "parent_ids": [],
                    "data": {"chunk": token},
                }

    return asyncio.run(drained(events, LONG))


@floor(ainvoke)
def ainvoke_floor() -> float:
    async def model(messages: list[dict[str, Any]]) -> dict[str, Any]:
        if messages[-1]["type"] == "tool":
            return {"type": "ai", "content": "a mill grinds"}
        return {"type": "ai", "content": "", "tool_calls": [{"name": "lookup", "args": {"query": "mill"}, "id": "1"}]}

    async def tool(query: str) -> str:
        await asyncio.sleep(0)
        return f"found {query}"

    async def run() -> list[dict[str, Any]]:
        messages = [{"type": "human", "content": "what is a mill?"}]
        while True:
            messages.append(await model(messages))
            calls: Any = messages[-1].get("tool_calls")
            if not calls:
                return messages
            messages += [{"type": "tool", "content": await tool(**call["args"])} for call in calls]

    async def main() -> float:
        start = perf_counter()
        for _ in range(RUNS):
            assert len(await run()) == 4
        return (perf_counter() - start) / RUNS * 1e6

    return asyncio.run(main())
