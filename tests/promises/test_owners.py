"""P8: one owner at a time. Who was paused for longer than its lease finds the thread with another one, and stores nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import apsw
from children import children
from promising import count, quantile, record

from millstream import LeaseHeld, SqliteSaver

LEASE = 0.15


def take_over(saver: Any) -> Any:
    while True:
        try:
            return saver.acquire_lease("1", seconds=30)
        except LeaseHeld:
            time.sleep(0.002)


def pause(pid: int, path: Path, chance: random.Random) -> int:
    """Stop a process, at a time when it has not locked the file: while it has, nobody can store anything. Gives how often it had."""
    locked = 0
    while True:
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.002)
        other = apsw.Connection(str(path))
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            return locked
        except apsw.BusyError:
            locked += 1
            os.kill(pid, signal.SIGCONT)
        finally:
            other.close()


def owners(saver: Any) -> list[int]:
    """The epoch under which each checkpoint was committed, oldest first."""
    return [found.checkpoint["channel_values"]["owner"] for found in saver.list(None)][::-1]


def paused_and_woken(path: Path, child: Any, chance: random.Random, guarded: bool) -> tuple[int, float, str]:
    """Commits of a paused owner that were stored after another took over; how long that took; and how the first one ended."""
    with SqliteSaver.from_conn_string(str(path)) as saver:
        child.begin("own", str(path), LEASE, guarded)
        pid = int(child.line())
        pause(pid, path, chance)
        begun = time.monotonic()
        lease = take_over(saver)
        took = time.monotonic() - begun
        own: Any = {"configurable": {"thread_id": "1", "checkpoint_ns": "", "lease": lease}}
        saver.put(own, {"id": "9", "channel_values": {"owner": lease.epoch}}, {"source": "loop", "step": 0}, {})
        stored = len(owners(saver))
        os.kill(pid, signal.SIGCONT)
        ended = child.line()
        child.line()
        return len(owners(saver)) - stored, took, ended


def test_p8_a_paused_owner_stores_nothing(tmp_path: Path) -> None:
    attempts, seed = count(100, 6), random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    times, stale, endings = [], 0, []
    with children() as (child,):
        for attempt in range(attempts):
            late, took, ended = paused_and_woken(tmp_path / f"{attempt}.sqlite", child, chance, guarded=True)
            stale += late
            times.append(took)
            endings.append(ended)
    p99 = quantile(times, 0.99)
    record("P8", "paused owner", attempts, stale, {"stale commits": stale, "take-over p99 s": round(p99, 2)}, "")
    assert stale == 0
    assert set(endings) == {"LeaseLost"}
    assert p99 <= LEASE + 1


def test_p8_control_an_owner_without_a_lease_is_refused_only_while_another_has_one(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver, children() as (child,):
        child.begin("own", str(path), LEASE, False)
        pid = int(child.line())
        pause(pid, path, random.Random(1))
        take_over(saver).release()  # somebody works on the thread and is done
        stored = len(owners(saver))
        os.kill(pid, signal.SIGCONT)
        end = time.monotonic() + 10
        while len(owners(saver)) == stored:  # the one that was paused goes on as if nothing had been
            assert time.monotonic() < end
        take_over(saver)
        assert child.line() == "LeaseHeld"
        child.line()


def test_p8_a_restarted_process_does_not_inherit_a_lease(tmp_path: Path) -> None:
    path = str(tmp_path / "t.sqlite")
    with SqliteSaver.from_conn_string(path) as saver:
        first = saver.acquire_lease("1", seconds=60)
    with SqliteSaver.from_conn_string(path) as saver:  # the same host, the same pid
        try:
            saver.acquire_lease("1")
        except LeaseHeld:
            pass
        else:
            raise AssertionError("the lease was given again")
        assert saver.acquire_lease("2").token != first.token
