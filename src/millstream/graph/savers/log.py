"""The log of a thread: what each checkpoint changed, and now and then a snapshot.

An `Entry` is what the loop hands to a saver, a `Row` how it is stored, a `Loaded` what comes back. A checkpoint's state is
rebuilt from the snapshot at the row's `base` and the deltas up to it, so a saver needs no reducer and no user code.
A snapshot is taken when the deltas since the last one have grown as large as that: their distances double while a
state grows, so the bytes of a thread stay linear in what was written, and reading reads at most twice the state. Between
snapshots spans (`spans.py`) stand for many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from operator import is_
from typing import Any, Final, NamedTuple

from ...errors import CheckpointGone, CorruptCheckpoint, StepAlreadyCommitted
from .codec import decode, encode
from .spans import SPAN, KeyedOp, Span, Tail

__all__ = [
    "Chain",
    "Entry",
    "Incomplete",
    "Loaded",
    "Record",
    "Row",
    "damaged",
    "following",
    "gone",
    "last_only",
    "needs_values",
    "nodes_of",
    "rebuilt",
    "rows_of",
    "taken",
    "whole",
]

FIRST_SNAPSHOT: Final = 8192
"""Deltas smaller than this, in bytes, are always replayed."""

ROW_COST: Final = 120
"""What a row costs beside its delta: many small ones are as slow to read as few large ones."""


class Record(NamedTuple):
    """Writes of one task, stored against the checkpoint that its step started from."""

    task_id: str
    path: str
    writes: Sequence[tuple[str, Any]]


class Chain(NamedTuple):
    """Where a row stands between snapshots: the row that has the last one, the bytes of deltas since, its bytes.

    `tail` is not stored: what changed since the last span, as far as it is known.
    """

    base: str
    since: int
    size: int
    tail: Tail | None = None


class Entry:
    """One checkpoint to be stored: what changed since `parent`, what waits to run, and what it says of itself.

    `once` marks the end of a step, of which the parent can have only one: a second owner of the run may have stored it already.
    """

    __slots__ = (
        "delta",
        "extra",
        "id",
        "once",
        "ops",
        "parent",
        "parents",
        "source",
        "step",
        "values",
        "waits",
        "writes",
    )

    def __init__(
        self,
        id: str,
        parent: str | None,
        *,
        source: str,
        step: int,
        ops: Sequence[KeyedOp],
        waits: dict[str, Any],
        writes: Sequence[Record] = (),
        parents: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
        values: dict[str, Any],
        once: bool = False,
    ) -> None:
        self.id = id
        self.parent = parent
        self.source = source
        self.step = step
        self.ops = ops
        self.waits = waits
        self.writes = writes
        self.parents = parents
        self.extra = extra
        self.once = once
        # All that is stored, by reference: read at once, if a snapshot is due.
        self.values = values
        self.delta: bytes | None = None

    def encoded(self) -> bytes:
        """What the checkpoint changed, as it is stored. What happens to the values after the first call does not reach it."""
        if self.delta is None:
            head = [self.source, self.step, self.parents or None, self.extra or None, self.waits or None]
            self.delta = encode([*head, *_shared(self.ops, self.writes)])
        return self.delta


class Row(NamedTuple):
    """One checkpoint as stored. `snapshot` has all values where the row is its own base, else a span."""

    id: str
    parent: str | None
    chain: Chain
    step: int
    once: bool
    delta: bytes
    snapshot: bytes | None

    @property
    def is_base(self) -> bool:
        """Whether it builds on no other row: it has a snapshot, or is the first."""
        return self.chain.base == self.id


class Loaded:
    """One checkpoint read back; `newest` is the greatest id of its thread and namespace, where that is another one."""

    __slots__ = (
        "chain",
        "changed",
        "extra",
        "id",
        "newest",
        "parent",
        "parents",
        "records",
        "source",
        "step",
        "updated",
        "values",
        "waits",
        "writes",
    )

    def __init__(self, row: Row) -> None:
        self.id = row.id
        self.parent = row.parent
        self.chain = row.chain
        self.values: dict[str, Any] = {}
        self.records: list[tuple[str, str, Any]] = []
        self.newest: str = row.id
        head = _read(row)
        self.source: str = head[0]
        self.step: int = head[1]
        self.parents: dict[str, str] = head[2] or {}
        self.extra: dict[str, Any] = head[3] or {}
        self.waits: dict[str, Any] = head[4] or {}
        self.writes: list[Any] = head[6] or []
        self.updated = sorted({op[0] for op in head[5] or ()})
        # By key: the step that changed it last, or that of the snapshot or span that says so.
        self.changed: dict[str, int] = {}


def rows_of(entries: Sequence[Entry], chain: Chain | None) -> tuple[list[Row], Chain]:
    """Entries as rows; `chain` is that of the first one's parent."""
    rows = []
    last = entries[-1]
    for entry in entries:
        delta = entry.encoded()
        snapshot = None
        cost = len(delta) + ROW_COST
        if chain is None:
            chain = Chain(entry.id, cost, 0, Tail(entry.id))
        elif entry is last and _is_due(chain, cost):
            # Of several only at the last one: the values that they refer to are those of the last.
            snapshot = encode(entry.values)
            chain = Chain(entry.id, 0, len(snapshot), Tail(entry.id))
        else:
            tail = chain.tail or (None if entry.parent is None else Tail(entry.parent))
            if tail is not None:
                tail = tail.after(entry.ops)
                if entry is last and tail.rows >= SPAN:
                    snapshot = tail.span(entry.values) if tail.fits else None
                    tail = Tail(entry.id)
            chain = Chain(chain.base, chain.since + cost, chain.size, tail)
        rows.append(Row(entry.id, entry.parent, chain, entry.step, entry.once, delta, snapshot))
    assert chain is not None
    return rows, chain


