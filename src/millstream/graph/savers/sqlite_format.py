"""The tables of a SQLite file, their version, and what SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from ...errors import CorruptCheckpoint, InvalidArgument, StorageBusy, StorageError, StorageFull, UnsupportedFormat
from .sql import BEGIN, COMMIT, FORMAT, Plan

__all__ = ["is_busy", "meaning", "prepare"]

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS ms_format (version INTEGER NOT NULL, said TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS ms_threads (
        k INTEGER PRIMARY KEY, thread TEXT NOT NULL, ns TEXT NOT NULL, UNIQUE (thread, ns))""",
    """CREATE TABLE IF NOT EXISTS ms_checkpoints (
        k INTEGER NOT NULL, id TEXT NOT NULL, parent TEXT, base TEXT NOT NULL, since INTEGER NOT NULL,
        size INTEGER NOT NULL, step INTEGER NOT NULL, once INTEGER NOT NULL, delta BLOB NOT NULL, snapshot BLOB,
        UNIQUE (k, id))""",
    "CREATE INDEX IF NOT EXISTS ms_spans ON ms_checkpoints (k, id) WHERE snapshot IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS ms_writes (
        k INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, task TEXT NOT NULL, idx INTEGER NOT NULL,
        channel TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (k, id, path, task, idx))""",
    """CREATE TABLE IF NOT EXISTS ms_leases (
        thread TEXT PRIMARY KEY, epoch INTEGER NOT NULL, token TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL)""",
)

# SQLite's primary result codes.
_BUSY, _LOCKED, _FULL = 5, 6, 13
# ERROR (our statements are right, so the tables are not), NOMEM and TOOBIG (a size that no row has), CORRUPT, CANTOPEN, FORMAT, NOTADB.
_DAMAGED = frozenset({1, 7, 11, 14, 18, 24, 26})


def prepare(path: str) -> Plan:
    """The plan that makes the tables, where there are none; gives whether it did.

    Raises:
        UnsupportedFormat: there are some of another version. Nothing is touched.
    """
    found = yield "SELECT name FROM sqlite_master WHERE name IN ('ms_format', 'ms_threads')", ()
    names = {name for (name,) in found}
    if "ms_format" in names:
        versions = yield "SELECT version, said FROM ms_format", ()
        if versions:
            _check_version(path, *versions[0])
            return False
    elif names:
        raise CorruptCheckpoint(f"the SQLite file {path!r} is damaged: it does not say what format it has.")
    yield BEGIN
    for table in _TABLES:
        yield table, ()
    yield "INSERT INTO ms_format SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM ms_format)", (FORMAT, _said(FORMAT))
    yield COMMIT
    return True


def _said(version: Any) -> str:
    """The version once more: a number in which a bit has turned is no other version."""
    return f"millstream {version}"


def _check_version(path: str, version: Any, said: Any) -> None:
    if said != _said(version):
        raise CorruptCheckpoint(f"the SQLite file {path!r} is damaged: it says to have format {version} and {said!r}.")
    if version != FORMAT:
        raise UnsupportedFormat(
            f"the SQLite file {path!r} has format {version}, and this version of millstream reads format {FORMAT}; use the one that "
            "wrote it, or a newer one. Nothing in it was changed."
        )


def is_busy(error: Exception) -> bool:
    """Whether somebody else has the file locked."""
    return _code(error) in (_BUSY, _LOCKED)


def meaning(error: Exception, path: str) -> Exception:
    """An error of SQLite's as one of ours; any other as it is."""
    if isinstance(error, UnicodeEncodeError):
        return InvalidArgument(f"SQLite cannot keep text with lone surrogates in a name or id: {error}")
    code = _code(error)
    if code is None and not isinstance(error, (UnicodeDecodeError, sqlite3.Error)):
        return error
    file = f"the SQLite file {path!r}" if path else "the SQLite database"
    if code in (_BUSY, _LOCKED):
        return StorageBusy(
            f"{file} is locked by others for longer than a call waits: {error}. Nothing was stored; try again."
        )
    if code == _FULL:
        return StorageFull(f"{file} cannot grow: {error}. Nothing was stored of this step; free space and go on.")
    if code in _DAMAGED or isinstance(error, UnicodeDecodeError):
        return CorruptCheckpoint(f"{file} is damaged: {error}.")
    return StorageError(f"{file}: {error}")


def _code(error: Exception) -> int | None:
    """The primary result code of an error of either library."""
    code = getattr(error, "result", None)  # apsw
    if not isinstance(code, int):
        code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
