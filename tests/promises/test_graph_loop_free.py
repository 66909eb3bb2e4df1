"""P21: the event loop is never blocked, and sync and async calls that are mixed work or fail at once."""

from __future__ import annotations

import asyncio
import operator
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from promising import FULL, quantile, record

from millstream import (
    END,
    START,
    AIMessage,
    AsyncSqliteSaver,
    BlockingCallWarning,
    RunnableLambda,
    SqliteSaver,
    StateGraph,
    create_react_agent,
    entrypoint,
    task,
    tool,
)
from millstream.graph.savers.sqlite_files import Connection
from millstream.testing import ScriptedChatModel

__all__: list[str] = []

pytestmark = pytest.mark.timeout(1_200 if FULL else 60)

CONFIG: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict):
    log: Annotated[list[str], operator.add]


class Detector:
    """Notes blocking calls in a thread whose event loop runs: sleeping, and work of the database."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: list[str] = []
        for owner, name in ((time, "sleep"), (Connection, "run")):
            patch.setattr(owner, name, self.watched(f"{owner.__name__}.{name}", getattr(owner, name)))

    def watched(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                self.found.append(name)
            return fn(*args, **kwargs)

        return call


def blocking_path(state: Any) -> Any:
    time.sleep(0.02)
    return END


def slow_node(state: Any) -> Any:
    time.sleep(0.02)
    return {"log": ["slow"]}


def slow_generator(state: Any) -> Any:
    time.sleep(0.02)
    yield {"log": ["one"]}
    time.sleep(0.02)
    yield {"log": ["two"]}


@tool
def slow_tool(x: int) -> str:
    """Takes its time."""
    time.sleep(0.02)
    return str(x)


@task
def slow_task(x: int) -> int:
    time.sleep(0.02)
    return x


async def everything(saver: Any, store: Any = None) -> None:
    """A run of all that a graph may have of sync code, on one event loop."""
    inner = StateGraph(State).add_node("deep", slow_node).add_edge(START, "deep").compile()
    graph = StateGraph(State)
    graph.add_node("slow", slow_node).add_node("many", slow_generator).add_node("inner", inner)
    graph.add_node("chain", RunnableLambda(slow_node) | RunnableLambda(lambda update: update))
    graph.add_edge(START, "slow").add_edge(START, "many").add_edge("slow", "inner").add_edge("inner", "chain")
    graph.add_conditional_edges("chain", blocking_path, [END])
    app = graph.compile(checkpointer=saver)
    async for _ in app.astream(
        {"log": []}, CONFIG, stream_mode=["values", "messages", "custom", "debug"], subgraphs=True
    ):
        pass
    await app.aget_state(CONFIG)
    assert [s async for s in app.aget_state_history(CONFIG)]
    await app.aupdate_state(CONFIG, {"log": ["told"]}, as_node="slow")

    @entrypoint(checkpointer=saver)
    async def flow(x: int) -> list[int]:
        return list(await asyncio.gather(*(slow_task(n) for n in range(x))))

    assert await flow.ainvoke(3, {"configurable": {"thread_id": "2"}}) == [0, 1, 2]
    model = ScriptedChatModel([AIMessage("", tool_calls=[{"name": "slow_tool", "args": {"x": 1}, "id": "1"}]), "done"])
    agent = create_react_agent(model, [slow_tool], checkpointer=saver)
    await agent.ainvoke({"messages": [("user", "go")]}, {"configurable": {"thread_id": "3"}})


async def probed(work: Any) -> list[float]:
    """How late a task was that wanted to run every 5 ms while the work went on."""
    late: list[float] = []

    async def probe() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - begun - 0.005)

    prober = asyncio.create_task(probe())
    try:
        await work
    finally:
        prober.cancel()
    return late


@pytest.mark.parametrize("kind", ["async saver", "sync saver"])
def test_p21_nothing_blocks_the_loop(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    detector = Detector(monkeypatch)

    async def main() -> list[float]:
        if kind == "async saver":
            async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "a.sqlite")) as saver:
                return await probed(everything(saver))
        manager = await asyncio.to_thread(lambda: SqliteSaver.from_conn_string(str(tmp_path / "s.sqlite")))
        saver = await asyncio.to_thread(manager.__enter__)
        try:
            return await probed(everything(saver))
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)

    late = asyncio.run(main())
    record("P21", f"blocking calls on the loop, {kind}", len(late), len(detector.found),
           [len(detector.found), quantile(late, 0.99) * 1_000], "calls found; ms late, p99 of a probe")  # fmt: skip
    assert detector.found == []


def test_p21_control_a_blocking_call_on_the_loop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(monkeypatch)

    async def blocking(state: Any) -> Any:
        return slow_node(state)

    graph = StateGraph(State).add_node("a", blocking).add_edge(START, "a").compile()
    asyncio.run(graph.ainvoke({"log": []}))
    assert detector.found == ["time.sleep"]


# -- mixing colours ----------------------------------------------------------------------------------------------------


def leaf(name: str, is_async: bool) -> Any:
    def act(state: Any) -> Any:
        return {"log": [name]}

    async def aact(state: Any) -> Any:
        await asyncio.sleep(0)
        return {"log": [name]}

    return StateGraph(State).add_node(name, aact if is_async else act).add_edge(START, name).compile()


def calls(inner: Any, how: str) -> Any:
    """A node that runs another graph in one of the ways in which colours meet."""

    def sync_invoke(state: Any) -> Any:
        return {"log": inner.invoke({"log": []})["log"]}

    def sync_stream(state: Any) -> Any:
        return {"log": list(inner.stream({"log": []}, stream_mode="values"))[-1]["log"]}

    def own_loop(state: Any) -> Any:
        work = inner.ainvoke({"log": []})
        try:
            return {"log": asyncio.run(work)["log"]}
        finally:
            work.close()

    async def awaited(state: Any) -> Any:
        return {"log": (await inner.ainvoke({"log": []}))["log"]}

    async def sync_in_async(state: Any) -> Any:
        with blocking_allowed():
            return {"log": inner.invoke({"log": []})["log"]}

    async def in_thread(state: Any) -> Any:
        return {"log": (await asyncio.to_thread(inner.invoke, {"log": []}))["log"]}

    return {
        "sync invoke": sync_invoke,
        "sync stream": sync_stream,
        "own loop": own_loop,
        "awaited": awaited,
        "sync in async": sync_in_async,
        "in a thread": in_thread,
    }[how]


@contextmanager
def blocking_allowed() -> Iterator[None]:
    """Lets the warning of a blocking call pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BlockingCallWarning)
        yield