def needs_values(entries: Sequence[Entry], chain: Chain | None) -> bool:
    """Whether storing the entries takes a snapshot or a span, which read values; without one, what they changed is enough."""
    if chain is None:
        return False
    if chain.tail is not None and chain.tail.rows + len(entries) >= SPAN:
        return True
    return _is_due(chain, sum(len(entry.encoded()) + ROW_COST for entry in entries))


def _is_due(chain: Chain, cost: int) -> bool:
    return chain.since + cost >= max(FIRST_SNAPSHOT, chain.size)


class Incomplete(CorruptCheckpoint):
    """A row that a checkpoint builds on was not found where it was looked for."""


def rebuilt(thread: str, ns: str, last: Row, find: Callable[[str], Row | None]) -> Loaded:
    """The checkpoint of the row `last`; `find` gives rows by id.

    Raises:
        CorruptCheckpoint: a row that it needs is unreadable, or (`Incomplete`) missing.
    """
    try:
        return _replayed(last, find)
    except CorruptCheckpoint as error:
        if error.checkpoint_id is not None:
            raise
        raise damaged(thread, ns, last.id, last.step, error, type(error)) from error
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(thread, ns, last.id, last.step, f"its parts do not fit ({error!r}).") from error


def _replayed(last: Row, find: Callable[[str], Row | None]) -> Loaded:
    loaded = Loaded(last)
    path: list[tuple[str, Span | None, Row]] = []
    row = last
    while not row.is_base and row.id != last.chain.base:
        span = None if row.snapshot is None else Span.read(row.snapshot)
        before = None if span is None else find(span.start)
        if before is None:
            span, before = None, find(row.parent or "")
        if before is None:
            raise Incomplete("a checkpoint before it is missing.")
        path.append((row.id, span, row))
        row = before
    values: dict[str, Any] = {}
    if row.is_base and row.snapshot is not None:
        values = decode(row.snapshot)
    else:
        _apply(values, *_changes(row))
    changed = dict.fromkeys(values, row.step)
    tail = Tail(row.id)
    for id, span, row in reversed(path):
        if span is not None:
            ops = span.ops
            _apply(values, ops, ())
            tail = Tail(id)
        else:
            ops, writes = _changes(row)
            _apply(values, ops, writes)
            tail = tail.after((key, (name, payload)) for key, name, payload in _unshared(ops, writes))
        changed.update(dict.fromkeys((op[0] for op in ops), row.step))
    loaded.values, loaded.changed = values, changed
    loaded.chain = loaded.chain._replace(tail=tail)
    return loaded


def _changes(row: Row) -> tuple[Sequence[list[Any]], Sequence[list[Any]]]:
    head = _read(row)
    return head[5] or (), head[6] or ()


