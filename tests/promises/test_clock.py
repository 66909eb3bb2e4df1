"""P9: the wall clock does not matter to graphs: steps keep their order, ids do not repeat, timeouts are as long as they say."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of, thread
from promising import count, record

from millstream import START, CorruptCheckpoint, NodeTimeoutError, SqliteSaver
from millstream.data import ids as message_ids
from millstream.graph import ledger
from millstream.graph.savers import ids

STEPS = (-86_400, -3_600, 3_600, 86_400, -600)


class Clock:
    """The system's clock as an administrator (or a virtual machine) moves it: by hours or days, every 10 ms."""

    def __init__(self) -> None:
        self.seed = random.randrange(2**32)
        self._real = time.time_ns

    def time_ns(self) -> int:
        now = self._real()
        return now + random.Random(self.seed + now // 10_000_000).choice(STEPS) * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    print(f"seed {clock.seed}")
    move(monkeypatch, clock.time_ns)
    yield clock


def move(monkeypatch: pytest.MonkeyPatch, time_ns: Callable[[], int]) -> None:
    monkeypatch.setattr(time, "time_ns", time_ns)
    monkeypatch.setattr(time, "time", lambda: time_ns() / 1e9)
    monkeypatch.setattr(message_ids, "_now", time_ns)
    monkeypatch.setattr(ids, "_last", ids._last)  # afterwards ids are of the real clock again


def counting(limit: int) -> Any:
    def node(state: Any) -> Any:
        time.sleep(0.0005)
        return {"n": state.get("n", 0) + 1}

    graph = graph_of((START, "a"), a=node)
    graph.add_conditional_edges("a", lambda s: "a" if s["n"] % limit else "__end__", ["a", "__end__"])
    return graph


def disorders(saver: Any) -> int:
    """How many checkpoints of the thread are not where their step is."""
    try:
        found = list(saver.list(thread()))
    except CorruptCheckpoint:  # one builds on what comes after it
        return 1
    steps = [each.metadata["step"] for each in found]
    names = [each.config["configurable"]["checkpoint_id"] for each in found]
    parents = [each.parent_config["configurable"]["checkpoint_id"] for each in found if each.parent_config]
    wrong = sum(a - 1 != b for a, b in pairwise(steps))
    return wrong + len(names) - len(set(names)) + sum(a != b for a, b in zip(parents, names[1:], strict=False))


def test_steps_keep_their_order_while_the_clock_is_moved(clock: Clock, tmp_path: Path) -> None:
    steps = count(1_000, 100)
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app = counting(steps).compile(checkpointer=saver)
        assert app.invoke({"n": 0}, thread(recursion_limit=steps + 5))["n"] == steps
        assert app.get_state(thread()).values["n"] == steps
        wrong = disorders(saver)
    made = [message_ids.new_id() for _ in range(100_000)]
    wrong += len(made) - len(set(made))
    record("P9", "the clock moved every 10 ms (sqlite)", steps, wrong, wrong, "steps out of order, ids repeated")
    assert wrong == 0


@pytest.mark.parametrize("naive", [False, True], ids=["", "control"])
def test_workers_with_clocks_that_differ_take_turns_on_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naive: bool
) -> None:
    """The control makes ids of the clock alone."""
    real = time.time_ns
    offset = 0
    move(monkeypatch, lambda: real() + offset)
    if naive:
        made = ids.checkpoint_id
        monkeypatch.setattr(ledger, "checkpoint_id", lambda after=None: made())
    turns = count(50, 10)
    wrong = 0
    for turn in range(turns):
        offset = -600 * 10**9 * (turn % 2)
        monkeypatch.setattr(ids, "_last", 0)  # what one process made, the other does not know
        with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            app = counting(3).compile(checkpointer=saver)
            wrong += app.invoke({}, thread())["n"] != 3 * (turn + 1)
            wrong += disorders(saver)
    if naive:
        assert wrong > 0
        return
    record("P9", "clocks ten minutes apart (sqlite)", turns, wrong, wrong, "steps out of order or lost")
    assert wrong == 0


def test_timeouts_are_as_long_as_they_say(clock: Clock) -> None:
    async def slow(state: Any) -> None:
        await asyncio.sleep(5)

    graph = graph_of((START, "a"))
    graph.add_node("a", slow, timeout=0.4)
    off = []
    for _ in range(count(20, 2)):
        begin = time.monotonic()
        with pytest.raises(NodeTimeoutError):
            asyncio.run(graph.compile().ainvoke({"n": 0}))
        off.append(abs(time.monotonic() - begin - 0.4) / 0.4)
    record(
        "P9", "timeouts while the clock is moved", len(off), sum(o > 0.1 for o in off), round(max(off), 3), "share off"
    )
    assert max(off) <= 0.1
