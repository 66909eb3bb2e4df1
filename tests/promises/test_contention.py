"""P6: many processes and threads on one file: no "database is locked" reaches a user, and a reader stops nobody."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
from children import children
from graph_helpers import thread
from promising import FULL, count, quantile, record

from millstream import SqliteSaver, StorageBusy
from millstream.graph.savers import sqlite_files

PATIENCE = 5.0 if FULL else 0.8
"""What stands for the five seconds that a call waits."""


def put(saver: Any, turn: int, name: str = "own") -> None:
    saver.put(
        {"configurable": {"thread_id": name, "checkpoint_ns": ""}},
        {"id": f"{turn:08d}", "channel_values": {"turn": turn}},
        {"source": "loop", "step": turn},
        {},
    )


def test_p6_processes_and_threads_commit_on_one_file(tmp_path: Path) -> None:
    path, threads, each = tmp_path / "t.sqlite", 8, count(250, 6)
    largest = 0
    with children(4) as processes:
        for number, process in enumerate(processes):
            process.begin("commits", str(path), f"p{number}", threads, each)
        waits: list[float] = []
        errors: list[str] = []
        for process in processes:
            told = json.loads(process.line())
            waits += told["waits"]
            errors += told["errors"]
            log = path.with_name("t.sqlite-wal")
            largest = max(largest, log.stat().st_size if log.exists() else 0)
            assert process.line() == "done"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        stored = len(list(saver.find(None)))
        assert saver.connection.raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    figure = {
        "p50": round(quantile(waits, 0.5), 1),
        "p99": round(quantile(waits, 0.99), 1),
        "max": round(max(waits), 1),
    }
    record("P6", "commits", len(waits), len(errors), {**figure, "log MB": round(largest / 2**20, 1)}, "ms waited")
    assert errors == []
    assert stored == len(waits) == 4 * threads * each


def test_p6_a_paused_reader_stops_no_writer(tmp_path: Path) -> None:
    path, seconds = tmp_path / "t.sqlite", 10.0 if FULL else 0.5
    with SqliteSaver.from_conn_string(str(path)) as saver, children() as (reader,):
        for turn in range(60):
            put(saver, turn)
        alone = [_timed(saver, turn) for turn in range(100, 200)]
        reader.begin("read", str(path), seconds)
        assert reader.line() == "open"
        beside = []
        end = time.monotonic() + seconds * 0.8
        while time.monotonic() < end:
            beside.append(_timed(saver, 1000 + len(beside)))
        assert reader.line() == "done"
        log = path.with_name("t.sqlite-wal").stat().st_size
    stall = max(beside) - max(alone)
    record(
        "P6", "paused reader", len(beside), int(log > 32 << 20), {"stall ms": round(stall, 1), "log MB": log >> 20}, ""
    )
    # Alone and beside are compared by what most commits take: the slowest of thousands is the disk's.
    assert quantile(beside, 0.99) - quantile(alone, 0.99) <= 50
    assert log <= 32 << 20


def _timed(saver: Any, turn: int) -> float:
    begun = time.perf_counter()
    put(saver, turn)
    return (time.perf_counter() - begun) * 1e3


@pytest.mark.parametrize(("share", "busy"), [(0.6, False), (1.4, True)])
def test_p6_a_locked_file_is_waited_for_and_then_said_to_be_busy(
    share: float, busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_files, "PATIENCE", PATIENCE)
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver, children() as (holder,):
        put(saver, 1)
        holder.begin("hold", str(path), PATIENCE * share)
        assert holder.line() == "held"
        begun = time.monotonic()
        if busy:
            with pytest.raises(StorageBusy, match="locked by others"):
                put(saver, 2)
        else:
            put(saver, 2)
        waited = time.monotonic() - begun
        found = saver.get_tuple(thread("own"))  # reading never waits
        assert found is not None and found.checkpoint["channel_values"]["turn"] == (1 if busy else 2)
        assert holder.line() == "done"
        put(saver, 3)
    record("P6", f"held for {PATIENCE * share:.1f} s", 1, 0, round(waited, 2), "s waited")
    assert waited <= PATIENCE * 1.2 + 0.2


def test_p6_threads_wait_side_by_side_not_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_files, "PATIENCE", 0.3)
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        put(saver, 1)
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        failed: list[float] = []

        def work(number: int) -> None:
            begun = time.monotonic()
            try:
                put(saver, 2, f"t{number}")
            except StorageBusy:
                failed.append(time.monotonic() - begun)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        other.execute("ROLLBACK")
        other.close()
    assert len(failed) == 8
    assert max(failed) < 0.3 * 3


def test_p6_control_without_waiting_a_locked_file_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver, children() as (holder,):
        put(saver, 1)
        holder.begin("hold", str(path), 0.3)
        assert holder.line() == "held"
        monkeypatch.setattr(sqlite_files, "PATIENCE", 0.001)
        with pytest.raises(StorageBusy):
            put(saver, 2)
        assert holder.line() == "done"
