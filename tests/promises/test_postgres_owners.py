"""P8 and P2 on Postgres: who lost a thread stores nothing any more, and of two who store one step one does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cluster import Cluster
from graph_helpers import graph_of, thread
from promising import FULL, count, quantile, record

from millstream import LeaseHeld, PostgresSaver, StepAlreadyCommitted

pytestmark = pytest.mark.timeout(900 if FULL else 60)

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
LEASE = 1.0 if FULL else 0.4
AFTER = 2.0 if FULL else 0.4


@pytest.fixture
def place(postgres: Cluster) -> Iterator[str]:
    with postgres.schema() as schema:
        dsn = postgres.dsn(schema)
        with PostgresSaver.from_conn_string(dsn) as saver:
            saver.setup()
        yield dsn


class Owner:
    """A process that stores step after step (tests/support/lease_owner.py)."""

    def __init__(self, dsn: str, thread: str, seconds: float, pause: float) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(SUPPORT)])
        command = [sys.executable, str(SUPPORT / "lease_owner.py"), dsn, thread, str(seconds), str(pause)]
        environment = {**os.environ, "PYTHONPATH": path}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def checkpoints(saver: Any, name: str) -> int:
    return len(saver.ids(name, ""))


def take_over(saver: Any, name: str) -> tuple[Any, float]:
    """The lease of a thread whose owner was stopped, and how long that took."""
    began = time.monotonic()
    while True:
        try:
            return saver.acquire_lease(name, seconds=60), time.monotonic() - began
        except LeaseHeld:
            assert time.monotonic() - began < 30
            time.sleep(0.02)


def attempt(dsn: str, name: str, pause: float, *, leases: bool = True) -> tuple[int, float, str]:
    """Stop an owner, take over, let it go on: how much it stored after that, the time to take over, and what it said."""
    with (
        PostgresSaver.from_conn_string(dsn) as saver,
        Owner(dsn, name, LEASE if leases else 0, pause) as owner,
    ):
        assert owner.says() == "ready"
        time.sleep(random.uniform(0, 0.1))
        owner.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        lease, took = take_over(saver, name) if leases else (None, 0.0)
        before = checkpoints(saver, name)
        time.sleep(max(0.0, stopped + LEASE + AFTER - time.monotonic()))
        owner.process.send_signal(signal.SIGCONT)
        said = owner.says() if leases else ""
        time.sleep(0.0 if leases else 0.3)
        stale = checkpoints(saver, name) - before
        if lease is not None:
            app = graph_of(step=lambda state: {"n": -1}).compile(checkpointer=saver)
            config = {"configurable": {"thread_id": name, "lease": lease}}
            assert app.invoke({"n": 5}, config) == {"n": -1, "log": []}
            lease.release()
    return stale, took, said


@pytest.mark.parametrize("pause", [0.0, 0.02], ids=["one statement", "several, with pauses"])
def test_p8_who_was_stopped_stores_nothing_more(place: str, pause: float) -> None:
    attempts = count(50, 2)
    with ThreadPoolExecutor(10 if FULL else 2) as pool:
        found = list(pool.map(lambda number: attempt(place, f"t{number}", pause), range(attempts)))
    stale = sum(each for each, _, _ in found)
    slowest = quantile([took for _, took, _ in found], 0.99)
    record(
        "P8",
        f"postgres/pauses of {pause} s",
        attempts,
        stale,
        round(slowest - LEASE, 2),
        "s over the lease to take over, p99",
    )
    assert stale == 0
    assert {said for _, _, said in found} == {"LeaseLost"}
    assert slowest <= LEASE + (1.0 if FULL else 10.0)  # a busy machine's own delays are in it


def test_p8_control_without_leases_it_goes_on(place: str) -> None:
    stale, _, _ = attempt(place, "t", 0.0, leases=False)
    assert stale > 0


def test_p8_a_lease_is_nobody_elses(place: str) -> None:
    """What a process is called (host, number) makes nobody an owner."""
    with PostgresSaver.from_conn_string(place) as first, PostgresSaver.from_conn_string(place) as second:
        lease = first.acquire_lease("t", seconds=60)
        with pytest.raises(LeaseHeld):
            second.acquire_lease("t")
        with pytest.raises(LeaseHeld):
            first.acquire_lease("t")
        lease.release()
        assert second.acquire_lease("t").epoch == lease.epoch + 1


# -- P2 --------------------------------------------------------------------------------------------------------------


def both(dsn: str, rounds: int) -> tuple[int, int, int]:
    """Let two go on with the same threads at the same moment: steps stored twice, who were refused, other ends."""
    refused = wrong = 0
    with PostgresSaver.from_conn_string(dsn) as first, PostgresSaver.from_conn_string(dsn) as second:
        barrier = threading.Barrier(2)

        def app_on(saver: Any) -> Any:
            def meet(state: Any) -> Any:
                barrier.wait(10)  # both have read the thread, and store at once
                return {"n": 1}

            return graph_of(meet=meet).compile(checkpointer=saver)

        apps = [app_on(first), app_on(second)]
        with ThreadPoolExecutor(2) as pool:
            for number in range(rounds):
                config = thread(f"t{number}")
                apps[0].update_state(config, {"n": 0}, as_node="__start__")
                ends = [pool.submit(app.invoke, None, config) for app in apps]
                errors = [end.exception(20) for end in ends]
                refused += sum(isinstance(error, StepAlreadyCommitted) for error in errors)
                wrong += sum(error is not None and not isinstance(error, StepAlreadyCommitted) for error in errors)
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT count(*) - count(DISTINCT (k, step)) FROM ms_checkpoints").fetchall()
    return int(rows[0][0]), refused, wrong


def test_p2_of_two_owners_one_stores_the_step(place: str) -> None:
    rounds = count(500, 25)
    doubles, refused, wrong = both(place, rounds)
    record("P2", "postgres/two owners at once", rounds, doubles + wrong, refused, "refused")
    assert (doubles, wrong) == (0, 0)
    assert refused == rounds


def test_p2_control_without_the_index_both_store_it(place: str) -> None:
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("DROP INDEX ms_ends")
    doubles, _, _ = both(place, 20)
    assert doubles > 0
