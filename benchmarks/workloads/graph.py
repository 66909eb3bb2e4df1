"""A step of a graph with one node, that goes round by a conditional edge; and one node sent to many tasks at once."""

from __future__ import annotations

import asyncio
import operator
from time import perf_counter
from typing import Annotated, Any, TypedDict

from cases import Budget, case, floor, size

STEPS = size(500, 20)
CONFIG = {"recursion_limit": STEPS + 10, "configurable": {"thread_id": "1"}}


TASKS = size(500, 20)


class State(TypedDict):
    n: int


class Folded(TypedDict):
    found: Annotated[list[int], operator.add]


def count(state: Any) -> dict[str, int]:
    return {"n": state["n"] + 1}


async def acount(state: Any) -> dict[str, int]:
    return {"n": state["n"] + 1}


def graph(node: Any, *, saved: bool = False) -> Any:
    from names import END, START, InMemorySaver, StateGraph

    builder = StateGraph(State)
    builder.add_node("count", node)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["n"] < STEPS else END, ["count", END])
    return builder.compile(checkpointer=InMemorySaver() if saved else None)


def per_step(start: float, result: Any) -> float:
    assert result == {"n": STEPS}
    return (perf_counter() - start) / STEPS * 1e6


def invoked(it: Any) -> float:
    start = perf_counter()
    return per_step(start, it.invoke({"n": 0}, CONFIG))


def ainvoked(it: Any) -> float:
    async def main() -> float:
        start = perf_counter()
        return per_step(start, await it.ainvoke({"n": 0}, CONFIG))

    return asyncio.run(main())


@case("graph step, sync", "µs/step", Budget(1 / 15))
def sync_step() -> float:
    return invoked(graph(count))


@case("graph step, async", "µs/step", Budget(1 / 15))
def async_step() -> float:
    return ainvoked(graph(acount))


@case("graph step, async over a sync node", "µs/step", Budget(1 / 4))
def async_over_sync_step() -> float:
    return ainvoked(graph(count))


@case("graph step, sync, in-memory saver", "µs/step", Budget(1 / 10))
def saved_step() -> float:
    return invoked(graph(count, saved=True))


async def find(item: int) -> dict[str, list[int]]:
    await asyncio.sleep(0)
    return {"found": [item]}


@case("Send to 500 async tasks", "µs/task", Budget(1 / 8))
def sent() -> float:
    from names import START, Send, StateGraph

    builder = StateGraph(Folded)
    builder.add_node("find", find)
    builder.add_conditional_edges(START, lambda state: [Send("find", item) for item in range(TASKS)], ["find"])
    it = builder.compile()

    async def main() -> float:
        await it.ainvoke({"found": []})
        start = perf_counter()
        for _ in range(5):
            result = await it.ainvoke({"found": []})
        took = (perf_counter() - start) / 5 / TASKS * 1e6
        assert result == {"found": list(range(TASKS))}
        return took

    return asyncio.run(main())


@floor(sent)
def sent_floor() -> float:
    async def main() -> float:
        start = perf_counter()
        for _ in range(5):
            parts = await asyncio.gather(*map(find, range(TASKS)))
            found = [each for part in parts for each in part["found"]]
        took = (perf_counter() - start) / 5 / TASKS * 1e6
        assert found == list(range(TASKS))
        return took

    return asyncio.run(main())


@floor(sync_step)
def sync_floor() -> float:
    start, state = perf_counter(), {"n": 0}
    while state["n"] < STEPS:
        state = {**state, **count(state)}
    return per_step(start, state)


@floor(async_step)
def async_floor() -> float:
    async def main() -> float:
        start, state = perf_counter(), {"n": 0}
        while state["n"] < STEPS:
            state = {**state, **await acount(state)}
        return per_step(start, state)

    return asyncio.run(main())


@floor(async_over_sync_step)
def async_over_sync_floor() -> float:
    async def main() -> float:
        start, state = perf_counter(), {"n": 0}
        while state["n"] < STEPS:
            state = {**state, **await asyncio.to_thread(count, state)}
        return per_step(start, state)

    return asyncio.run(main())


@floor(saved_step)
def saved_floor() -> float:
    log: list[dict[str, int]] = []
    start, state = perf_counter(), {"n": 0}
    while state["n"] < STEPS:
        log.append(count(state))
        state = {**state, **log[-1]}
    return per_step(start, state)
