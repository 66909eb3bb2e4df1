"""Commits behind the run: one at a time, never more than one step unsaved, waited for however the run ends."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream, thread

from millstream import AsyncSqliteSaver, InMemorySaver, SqliteSaver, interrupt
from millstream.errors import StorageError
from millstream.graph.savers.leases import Lease
from millstream.graph.savers.log import Chain, Entry, Loaded, Record
from millstream.graph.savers.log_saver import LogSaver
from millstream.spine import fault_points

__all__ = ["colour"]


class Slow(LogSaver):
    """A saver in memory whose commits take a while and are logged; `refuse` says which of them fail."""

    def __init__(self, log: list[Any], refuse: Sequence[int] = ()) -> None:
        super().__init__()
        self.log = log
        self.refuse = refuse
        self.inner = InMemorySaver()
        self.pause = threading.Event()
        self.commits = 0
        self.recorded = threading.Event()

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return self.inner.load(thread, ns, id, anew)

    def commit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        steps = [entry.step for entry in entries]
        self.log.append(("commit", *steps))
        self.pause.wait(0.02)
        self.commits += 1
        if self.commits - 1 in self.refuse:
            raise StorageError(f"no room for {steps}")
        done = self.inner.commit(thread, ns, entries, chain)
        self.log.append(("stored", *steps))
        return done

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None) -> None:
        self.log.append(("record", *(each.path for each in records)))
        self.inner.record(thread, ns, id, records)
        self.recorded.set()

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        return self.inner.ids(thread, ns)

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        return self.inner.writes_after(thread, ns, id)


def chain_of(c: Colour, names: str, log: list[Any]) -> Any:
    def node(name: str) -> Any:
        def act(state: Any) -> Any:
            log.append(name)
            return {"log": [name]}

        return c.function(act)

    return graph_of(*itertools.pairwise(names), **{name: node(name) for name in names})


def test_a_commit_runs_beside_the_next_step_and_never_two_steps_are_unsaved(colour: Colour) -> None:
    log: list[Any] = []

    async def body(c: Colour) -> None:
        app = chain_of(c, "abcd", log).compile(checkpointer=Slow(log))
        await run(c, app, {"log": []}, thread())

    colour.run(body)
    # The input is stored before the first node.
    assert log.index(("stored", -1, 0)) < log.index("a")
    # The commit of a step goes on beside the next node ...
    assert log.index("b") < log.index(("stored", 1))
    assert log.index("c") < log.index(("stored", 2))
    # ... and has ended before that node's own commit begins, and so before the node after it.
    for step, after in ((1, "c"), (2, "d")):
        assert log.index(("stored", step)) < log.index(("commit", step + 1)) < log.index(("stored", step + 1))
        assert log.index(("stored", step)) < log.index(after)
    assert log[-1] == ("stored", 4)


def test_sync_durability_waits_for_each_and_exit_for_none(colour: Colour) -> None:
    for durability in ("sync", "exit"):
        log: list[Any] = []

        async def body(c: Colour, log: list[Any] = log, durability: str = durability) -> None:
            app = chain_of(c, "abc", log).compile(checkpointer=Slow(log))
            await run(c, app, {"log": []}, thread(), durability=durability)

        colour.run(body)
        nodes = [item for item in log if isinstance(item, str)]
        assert nodes == ["a", "b", "c"]
        if durability == "exit":
            assert log[3:] == [("commit", 3), ("stored", 3)]
        else:
            assert log == [
                ("commit", -1, 0), ("stored", -1, 0), "a", ("commit", 1), ("stored", 1), "b", ("commit", 2), ("stored", 2),
                "c", ("commit", 3), ("stored", 3),
            ]  # fmt: skip


@pytest.mark.parametrize("refused", [0, 1, 2, 3])
def test_a_commit_that_fails_fails_the_run_and_nothing_is_built_on_it(colour: Colour, refused: int) -> None:
    log: list[Any] = []

    async def body(c: Colour) -> None:
        saver = Slow(log, refuse=[refused])
        app = chain_of(c, "abc", log).compile(checkpointer=saver)
        with pytest.raises(StorageError, match="no room"):
            await run(c, app, {"log": []}, thread())
        saver.refuse = ()
        state = app.get_state(thread()) if c.sync else await app.aget_state(thread())
        # What is found is the state before the commit that failed, and nothing was tried after it.
        assert state.values.get("log", []) == ["a", "b", "c"][: max(0, refused - 1)]
        assert saver.commits == refused + 1

    colour.run(body)


def test_a_node_that_fails_keeps_its_error_where_storing_fails_too(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def bad(state: Any) -> Any:
            raise KeyError("the node's own")

        app = graph_of(("a", "b"), a=c.function(lambda s: {"log": ["a"]}), b=c.function(bad)).compile(
            checkpointer=Slow([], refuse=[1])
        )
        with pytest.raises(KeyError, match="the node's own") as caught:
            await run(c, app, {"log": []}, thread())
        assert any("no room" in note for note in caught.value.__notes__)

    colour.run(body)


def test_an_interrupt_and_leaving_a_stream_wait_for_the_commit(colour: Colour) -> None:
    log: list[Any] = []

    async def body(c: Colour) -> None:
        app = chain_of(c, "abc", log).compile(checkpointer=Slow(log), interrupt_before=["b"])
        await run(c, app, {"log": []}, thread())
        assert log[-1] == ("stored", 1)
        app.interrupt_before_nodes = ()
        items = stream(c, app, None, thread())
        async for _ in items:
            break
        await items.aclose()
        assert log[-1] == ("stored", 2)

    colour.run(body)


def test_a_question_is_found_again_after_the_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def ask(state: Any) -> Any:
            return {"log": [interrupt("?")]}

        app = graph_of(("a", "b"), a=c.function(ask), b=c.function(lambda s: {"log": ["b"]})).compile(
            checkpointer=Slow([])
        )
        assert "__interrupt__" in await run(c, app, {"log": []}, thread())
        state = app.get_state(thread()) if c.sync else await app.aget_state(thread())
        assert state.next == ("a",)

    colour.run(body)


def test_finished_siblings_are_stored_while_others_run() -> None:
    log: list[Any] = []

    async def main() -> None:
        saver = Slow(log)

        async def late(state: Any) -> Any:
            await asyncio.to_thread(saver.recorded.wait, 10)
            log.append("late")
            return {"log": ["late"]}

        async def quick(state: Any) -> Any:
            return {"log": ["quick"]}

        app = graph_of(("__start__", "late"), ("__start__", "quick"), late=late, quick=quick).compile(
            checkpointer=saver
        )
        result = await app.ainvoke({"log": []}, thread())
        assert result["log"] == ["late", "quick"]

    asyncio.run(main())
    assert log.index(("record", "0:quick")) < log.index("late")


def test_a_cancelled_run_has_ended_its_commit() -> None:
    log: list[Any] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def a(state: Any) -> Any:
            return {"log": ["a"]}

        async def b(state: Any) -> Any:
            begun.set()
            await asyncio.sleep(10)

        app = graph_of(("a", "b"), a=a, b=b).compile(checkpointer=Slow(log))
        task = asyncio.create_task(app.ainvoke({"log": []}, thread()))
        await begun.wait()
        assert ("stored", 1) not in log
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # a second one does not break what the first one has to do
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ("stored", 1) in log
        assert log[-1] == ("record", "0:b")

    asyncio.run(main())


def test_what_a_node_changes_in_place_reaches_only_its_own_checkpoint(colour: Colour, tmp_path: Path) -> None:
    """The commit of a step runs while the next node changes the very list that it stores."""

    async def body(c: Colour) -> None:
        def add(state: Any) -> Any:
            state["n"].append(len(state["n"]))
            return {"n": state["n"]}

        graph = graph_of(("a", "b"), ("b", "c"), **dict.fromkeys("abc", c.function(add)))
        async with sqlite(c, tmp_path / "threads.sqlite") as saver:
            app = graph.compile(checkpointer=saver)
            await run(c, app, {"n": []}, thread())
            if c.sync:
                found = [s.values.get("n") for s in app.get_state_history(thread())]
            else:
                found = [s.values.get("n") async for s in app.aget_state_history(thread())]
        assert found == [[0, 1, 2], [0, 1], [0], [], None]

    colour.run(body)


@asynccontextmanager
async def sqlite(c: Colour, path: Path) -> AsyncGenerator[Any, None]:
    if c.sync:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            yield saver
    else:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            yield saver


def test_fault_points_are_passed_in_order(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    struck: list[str] = []
    monkeypatch.setattr(fault_points, "strike", struck.append)

    async def body(c: Colour) -> None:
        app = chain_of(c, "a", []).compile(checkpointer=InMemorySaver())
        await chunks(c, app, {"log": []}, thread())

    colour.run(body)
    assert struck == ["commit.before", "commit.after", "task.start", "task.done", "commit.before", "commit.after"]
