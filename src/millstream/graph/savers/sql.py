"""The log in SQL, without a database: each function is a plan that yields statements and is sent their rows.

Who executes a plan decides about connection, thread and colour; see `sql_saver.py`. The statements keep to what SQLite and Postgres
both understand; values stand in for `?` in order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, TypeAlias

from ...errors import CorruptCheckpoint
from .base import Config
from .codec import decode, encode
from .leases import Grant, Lease, granted, may_store, same_owner
from .log import Chain, Entry, Incomplete, Loaded, Record, Row, damaged, following, gone, rebuilt, rows_of, taken, whole
from .log_saver import SPECIAL
from .sealing import columns, row_of, sealed, unsealed

__all__ = ["BEGIN", "COMMIT", "FORMAT", "Plan", "assembled", "packed"]

Statement: TypeAlias = tuple[str, Sequence[Any]]
Plan: TypeAlias = Generator[Statement, list[Any], Any]
Now: TypeAlias = Generator[Statement, list[Any], float]

FORMAT: Final = 1
"""The version of what is stored. It grows when an older millstream could not read it any more."""

BEGIN: Final[Statement] = ("BEGIN IMMEDIATE", ())
COMMIT: Final[Statement] = ("COMMIT", ())

_NEWEST: Final = """SELECT t.k, c.id, EXISTS (SELECT 1 FROM ms_writes w WHERE w.k = t.k AND w.id = c.id)
    FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k
    WHERE t.thread = ? AND t.ns = ? ORDER BY c.id DESC LIMIT 1"""
_BOUNDS: Final = """SELECT t.k, (SELECT MAX(c.id) FROM ms_checkpoints c WHERE c.k = t.k)
    FROM ms_threads t WHERE t.thread = ? AND t.ns = ?"""
_COLUMNS: Final = "id, parent, base, since, size, step, once, delta, snapshot"
_SPAN: Final = f"""SELECT {_COLUMNS} FROM ms_checkpoints
    WHERE k = ? AND id <= ? AND id >= (SELECT base FROM ms_checkpoints WHERE k = ? AND id = ?) ORDER BY id"""
_PLACES: Final = """SELECT base, COALESCE(
    (SELECT MAX(s.id) FROM ms_checkpoints s WHERE s.k = e.k AND s.id <= e.id AND s.snapshot IS NOT NULL), base)
    FROM ms_checkpoints e WHERE e.k = ? AND e.id = ?"""
_SPANS: Final = f"""SELECT {_COLUMNS} FROM ms_checkpoints WHERE k = ? AND id = ? UNION ALL
    SELECT {_COLUMNS} FROM ms_checkpoints WHERE k = ? AND id > ? AND id < ? AND snapshot IS NOT NULL"""
_BETWEEN: Final = f"SELECT {_COLUMNS} FROM ms_checkpoints WHERE k = ? AND id >= ? AND id <= ? ORDER BY id"
_WRITES_BETWEEN: Final = """SELECT id, path, task, idx, channel, value FROM ms_writes
    WHERE k = ? AND id >= ? AND id <= ? ORDER BY id, path, task, idx"""
_WRITES: Final = "SELECT path, task, idx, channel, value FROM ms_writes WHERE k = ? AND id = ? ORDER BY path, task, idx"
_PUT: Final = f"""INSERT INTO ms_checkpoints (k, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (k, id) DO UPDATE SET parent = excluded.parent, base = excluded.base, since = excluded.since,
    size = excluded.size, step = excluded.step, once = excluded.once, delta = excluded.delta, snapshot = excluded.snapshot"""
_LOOK: Final = """SELECT t.k, l.epoch, l.token, l.since, l.until,
    EXISTS (SELECT 1 FROM ms_checkpoints c WHERE c.k = t.k AND c.id = ?),
    EXISTS (SELECT 1 FROM ms_checkpoints c WHERE c.k = t.k AND c.id > ? AND c.parent = ? AND c.once = 1 AND c.id <> ?)
    FROM ms_threads t LEFT JOIN ms_leases l ON l.thread = t.thread WHERE t.thread = ? AND t.ns = ?"""
_WRITE: Final = "INSERT INTO ms_writes (k, id, path, task, idx, channel, value) VALUES (?, ?, ?, ?, ?, ?, ?)"
_GRANT: Final = "SELECT epoch, token, since, until FROM ms_leases WHERE thread = ?"
_SET_GRANT: Final = """INSERT INTO ms_leases (thread, epoch, token, since, until) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (thread) DO UPDATE SET epoch = excluded.epoch, token = excluded.token, since = excluded.since,
    until = excluded.until"""
_KEYS: Final = "SELECT k, ns FROM ms_threads WHERE thread = ?"


# -- reading ---------------------------------------------------------------------------------------------------------


def load(thread: str, ns: str, id: str | None, kept: Callable[[str, str, str], Loaded | None] | None) -> Plan:
    """The plan of `LogSaver.load`; `kept` gives the thread as it was left."""
    try:
        return (yield from _load(thread, ns, id, kept))
    except CorruptCheckpoint as error:
        if error.thread_id is not None:
            raise
        raise damaged(thread, ns, id or "(the latest)", None, error) from error


def _load(thread: str, ns: str, id: str | None, kept: Callable[[str, str, str], Loaded | None] | None) -> Plan:
    if id is None:
        newest = yield _NEWEST, (thread, ns)
        if not newest:
            return None
        key, latest, has_writes = newest[0]
        left = None if kept is None else kept(thread, ns, latest)
        return left if left is not None and not has_writes else (yield from _read(thread, ns, key, latest))
    found = yield _BOUNDS, (thread, ns)
    if not found:
        return None
    key, newest = found[0]
    loaded = yield from _read(thread, ns, key, id)
    if loaded is not None:
        loaded.newest = newest
    return loaded


def _read(thread: str, ns: str, key: int, id: str) -> Plan:
    places = yield _PLACES, (key, id)
    if not places:
        return None
    base, latest = map(str, places[0])  # columns may have lost their types
    # Rows with a snapshot or a span, and all since the last of them: enough where nothing was forgotten.
    spans = (yield _SPANS, (key, base, key, base, latest)) if base < latest else []
    stored = yield _BETWEEN, (key, latest, id)
    writes = yield _WRITES, (key, id)
    if (not stored or stored[-1][0] != id) and base <= id:
        return None  # somebody forgot it meanwhile
    try:
        return assembled(thread, ns, id, [*spans, *stored], writes)
    except Incomplete:
        return assembled(thread, ns, id, (yield _SPAN, (key, id, key, id)), writes)


def assembled(thread: str, ns: str, id: str, stored: Iterable[tuple[Any, ...]], writes: Iterable[Any]) -> Loaded:
    """A checkpoint from the columns of its row and of those it is built on, and of its writes `[path, task, idx, channel, value]`."""
    by_id = {columns[0]: columns for columns in stored}

    def find(id: str) -> Row | None:
        found = by_id.get(id)
        return None if found is None else row_of(thread, ns, found)

    if id not in by_id:
        raise damaged(thread, ns, id, None, "it says that it builds on a later one.")
    loaded = rebuilt(thread, ns, row_of(thread, ns, by_id[id]), find)
    _take_records(thread, ns, loaded, writes)
    return loaded


def _take_records(thread: str, ns: str, loaded: Loaded, writes: Iterable[Any]) -> None:
    id = loaded.id
    try:
        loaded.records = [
            (task, channel, decode(unsealed(value, thread, ns, id, path, task, idx, channel)))
            for path, task, idx, channel, value in writes
        ]
    except Exception as error:
        raise damaged(thread, ns, id, loaded.step, f"of what its tasks wrote, {error}") from error


def load_all(thread: str, ns: str, ids: Sequence[str]) -> Plan:
    """The plan of `LogSaver.load_all`."""
    bounds = (yield _BOUNDS, (thread, ns)) if ids else []
    if not bounds:
        return []
    key = bounds[0][0]
    wanted = set(ids)
    stored = yield _BETWEEN, (key, ids[0], ids[-1])
    writes: dict[str, list[Any]] = {}
    for id, *write in (yield _WRITES_BETWEEN, (key, ids[0], ids[-1])):
        writes.setdefault(id, []).append(write)
    found: list[Loaded] = []
    for row in stored:
        if row[0] not in wanted:
            continue
        loaded = following(thread, ns, row_of(thread, ns, row), found[-1]) if found else None
        if loaded is None:
            loaded = yield from _read(thread, ns, key, row[0])
        else:
            _take_records(thread, ns, loaded, writes.get(loaded.id, ()))
        if loaded is not None:
            found.append(loaded)
    return found


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
    names = ", ".join(f"c.{name}" for name in _COLUMNS.split(", "))
    rows = yield (
        f"SELECT {names} FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k "
        "WHERE t.thread = ? AND t.ns = ? AND c.id > ? AND c.parent = ? ORDER BY c.id LIMIT 1",
        (thread, ns, id, id),
    )
    return Loaded(row_of(thread, ns, rows[0])).writes if rows else []


def find(config: Config | None, before: str | None) -> Plan:
    """The plan of `LogSaver.find`."""
    configurable = (config or {}).get("configurable") or {}
    where, values = ["1 = 1"], []
    for column, name in (("t.thread", "thread_id"), ("t.ns", "checkpoint_ns"), ("c.id", "checkpoint_id")):
        if configurable.get(name) is not None:
            where.append(f"{column} = ?")
            values.append(str(configurable[name]))
    if before is not None:
        where.append("c.id < ?")
        values.append(before)
    rows = yield (
        "SELECT t.thread, t.ns, c.id FROM ms_threads t JOIN ms_checkpoints c ON c.k = t.k "
        f"WHERE {' AND '.join(where)} ORDER BY c.id DESC",
        values,
    )
    return [tuple(row) for row in rows]


# -- writing ---------------------------------------------------------------------------------------------------------


def commit(
    thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None, now: Callable[[], Now]
) -> Plan:
    """The plan of `LogSaver.commit`; `now` is the plan that reads the clock of leases."""
    rows, after = rows_of(entries, chain)
    stored = [columns(thread, ns, row) for row in rows]
    first = entries[0]
    yield BEGIN
    key, has_parent, has_end = yield from _enter(thread, ns, first.parent or "", first.id, lease, now)
    if chain is not None and first.parent is not None and not has_parent:
        raise gone(thread, first)
    if first.once and has_end:
        raise taken(thread, first)
    for row in stored:
        yield _PUT, (key, *row)
    yield COMMIT
    return after


def record(
    thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None, now: Callable[[], Now]
) -> Plan:
    """The plan of `LogSaver.record`."""
    rows = packed(thread, ns, id, records)
    yield BEGIN
    key, _, _ = yield from _enter(thread, ns, id, id, lease, now)
    for row in rows:
        # What a task wrote is final; an interrupt or an error is replaced by the next one.
        then = "UPDATE SET channel = excluded.channel, value = excluded.value" if row[2] < 0 else "NOTHING"
        yield f"{_WRITE} ON CONFLICT (k, id, path, task, idx) DO {then}", (key, id, *row)
    yield COMMIT


def packed(thread: str, ns: str, id: str, records: Iterable[Record]) -> list[tuple[Any, ...]]:
    """Writes of tasks as they are stored: path, task, idx, channel, value."""
    rows: list[tuple[Any, ...]] = []
    for each in records:
        for index, (channel, value) in enumerate(each.writes):
            place = (each.path, each.task_id, SPECIAL.get(channel, index), channel)
            rows.append((*place, sealed(encode(value), thread, ns, id, *place)))
    return rows


def _enter(thread: str, ns: str, parent: str, id: str, lease: Lease | None, now: Callable[[], Now]) -> Plan:
    """The key of the thread, made if need be, once its lease allows to store; and whether `parent` and an end of its step are there."""
    look = _LOOK, (parent, parent, parent, id, thread, ns)
    found = yield look
    if not found:
        yield "INSERT INTO ms_threads (thread, ns) VALUES (?, ?) ON CONFLICT (thread, ns) DO NOTHING", (thread, ns)
        found = yield look
    key, epoch, token, since, until, has_parent, has_end = found[0]
    if lease is not None or epoch is not None:
        grant = None if epoch is None else Grant(epoch, token, since, until)
        changed = may_store(thread, lease, grant, (yield from now()))
        if changed is not None:
            yield _SET_GRANT, (thread, *changed)
    return key, has_parent, has_end


# -- leases ----------------------------------------------------------------------------------------------------------


def grant(thread: str, token: str, seconds: float, now: Callable[[], Now]) -> Plan:
    """The plan of `LogSaver.grant`."""
    yield BEGIN
    old = yield from _grant(thread)
    new = granted(thread, old, token, seconds, (yield from now()))
    yield _SET_GRANT, (thread, *new)
    yield COMMIT
    return new.epoch


def extend(lease: Lease, seconds: float, now: Callable[[], Now]) -> Plan:
    """The plan of `LogSaver.extend`."""
    yield BEGIN
    same_owner(lease, (yield from _grant(lease.thread_id)))
    moment = yield from now()
    yield _SET_GRANT, (lease.thread_id, lease.epoch, lease.token, moment, moment + seconds)
    yield COMMIT


def free(lease: Lease) -> Plan:
    """The plan of `LogSaver.free`."""
    yield BEGIN
    yield (
        "UPDATE ms_leases SET token = '', since = 0, until = 0 WHERE thread = ? AND epoch = ? AND token = ?",
        (lease.thread_id, lease.epoch, lease.token),
    )
    yield COMMIT


def _grant(thread: str) -> Plan:
    rows = yield _GRANT, (thread,)
    return Grant(*rows[0]) if rows else None


# -- forgetting and copying ------------------------------------------------------------------------------------------


def erase(thread: str) -> Plan:
    """The plan of `LogSaver.erase`."""
    yield BEGIN
    for table in ("ms_writes", "ms_checkpoints"):
        yield f"DELETE FROM {table} WHERE k IN (SELECT k FROM ms_threads WHERE thread = ?)", (thread,)
    for table in ("ms_threads", "ms_leases"):
        yield f"DELETE FROM {table} WHERE thread = ?", (thread,)
    yield COMMIT


def drop(thread: str, ns: str, ids: Sequence[str]) -> Plan:
    """The plan of `LogSaver.drop`."""
    yield BEGIN
    found = yield "SELECT k FROM ms_threads WHERE thread = ? AND ns = ?", (thread, ns)
    key = found[0][0] if found else 0
    dropped = set(ids)
    children = yield "SELECT id, parent FROM ms_checkpoints WHERE k = ?", (key,)
    for id, parent in children:
        if parent in dropped and id not in dropped:
            loaded = yield from _read(thread, ns, key, id)
            stored = yield f"SELECT {_COLUMNS} FROM ms_checkpoints WHERE k = ? AND id = ?", (key, id)
            yield _PUT, (key, *columns(thread, ns, whole(row_of(thread, ns, stored[0]), loaded)))
    for id in dropped:
        yield "DELETE FROM ms_writes WHERE k = ? AND id = ?", (key, id)
        yield "DELETE FROM ms_checkpoints WHERE k = ? AND id = ?", (key, id)
    if all(id in dropped for id, _ in children):
        yield "DELETE FROM ms_threads WHERE k = ?", (key,)
    yield COMMIT


def copy(source: str, target: str) -> Plan:
    """The plan of `LogSaver.copy`."""
    yield BEGIN
    for key, ns in (yield _KEYS, (source,)):
        yield "INSERT INTO ms_threads (thread, ns) VALUES (?, ?) ON CONFLICT (thread, ns) DO NOTHING", (target, ns)
        found = yield "SELECT k FROM ms_threads WHERE thread = ? AND ns = ?", (target, ns)
        into = found[0][0]
        for stored in (yield f"SELECT {_COLUMNS} FROM ms_checkpoints WHERE k = ?", (key,)):
            yield _PUT, (into, *columns(target, ns, row_of(source, ns, stored)))
        for id, *place, value in (
            yield "SELECT id, path, task, idx, channel, value FROM ms_writes WHERE k = ?", (key,)
        ):
            moved = sealed(unsealed(value, source, ns, id, *place), target, ns, id, *place)
            yield f"{_WRITE} ON CONFLICT (k, id, path, task, idx) DO NOTHING", (into, id, *place, moved)
    yield COMMIT
