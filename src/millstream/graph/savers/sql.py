"""The log in SQL, without a database: each function is a plan that yields statements and is sent their rows.

Who executes a plan decides about connection, thread and colour; see `sqlite.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .base import SPECIAL, CheckpointTuple, Config, matches, shown
from .codec import decode, encode
from .log import Chain, Entry, Loaded, Record, Row, rebuilt, rows_of

__all__ = ["SCHEMA", "Plan"]

Statement: TypeAlias = tuple[str, Sequence[Any]]
Plan: TypeAlias = Generator[Statement, list[Any], Any]

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS ms_threads (
        k INTEGER PRIMARY KEY, thread TEXT NOT NULL, ns TEXT NOT NULL, UNIQUE (thread, ns))""",
    """CREATE TABLE IF NOT EXISTS ms_checkpoints (
        k INTEGER NOT NULL, id TEXT NOT NULL, parent TEXT, base TEXT NOT NULL, since INTEGER NOT NULL,
        size INTEGER NOT NULL, delta BLOB NOT NULL, snapshot BLOB, UNIQUE (k, id))""",
    """CREATE TABLE IF NOT EXISTS ms_writes (
        k INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, task TEXT NOT NULL, idx INTEGER NOT NULL,
        channel TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (k, id, path, task, idx))""",
)

_BEGIN: Final[Statement] = ("BEGIN IMMEDIATE", ())
_COMMIT: Final[Statement] = ("COMMIT", ())
_NEWEST: Final = """SELECT t.k, c.id, EXISTS (SELECT 1 FROM ms_writes w WHERE w.k = t.k AND w.id = c.id)
    FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k
    WHERE t.thread = ? AND t.ns = ? ORDER BY c.id DESC LIMIT 1"""
_SPAN: Final = """SELECT id, parent, base, since, size, delta, snapshot FROM ms_checkpoints
    WHERE k = ?1 AND id <= ?2 AND id >= (SELECT base FROM ms_checkpoints WHERE k = ?1 AND id = ?2) ORDER BY id"""
_WRITES: Final = "SELECT task, channel, value FROM ms_writes WHERE k = ? AND id = ? ORDER BY path, task, idx"
_INSERT: Final = """INSERT OR REPLACE INTO ms_checkpoints (k, id, parent, base, since, size, delta, snapshot)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""


def load(thread: str, ns: str, id: str | None, kept: Callable[[str, str, str], Loaded | None]) -> Plan:
    """The plan of `LogSaver.load`; `kept` gives the thread as it was left."""
    if id is None:
        newest = yield _NEWEST, (thread, ns)
        if not newest:
            return None
        key, latest, has_writes = newest[0]
        left = kept(thread, ns, latest)
        return left if left is not None and not has_writes else (yield from read(key, latest))
    found = yield "SELECT k FROM ms_threads WHERE thread = ? AND ns = ?", (thread, ns)
    return (yield from read(found[0][0], id)) if found else None


def read(key: int, id: str) -> Plan:
    """The plan that reads one checkpoint of the thread `key`."""
    rows = yield _SPAN, (key, id)
    if not rows:
        return None
    loaded = rebuilt([Row(r[0], r[1], Chain(r[2], r[3], r[4]), r[5], r[6]) for r in rows])
    writes = yield _WRITES, (key, id)
    loaded.records = [(task, channel, decode(value)) for task, channel, value in writes]
    return loaded


def ids_of(thread: str, ns: str) -> Plan:
    """The plan of `LogSaver.ids`."""
    rows = yield (
        "SELECT c.id FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k "
        "WHERE t.thread = ? AND t.ns = ? ORDER BY c.id DESC",
        (thread, ns),
    )
    return [row[0] for row in rows]


def writes_after(thread: str, ns: str, id: str) -> Plan:
    """The plan of `LogSaver.writes_after`."""
    rows = yield (
        "SELECT c.id, c.delta FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k "
        "WHERE t.thread = ? AND t.ns = ? AND c.id > ? AND c.parent = ? ORDER BY c.id LIMIT 1",
        (thread, ns, id, id),
    )
    return Loaded(Row(rows[0][0], id, Chain("", 0, 0), rows[0][1], None)).writes if rows else []


def commit(
    thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, keys: dict[tuple[str, str], int]
) -> Plan:
    """The plan of `LogSaver.commit`; `keys` remembers the number of each thread."""
    rows, chain = rows_of(entries, chain)
    yield _BEGIN
    key = yield from _key(thread, ns, keys)
    for row in rows:
        yield _INSERT, (key, row.id, row.parent, *row.chain, row.delta, row.snapshot)
    yield _COMMIT
    return chain


def record(thread: str, ns: str, id: str, records: Sequence[Record], keys: dict[tuple[str, str], int]) -> Plan:
    """The plan of `LogSaver.record`."""
    packed = [
        (each.path, each.task_id, SPECIAL.get(channel, index), channel, encode(value))
        for each in records
        for index, (channel, value) in enumerate(each.writes)
    ]
    yield _BEGIN
    key = yield from _key(thread, ns, keys)
    for row in packed:
        # What a task wrote is final; an interrupt or an error is replaced by the next one.
        conflict = "REPLACE" if row[2] < 0 else "IGNORE"
        yield f"INSERT OR {conflict} INTO ms_writes VALUES (?, ?, ?, ?, ?, ?, ?)", (key, id, *row)
    yield _COMMIT


def _key(thread: str, ns: str, keys: dict[tuple[str, str], int]) -> Plan:
    key = keys.get((thread, ns))
    if key is not None and (yield "SELECT 1 FROM ms_threads WHERE k = ? AND thread = ? AND ns = ?", (key, thread, ns)):
        return key
    yield "INSERT OR IGNORE INTO ms_threads (thread, ns) VALUES (?, ?)", (thread, ns)
    found = yield "SELECT k FROM ms_threads WHERE thread = ? AND ns = ?", (thread, ns)
    keys[thread, ns] = found[0][0]
    return found[0][0]


def delete(thread: str) -> Plan:
    """The plan that forgets a thread."""
    yield _BEGIN
    for table in ("ms_writes", "ms_checkpoints"):
        yield f"DELETE FROM {table} WHERE k IN (SELECT k FROM ms_threads WHERE thread = ?)", (thread,)
    yield "DELETE FROM ms_threads WHERE thread = ?", (thread,)
    yield _COMMIT


def ids(config: Config | None, before: Config | None) -> Plan:
    """The plan that finds `(key, thread, ns, id)` of the checkpoints that `list` may show, newest first."""
    configurable = (config or {}).get("configurable") or {}
    where, values = ["1"], []
    for column, name in (("t.thread", "thread_id"), ("t.ns", "checkpoint_ns"), ("c.id", "checkpoint_id")):
        if configurable.get(name) is not None:
            where.append(f"{column} = ?")
            values.append(str(configurable[name]))
    bound = ((before or {}).get("configurable") or {}).get("checkpoint_id")
    if bound is not None:
        where.append("c.id < ?")
        values.append(bound)
    return (
        yield (
            "SELECT t.k, t.thread, t.ns, c.id FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k "
            f"WHERE {' AND '.join(where)} ORDER BY c.id DESC",
            values,
        )
    )


def selected(
    found: Iterator[tuple[str, str, Loaded | None]], filter: Mapping[str, Any] | None, limit: int | None
) -> Iterator[CheckpointTuple]:
    """Those of the checkpoints read that `list` shows."""
    for thread, ns, loaded in found:
        if limit is not None and limit <= 0:
            return
        if loaded is not None and matches(each := shown(thread, ns, loaded), filter):
            limit = None if limit is None else limit - 1
            yield each
