"""Connections to SQLite files: one a file and process, and never two libraries on one file.

A second SQLite library in the process would, by closing its handle, drop the POSIX locks of the first.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Final

from ...errors import StorageBusy, StorageError
from .sql import BEGIN, COMMIT, Plan
from .sqlite_format import is_busy, meaning, prepare

__all__ = ["Connection", "opened"]

FIXED: Final = (3, 51, 3)
"""The first SQLite in which a reset of the write-ahead log cannot lose a commit."""

PATIENCE: Final = 5.0
"""For how many seconds a call waits for those who have the file locked."""

_lock = threading.Lock()
_open: dict[str, Connection] = {}
_given: dict[str, int] = {}
_warned = False


class Connection:
    """A connection that executes plans, one at a time, from any thread."""

    def __init__(self, raw: Any, path: str, *, owned: bool) -> None:
        self.raw: Any = raw
        self.path = path
        self.owned = owned
        self.users = 1
        self._lock = threading.Lock()
        self._ready = owned  # files that we open are made ready then

    def run(self, plan: Plan) -> Any:
        """Execute a plan and return its result. A plan that fails leaves no transaction open.

        Raises:
            StorageBusy: other processes (or threads) kept it from that for `PATIENCE` seconds.
        """
        limit = time.monotonic() + PATIENCE
        if not self._lock.acquire(timeout=PATIENCE):
            plan.close()
            raise StorageBusy(f"the SQLite file {self.path!r} was in use by other threads for {PATIENCE} s; try again.")
        try:
            if not self._ready:
                self._step(prepare(self.path), limit)
                if isinstance(self.raw, sqlite3.Connection):
                    self.raw.commit()
                self._ready = True
            return self._step(plan, limit)
        finally:
            self._lock.release()

    def _step(self, plan: Plan, limit: float) -> Any:
        began = nested = False
        rows: Any = None
        try:
            while True:
                try:
                    sql, values = next(plan) if rows is None else plan.send(rows)
                except StopIteration as done:
                    return done.value
                begins, ends = sql == BEGIN[0], sql == COMMIT[0]
                if begins:
                    nested = self.raw is not None and self.raw.in_transaction
                if nested and (begins or ends):
                    sql = "SAVEPOINT millstream" if begins else "RELEASE millstream"
                try:
                    rows = self._execute(sql, values, began, limit)
                except Exception as error:
                    plan.throw(meaning(error, self.path))
                    raise
                began = begins or (began and not ends)
        except BaseException:
            if began:
                self._undo(nested)
            raise

    def _execute(self, sql: str, values: Sequence[Any], began: bool, limit: float) -> list[Any]:
        while True:
            if self.raw is None:
                raise StorageError(f"the SQLite file {self.path!r} was closed; use the saver inside its `with` block.")
            try:
                return self.raw.execute(sql, values).fetchall()  # type: ignore[no-any-return]
            except Exception as error:
                if began or not is_busy(error) or time.monotonic() >= limit:
                    raise
            # Others may use the connection meanwhile: nothing has begun here. At random, so that no process is always late.
            self._lock.release()
            try:
                time.sleep(random.uniform(0.0005, 0.005))
            finally:
                self._lock.acquire()

    def _undo(self, nested: bool) -> None:
        if nested:
            for sql in ("ROLLBACK TO millstream", "RELEASE millstream"):
                self.raw.execute(sql)
        elif self.raw.in_transaction:  # a full disk may have ended it
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        """End one use; the last one closes the connection that we opened."""
        with _lock:
            self.users -= 1
            if self.users or not self.owned:
                return
            _open.pop(self.path, None)
            with self._lock:
                raw, self.raw = self.raw, None
                raw.close()


def opened(path: str) -> Connection:
    """The connection to a file, shared by all who open it in this process."""
    if path == ":memory:" or path.startswith("file:"):
        return Connection(_open_raw(path), path, owned=True)
    path = os.path.realpath(path)
    with _lock:
        connection = _open.get(path)
        if connection is not None:
            connection.users += 1
            return connection
        connection = _open[path] = Connection(_open_raw(path), path, owned=True)
        return connection


def given(raw: Any) -> Connection:
    """A connection that the user opened, used as it is.

    Raises:
        StorageError: its file is open here through another SQLite library.
    """
    path = ""
    if isinstance(raw, sqlite3.Connection):
        _warn_if_old()
        row = raw.execute("PRAGMA database_list").fetchone()
        path = os.path.realpath(row[2]) if row and row[2] else ""
        with _lock:
            if path and path in _open and not isinstance(_open[path].raw, sqlite3.Connection):
                raise StorageError(
                    f"{path!r} is already open in this process through `from_conn_string`, which uses another SQLite "
                    "library; use one of the two for this file."
                )
            if path:
                _given[path] = _given.get(path, 0) + 1
    return Connection(raw, path, owned=False)


def _open_raw(path: str) -> Any:
    """Our own SQLite where there is one, unless the file is in use through Python's."""
    connection: Any = None
    if path not in _given:
        try:
            import apsw
        except ImportError:
            _warn_if_old()
        else:
            connection = apsw.Connection(path)
            connection.set_busy_timeout(int(PATIENCE * 1000))
    if connection is None:
        connection = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, timeout=PATIENCE, uri=path.startswith("file:")
        )
    try:
        _make_ready(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_ready(connection: Any, path: str) -> None:
    plan = prepare(path)
    try:
        statement = next(plan)
        is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        # The first statements only look: a file of an unknown format must not be touched.
        while statement != BEGIN:
            statement = plan.send(connection.execute(*statement).fetchall())
        if is_new:
            # Lets the space of forgotten threads be given back; can be said only of an empty file.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    except StopIteration:
        _tune(connection)
    except Exception as error:
        raise meaning(error, path) from error
    else:
        _tune(connection)
        for text, values in [statement, *plan]:
            connection.execute(text, values)
    # From here on `Connection` waits: it lets other threads work meanwhile.
    connection.execute("PRAGMA busy_timeout = 0").fetchall()


def _tune(connection: Any) -> None:
    # WAL: readers and the writer do not wait for each other. FULL: what is committed outlives a power cut.
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL").fetchall()


def _warn_if_old() -> None:
    global _warned
    if sqlite3.sqlite_version_info < FIXED and not _warned:
        _warned = True
        warnings.warn(
            f"Python's SQLite {sqlite3.sqlite_version} can lose a commit when its write-ahead log is reset "
            "(mended in 3.51.3); `from_conn_string` with the extra `millstream[sqlite]` brings a newer one.",
            RuntimeWarning,
            stacklevel=4,
        )
