"""One run's dealings with a saver: load the thread, say what changed, store it when it is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..spine.scope import Scope
from .channels import BaseChannel, Op
from .constants import ERROR, NO_WRITES
from .control import PregelTask, StateSnapshot
from .out import read_keys
from .savers.base import SPECIAL, LogSaver, named
from .savers.ids import checkpoint_id, made_at
from .savers.log import Chain, Entry, Loaded, Record

if TYPE_CHECKING:
    from .loop import Loop
    from .task import Task

__all__ = ["Ledger", "snapshot"]

_IDS = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "task_id", "run_id"})


class Ledger:
    """The log of one run, between the loop and a saver."""

    __slots__ = (
        "_extra",
        "_lengths",
        "chain",
        "durability",
        "entries",
        "id",
        "loaded",
        "ns",
        "parent",
        "records",
        "saver",
        "thread",
    )

    def __init__(self, saver: Any, configurable: Mapping[str, Any], ns: str, durability: str) -> None:
        thread = configurable.get("thread_id")
        if thread is None:
            raise InvalidArgument(
                "the graph has a checkpointer, so the run must name its thread: pass "
                '`config={"configurable": {"thread_id": "..."}}` (and, if wanted, `checkpoint_ns`, `checkpoint_id`).'
            )
        self.saver: LogSaver = saver
        self.thread = str(thread)
        self.ns = ns
        self.durability = durability
        # The checkpoint that the run starts from; None: the latest.
        self.id: str | None = (
            configurable.get("checkpoint_id") if ns == (configurable.get("checkpoint_ns") or "") else None
        )
        self.parent: str | None = None
        self.chain: Chain | None = None
        self.loaded: Loaded | None = None
        self.entries: list[Entry] = []
        # Of the step that the checkpoint waits with: (task id, channel, value), as tasks wrote them.
        self.records: list[tuple[str, str, Any]] = []
        self._extra: dict[str, Any] | None = None
        # Of lists: how long they are as stored. A list that is not was changed behind the reducer's back.
        self._lengths: dict[str, int] = {}

    async def load(self, loop: Loop) -> bool:
        """Put the thread's state into the loop; False when there is none."""
        loaded = await self._load(loop)
        if loaded is None:
            return False
        self.loaded = loaded
        self.parent, self.chain = loaded.id, loaded.chain
        loop._origin = loaded.id
        loop.step = loaded.step + 1
        loop.values.update(loaded.values)
        self._lengths = {key: len(value) for key, value in loaded.values.items() if type(value) is list}
        waits = loaded.waits
        loop.next = waits.get("next", ())
        loop.sends = waits.get("sends", [])
        loop.joins = {name: set(seen) for name, seen in waits.get("joins", {}).items()}
        loop.deferred = waits.get("deferred", [])
        # A checkpoint that is named is gone back to: its step is run anew.
        self.records = loaded.records if self.id is None else []
        return True

    def take_records(self) -> dict[str, list[tuple[str, Any]]]:
        """What finished tasks of the waiting step wrote, by their ids; given out once."""
        records, self.records = self.records, []
        return finished(records)

    async def _load(self, loop: Loop) -> Loaded | None:
        saver = self.saver
        if saver.inline:
            return saver.load(self.thread, self.ns, self.id)
        aload = saver.aload if saver.awaitable else None
        loaded: Loaded | None = await loop.d.call(loop.scope, saver.load, aload, self.thread, self.ns, self.id)
        return loaded

    def fold(self, key: str, channel: BaseChannel, old: Any, writes: Sequence[Any], ops: list[tuple[str, Op]]) -> Any:
        """The channel's new value; what changed is added to `ops`."""
        if not channel.stored:
            return channel.fold(key, old, writes)
        lengths = self._lengths
        intact = type(old) is not list or len(old) == lengths.get(key, 0)
        new, more = channel.logged(key, old, writes)
        if not intact and (not more or more[0][0] != "set"):
            more = [("set", new)]
        ops += [(key, op) for op in more]
        if type(new) is list:
            lengths[key] = len(new)
        return new

    def stage(self, loop: Loop, source: str, ops: Sequence[tuple[str, Op]], tasks: Sequence[Task]) -> str:
        """Note a checkpoint to be stored by the next `flush`; returns its id."""
        if self._extra is None:
            self._extra = _metadata(loop.scope)
        id = checkpoint_id()
        waits: dict[str, Any] = {}
        if loop.next:
            waits["next"] = list(loop.next)
        if loop.sends:
            waits["sends"] = loop.sends
        if loop.joins:
            waits["joins"] = {name: sorted(seen) for name, seen in loop.joins.items()}
        if loop.deferred:
            waits["deferred"] = loop.deferred
        self.entries.append(
            Entry(
                id,
                self.parent,
                source=source,
                step=loop.step,
                ops=ops,
                waits=waits,
                writes=[_record(task) for task in tasks],
                parents=loop.parents,
                extra=self._extra,
                values=self._stored(loop),
            )
        )
        self.parent = id
        return id

    async def flush(self, loop: Loop, force: bool = False) -> None:
        """Store what was noted, unless the run's durability says to wait."""
        done = not loop.next and not loop.sends
        if self.durability == "exit" and not (done or force):
            return
        entries, self.entries = self.entries, []
        if self.durability == "exit":
            entries = _last_only(entries, self._stored(loop))
        if entries:
            saver = self.saver
            if saver.inline:
                self.chain = saver.commit(self.thread, self.ns, entries, self.chain)
            else:
                self.chain = await loop.d.call(
                    loop.scope,
                    saver.commit,
                    saver.acommit if saver.awaitable else None,
                    self.thread,
                    self.ns,
                    entries,
                    self.chain,
                )
        if done and self.chain is not None and self.parent is not None:
            self.saver.keep(self.thread, self.ns, self._left(loop))

    async def failed(self, loop: Loop) -> None:
        """Store what the step's tasks wrote before one of them failed, and the errors."""
        await self.flush(loop, force=True)
        records = []
        for task in loop.tasks:
            if task.done:
                records.append(Record(task.id, _path(task), task.record() or [(NO_WRITES, None)]))
            elif task.error is not None:
                records.append(Record(task.id, _path(task), [(ERROR, repr(task.error))]))
        if not records or self.parent is None:
            return
        saver = self.saver
        if saver.inline:
            saver.record(self.thread, self.ns, self.parent, records)
        else:
            arecord = saver.arecord if saver.awaitable else None
            await loop.d.call(loop.scope, saver.record, arecord, self.thread, self.ns, self.parent, records)

    def _stored(self, loop: Loop) -> dict[str, Any]:
        if len(loop.plan.stored) == len(loop.plan.channels):
            return loop.values
        return {key: loop.values[key] for key in loop.plan.stored if key in loop.values}

    def _left(self, loop: Loop) -> Loaded:
        """How the run leaves the thread: containers copied, because the caller gets the loop's own."""
        left = Loaded.__new__(Loaded)
        assert self.parent is not None and self.chain is not None
        left.id, left.parent, left.chain = self.parent, None, self.chain
        left.step = loop.step
        left.values = {
            key: value.copy() if type(value) in (list, dict, set) else value
            for key, value in self._stored(loop).items()
        }
        left.waits = {"joins": {name: sorted(seen) for name, seen in loop.joins.items()}} if loop.joins else {}
        left.records, left.writes = [], []
        left.source, left.parents, left.extra = "loop", loop.parents, self._extra or {}
        return left


