"""The log of a thread: what each checkpoint changed, and now and then a snapshot.

An `Entry` is what the loop hands to a saver, a `Row` how it is stored, a `Loaded` what comes back. A checkpoint's state is
rebuilt from the snapshot at the row's `base` and the deltas up to it, so a saver needs no reducer and no user code.
A snapshot is taken when the deltas since the last one have grown as large as that: their distances double while a
state grows, so the bytes of a thread stay linear in what was written, and reading reads at most twice the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from operator import is_
from typing import Any, Final, NamedTuple, TypeAlias

from ...errors import CheckpointGone, CorruptCheckpoint, StepAlreadyCommitted
from ..channels import Op
from .codec import decode, encode

__all__ = [
    "Chain",
    "Entry",
    "Loaded",
    "Record",
    "Row",
    "damaged",
    "following",
    "gone",
    "needs_values",
    "rebuilt",
    "rows_of",
    "taken",
    "whole",
]

FIRST_SNAPSHOT: Final = 8192
"""Deltas smaller than this, in bytes, are always replayed."""

ROW_COST: Final = 120
"""What a row costs beside its delta: many small ones are as slow to read as few large ones."""

KeyedOp: TypeAlias = tuple[str, Op]


class Record(NamedTuple):
    """Writes of one task, stored against the checkpoint that its step started from."""

    task_id: str
    path: str
    writes: Sequence[tuple[str, Any]]


class Chain(NamedTuple):
    """Where a row stands between snapshots: the row that has the last one, the bytes of deltas since, its bytes."""

    base: str
    since: int
    size: int


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
    """One checkpoint as stored."""

    id: str
    parent: str | None
    chain: Chain
    step: int
    once: bool
    delta: bytes
    snapshot: bytes | None


class Loaded:
    """One checkpoint read back; `newest` is the greatest id of its thread and namespace, where that is another one."""

    __slots__ = (
        "chain",
        "extra",
        "id",
        "newest",
        "parent",
        "parents",
        "records",
        "source",
        "step",
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


def rows_of(entries: Sequence[Entry], chain: Chain | None) -> tuple[list[Row], Chain]:
    """Entries as rows; `chain` is that of the first one's parent."""
    rows = []
    last = entries[-1]
    for entry in entries:
        delta = entry.encoded()
        snapshot = None
        cost = len(delta) + ROW_COST
        if chain is None:
            chain = Chain(entry.id, cost, 0)
        elif entry is last and _is_due(chain, cost):
            # Of several only at the last one: the values that they refer to are those of the last.
            snapshot = encode(entry.values)
            chain = Chain(entry.id, 0, len(snapshot))
        else:
            chain = Chain(chain.base, chain.since + cost, chain.size)
        rows.append(Row(entry.id, entry.parent, chain, entry.step, entry.once, delta, snapshot))
    assert chain is not None
    return rows, chain


def needs_values(entries: Iterable[Entry], chain: Chain | None) -> bool:
    """Whether storing the entries takes a snapshot, which reads all values; without one, what they changed is enough."""
    return chain is not None and _is_due(chain, sum(len(entry.encoded()) + ROW_COST for entry in entries))


def _is_due(chain: Chain, cost: int) -> bool:
    return chain.since + cost >= max(FIRST_SNAPSHOT, chain.size)


def rebuilt(thread: str, ns: str, last: Row, find: Callable[[str], Row | None]) -> Loaded:
    """The checkpoint of the row `last`; `find` gives rows by id.

    Raises:
        CorruptCheckpoint: a row that it needs is missing or unreadable.
    """
    try:
        return _replayed(last, find)
    except CorruptCheckpoint as error:
        if error.checkpoint_id is not None:
            raise
        raise damaged(thread, ns, last.id, last.step, error) from error
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(thread, ns, last.id, last.step, f"its parts do not fit ({error!r}).") from error


def _replayed(last: Row, find: Callable[[str], Row | None]) -> Loaded:
    loaded = Loaded(last)
    path: list[Row] = []
    start: Row | None = last
    while start is not None and start.snapshot is None and start.id != last.chain.base:
        path.append(start)
        start = find(start.parent or "")
    if start is None:
        raise CorruptCheckpoint("a checkpoint before it is missing.")
    values: dict[str, Any] = {}
    if start.snapshot is not None:
        values = decode(start.snapshot)
    else:
        path.append(start)
    for row in reversed(path):
        head = _read(row)
        _apply(values, head[5] or (), head[6] or ())
    loaded.values = values
    return loaded


def following(thread: str, ns: str, row: Row, before: Loaded) -> Loaded | None:
    """The checkpoint of a row whose parent was read before, from that one's values: they share what did not change.

    None where the row was not built on that parent.

    Raises:
        CorruptCheckpoint: the row is unreadable.
    """
    if row.parent != before.id or (row.snapshot is None and row.chain.base == row.id):
        return None
    try:
        loaded = Loaded(row)
        head = _read(row)
        values = dict(before.values)
        for key in {op[0] for op in head[5] or ()}:
            value = values.get(key)
            if type(value) in (list, dict, set):
                values[key] = copy(value)
        _apply(values, head[5] or (), head[6] or ())
    except (CorruptCheckpoint, IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(thread, ns, row.id, row.step, error) from error
    loaded.values = values
    return loaded


def damaged(thread: str, ns: str, id: str, step: Any, why: object) -> CorruptCheckpoint:
    """The error that names whose bytes they are."""
    inside = f" (namespace {ns!r})" if ns else ""
    when = "" if step is None else f", step {step}"
    return CorruptCheckpoint(
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
    for key, name, payload, *place in ops:
        if place:
            payload = writes[place[0]][2][place[1]][1]
            payload = [payload] if len(place) == 3 else payload
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


def whole(row: Row, loaded: Loaded) -> Row:
    """The row as one that builds on no other."""
    snapshot = row.snapshot if row.snapshot is not None else encode(loaded.values)
    return row._replace(parent=None, chain=Chain(row.id, 0, len(snapshot)), snapshot=snapshot)
