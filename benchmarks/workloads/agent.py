"""A react agent: a tool call, the tool, an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

N = size(1_000, 30)
RUNS = size(100, 3)
TOKENS = [f"tok{n % 10} " for n in range(N)]
INPUT = {"messages": [("user", "what is a mill?")]}


def agent(tokens: list[str], *, sync: bool = False) -> Any:
    from doubles import Scripted, alookup, lookup
    from names import create_react_agent

    return create_react_agent(Scripted(tokens=tokens, calls_tool=True), [lookup if sync else alookup])


async def drained(items: AsyncIterator[Any]) -> float:
    start, seen = perf_counter(), 0
    async for _ in items:
        seen += 1
    assert seen >= N, f"{seen} items for {N} tokens"
    return (perf_counter() - start) / N * 1e6


@case('agent, astream(stream_mode="messages")', "µs/token", Budget(1 / 20))
def astream_messages() -> float:
    it = agent(TOKENS)

    async def main() -> float:
        return await drained(it.astream(INPUT, stream_mode="messages"))

    return asyncio.run(main())


@case('agent, stream(stream_mode="messages")', "µs/token", Budget(1 / 20))
def stream_messages() -> float:
    it, seen = agent(TOKENS, sync=True), 0
    start = perf_counter()
    for _ in it.stream(INPUT, stream_mode="messages"):
        seen += 1
    assert seen >= N
    return (perf_counter() - start) / N * 1e6


@case("agent, astream_events", "µs/token", Budget(1 / 12))
def astream_events() -> float:
    it = agent(TOKENS)

    async def main() -> float:
        return await drained(it.astream_events(INPUT, version="v2"))

    return asyncio.run(main())


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
    for token in TOKENS:
        yield token, {"langgraph_node": "agent"}


async def aplain() -> AsyncIterator[Any]:
    for item in plain():
        yield item


@floor(astream_messages)
def astream_messages_floor() -> float:
    return asyncio.run(drained(aplain()))


@floor(stream_messages)
def stream_messages_floor() -> float:
    start = perf_counter()
    for _ in plain():
        pass
    return (perf_counter() - start) / N * 1e6


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

    return asyncio.run(drained(events()))


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
