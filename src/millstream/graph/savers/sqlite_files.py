"""Connections to SQLite files: one a file and process, and never two libraries on one file.

A second SQLite library in the process would, by closing its handle, drop the POSIX locks of the first.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings
from typing import Any, Final

from ...errors import StorageError
from .sql import SCHEMA, Plan

__all__ = ["Connection", "opened"]

FIXED: Final = (3, 51, 3)
"""The first SQLite in which a reset of the write-ahead log cannot lose a commit."""

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
        self.keys: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._ready = False
        self._manual = isinstance(raw, sqlite3.Connection)

    def run(self, plan: Plan) -> Any:
        """Execute a plan and return its result. A plan that fails leaves no transaction open."""
        with self._lock:
            if self.raw is None:
                raise StorageError(f"the SQLite file {self.path!r} was closed; use the saver inside its `with` block.")
            if not self._ready:
                self._prepare()
            return self._step(plan)

    def _step(self, plan: Plan) -> Any:
        execute = self.raw.execute
        began = nested = False
        rows: Any = None
        try:
            while True:
                try:
                    sql, values = next(plan) if rows is None else plan.send(rows)
                except StopIteration as done:
                    return done.value
                if sql == "BEGIN IMMEDIATE":
                    nested = self.raw.in_transaction
                    began = True
                    sql = "SAVEPOINT millstream" if nested else sql
                elif sql == "COMMIT":
                    began = False
                    sql = "RELEASE millstream" if nested else sql
                rows = execute(sql, values).fetchall()
        except BaseException:
            if began:
                for sql in ["ROLLBACK TO millstream", "RELEASE millstream"] if nested else ["ROLLBACK"]:
                    execute(sql)
            raise

    def _prepare(self) -> None:
        for sql in SCHEMA:
            self.raw.execute(sql)
        if self._manual and not self.owned:
            self.raw.commit()
        self._ready = True

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
    if path not in _given:
        try:
            import apsw
        except ImportError:
            _warn_if_old()
        else:
            modern = apsw.Connection(path)
            modern.set_busy_timeout(5000)
            _tune(modern)
            return modern
    connection = sqlite3.connect(
        path, check_same_thread=False, isolation_level=None, timeout=5, uri=path.startswith("file:")
    )
    _tune(connection)
    return connection


def _tune(connection: Any) -> None:
    # WAL: readers and the writer do not wait for each other. NORMAL: a power cut may lose the last commits, never more.
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()


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