async def snapshot(loop: Loop) -> StateSnapshot:
    """The state of the thread that the loop's ledger names."""
    ledger = loop.ledger
    assert ledger is not None
    ledger.saver.forget(ledger.thread)
    if not await ledger.load(loop):
        config = {"configurable": dict(loop.scope.configurable)}
        return StateSnapshot({}, (), config, None, None, None, (), ())
    loaded = ledger.loaded
    assert loaded is not None
    loop.step -= 1
    errors = {task: value for task, channel, value in loaded.records if channel == ERROR}
    waiting = loop.pending()
    tasks = tuple(PregelTask(id, name, ("__pregel_pull", name), error=errors.get(id)) for name, id, _ in waiting)
    return StateSnapshot(
        read_keys(loop.values, loop.plan.stream_keys),
        tuple(name for name, _, _ in waiting),
        named(ledger.thread, ledger.ns, loaded.id),
        {"source": loaded.source, "step": loaded.step, "parents": loaded.parents, **loaded.extra},
        made_at(loaded.id),
        None if loaded.parent is None else named(ledger.thread, ledger.ns, loaded.parent),
        tasks,
        (),
    )


def finished(records: Sequence[tuple[str, str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """The writes of tasks that ended well, by task."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in records:
        if channel not in SPECIAL:
            found.setdefault(task, []).append((channel, value))
    return found


def _last_only(entries: list[Entry], values: dict[str, Any]) -> list[Entry]:
    """The last of several entries, holding what all of them changed."""
    if not entries:
        return []
    last = entries[-1]
    last.parent = entries[0].parent
    last.ops = [op for entry in entries for op in entry.ops]
    last.writes = ()
    return [last]


def _record(task: Task) -> Record:
    return Record(task.id, _path(task), task.record())


def _path(task: Task) -> str:
    """The task's place in its step, as text that sorts in order."""
    return f"0:{task.node.name}" if task.index is None else f"1:{task.index:010d}"


def _metadata(scope: Scope) -> dict[str, Any]:
    """What a checkpoint's metadata keeps of the run's config: plain facts, no coordinates."""
    found = {**scope.configurable, **scope.metadata}
    return {
        key: value
        for key, value in found.items()
        if key not in _IDS and not key.startswith(("__", "langgraph_")) and isinstance(value, (str, int, float, bool))
    }
