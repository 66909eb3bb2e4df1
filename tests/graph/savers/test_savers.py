"""Every saver, by the same tests: what is committed is what is loaded, however the thread went on."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import threading
import warnings
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from graph_helpers import Log, graph_of, thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_saver import PlainSaver
from savers import postgres_saver, stored_bytes

from millstream import (
    AIMessage,
    AsyncSqliteSaver,
    BaseCheckpointSaver,
    CorruptCheckpoint,
    HumanMessage,
    InMemorySaver,
    MessagesState,
    PostgresSaver,
    RemoveMessage,
    SqliteSaver,
    StateGraph,
    StorageError,
    add_messages,
)
from millstream.graph.channels import LOGGED_REDUCERS
from millstream.graph.savers.ids import checkpoint_id, made_at
from millstream.graph.savers.log import Entry, Record
from millstream.graph.savers.log_saver import LogSaver


@contextmanager
def saver_of(kind: str, folder: Path, postgres: Cluster) -> Iterator[LogSaver]:
    if kind == "memory":
        yield InMemorySaver()
    elif kind == "postgres":
        with postgres_saver(postgres) as on_postgres:
            yield on_postgres
    elif kind == "sqlite":
        with SqliteSaver.from_conn_string(str(folder / "t.sqlite")) as saver:
            yield saver
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # Python's own SQLite may be an old one
            connection = sqlite3.connect(folder / "given.sqlite", check_same_thread=False)
            try:
                yield SqliteSaver(connection)
            finally:
                connection.close()


KINDS = ["memory", "sqlite", "given", "postgres"]


@pytest.fixture(params=KINDS)
def saver(request: pytest.FixtureRequest, tmp_path: Path, postgres: Cluster) -> Iterator[LogSaver]:
    with saver_of(request.param, tmp_path, postgres) as made:
        yield made


def chat(saver: Any, answer: Any = None) -> Any:
    def reply(state: Any) -> Any:
        return {"messages": [AIMessage(f"re {state['messages'][-1].content}", id=f"a{len(state['messages'])}")]}

    return graph_of(state=MessagesState, reply=answer or reply).compile(checkpointer=saver)


def contents(values: Any) -> list[str]:
    return [m.content for m in values["messages"]]


# -- through a graph -------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on(saver: LogSaver) -> None:
    app = chat(saver)
    app.invoke({"messages": "a"}, thread("1"))
    app.invoke({"messages": "x"}, thread("2"))
    assert contents(app.invoke({"messages": "b"}, thread("1"))) == ["a", "re a", "b", "re b"]
    assert contents(app.get_state(thread("2")).values) == ["x", "re x"]
    assert app.get_state(thread("3")).values == {}


def test_a_run_needs_a_thread(saver: LogSaver) -> None:
    with pytest.raises(ValueError, match="thread_id"):
        chat(saver).invoke({"messages": "a"})


def test_numbers_and_metadata_of_checkpoints(saver: LogSaver) -> None:
    app = chat(saver)
    config = thread("1", metadata={"u": 7, "deep": {"not": "kept"}})
    app.invoke({"messages": "a"}, config)
    app.invoke({"messages": "b"}, config)
    found = list(saver.list(thread("1")))
    assert [(f.metadata["source"], f.metadata["step"]) for f in found] == [
        ("loop", 4), ("loop", 3), ("input", 2), ("loop", 1), ("loop", 0), ("input", -1),
    ]  # fmt: skip
    assert all(f.metadata["u"] == 7 and "deep" not in f.metadata for f in found)
    assert [f.parent_config for f in found] == [*[f.config for f in found[1:]], None]
    assert [len(f.checkpoint["channel_values"].get("messages", [])) for f in found] == [4, 3, 2, 2, 1, 0]
    assert [f.metadata["step"] for f in saver.list(thread("1"), filter={"source": "input"})] == [2, -1]
    assert len(list(saver.list(thread("1"), limit=2))) == 2
    assert [f.metadata["step"] for f in saver.list(thread("1"), before=found[3].config)] == [0, -1]


def test_changing_a_result_does_not_reach_what_is_stored(saver: LogSaver) -> None:
    app = chat(saver)
    result = app.invoke({"messages": "a"}, thread())
    result["messages"].append(HumanMessage("forged"))
    result["messages"][0] = HumanMessage("forged")
    assert contents(app.invoke({"messages": "b"}, thread())) == ["a", "re a", "b", "re b"]
    assert contents(app.get_state(thread()).values) == ["a", "re a", "b", "re b"]


def test_a_list_changed_in_place_is_stored_as_it_became(saver: LogSaver) -> None:
    def sneaky(state: Any) -> Any:
        state["log"].append("sneaked")
        return {"log": ["said"]}

    app = graph_of(sneaky=sneaky).compile(checkpointer=saver)
    result = app.invoke({"log": ["in"]}, thread())
    assert app.get_state(thread()).values == result == {"log": ["in", "sneaked", "said"]}


def test_an_element_changed_in_place_and_returned_is_stored(saver: LogSaver) -> None:
    def edit(state: Any) -> Any:
        message = state["messages"][0]
        message.content = "edited"
        return {"messages": [message]}

    app = chat(saver, edit)
    app.invoke({"messages": [HumanMessage("first", id="1")]}, thread())
    assert contents(app.get_state(thread()).values) == ["edited"]


def test_finished_siblings_of_a_failure_are_not_run_again(saver: LogSaver) -> None:
    calls: list[str] = []
    seen = threading.Event()
    fail = True

    def good(state: Any) -> Any:
        calls.append("good")
        return {"log": ["good"]}

    def bad(state: Any) -> Any:
        calls.append("bad")
        assert seen.wait(10)
        if fail:
            raise ValueError("boom")
        return {"log": ["bad"]}

    app = graph_of(("__start__", "good"), ("__start__", "bad"), good=good, bad=bad).compile(checkpointer=saver)
    with pytest.raises(ValueError, match="boom"):
        for chunk in app.stream({"log": []}, thread()):
            assert chunk == {"good": {"log": ["good"]}}
            seen.set()
    fail = False
    assert sorted(calls) == ["bad", "good"]
    updates = list(app.stream(None, thread()))
    assert {"good": {"log": ["good"]}, "__metadata__": {"cached": True}} in updates
    assert sorted(calls) == ["bad", "bad", "good"]
    assert app.get_state(thread()).values == {"log": ["bad", "good"]}


def test_new_input_gives_up_what_was_pending(saver: LogSaver) -> None:
    fail = True

    def bad(state: Any) -> Any:
        if fail:
            raise ValueError("boom")
        return {"log": ["ran"]}

    app = graph_of(bad=bad).compile(checkpointer=saver)
    with pytest.raises(ValueError, match="boom"):
        app.invoke({"log": ["x"]}, thread())
    fail = False
    assert app.invoke({"log": ["y"]}, thread()) == {"log": ["x", "y", "ran"]}


def test_a_finished_thread_resumed_runs_nothing(saver: LogSaver) -> None:
    calls: list[int] = []
    app = graph_of(a=lambda s: calls.append(1) or {"log": ["a"]}).compile(checkpointer=saver)
    app.invoke({"log": []}, thread())
    assert app.invoke(None, thread()) == {"log": ["a"]}
    assert calls == [1]


def test_durability_exit_stores_one_checkpoint_a_run(saver: LogSaver) -> None:
    app = graph_of(("a", "b"), a=lambda s: {"log": ["a"]}, b=lambda s: {"log": ["b"]}).compile(checkpointer=saver)
    for _ in range(2):
        app.invoke({"log": []}, thread(), durability="exit")
    found = list(saver.list(thread()))
    assert [f.checkpoint["channel_values"]["log"] for f in found] == [["a", "b"] * 2, ["a", "b"]]
    assert [f.parent_config for f in found] == [found[1].config, None]


def test_a_deleted_thread_is_gone(saver: LogSaver) -> None:
    app = chat(saver)
    app.invoke({"messages": "a"}, thread("1"))
    app.invoke({"messages": "a"}, thread("2"))
    saver.delete_thread("1")
    assert saver.get_tuple(thread("1")) is None
    assert contents(app.invoke({"messages": "b"}, thread("1"))) == ["b", "re b"]
    assert {f.config["configurable"]["thread_id"] for f in saver.list(None)} == {"1", "2"}


def test_whole_checkpoints_through_the_public_methods(saver: LogSaver) -> None:
    checkpoint = {
        "v": 4, "id": checkpoint_id(), "ts": "2024-01-01T00:00:00+00:00",
        "channel_values": {"k": [1, 2]}, "channel_versions": {"k": 3}, "versions_seen": {"n": {"k": 2}}, "updated_channels": ["k"],
    }  # fmt: skip
    metadata = {"source": "loop", "step": 5, "parents": {}}
    config = saver.put(thread("p"), checkpoint, metadata, {"k": 3})
    saver.put_writes(config, [("k", "w1"), ("k", "w2")], "task")
    saver.put_writes(config, [("k", "other")], "task")
    found = saver.get_tuple(config)
    assert found is not None
    assert found.checkpoint == checkpoint
    assert found.metadata == metadata
    assert found.pending_writes == [("task", "k", "w1"), ("task", "k", "w2")]
    assert saver.get_tuple(thread("p")) == found


def test_runs_of_many_threads_at_once(saver: LogSaver) -> None:
    app = chat(saver)

    def talk(name: str) -> None:
        for word in "abc":
            app.invoke({"messages": word}, thread(name))

    workers = [threading.Thread(target=talk, args=(str(n),)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for n in range(8):
        assert contents(app.get_state(thread(str(n))).values) == ["a", "re a", "b", "re b", "c", "re c"]


def test_a_turn_stores_what_it_added_however_long_the_thread(saver: LogSaver) -> None:
    app = chat(saver)
    texts = {"messages": [HumanMessage("x" * 500, id=f"h{i}") for i in range(400)]}
    app.invoke(texts, thread())
    before = _stored_bytes(saver)
    for i in range(20):
        app.invoke({"messages": HumanMessage("short", id=f"n{i}")}, thread())
    assert _stored_bytes(saver) - before < 60_000  # one copy of the state alone is 200,000


def _stored_bytes(saver: Any) -> int:
    if isinstance(saver, InMemorySaver):
        rows = [r for each in saver.storage.values() for log in each.values() for r in log.rows.values()]
        return sum(len(r.delta) + len(r.snapshot or b"") for r in rows)
    if isinstance(saver, PostgresSaver):
        return stored_bytes(saver)
    rows = saver.connection.raw.execute(
        "SELECT length(delta) + ifnull(length(snapshot), 0) FROM ms_checkpoints"
    ).fetchall()
    return sum(row[0] for row in rows)


# -- the log itself --------------------------------------------------------------------------------------------------

_step = st.lists(st.tuples(st.sampled_from("sra"), st.integers(0, 9)), max_size=3)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_step, min_size=1, max_size=12), branch=st.integers(0, 11))
def test_every_checkpoint_reads_back_as_it_was(
    kind: str, steps: list[Any], branch: int, tmp_path_factory: Any, postgres: Cluster
) -> None:
    """Also on two branches from one parent, with small snapshots forced by long texts."""
    with saver_of(kind, tmp_path_factory.mktemp("log"), postgres) as saver:
        written: list[tuple[str, dict[str, Any], Any]] = []
        values: dict[str, Any] = {}
        parent, chain = None, None
        for number, step in enumerate([*steps, *steps]):
            if number == len(steps):
                id, values, chain = written[branch % len(written)]
                parent = id
            values, ops = _changed(values, step, number)
            entry = Entry(
                checkpoint_id(), parent, source="loop", step=number, ops=ops, waits={"next": [str(number)]},
                writes=[Record("t", "0:n", [("k", number)])], values=values,
            )  # fmt: skip
            chain = saver.commit("t", "", [entry], chain)
            written.append((entry.id, values, chain))
            parent = entry.id
        for number, (id, expected, _) in enumerate(written):
            loaded = saver.load("t", "", id)
            assert loaded is not None
            assert loaded.values == expected
            assert loaded.waits == {"next": [str(number)]}
        latest = saver.load("t", "")
        assert latest is not None and latest.id == written[-1][0]


def _changed(values: dict[str, Any], step: list[tuple[str, int]], number: int) -> tuple[dict[str, Any], list[Any]]:
    new = dict(values)
    ops: list[Any] = []
    for what, id in step:
        old = new.get("m", [])
        if what == "s":
            new["plain"] = {"n": number, "id": id}
            ops.append(("plain", ("set", new["plain"])))
            continue
        write = RemoveMessage(id=str(id)) if what == "r" else AIMessage("long " * 300, id=str(id))
        if what == "r" and str(id) not in {m.id for m in old}:
            continue
        new["m"], more = LOGGED_REDUCERS[add_messages](old, [write])
        ops += [("m", op) for op in more]
    return new, ops


def test_a_snapshot_comes_at_growing_distances() -> None:
    saver = InMemorySaver()
    app = chat(saver)
    for i in range(150):
        app.invoke({"messages": HumanMessage("word " * 40, id=f"h{i}")}, thread())
    log = saver.storage["1"][""]
    places = [n for n, id in enumerate(log.ids) if log.rows[id].is_base and log.rows[id].snapshot is not None]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert len(places) >= 4
    gaps = gaps[1:]
    assert all(later > earlier * 1.2 for earlier, later in itertools.pairwise(gaps))


def test_ids_are_in_the_order_of_their_making() -> None:
    ids = [checkpoint_id() for _ in range(2000)]
    assert ids == sorted(set(ids))
    made = made_at(ids[0])
    assert made is not None and made.endswith("+00:00")
    assert made_at("no-id") is None


# -- SQLite ----------------------------------------------------------------------------------------------------------


def test_a_conversation_survives_closing(tmp_path: Path) -> None:
    path = str(tmp_path / "t.sqlite")
    for word, count in (("a", 2), ("b", 4), ("c", 6)):
        with SqliteSaver.from_conn_string(path) as saver:
            assert len(chat(saver).invoke({"messages": word}, thread())["messages"]) == count
    assert sorted(os.listdir(tmp_path)) == ["t.sqlite"]  # the log was folded in


def test_async_saver_and_sync_saver_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "t.sqlite")

    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            app = chat(saver)
            await asyncio.gather(*[app.ainvoke({"messages": "a"}, thread(str(n))) for n in range(20)])
            assert len([each async for each in saver.alist(thread("3"))]) == 3
            assert len([each async for each in saver.alist(None, limit=7)]) == 7
            found = await saver.aget_tuple(thread("3"))
            assert found is not None and contents(found.checkpoint["channel_values"]) == ["a", "re a"]
            with pytest.raises(asyncio.InvalidStateError, match="await"):
                saver.get_tuple(thread("3"))
            with SqliteSaver.from_conn_string(path) as other:
                assert other.connection is saver.connection
            await saver.adelete_thread("3")
            assert await saver.aget_tuple(thread("3")) is None

    asyncio.run(main())
    with SqliteSaver.from_conn_string(path) as saver:
        assert contents(chat(saver).get_state(thread("4")).values) == ["a", "re a"]


def test_a_sync_saver_serves_async_runs_from_worker_threads(tmp_path: Path) -> None:
    async def main() -> None:
        with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            app = chat(saver)
            await app.ainvoke({"messages": "a"}, thread())
            assert contents((await app.aget_state(thread())).values) == ["a", "re a"]
            with pytest.raises(NotImplementedError, match="AsyncSqliteSaver"):
                await saver.aget_tuple(thread())

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Python's SQLite:RuntimeWarning")
def test_an_aiosqlite_connection_of_the_users(tmp_path: Path) -> None:
    import aiosqlite

    async def main() -> None:
        async with aiosqlite.connect(tmp_path / "t.sqlite") as connection:
            saver = AsyncSqliteSaver(connection)
            app = chat(saver)
            await asyncio.gather(*[app.ainvoke({"messages": "a"}, thread(str(n))) for n in range(5)])
            result = await app.ainvoke({"messages": "b"}, thread("1"))
            assert contents(result) == ["a", "re a", "b", "re b"]
            # From another thread the sync form works too.
            assert contents((await asyncio.to_thread(app.get_state, thread("2"))).values) == ["a", "re a"]

    asyncio.run(main())


def test_an_async_saver_needs_an_async_connection() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="aiosqlite"):
            AsyncSqliteSaver(object())

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Python's SQLite:RuntimeWarning")
def test_two_sqlite_libraries_never_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        chat(saver).invoke({"messages": "a"}, thread())
        connection = sqlite3.connect(path)
        with pytest.raises(StorageError, match="already open"):
            SqliteSaver(connection)
        connection.close()


def test_a_closed_saver_says_so(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app = chat(saver)
    with pytest.raises(StorageError, match="was closed"):
        app.invoke({"messages": "a"}, thread())


def test_bytes_of_nobody_are_a_named_error(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app = chat(saver)
        app.invoke({"messages": "a"}, thread())
        saver.connection.raw.execute("UPDATE ms_checkpoints SET delta = x'c1ff'")
        with pytest.raises(CorruptCheckpoint, match="checkpoint '"):
            app.get_state(thread())


@pytest.mark.filterwarnings("ignore:Python's SQLite:RuntimeWarning")
def test_a_transaction_of_the_users_is_left_open(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "t.sqlite", check_same_thread=False)
    app = chat(SqliteSaver(connection))
    app.get_state(thread())
    connection.execute("CREATE TABLE mine (x)")
    connection.execute("INSERT INTO mine VALUES (1)")
    assert connection.in_transaction
    app.invoke({"messages": "a"}, thread())
    assert connection.in_transaction
    connection.commit()
    assert contents(app.get_state(thread()).values) == ["a", "re a"]
    connection.close()


def test_a_saver_that_can_nothing_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="`get_tuple`"):
        BaseCheckpointSaver().get_tuple(thread())


def test_stacks_of_savers_close_in_any_order(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "t.sqlite")
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))
            second = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))
            await chat(first).ainvoke({"messages": "a"}, thread())
            assert contents((await chat(second).aget_state(thread())).values) == ["a", "re a"]

    asyncio.run(main())


def test_a_graph_without_state_of_its_own_is_stored() -> None:
    graph = StateGraph(Log).add_node("a", lambda s: None).add_edge("__start__", "a")
    app = graph.compile(checkpointer=InMemorySaver())
    assert app.invoke({}, thread()) is None
    assert app.get_state(thread()).values == {"log": []}


# -- a saver of somebody else ----------------------------------------------------------------------------------------


def test_a_saver_with_only_the_public_methods_is_driven_too() -> None:
    saver = PlainSaver()
    app = chat(saver)
    app.invoke({"messages": "a"}, thread())
    assert contents(app.invoke({"messages": "b"}, thread())) == ["a", "re a", "b", "re b"]
    assert contents(asyncio.run(app.ainvoke({"messages": "c"}, thread())))[-1] == "re c"
    assert [s.metadata["step"] for s in app.get_state_history(thread())] == [7, 6, 5, 4, 3, 2, 1, 0, -1]
    fail = True

    def bad(state: Any) -> Any:
        if fail:
            raise ValueError("boom")
        return {"log": ["bad"]}

    good = graph_of(("__start__", "good"), ("__start__", "bad"), good=lambda s: {"log": ["good"]}, bad=bad)
    app = good.compile(checkpointer=saver)
    with pytest.raises(ValueError, match="boom"):
        app.invoke({"log": []}, thread("2"))
    fail = False
    assert app.invoke(None, thread("2")) == {"log": ["bad", "good"]}


def test_looking_at_a_thread_does_not_make_its_next_turn_read_it(saver: LogSaver) -> None:
    app = chat(saver)
    app.invoke({"messages": "a"}, thread())
    app.get_state(thread())
    assert ("1", "") in saver._kept
