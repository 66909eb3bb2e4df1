"""Spans stand for many rows: every checkpoint reads as it was, whatever was changed, forked and forgotten, and few rows are read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from graph_helpers import graph_of, thread
from hypothesis import given
from hypothesis import strategies as st

from millstream.graph.savers import log
from millstream.graph.savers.log import Chain, Entry, Row, rebuilt, rows_of, whole
from millstream.graph.savers.spans import SPAN

STEP = st.lists(
    st.tuples(
        st.sampled_from(["list", "dict", "one"]),
        st.sampled_from(["set", "append", "append", "append", "put", "drop", "unset"]),
        st.integers(0, 5),
    ),
    max_size=3,
)


def changed(values: dict[str, Any], step: list[tuple[str, str, int]], mark: int) -> list[Any]:
    """Do to the values what the step says, where it can be done; the ops that tell of it."""
    ops: list[Any] = []
    for key, name, n in step:
        value = values.get(key)
        payload: Any = None
        if name == "unset":
            values.pop(key, None)
        elif name == "set":
            payload = {"list": [mark] * n, "dict": {n: mark}, "one": mark}[key]
            values[key] = copy.copy(payload)
        elif name == "append" and key == "list":
            payload = [mark, n]
            values[key] = [*(value or []), *payload]
        elif name == "put" and ((key == "dict" and value is not None) or (key == "list" and value and n < len(value))):
            payload = n, mark
            values[key] = copy.copy(value)
            values[key][n] = mark
        elif name == "drop" and ((key == "dict" and n in (value or {})) or (key == "list" and n < len(value or []))):
            payload = n
            values[key] = copy.copy(value)
            del values[key][n]
        else:
            continue
        ops.append((key, (name, payload)))
    return ops


@given(st.lists(st.tuples(STEP, st.integers(0, 9), st.booleans()), min_size=10, max_size=60), st.data())
def test_every_row_reads_as_it_was(steps: list[tuple[Any, int, bool]], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "SPAN", 4)
        patch.setattr(log, "FIRST_SNAPSHOT", data.draw(st.sampled_from([2_000, 10**9])))
        rows: dict[str, Row] = {}
        states: dict[str, dict[str, Any]] = {}
        chains: dict[str, Chain] = {}
        parent: str | None = None
        for mark, (step, back, anew) in enumerate(steps):
            if back == 0 and rows:  # a fork
                parent = data.draw(st.sampled_from(sorted(rows)))
            values = copy.deepcopy(states[parent]) if parent is not None else {}
            chain = None if parent is None else chains[parent]
            if anew and parent is not None:  # another process goes on
                chain = rebuilt("t", "", rows[parent], rows.get).chain
            id = f"{mark:03}"
            entry = Entry(
                id,
                parent,
                source="loop",
                step=mark,
                ops=changed(values, step, mark),
                waits={},
                values=copy.deepcopy(values),
            )
            (row,), chains[id] = rows_of([entry], chain)
            rows[id], states[id] = row._replace(chain=row.chain._replace(tail=None)), values
            parent = id
        for id, row in rows.items():
            assert rebuilt("t", "", row, rows.get).values == states[id]
        gone = data.draw(st.sets(st.sampled_from(sorted(rows))))
        kept = {id: row for id, row in rows.items() if id not in gone}
        for id, row in kept.items():
            if row.parent in gone:
                kept[id] = whole(row, rebuilt("t", "", row, rows.get))
        for id, row in kept.items():
            assert rebuilt("t", "", row, kept.get).values == states[id]


def test_few_rows_of_a_long_thread_are_read(saver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = graph_of(a=lambda state: {"log": [len(state["log"])]}).compile(checkpointer=saver)
    for _ in range(3 * SPAN):
        result = app.invoke({"log": ["in"]}, thread("1"))
    read = []
    monkeypatch.setattr(log, "_read", lambda row, plain=log._read: (read.append(row.id), plain(row))[1])
    assert app.get_state(thread("1")).values == result
    assert saver.get_tuple(thread("1")).checkpoint["channel_values"]["log"] == result["log"]
    assert 0 < len(read) <= 2 * (SPAN + 2)

    saver.prune(["1"], keep=SPAN)  # what the oldest span goes on from is gone
    assert app.get_state(thread("1")).values == result
    history = list(app.get_state_history(thread("1")))
    assert len(history) == SPAN
    assert [len(each.values["log"]) for each in history] == sorted(
        (len(each.values["log"]) for each in history), reverse=True
    )
    for each in history[:: SPAN // 4]:
        assert app.get_state(each.config).values == each.values
    assert len(app.invoke({"log": ["in"]}, thread("1"))["log"]) == len(result["log"]) + 2
