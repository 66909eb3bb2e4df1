"""The wall clock does not matter (P9): ids stay in order and leases last, whatever it does."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest
from graph_helpers import graph_of, thread
from promising import count, record

from millstream import InMemorySaver, LeaseHeld, SqliteSaver
from millstream.graph.savers import ids

HOUR = 3600 * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the wall clock of this process by so many nanoseconds."""
    real, shift = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift[0])
    monkeypatch.setattr(time, "time", lambda: (real() + shift[0]) / 1e9)

    def move(by: int) -> None:
        shift[0] += by

    return move


def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on ids are made as by a process that has made none."""
    monkeypatch.setattr(ids, "_last", 0)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_p9_checkpoints_stay_in_order_whatever_the_clocks(
    kind: str, clock: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, seed = count(300, 30), random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with InMemorySaver() if kind == "memory" else SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app = graph_of(a=lambda state: {"n": state.get("n", 0) + 1}).compile(checkpointer=saver)
        branch: Any = None
        wrong = 0
        for turn in range(1, turns + 1):
            clock(chance.choice([-24, -1, 1, 24, 0]) * HOUR - 10**7)
            another_process(monkeypatch)
            if turn % 10 == 0:  # back to an old checkpoint: the branch is the newest all the same
                branch = app.update_state(list(app.get_state_history(thread()))[4].config, {"n": turn - 1})
            result = app.invoke({}, thread())
            wrong += result["n"] != turn
        order = [snapshot.config["configurable"]["checkpoint_id"] for snapshot in app.get_state_history(thread())]
        wrong += sum(later <= earlier for later, earlier in itertools.pairwise(order))
        assert branch is not None
    record("P9", f"order/{kind}", turns, wrong, wrong, "order errors")
    assert wrong == 0


def test_p9_control_ids_by_the_wall_clock_alone_are_out_of_order(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ids.checkpoint_id()
    clock(-HOUR)
    another_process(monkeypatch)
    assert ids.checkpoint_id() < first
    assert ids.checkpoint_id(first) > first


def test_p9_ids_are_never_repeated(clock: Any) -> None:
    made = []
    for _ in range(count(200_000, 5_000)):
        clock(-(10**7))
        made.append(ids.checkpoint_id(made[-1] if len(made) % 2 else None))
    repeated = len(made) - len(set(made))
    record("P9", "repeated ids", len(made), repeated, repeated, "ids")
    assert repeated == 0
    assert made == sorted(made)


def test_p9_leases_last_as_long_as_they_should(clock: Any, tmp_path: Any) -> None:
    lost = 0
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        lease = saver.acquire_lease("1", seconds=60)
        for hours in (1, -1, 24, -24, -1000, 5000):
            clock(hours * HOUR)
            lease.renew()
            with pytest.raises(LeaseHeld):
                saver.acquire_lease("1")
        short = saver.acquire_lease("2", seconds=0.05)
        begun = time.monotonic()
        while True:
            try:
                assert saver.acquire_lease("2", seconds=60).epoch == short.epoch + 1
                break
            except LeaseHeld:
                time.sleep(0.002)
        took = time.monotonic() - begun
    record("P9", "leases", 7, lost, round(took, 3), "s until a lease of 0.05 s was free")
    assert 0.04 <= took < 0.5