WAYS = ["sync invoke", "sync stream", "own loop", "awaited", "sync in async", "in a thread"]


@pytest.mark.parametrize("outer_sync", [True, False], ids=["sync run", "async run"])
@pytest.mark.parametrize("middle", WAYS)
@pytest.mark.parametrize("innermost", WAYS)
def test_p21_every_mixture_works_or_raises_at_once(outer_sync: bool, middle: str, innermost: str) -> None:
    """Three graphs, one inside the other, each called in one of six ways; async-only leaves under sync calls raise."""
    ended: list[Any] = []

    def attempt() -> None:
        bottom = leaf("bottom", is_async=innermost in ("own loop", "awaited"))
        node = calls(bottom, innermost)
        between = StateGraph(State).add_node("between", node).add_edge(START, "between").compile()
        app = StateGraph(State).add_node("outer", calls(between, middle)).add_edge(START, "outer").compile()
        try:
            result = app.invoke({"log": []}) if outer_sync else asyncio.run(app.ainvoke({"log": []}))
        except (TypeError, RuntimeError) as error:
            ended.append(error)
        else:
            ended.append(result["log"])

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert ended, "a deadlock: nothing came within 10 s"
    async_node = ("awaited", "sync in async", "in a thread")
    if outer_sync and middle in async_node:
        assert isinstance(ended[0], TypeError)
    elif isinstance(ended[0], Exception):
        assert innermost in async_node or innermost == "own loop"
        assert middle not in ("awaited", "own loop") or innermost == "own loop"
    else:
        assert ended[0] == ["bottom"]


def test_p21_sqlite_of_the_loop_refuses_a_sync_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "x.sqlite")) as saver:
            app = StateGraph(State).add_node("a", slow_node).add_edge(START, "a").compile(checkpointer=saver)
            with blocking_allowed(), pytest.raises(asyncio.InvalidStateError):
                app.invoke({"log": []}, CONFIG)

    asyncio.run(main())
