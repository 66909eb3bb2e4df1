"""Ids, namespaces, filters and limits that mean harm: an error of ours, or exactly what they name."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from cluster import Cluster
from graph_helpers import graph_of, thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from savers import apostgres_saver, postgres_saver

from millstream import SqliteSaver
from millstream.errors import MillstreamError

NAMES = [
    "'", '"', "*", "%", "_", "{}", "[a-z]", "?", "$1", "%s", "\\", "\r\nDEL x", "-1", "1 UNION SELECT 1", "x' OR '1'='1", "x'; DROP TABLE ms_threads; --",
    " ", "\t", "\u00e9", "e\u0301", "İ", "ß", "SS", "ﷺ", "\u202e", "\u0000", "a\0b", "\ud800", "😀", "0", "None", "k" * 1_000_000,
    "".join(chr(33 + n * 7919 % 90) for n in range(9_000)),
]  # fmt: skip
THINGS: list[Any] = [{"a": 1}, ["a"], 1.5, b"bytes", object(), -1]

FILTER_KEYS = [
    "x') OR json_extract('{\"a\":1}','$.a", "' OR '1'='1", '"', "$", "]", "\0", "\ud800", "x" * 10_000, "source' --", "*", "",
    "step) UNION SELECT thread, ns, id FROM ms_checkpoints --",
]  # fmt: skip


def app_on(saver: Any) -> Any:
    return graph_of(a=lambda state: {"log": ["a"]}).compile(checkpointer=saver)


def within(found: Any) -> set[str]:
    return {each.config["configurable"]["thread_id"] for each in found}


def test_a_thread_is_the_one_that_is_named(saver: Any) -> None:
    app = app_on(saver)
    kept = []
    for name in NAMES:
        with contextlib.suppress(MillstreamError):
            app.invoke({"log": [name[:50]]}, thread(name))
            kept.append(name)
    assert len(kept) >= len(NAMES) - 5
    for name in NAMES:
        if name not in kept:
            with pytest.raises(MillstreamError):
                app.get_state(thread(name))
                raise MillstreamError  # or there is nothing
            continue
        assert app.get_state(thread(name)).values == {"log": [name[:50], "a"]}
        assert within(saver.list(thread(name))) == {name}
    assert within(saver.list(None)) == set(kept)
    for name in kept[::3]:
        saver.delete_thread(name)
    assert within(saver.list(None)) == {name for n, name in enumerate(kept) if n % 3}


def test_checkpoints_and_namespaces_are_those_that_are_named(saver: Any) -> None:
    app = app_on(saver)
    app.invoke({"log": []}, thread("mine"))
    app.invoke({"log": []}, thread("other"))
    for name in NAMES:
        for key in ("checkpoint_id", "checkpoint_ns"):
            with contextlib.suppress(MillstreamError):
                assert saver.get_tuple({"configurable": {"thread_id": "mine", key: name}}) is None
            with contextlib.suppress(MillstreamError):
                assert list(saver.list({"configurable": {"thread_id": "mine", key: name}})) == []
        with contextlib.suppress(MillstreamError):
            found = list(saver.list(thread("mine"), before={"configurable": {"checkpoint_id": name}}))
            assert within(found) <= {"mine"}
            assert all(each.config["configurable"]["checkpoint_id"] < name for each in found)


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_is_no_name_is_refused(saver: Any, thing: Any) -> None:
    app_on(saver).invoke({"log": []}, thread("mine"))
    for key in ("checkpoint_id", "checkpoint_ns"):
        with pytest.raises(ValueError, match=key):
            saver.get_tuple({"configurable": {"thread_id": "mine", key: thing}})
        with pytest.raises(ValueError, match=key):
            list(saver.list({"configurable": {"thread_id": "mine", key: thing}}))
    with pytest.raises(ValueError, match="checkpoint_id"):
        list(saver.list(thread("mine"), before={"configurable": {"checkpoint_id": thing}}))
    # Threads are named by what their names say as text.
    assert saver.get_tuple(thread(thing)) is None


@pytest.mark.parametrize("limit", ["1", "1 UNION SELECT 1", 1.5, {"a": 1}, -1])
def test_what_is_no_limit_is_refused(saver: Any, limit: Any) -> None:
    app_on(saver).invoke({"log": []}, thread("mine"))
    with pytest.raises(ValueError, match="limit"):
        list(saver.list(thread("mine"), limit=limit))
    assert list(saver.list(thread("mine"), limit=0)) == []


def test_a_filter_finds_what_has_exactly_that(saver: Any) -> None:
    app = app_on(saver)
    app.invoke({"log": []}, thread("secret", metadata={"owner": "other", "a.b-c": 1}))
    app.invoke({"log": []}, thread("mine", metadata={"owner": "me"}))
    assert within(saver.list(None, filter={"owner": "me"})) == {"mine"}
    assert within(saver.list(None, filter={"a.b-c": 1})) == {"secret"}
    for value in ("me' OR '1'='1", "%", "*", {"owner": "me"}, ["me"], None):
        assert list(saver.list(None, filter={"owner": value})) == []
    for key in [*FILTER_KEYS, 7, None]:
        with pytest.raises(ValueError, match="keys of a filter"):
            list(saver.list(thread("mine"), filter={key: 1}))


def test_hostile_names_awaited(postgres: Cluster) -> None:
    async def main() -> None:
        async with apostgres_saver(postgres) as saver:
            app = app_on(saver)
            kept = []
            for name in NAMES:
                with contextlib.suppress(MillstreamError):
                    await app.ainvoke({"log": []}, thread(name))
                    kept.append(name)
            assert within([each async for each in saver.alist(None)]) == set(kept)
            assert len(kept) >= len(NAMES) - 5

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.text(max_size=4), st.text("|:a.\0'", max_size=4)), min_size=1, max_size=6))
def test_threads_and_namespaces_never_cross(
    kind: str, places: Any, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made: Any = (
        SqliteSaver.from_conn_string(str(tmp_path_factory.mktemp("cross") / "t.sqlite"))
        if kind == "sqlite"
        else postgres_saver(postgres)
    )
    with made as saver:
        kept: dict[tuple[str, str], int] = {}
        for number, (name, ns) in enumerate(places):
            config = {"configurable": {"thread_id": name, "checkpoint_ns": ns}}
            checkpoint = {"id": f"{number:04}", "channel_values": {"n": number}, "channel_versions": {}}
            with contextlib.suppress(MillstreamError):
                saver.put(config, checkpoint, {"source": "loop", "step": 0}, {})
                kept[name, ns] = number
        for (name, ns), number in kept.items():
            found = saver.get_tuple({"configurable": {"thread_id": name, "checkpoint_ns": ns}})
            assert found.checkpoint["channel_values"] == {"n": number}
