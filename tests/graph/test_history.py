"""The history of a thread: the same whether checkpoints are read one by one or together, and in linear time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of, thread

from millstream import AsyncSqliteSaver, CorruptCheckpoint, InMemorySaver, SqliteSaver
from millstream.graph.savers import log

__all__: list[str] = []


def branched(app: Any) -> None:
    """A thread with a few runs, branches from the middle, a copy, and a run that failed."""
    for n in range(4):
        app.invoke({"n": n, "log": [f"in{n}"]}, thread())
    middle = list(app.get_state_history(thread()))[5]
    app.invoke(None, middle.config)
    app.update_state(middle.config, {"log": ["edited"]}, as_node="a")
    app.update_state(thread(), None, as_node="__copy__")
    app.invoke({"n": 9}, thread())
    with pytest.raises(ZeroDivisionError):
        app.invoke({"n": -1}, thread())


def app_on(saver: Any) -> Any:
    return graph_of(
        ("a", "b"), a=lambda s: {"log": [f"a{s['n']}" * 100]}, b=lambda s: {"log": [1 / (s["n"] + 1)]}
    ).compile(checkpointer=saver)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_checkpoints_read_together_are_those_read_alone(kind: str, tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "x.sqlite")) as sqlite:
        saver: Any = InMemorySaver() if kind == "memory" else sqlite
        branched(app_on(saver))
        ids = saver.ids("1", "")[::-1]
        assert len(ids) > 15
        for begin in range(0, len(ids), 3):
            together = saver.load_all("1", "", ids[begin : begin + 7])
            alone = [saver.load("1", "", id, True) for id in ids[begin : begin + 7]]
            assert [facts(each) for each in together] == [facts(each) for each in alone]
        assert saver.load_all("none", "", ids) == []
        assert saver.load_all("1", "", []) == []


def facts(loaded: Any) -> Any:
    return loaded.id, loaded.parent, loaded.step, loaded.values, loaded.waits, loaded.records, loaded.writes


def test_a_history_before_a_checkpoint_has_what_its_tasks_wrote() -> None:
    app = app_on(InMemorySaver())
    branched(app)
    whole = list(app.get_state_history(thread()))
    assert len(whole) > 15
    for at in (1, 4, 9):
        assert list(app.get_state_history(thread(), before=whole[at].config)) == whole[at + 1 :]
        assert list(app.get_state_history(thread(), limit=at)) == whole[:at]


def test_the_async_form_gives_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "x.sqlite")) as saver:
            app = app_on(saver)
            await asyncio.to_thread(branched, app)
            found = [s async for s in app.aget_state_history(thread())]
            assert found == await asyncio.to_thread(lambda: list(app.get_state_history(thread())))

    asyncio.run(main())


def test_time_grows_with_the_length_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    read = log._read
    counts = []
    for turns in (60, 240):
        app = app_on(InMemorySaver())
        for n in range(turns):
            app.invoke({"n": n}, thread())
        calls = 0

        def counted(row: Any) -> Any:
            nonlocal calls
            calls += 1
            return read(row)

        with monkeypatch.context() as patch:
            patch.setattr(log, "_read", counted)
            assert sum(1 for _ in app.get_state_history(thread())) == 4 * turns
        counts.append(calls)
    assert counts[1] < 5 * counts[0]


def test_checkpoints_before_a_damaged_one_are_given_first() -> None:
    saver = InMemorySaver()
    app = app_on(saver)
    for n in range(5):
        app.invoke({"n": n}, thread())
    ids = saver.ids("1", "")
    rows = saver.storage["1"][""].rows
    rows[ids[6]] = rows[ids[6]]._replace(delta=b"\x00")
    found = []
    with pytest.raises(CorruptCheckpoint):
        for snapshot in app.get_state_history(thread()):
            found.append(snapshot.config["configurable"]["checkpoint_id"])
    assert found == list(ids[: len(found)])
    assert len(found) <= 6
