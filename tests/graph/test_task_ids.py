"""The id of a task: the same however often it is run, so that it can be the key of what must happen once outside."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import graph_of, run, thread

from millstream import START, AsyncSqliteSaver, InMemorySaver, Runtime, SqliteSaver
from millstream.graph.savers.ids import checkpoint_id
from millstream.testing import Fault, armed

__all__ = ["colour"]

SEEN: list[tuple[str, str]] = []


def noting(name: str, then: Any = None) -> Any:
    def node(state: Any, runtime: Runtime[Any]) -> Any:
        SEEN.append((name, runtime.execution_info.task_id))
        return then(state) if then is not None else {"log": [name]}

    return node


async def with_file(c: Colour, path: Path, work: Any) -> None:
    if c.sync:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            await work(saver)
    else:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            await work(saver)


def test_a_task_keeps_its_id_when_the_step_before_it_is_lost(tmp_path: Path, colour: Colour) -> None:
    """The second node runs while the first one's step is stored; that fails, and both run again."""

    async def work(saver: Any) -> None:
        SEEN.clear()
        graph = graph_of(("one", "two"), ("two", "three"), **{n: noting(n) for n in ("one", "two", "three")})
        app = graph.compile(checkpointer=saver)
        with armed(Fault("commit.before", 2, "raise")), pytest.raises(RuntimeError, match="fault"):
            await run(colour, app, {"log": []}, thread(), durability="async")
        assert [name for name, _ in SEEN] == ["one", "two"]
        assert (await run(colour, app, None, thread()))["log"] == ["one", "two", "three"]
        assert [name for name, _ in SEEN] == ["one", "two", "one", "two", "three"]
        assert len(set(SEEN)) == 3

    colour.run(lambda c: with_file(c, tmp_path / "t.sqlite", work))


def test_steps_inputs_and_threads_have_tasks_of_their_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        SEEN.clear()
        again = noting("a", lambda state: {"n": state.get("n", 0) + 1})
        graph = graph_of(a=again)
        graph.add_conditional_edges("a", lambda state: "a" if state["n"] % 3 else "__end__", ["a", "__end__"])
        app = graph.compile(checkpointer=InMemorySaver())
        for name in ("1", "1", "2"):
            await run(c, app, {"n": 0}, thread(name))
        assert len(SEEN) == len(set(SEEN)) == 9

    colour.run(body)


def test_a_graph_that_ended_inside_a_task_is_not_run_again_with_it(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        SEEN.clear()
        inner = graph_of(inside=noting("inside")).compile()
        fails = [OSError("once")]

        def sync_outer(state: Any) -> Any:
            result = inner.invoke({"log": []})
            if fails:
                raise fails.pop()
            return {"log": result["log"]}

        async def async_outer(state: Any) -> Any:
            result = await inner.ainvoke({"log": []})
            if fails:
                raise fails.pop()
            return {"log": result["log"]}

        app = graph_of((START, "outer"), outer=sync_outer if c.sync else async_outer).compile(
            checkpointer=InMemorySaver()
        )
        with pytest.raises(OSError, match="once"):
            await run(c, app, {"log": []}, thread())
        assert (await run(c, app, None, thread()))["log"] == ["inside"]
        assert [name for name, _ in SEEN] == ["inside"]

    colour.run(body)


def test_ids_of_checkpoints_grow_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = checkpoint_id()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 600 * 10**9)
    far = checkpoint_id()
    monkeypatch.undo()
    # As in another process, which has not seen the clock ahead.
    monkeypatch.setattr("millstream.graph.savers.ids._last", 0)
    behind = checkpoint_id()
    assert ahead < behind < far
    after = checkpoint_id(far)
    assert after > far
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-6[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", after)
    assert checkpoint_id("not-one-of-ours-zzzz-6") > after
