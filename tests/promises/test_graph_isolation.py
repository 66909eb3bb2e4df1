"""Isolation: 500 concurrent runs of one compiled graph on 50 threads of conversation, sync and async mixed."""

from __future__ import annotations

import asyncio
import operator
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from promising import FULL, record

from millstream import START, AsyncSqliteSaver, InMemorySaver, Send, StateGraph, get_config, get_stream_writer

__all__: list[str] = []

pytestmark = pytest.mark.timeout(1_200 if FULL else 60)

RUNS, THREADS = 500, 50
mark: ContextVar[str] = ContextVar("mark", default="none")


class State(TypedDict, total=False):
    who: str
    log: Annotated[list[str], operator.add]


class Seen:
    """What crossed from one run to another."""

    def __init__(self) -> None:
        self.crossed: list[str] = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()

    def look(self, where: str, state: Any) -> None:
        own = get_config()["configurable"]["thread_id"]
        if state["who"].split("/")[0] != own or any(not each.startswith(f"{own}/") for each in state.get("log", ())):
            self.crossed.append(f"{where}: {state} in {own}")
        if mark.get() != "none" and not mark.get().startswith(f"{own}/"):
            self.crossed.append(f"{where}: context of {mark.get()} in {own}")

    def count(self, by: int) -> None:
        with self.lock:
            self.at_once += by
            self.most = max(self.most, self.at_once)


def graph_of(seen: Seen) -> Any:
    """Sync nodes for both colours: two at once, then tasks that are sent."""

    def begin(state: Any) -> Any:
        seen.look("begin", state)
        seen.count(1)
        mark.set(state["who"])  # must not be seen by any other node
        return {"log": [f"{state['who']}:begin"]}

    def side(state: Any) -> Any:
        seen.look("side", state)
        get_stream_writer()(state["who"])
        time.sleep(0.0002 * random.random())
        return {"log": [f"{state['who']}:side"]}

    def part(state: Any) -> Any:
        seen.look("part", state)
        return {"log": [f"{state['who']}:part{state['n']}"]}

    def end(state: Any) -> Any:
        seen.look("end", state)
        seen.count(-1)
        return {"log": [f"{state['who']}:end"]}

    graph = StateGraph(State)
    graph.add_node("begin", begin).add_node("left", side).add_node("right", side)
    graph.add_node("part", part).add_node("end", end, defer=True)
    graph.add_edge(START, "begin").add_edge("begin", "left").add_edge("begin", "right")
    graph.add_conditional_edges("left", lambda s: [Send("part", {"who": s["who"], "n": n}) for n in (1, 2)], ["part"])
    graph.add_edge("right", "end").add_edge("part", "end")
    return graph


def wrong_in(who: str, result: Any, said: list[Any]) -> list[str]:
    """What a run's result and stream have of others, or lack of its own."""
    thread = who.split("/")[0]
    wrong = [f"{who} got {each}" for each in result["log"] if not each.startswith(f"{thread}/")]
    own = [each.split(":")[1] for each in result["log"] if each.startswith(f"{who}:")]
    if sorted(own) != ["begin", "end", "part1", "part2", "side", "side"]:
        wrong.append(f"{who} has {own}")
    if result["who"].split("/")[0] != thread or said != [who, who]:
        wrong.append(f"{who} heard {said}, is {result['who']}")
    return wrong


async def crowd(app: Any, wrong: list[str]) -> None:
    loop = asyncio.get_running_loop()

    def config(who: str) -> Any:
        return {"configurable": {"thread_id": who.split("/")[0]}}

    def one(who: str) -> None:
        chunks = list(app.stream({"who": who}, config(who), stream_mode=["values", "custom"]))
        judge(who, chunks)

    async def aone(who: str) -> None:
        chunks = [c async for c in app.astream({"who": who}, config(who), stream_mode=["values", "custom"])]
        judge(who, chunks)

    def judge(who: str, chunks: list[Any]) -> None:
        said = [item for mode, item in chunks if mode == "custom"]
        wrong.extend(wrong_in(who, [item for mode, item in chunks if mode == "values"][-1], said))

    names = [f"t{number % THREADS}/{number}" for number in range(RUNS)]
    with ThreadPoolExecutor(16) as pool:
        async with asyncio.timeout(60 if FULL else 30):
            runs = [
                loop.run_in_executor(pool, one, who) if number % 2 else aone(who) for number, who in enumerate(names)
            ]
            await asyncio.gather(*runs)


def test_runs_at_once_do_not_see_each_other() -> None:
    seen, wrong = Seen(), list[str]()
    app = graph_of(seen).compile(checkpointer=InMemorySaver())
    begun = time.perf_counter()
    asyncio.run(crowd(app, wrong))
    took = time.perf_counter() - begun
    record("isolation", f"{RUNS} runs on {THREADS} threads, sync and async", RUNS, len(seen.crossed) + len(wrong),
           [took, seen.most], "s in all; runs at once, at most")  # fmt: skip
    assert (seen.crossed[:3], wrong[:3]) == ([], [])
    assert seen.most > 20
    assert took < 10


def test_runs_at_once_on_sqlite_do_not_see_each_other(tmp_path: Path) -> None:
    seen = Seen()

    async def main() -> list[str]:
        wrong: list[str] = []
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
            app = graph_of(seen).compile(checkpointer=saver)

            async def one(number: int) -> None:
                who = f"t{number}/{number}"
                result = await app.ainvoke({"who": who}, {"configurable": {"thread_id": f"t{number}"}})
                wrong.extend(wrong_in(who, result, [who, who]))

            async with asyncio.timeout(20):
                await asyncio.gather(*map(one, range(THREADS)))
        return wrong

    assert (asyncio.run(main()), seen.crossed) == ([], [])


def test_control_a_graph_that_shares_what_it_should_not() -> None:
    """The protection off: a node that keeps what it was given in one place for all runs is found out."""
    seen, wrong = Seen(), list[str]()
    graph = graph_of(seen)
    last: dict[str, Any] = {}

    def leaky(state: Any) -> Any:
        last.setdefault("who", state["who"])
        return {"who": last["who"], "log": [f"{last['who']}:leak"]}

    graph.nodes["left"].call = type(graph.nodes["left"].call)(leaky)
    asyncio.run(crowd(graph.compile(checkpointer=InMemorySaver()), wrong))
    assert wrong
