"""1,000 react agents at once: a tool call in one chunk, an async tool, then 40 tokens at 20 ms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import memory
from cases import Budget, case, floor, size

STREAMS = size(1_000, 20)
TOKENS = [f"tok{n % 10} " for n in range(size(40, 5))]
PAUSE = 0.02
INPUT = {"messages": [("user", "what is a mill?")]}


async def read(items: AsyncIterator[Any]) -> int:
    seen = 0
    async for _ in items:
        seen += 1
    return seen


async def together(make: Any) -> tuple[float, float]:
    """Seconds, and KB of growth a stream, after one stream that loads what is loaded on first use."""
    assert await read(make()) >= len(TOKENS)
    before, start = memory.resident(), perf_counter()
    seen = await asyncio.gather(*(read(make()) for _ in range(STREAMS)))
    wall = perf_counter() - start
    assert min(seen) >= len(TOKENS)
    return wall, max(0.0, memory.peak() - before) / STREAMS


def agents() -> tuple[float, float]:
    from doubles import Scripted, alookup
    from names import create_react_agent

    agent = create_react_agent(Scripted(tokens=TOKENS, calls_tool=True, pause=PAUSE), [alookup])
    return asyncio.run(together(lambda: agent.astream(INPUT, stream_mode="messages")))


async def sleeping() -> AsyncIterator[Any]:
    await asyncio.sleep(0)
    for token in TOKENS:
        await asyncio.sleep(PAUSE)
        yield token, {"langgraph_node": "agent"}


def sleepers() -> tuple[float, float]:
    return asyncio.run(together(sleeping))


@case(f"{STREAMS:,} agents at once, wall", "s", Budget(1.5, of="floor"), repeat=0)
def wall() -> float:
    return agents()[0]


@case(f"{STREAMS:,} agents at once, growth of peak RSS", "KB/stream", Budget(24, of=None), repeat=0)
def growth() -> float:
    return agents()[1]


@floor(wall)
def wall_floor() -> float:
    return sleepers()[0]


@floor(growth)
def growth_floor() -> float:
    return sleepers()[1]
