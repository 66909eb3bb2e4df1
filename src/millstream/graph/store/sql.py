"""A store in SQL, without a database: plans that yield statements and are sent their rows.

Nothing that a user gives is ever part of a statement's text. Filters are judged here, on values read back, so every store means the
same by them. A plan yields several statements at once where none needs the rows of another: one round trip then.
"""

from __future__ import annotations

import heapq
import json
import sys
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from ...errors import InvalidArgument, StorageError
from ..savers.codec import decode, encode
from .base import GetOp, Item, ListNamespacesOp, Namespace, Op, PutOp, SearchItem, SearchOp
from .indexing import Indexing, Vector
from .matching import cosine, matches_namespace, passes

__all__ = ["POSTGRES", "SQLITE", "Dialect", "Plan", "batch", "only_reads", "sweep"]

Statement: TypeAlias = tuple[str, Sequence[Any]]
Plan: TypeAlias = Generator[Sequence[Statement], list[list[Any]], Any]

CHUNK: Final = 500
"""How many items are read at once where not all that are read are wanted."""


class Dialect(NamedTuple):
    """Where the two databases differ. `now` is the database's clock, in seconds since 1970."""

    schema: tuple[str, ...]
    now: str
    among: str
    many_json: bool

    def many(self, numbers: Sequence[int]) -> Any:
        """Numbers as the one parameter of `among`."""
        return json.dumps(numbers) if self.many_json else list(numbers)


_ITEMS: Final = """CREATE TABLE IF NOT EXISTS ms_items (
    k {number} PRIMARY KEY{counted}, ns TEXT{binary} NOT NULL, key TEXT{binary} NOT NULL, value {blob} NOT NULL,
    created {real} NOT NULL, updated {real} NOT NULL, ttl {real}, expires {real}, UNIQUE (ns, key))"""
_EXPIRY: Final = "CREATE INDEX IF NOT EXISTS ms_items_expires ON ms_items (expires) WHERE expires IS NOT NULL"
_VECTORS: Final = (
    "CREATE TABLE IF NOT EXISTS ms_vectors (k {number}, n INTEGER, vector {blob} NOT NULL, PRIMARY KEY (k, n))"
)


def _dialect(now: str, among: str, many_json: bool, **words: str) -> Dialect:
    return Dialect((_ITEMS.format(**words), _EXPIRY, _VECTORS.format(**words)), now, among, many_json)


SQLITE: Final = _dialect(
    "((julianday('now') - 2440587.5) * 86400.0)", "IN (SELECT value FROM json_each(?))", True,
    number="INTEGER", counted="", blob="BLOB", real="REAL", binary="",
)  # fmt: skip
POSTGRES: Final = _dialect(
    "extract(epoch from statement_timestamp())::float8", "= ANY(?::bigint[])", False,
    number="BIGINT", counted=" GENERATED ALWAYS AS IDENTITY", blob="BYTEA", real="DOUBLE PRECISION", binary=' COLLATE "C"',
)  # fmt: skip


class _Found(NamedTuple):
    """An item as it is read."""

    k: int
    ns: str
    key: str
    value: dict[str, Any]
    created: float
    updated: float
    ttl: float | None

    def as_item(self, kind: type[Item] = Item, *more: Any) -> Any:
        times = (datetime.fromtimestamp(seconds, UTC) for seconds in (self.created, self.updated))
        return kind(self.value, self.key, _labels(self.ns), *times, *more)


_COLUMNS: Final = "k, ns, key, value, created, updated, ttl"


def only_reads(ops: Iterable[Op]) -> bool:
    """Whether a batch stores nothing (a read may start an item's time anew: that may be lost, and done twice)."""
    return not any(isinstance(op, PutOp) for op in ops)


