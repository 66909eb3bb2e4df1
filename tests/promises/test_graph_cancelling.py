"""P18: cancelling a graph's run is prompt and final, at whatever step of the event loop it comes, and by whatever way."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import anyio
import anyio.lowlevel
import pytest
from promising import FULL, quantile, record

from millstream import START, AsyncSqliteSaver, InMemorySaver, StateGraph
from millstream.graph.behind import Behind

__all__: list[str] = []

pytestmark = pytest.mark.timeout(1_200 if FULL else 60)

CONFIG: Any = {"configurable": {"thread_id": "1"}}
INPUT = {"log": ["in"]}
DONE = ["in", "a", "b", "c", "d"]


class State(TypedDict):
    log: Annotated[list[str], operator.add]


class Work:
    """A graph whose nodes note that they are open, clean up with an await, and log what they were told."""

    def __init__(self, saver: Any) -> None:
        self.open = 0
        graph = StateGraph(State)
        for name, turns in (("a", 1), ("b", 2), ("c", 4), ("d", 1)):
            graph.add_node(name, self.node(name, turns))
        graph.add_edge(START, "a").add_edge("a", "b").add_edge("a", "c").add_edge(["b", "c"], "d")
        self.app = graph.compile(checkpointer=saver)

    def node(self, name: str, turns: int) -> Any:
        async def run(state: Any) -> Any:
            self.open += 1
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
                return {"log": [name]}
            finally:
                try:
                    await asyncio.sleep(0)  # a cancellation may come here too: it is Python's that it ends this
                    await asyncio.sleep(0)
                finally:
                    self.open -= 1

        return run


@asynccontextmanager
async def saver_of(kind: str, path: Path) -> Any:
    if kind == "mem":
        yield InMemorySaver()
    else:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            yield saver


async def after_steps(count: int, act: Callable[[], object]) -> None:
    """`act`, when the loop has gone round so many times."""
    loop = asyncio.get_running_loop()
    left = count

    def turn() -> None:
        nonlocal left
        left -= 1
        act() if left < 0 else loop.call_soon(turn)

    loop.call_soon(turn)


async def cancelled_after(work: Work, steps: int, twice: bool) -> tuple[bool, float]:
    """Whether a run that is cancelled after so many steps was still going on, and how long its end took."""
    task = asyncio.create_task(work.app.ainvoke(INPUT, CONFIG))
    times: list[float] = []

    def cancel() -> None:
        if not task.done():
            times.append(time.perf_counter())
            task.cancel()

    await after_steps(steps, cancel)
    if twice:
        await after_steps(steps + 1, cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True, time.perf_counter() - times[0]
    return False, 0.0


async def judged(work: Work, states: list[list[str]]) -> list[str]:
    """What is wrong after a run was cancelled: open nodes, tasks left, a state that is none; and that it goes on."""
    wrong = []
    if work.open:
        wrong.append(f"{work.open} nodes were still open")
    if left := asyncio.all_tasks() - {asyncio.current_task()}:
        wrong.append(f"tasks left: {left}")
    found = (await work.app.aget_state(CONFIG)).config["configurable"].get("checkpoint_id")
    if found is None:
        return wrong  # cancelled before anything was stored
    stored = await work.app.aget_state({"configurable": {**CONFIG["configurable"], "checkpoint_id": found}})
    if stored.values["log"] not in states:
        wrong.append(f"a state that never was: {stored.values}")
    result = await work.app.ainvoke(None, CONFIG)
    if result["log"] != DONE:
        wrong.append(f"went on to {result}")
    return wrong


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("kind", ["mem", "sqlite"])
def test_p18_cancelled_after_every_step(kind: str, twice: bool, tmp_path: Path) -> None:
    took: list[float] = []
    wrong: list[str] = []
    states = [[], DONE[:1], DONE[:2], DONE[:4], DONE]

    async def once(steps: int) -> bool:
        async with saver_of(kind, tmp_path / f"{steps}.sqlite") as saver:
            work = Work(saver)
            cancelled, seconds = await cancelled_after(work, steps, twice)
            took.append(seconds)
            wrong.extend(f"after {steps} steps: {each}" for each in await judged(work, states))
            return cancelled

    # A worker thread's answer may take any number of turns: so with SQLite the steps grow apart.
    steps, attempts = 0, 0
    while asyncio.run(once(steps)) and attempts < 300:
        attempts += 1
        steps += 1 if kind == "mem" or FULL else max(1, steps // 6)
    record("P18", f"cancelled after every step, {kind}, {'twice' if twice else 'once'}", attempts, len(wrong),
           [quantile(took, q) * 1_000 for q in (0.5, 0.99)] + [max(took) * 1_000], "ms to stopped: p50, p99, max")  # fmt: skip
    assert attempts > 10
    assert wrong == []
    assert quantile(took, 0.99) <= 0.1


async def by_timeout(work: Work) -> None:
    async with asyncio.timeout(0):
        await work.app.ainvoke(INPUT, CONFIG)


async def by_group(work: Work) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("sibling")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work.app.ainvoke(INPUT, CONFIG))
            group.create_task(fail())
    except* KeyError:
        raise TimeoutError from None


async def by_scope(work: Work) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(work.app.ainvoke, INPUT, CONFIG)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    raise TimeoutError


async def by_closing(work: Work) -> None:
    stream = work.app.astream(INPUT, CONFIG, stream_mode=["values", "custom"])
    async for _ in stream:
        break
    await stream.aclose()
    raise TimeoutError


async def by_breaking_a_pull(work: Work) -> None:
    async with work.app.astream(INPUT, CONFIG) as stream:
        async for _ in stream:
            break
    raise TimeoutError


WAYS: list[Callable[[Work], Awaitable[None]]] = [by_timeout, by_group, by_scope, by_closing, by_breaking_a_pull]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["mem", "sqlite"])
def test_p18_cancelled_by(way: Any, kind: str, tmp_path: Path) -> None:
    async def main() -> tuple[list[str], float]:
        async with saver_of(kind, tmp_path / "threads.sqlite") as saver:
            work = Work(saver)
            begun = time.perf_counter()
            with pytest.raises(TimeoutError):
                await way(work)
            took = time.perf_counter() - begun
            return await judged(work, [[], DONE[:1], DONE[:2], DONE[:4], DONE]), took

    wrong, took = asyncio.run(main())
    record("P18", f"{way.__name__}, {kind}", 1, len(wrong), took * 1_000, "ms in all")
    assert wrong == []


def test_p18_a_node_in_a_thread_drains_and_its_late_result_is_thrown_away() -> None:
    import threading

    release, returned = threading.Event(), threading.Event()
    saver = InMemorySaver()

    def slow(state: Any) -> Any:
        release.wait(10)
        returned.set()
        return {"log": ["late"]}

    graph = StateGraph(State)
    graph.add_node("slow", slow).add_edge(START, "slow")
    app = graph.compile(checkpointer=saver)

    async def main() -> Any:
        task = asyncio.create_task(app.ainvoke(INPUT, CONFIG))
        await asyncio.sleep(0.01)
        begun = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.perf_counter() - begun < 0.1
        release.set()
        assert await asyncio.to_thread(returned.wait, 10)
        state = await app.aget_state(CONFIG)
        assert state.values == {"log": ["in"]}
        assert state.tasks[0].error == "CancelledError()"
        return await app.ainvoke(None, CONFIG)

    assert asyncio.run(main())["log"] == ["in", "late"]


def test_p18_control_without_waiting_for_what_is_being_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The protection off: a run that is cancelled does not wait for its commit, and leaves it behind."""

    async def end(self: Behind) -> None:
        self._going = None

    async def main() -> list[str]:
        wrong: list[str] = []
        for steps in range(2, 60, 3):
            async with saver_of("sqlite", tmp_path / f"{steps}.sqlite") as saver:
                work = Work(saver)
                with monkeypatch.context() as patch:
                    patch.setattr(Behind, "end", end)
                    await cancelled_after(work, steps, twice=False)
                    if left := asyncio.all_tasks() - {asyncio.current_task()}:
                        wrong.append(f"tasks left: {left}")
                        await asyncio.wait(left)
        return wrong

    assert asyncio.run(main())
