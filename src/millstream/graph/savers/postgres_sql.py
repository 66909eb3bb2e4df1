"""The log in Postgres: its tables, and what is done in one statement there and in several elsewhere.

A step is stored by one statement, which is one round trip and one transaction. It stores nothing where something is unusual: a
thread that is new, a lease that is another's, a parent that was erased, an end that somebody else has stored. Then the plan that all
databases share says what to do about it.

Writers lock the row of the thread's lease: those of one statement share it, all others exclude each other and them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ...errors import UnsupportedFormat
from . import sql
from .leases import Lease
from .log import Chain, Entry, Incomplete, Loaded, Record, rows_of
from .postgres_links import Plan
from .sealing import columns

__all__ = ["check", "commit", "one_by_one", "load", "now", "record", "setup"]

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS ms_format (version INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS ms_threads (
        k BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, thread TEXT COLLATE "C" NOT NULL, ns TEXT COLLATE "C" NOT NULL,
        UNIQUE (thread, ns))""",
    """CREATE TABLE IF NOT EXISTS ms_checkpoints (
        k BIGINT NOT NULL, id TEXT COLLATE "C" NOT NULL, parent TEXT COLLATE "C", base TEXT COLLATE "C" NOT NULL,
        since BIGINT NOT NULL, size BIGINT NOT NULL, step BIGINT NOT NULL, once INTEGER NOT NULL, delta BYTEA NOT NULL,
        snapshot BYTEA, PRIMARY KEY (k, id))""",
    # A step has one end: two statements that store one at once cannot see each other, the index can.
    "CREATE UNIQUE INDEX IF NOT EXISTS ms_ends ON ms_checkpoints (k, parent) WHERE once = 1",
    "CREATE INDEX IF NOT EXISTS ms_spans ON ms_checkpoints (k, id) WHERE snapshot IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS ms_writes (
        k BIGINT NOT NULL, id TEXT COLLATE "C" NOT NULL, path TEXT COLLATE "C" NOT NULL, task TEXT COLLATE "C" NOT NULL,
        idx INTEGER NOT NULL, channel TEXT NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (k, id, path, task, idx))""",
    """CREATE TABLE IF NOT EXISTS ms_leases (
        thread TEXT COLLATE "C" PRIMARY KEY, epoch BIGINT NOT NULL, token TEXT NOT NULL, since DOUBLE PRECISION NOT NULL,
        until DOUBLE PRECISION NOT NULL)""",
)

_THREAD: Final = "(SELECT k FROM ms_threads WHERE thread = ? AND ns = ?)"
_COLUMNS: Final = "id, parent, base, since, size, step, once, delta, snapshot"

_LOAD: Final = """WITH last AS MATERIALIZED (
        SELECT k, id, base, EXISTS (SELECT FROM ms_writes w WHERE w.k = c.k AND w.id = c.id) AS written
        FROM ms_checkpoints c WHERE k = {thread}{named} ORDER BY id DESC LIMIT 1),
    wanted AS MATERIALIZED (SELECT * FROM last WHERE written OR id <> ?)
    SELECT 0, id, NULL, NULL, NULL::bigint, NULL::bigint, NULL::bigint, NULL::int, NULL::bytea, NULL::bytea FROM last
    UNION ALL SELECT 1, c.id, c.parent, c.base, c.since, c.size, c.step, c.once, c.delta, c.snapshot
        FROM wanted JOIN ms_checkpoints c ON c.k = wanted.k AND c.id BETWEEN wanted.base AND wanted.id{few}
    UNION ALL SELECT 2, w.path, w.task, w.channel, w.idx, NULL, NULL, NULL, w.value, NULL
        FROM wanted JOIN ms_writes w ON w.k = wanted.k AND w.id = wanted.id"""
# Only rows with a snapshot or a span, and what came after the last of them: enough where nothing was forgotten.
_FEW: Final = """ AND (c.id = wanted.base OR c.snapshot IS NOT NULL OR c.id > COALESCE((SELECT MAX(s.id) FROM ms_checkpoints s
            WHERE s.k = wanted.k AND s.id <= wanted.id AND s.snapshot IS NOT NULL), wanted.base))"""
_LOAD_LAST: Final = _LOAD.format(thread=_THREAD, named="", few=_FEW)
_LOAD_NAMED: Final = _LOAD.format(thread=_THREAD, named=" AND id = ?", few=_FEW)
_LOAD_ALL: Final = _LOAD.format(thread=_THREAD, named=" AND id = ?", few="")

_ALLOWED: Final = """t AS MATERIALIZED {thread},
    lease AS MATERIALIZED (SELECT FROM ms_leases WHERE thread = ? AND epoch = ? AND token = ? AND until > 0 FOR SHARE)"""
_ALLOWED_TO_ALL: Final = """t AS MATERIALIZED {thread},
    lease AS MATERIALIZED (SELECT FROM ms_leases WHERE thread = ? AND until = 0 FOR SHARE)"""
_COMMIT: Final = """WITH {allowed},
    parent AS MATERIALIZED (SELECT FROM ms_checkpoints WHERE k = (SELECT k FROM t) AND id = ? FOR KEY SHARE),
    put AS (INSERT INTO ms_checkpoints (k, id, parent, base, since, size, step, once, delta, snapshot)
        SELECT t.k, r.* FROM t, lease, parent, unnest(?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[],
            ?::bigint[], ?::int[], ?::bytea[], ?::bytea[]) r
        ON CONFLICT (k, id) DO UPDATE SET parent = excluded.parent, base = excluded.base, since = excluded.since,
            size = excluded.size, step = excluded.step, once = excluded.once, delta = excluded.delta,
            snapshot = excluded.snapshot
        RETURNING 1)
    SELECT count(*) FROM put"""
_RECORD: Final = """WITH {allowed},
    put AS (INSERT INTO ms_writes (k, id, path, task, idx, channel, value)
        SELECT t.k, ?, r.* FROM t, lease, unnest(?::text[], ?::text[], ?::int[], ?::text[], ?::bytea[]) r
        ON CONFLICT (k, id, path, task, idx) DO UPDATE SET channel = excluded.channel, value = excluded.value
            WHERE ms_writes.idx < 0)
    SELECT count(*) FROM t, lease"""
_FORMS: Final = {
    (statement, with_lease): statement.replace("{allowed}", allowed.format(thread=_THREAD))
    for statement in (_COMMIT, _RECORD)
    for with_lease, allowed in ((True, _ALLOWED), (False, _ALLOWED_TO_ALL))
}
_STORED: Final = f"SELECT count(*) FROM ms_checkpoints WHERE k = {_THREAD} AND id = ANY(?)"
_LOCK: Final = """INSERT INTO ms_leases (thread, epoch, token, since, until) VALUES (?, 0, '', 0, 0)
    ON CONFLICT (thread) DO UPDATE SET thread = excluded.thread"""


def now() -> sql.Now:
    """The plan that reads the clock of leases: the server's, the same for all who use it."""
    rows = yield "SELECT extract(epoch FROM clock_timestamp())::float8", ()
    return float(rows[0][0])