def batch(
    dialect: Dialect, ops: Sequence[Op], vectors: Mapping[str, Vector], indexing: Indexing, omit_expired: bool
) -> Plan:
    """The plan of a batch: all reads, then all puts, of several on one key the last."""
    live = f"(expires IS NULL OR expires > {dialect.now})" if omit_expired else "TRUE"
    results: list[Any] = [None] * len(ops)
    read: list[_Found] = []
    gets = [(n, op) for n, op in enumerate(ops) if isinstance(op, GetOp)]
    if gets:
        where = f"SELECT {_COLUMNS} FROM ms_items WHERE ns = ? AND key = ? AND {live}"
        answers = yield [(where, (_joined(op.namespace), _text("key", op.key))) for _, op in gets]
        for (n, get), rows in zip(gets, answers, strict=True):
            for found in map(_read, rows):
                results[n] = found.as_item()
                read += [found] if get.refresh_ttl else []
    for n, op in enumerate(ops):
        if isinstance(op, SearchOp):
            results[n], found_by = yield from _search(dialect, op, vectors, indexing, live)
            read += found_by if op.refresh_ttl else []
        elif isinstance(op, ListNamespacesOp):
            results[n] = yield from _namespaces(op, live)
    puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
    stored = [*_refreshed(dialect, read), *(s for op in puts.values() for s in _put(dialect, op, vectors, indexing))]
    if stored:
        yield stored
    return results


def sweep(dialect: Dialect) -> Plan:
    """The plan that deletes what is due; returns how many."""
    (gone,) = yield [(f"DELETE FROM ms_items WHERE expires <= {dialect.now} RETURNING k", ())]
    for chunk in _chunks([k for (k,) in gone]):
        yield [(f"DELETE FROM ms_vectors WHERE k {dialect.among}", (dialect.many(chunk),))]
    return len(gone)


def _refreshed(dialect: Dialect, read: Sequence[_Found]) -> list[Statement]:
    """The statements that start the time of items anew; items that are kept for good cost nothing."""
    keys = [found.k for found in read if found.ttl is not None]
    sql = (
        f"UPDATE ms_items SET expires = {dialect.now} + ttl * 60.0 WHERE k {dialect.among} AND expires > {dialect.now}"
    )
    return [(sql, (dialect.many(keys),))] if keys else []


def _put(dialect: Dialect, op: PutOp, vectors: Mapping[str, Vector], indexing: Indexing) -> Iterator[Statement]:
    place = _joined(op.namespace), _text("key", op.key)
    yield "DELETE FROM ms_vectors WHERE k IN (SELECT k FROM ms_items WHERE ns = ? AND key = ?)", place
    if op.value is None:
        yield "DELETE FROM ms_items WHERE ns = ? AND key = ?", place
        return
    now = dialect.now
    expires = "NULL" if op.ttl is None else f"{now} + ? * 60.0"
    ttl = () if op.ttl is None else (float(op.ttl),)
    # Whoever is put again keeps its place and its first time, unless it was due.
    yield (
        "INSERT INTO ms_items (ns, key, value, created, updated, ttl, expires) "
        f"VALUES (?, ?, ?, {now}, {now}, {'NULL' if op.ttl is None else '?'}, {expires}) "
        "ON CONFLICT (ns, key) DO UPDATE SET value = excluded.value, updated = excluded.updated, ttl = excluded.ttl, "
        "expires = excluded.expires, created = CASE WHEN ms_items.expires <= excluded.updated THEN excluded.created "
        "ELSE ms_items.created END",
        (*place, encode(op.value), *ttl, *ttl),
    )
    for n, text in enumerate(indexing.texts_of(op)):
        yield (
            "INSERT INTO ms_vectors (k, n, vector) SELECT k, CAST(? AS INTEGER), ? FROM ms_items WHERE ns = ? AND key = ?",
            (n, _packed(vectors[text]), *place),
        )


def _search(
    dialect: Dialect, op: SearchOp, vectors: Mapping[str, Vector], indexing: Indexing, live: str
) -> Generator[Sequence[Statement], list[list[Any]], tuple[list[SearchItem], list[_Found]]]:
    within, bounds = _below(op.namespace_prefix)
    if op.limit == 0:
        return [], []
    if indexing.ranks(op):
        query = array("f", vectors[op.query])  # type: ignore[index]
        return (yield from _nearest(dialect, op, query, f"{within} AND {live}", bounds))
    if not op.filter:
        sql = f"SELECT {_COLUMNS} FROM ms_items WHERE {within} AND {live} ORDER BY k LIMIT ? OFFSET ?"
        (rows,) = yield [(sql, (*bounds, op.limit, op.offset))]
        page = [_read(row) for row in rows]
    else:
        wanted = op.offset + op.limit
        page = []
        (keys,) = yield [(f"SELECT k FROM ms_items WHERE {within} AND {live} ORDER BY k", bounds)]
        for chunk in _chunks([k for (k,) in keys]):
            (rows,) = yield [_items_of(dialect, chunk)]
            page += [found for found in map(_read, rows) if passes(found.value, op.filter)]
            if len(page) >= wanted:
                break
        page = page[op.offset : wanted]
    return [found.as_item(SearchItem) for found in page], page