def following(thread: str, ns: str, row: Row, before: Loaded) -> Loaded | None:
    """The checkpoint of a row whose parent was read before, from that one's values: they share what did not change.

    None where the row was not built on that parent.

    Raises:
        CorruptCheckpoint: the row is unreadable.
    """
    if row.parent != before.id or (row.snapshot is None and row.is_base):
        return None
    try:
        loaded = Loaded(row)
        ops, writes = _changes(row)
        values = dict(before.values)
        for key in {op[0] for op in ops}:
            value = values.get(key)
            if type(value) in (list, dict, set):
                values[key] = copy(value)
        _apply(values, ops, writes)
        loaded.changed = {**before.changed, **dict.fromkeys(loaded.updated, row.step)}
    except (CorruptCheckpoint, IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(thread, ns, row.id, row.step, error) from error
    loaded.values = values
    return loaded


def damaged(
    thread: str, ns: str, id: str, step: Any, why: object, kind: type[CorruptCheckpoint] = CorruptCheckpoint
) -> CorruptCheckpoint:
    """The error that names whose bytes they are."""
    inside = f" (namespace {ns!r})" if ns else ""
    when = "" if step is None else f", step {step}"
    return kind(
        f"thread {thread!r}{inside}{when}: checkpoint {id!r} cannot be read: {why} Earlier checkpoints of the thread can still "
        "be read by their ids.",
        thread_id=thread,
        checkpoint_ns=ns,
        checkpoint_id=id,
        step=step if isinstance(step, int) else None,
    )


def gone(thread: str, entry: Entry) -> CheckpointGone:
    """The error for an entry whose parent is there no more."""
    return CheckpointGone(
        f"thread {thread!r}: checkpoint {entry.parent!r}, which step {entry.step} started from, was erased while the run went on; "
        "nothing was stored of the step."
    )


def taken(thread: str, entry: Entry) -> StepAlreadyCommitted:
    """The error for the end of a step that somebody else has stored."""
    return StepAlreadyCommitted(
        f"thread {thread!r}: the end of step {entry.step}, which started from checkpoint {entry.parent!r}, is stored already: somebody "
        "else ran the same step of this run. Load the thread to see how it went on; a lease (saver.acquire_lease) keeps others off it."
    )


def _read(row: Row) -> list[Any]:
    head = decode(row.delta)
    if not isinstance(head, list) or len(head) != 7:
        raise CorruptCheckpoint(f"the bytes of {row.id!r} are not those of a checkpoint.")
    return head


def _shared(ops: Sequence[KeyedOp], writes: Sequence[Record]) -> tuple[list[Any] | None, list[Any] | None]:
    """Ops and writes to be stored together: an op whose payload a write has already says only which write."""
    if not writes:
        return [[key, *op] for key, op in ops] or None, None
    whole: dict[int, tuple[int, int]] = {}
    inside: dict[tuple[int, int], tuple[int, int, list[Any]]] = {}
    for i, record in enumerate(writes):
        for j, (_, value) in enumerate(record.writes):
            whole[id(value)] = i, j
            if type(value) is list and value:
                inside[id(value[0]), len(value)] = i, j, value
    packed: list[Any] = []
    for key, (name, payload) in ops:
        place: tuple[int, ...] | None = whole.get(id(payload))
        if place is None and name == "append" and payload:
            same = inside.get((id(payload[0]), len(payload)))
            if same is not None and all(map(is_, payload, same[2])):
                place = same[:2]
            elif len(payload) == 1 and (one := whole.get(id(payload[0]))) is not None:
                place = (*one, 1)  # the write is the item, not a list of it
        packed.append([key, name, payload] if place is None else [key, name, None, *place])
    return packed or None, [list(record) for record in writes]


def _apply(values: dict[str, Any], ops: Iterable[list[Any]], writes: Sequence[list[Any]]) -> None:
    for key, name, payload in _unshared(ops, writes):
        if name == "set":
            values[key] = list(payload) if type(payload) is list else payload
        elif name == "append":
            values.setdefault(key, []).extend(payload)
        elif name == "put":
            values[key][payload[0]] = payload[1]
        elif name == "drop":
            del values[key][payload]
        else:
            values.pop(key, None)


def _unshared(ops: Iterable[list[Any]], writes: Sequence[list[Any]]) -> Iterator[tuple[str, str, Any]]:
    """Ops with their payloads, those that a write has among them."""
    for key, name, payload, *place in ops:
        if place:
            payload = writes[place[0]][2][place[1]][1]
            payload = [payload] if len(place) == 3 else payload
        yield key, name, payload


def whole(row: Row, loaded: Loaded) -> Row:
    """The row as one that builds on no other."""
    snapshot = row.snapshot if row.snapshot is not None and row.is_base else encode(loaded.values)
    return row._replace(parent=None, chain=Chain(row.id, 0, len(snapshot)), snapshot=snapshot)


def last_only(entries: list[Entry]) -> list[Entry]:
    """The last of several entries, holding what all of them changed."""
    if not entries:
        return []
    last = entries[-1]
    last.parent, last.once = entries[0].parent, entries[0].once
    last.ops = [op for entry in entries for op in entry.ops]
    if last.writes:
        last.waits["ran"] = sorted(nodes_of(last.writes))  # an update may stand for them
    last.writes = ()
    return [last]


def nodes_of(writes: Iterable[Sequence[Any]]) -> set[str]:
    """The names of the nodes whose tasks wrote."""
    return {path.split(":", 2)[-1] if path.startswith("1:") else path[2:] for _, path, _ in writes}