def setup() -> Plan:
    """The plan that makes the tables.

    Raises:
        UnsupportedFormat: there are some of another version. Nothing is touched.
    """
    # Two that make the tables at once would be in each other's way.
    _, ((known,),) = yield [
        ("SELECT pg_advisory_xact_lock(hashtext('millstream.saver'))", ()),
        ("SELECT to_regclass('ms_format') IS NOT NULL", ()),
    ]
    if known:
        yield from check()
    insert = "INSERT INTO ms_format SELECT CAST(? AS INTEGER) WHERE NOT EXISTS (SELECT FROM ms_format)"
    yield [*((table, ()) for table in _TABLES), (insert, (sql.FORMAT,))]


def check() -> Plan:
    """The plan that looks whether the tables are of a known version."""
    (rows,) = yield [("SELECT version FROM ms_format", ())]
    if rows and rows[0][0] != sql.FORMAT:
        raise UnsupportedFormat(
            f"the database has tables of format {rows[0][0]}, and this version of millstream reads format {sql.FORMAT}; "
            "upgrade millstream, or take the version that made them. Nothing was changed."
        )


def load(
    thread: str, ns: str, id: str | None, kept: Callable[[str, str, str], Loaded | None] | None, left: str
) -> Plan:
    """The plan of `LogSaver.load`; the state is not read where `left` is the latest checkpoint, and `kept` gives it."""
    (rows,) = yield [(_LOAD_LAST, (thread, ns, left)) if id is None else (_LOAD_NAMED, (thread, ns, id, ""))]
    if not rows:
        return None
    newest = next(row[1] for row in rows if row[0] == 0)
    if len(rows) == 1:
        found = None if kept is None else kept(thread, ns, newest)
        # Somebody else may have been given what was kept meanwhile.
        return found if found is not None else (yield from load(thread, ns, id, None, ""))
    try:
        return _assembled(thread, ns, newest, rows)
    except Incomplete:
        (rows,) = yield [(_LOAD_ALL, (thread, ns, newest, ""))]
        return _assembled(thread, ns, newest, rows) if rows else None