def _nearest(
    dialect: Dialect, op: SearchOp, query: Vector, where: str, bounds: Sequence[Any]
) -> Generator[Sequence[Statement], list[list[Any]], tuple[list[SearchItem], list[_Found]]]:
    """The items nearest to the query; those without vectors last. Only as many are held as are wanted."""
    (keys,) = yield [(f"SELECT k FROM ms_items WHERE {where} ORDER BY k", bounds)]
    best: list[tuple[tuple[bool, float, int], _Found, float | None]] = []
    for chunk in _chunks([k for (k,) in keys]):
        rows, packed = yield [
            _items_of(dialect, chunk),
            (f"SELECT k, vector FROM ms_vectors WHERE k {dialect.among}", (dialect.many(chunk),)),
        ]
        scores: dict[int, float] = {}
        for k, data in packed:
            score = cosine(query, _unpacked(data, len(query)))
            scores[k] = max(score, scores.get(k, score))
        for found in map(_read, rows):
            if passes(found.value, op.filter):
                score_or_none = scores.get(found.k)
                rank = (score_or_none is None, -(score_or_none or 0.0), found.k)
                best.append((rank, found, score_or_none))
        best = heapq.nsmallest(op.offset + op.limit, best, key=lambda each: each[0])
    page = best[op.offset :]
    return [found.as_item(SearchItem, score) for _, found, score in page], [found for _, found, _ in page]


def _items_of(dialect: Dialect, keys: Sequence[int]) -> Statement:
    return f"SELECT {_COLUMNS} FROM ms_items WHERE k {dialect.among} ORDER BY k", (dialect.many(keys),)


def _namespaces(op: ListNamespacesOp, live: str) -> Plan:
    (rows,) = yield [(f"SELECT DISTINCT ns FROM ms_items WHERE {live}", ())]
    found = (_labels(ns) for (ns,) in rows)
    kept = {labels[: op.max_depth] for labels in found if matches_namespace(labels, op.match_conditions)}
    return sorted(kept)[op.offset : op.offset + op.limit]


# -- namespaces as text ----------------------------------------------------------------------------------------------
# Labels have no dot, so "a.b." is that of ("a", "b") alone, and what is below it is what begins with it.


def _joined(namespace: Namespace) -> str:
    if any("." in label for label in namespace):
        return ""  # nothing is stored under such a label
    return "".join(f"{_text('label', label)}." for label in namespace)


def _labels(ns: str) -> Namespace:
    return tuple(ns[:-1].split("."))


def _below(prefix: Namespace) -> tuple[str, tuple[str, ...]]:
    """The condition for namespaces that begin with `prefix`, and its values."""
    if not prefix:
        return "ns >= ?", ("",)
    ns = _joined(prefix)
    # "/" is what comes after "." in both databases' order of text, which is that of bytes.
    return "ns >= ? AND ns < ?", (ns, f"{ns[:-1]}/" if ns else "")


def _text(what: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(
            f"the {what} {text!r} of an item has lone surrogates, which a database cannot keep."
        ) from None
    if "\0" in text:
        raise InvalidArgument(f"the {what} {text!r} of an item has a NUL, which a database cannot keep.")
    return text


# -- values and vectors as bytes -------------------------------------------------------------------------------------


def _read(row: Sequence[Any]) -> _Found:
    k, ns, key, value, *rest = row
    return _Found(k, ns, key, decode(bytes(value)), *rest)


def _packed(vector: Vector) -> bytes:
    """32-bit floats, little-endian: what embedding models give has no more digits."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def _unpacked(data: bytes, length: int) -> Vector:
    floats = array("f")
    floats.frombytes(data)
    if sys.byteorder == "big":
        floats.byteswap()
    if len(floats) != length:
        raise StorageError(
            f"the store has vectors of {len(floats)} numbers, and `embed` gives {length}: put the items again, or take the model "
            "that they were embedded with."
        )
    return floats


def _chunks(keys: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(keys)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