def _assembled(thread: str, ns: str, id: str, rows: Sequence[tuple[Any, ...]]) -> Loaded:
    writes = sorted((row[1], row[2], row[4], row[3], row[8]) for row in rows if row[0] == 2)
    return sql.assembled(thread, ns, id, [tuple(row[1:]) for row in rows if row[0] == 1], writes)


def commit(
    doubt: bool,
    thread: str,
    ns: str,
    entries: Sequence[Entry],
    chain: Chain | None,
    lease: Lease | None,
    now: Callable[[], sql.Now],
) -> Plan:
    """The plan that stores entries by one statement; gives None where it stored nothing."""
    first = entries[0]
    if chain is None or first.parent is None or _is_anothers(lease, thread):
        return None
    rows, after = rows_of(entries, chain)
    if doubt:
        (((stored,),),) = yield [(_STORED, (thread, ns, [row.id for row in rows]))]
        if stored == len(rows):
            return after
    values = [list(column) for column in zip(*(columns(thread, ns, row) for row in rows), strict=True)]
    statement, allowed = _allowed(_COMMIT, thread, ns, lease)
    (((stored,),),) = yield [(statement, (*allowed, first.parent, *values))]
    return after if stored == len(rows) else None


def record(
    thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None, now: Callable[[], sql.Now]
) -> Plan:
    """The plan that stores writes of tasks by one statement; gives whether it did."""
    if _is_anothers(lease, thread):
        return False
    packed: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for row in sql.packed(thread, ns, id, records):
        place = row[:3]
        if row[2] < 0 or place not in packed:
            packed[place] = row
    if not packed:
        return True
    values = [list(column) for column in zip(*packed.values(), strict=True)]
    statement, allowed = _allowed(_RECORD, thread, ns, lease)
    (((stored,),),) = yield [(statement, (*allowed, id, *values))]
    return bool(stored)


def _is_anothers(lease: Lease | None, thread: str) -> bool:
    return lease is not None and lease.thread_id != thread


def _allowed(statement: str, thread: str, ns: str, lease: Lease | None) -> tuple[str, tuple[Any, ...]]:
    """The form of a statement by whether there is a lease, and the values of its first part."""
    if lease is None:
        return _FORMS[statement, False], (thread, ns, thread)
    return _FORMS[statement, True], (thread, ns, thread, lease.epoch, lease.token)


def one_by_one(threads: Iterable[str], plan: sql.Plan) -> Plan:
    """A shared plan. Its transaction is made by whoever runs it, and begins by locking these threads."""
    try:
        statement = next(plan)
        while True:
            rows: list[Any] = []
            if statement == sql.BEGIN:
                for thread in sorted(set(threads)):
                    yield [(_LOCK, (thread,))]
            elif statement != sql.COMMIT:
                (rows,) = yield [statement]
            statement = plan.send(rows)
    except StopIteration as done:
        return done.value
    finally:
        plan.close()
