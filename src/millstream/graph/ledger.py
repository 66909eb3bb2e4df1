"""One run's dealings with a saver: load the thread, say what changed, store it when it is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument, MissingKey
from ..spine import fault_points
from ..spine.scope import Scope
from .behind import Behind
from .channels import BaseChannel, Op
from .constants import ERROR, INPUT, INTERRUPT, NO_WRITES, RESUME, ROOT, START
from .differences import Print, changes, print_of
from .interrupts import ANY, answers_of, is_answered, own_answer, storable
from .savers.adapter import log_saver
from .savers.ids import checkpoint_id
from .savers.log import Chain, Entry, Loaded, Record, last_only
from .savers.log_saver import SPECIAL, LogSaver
from .savers.tuples import lease_of
from .settling import in_order
from .task import storable_sends

if TYPE_CHECKING:
    from .loop import Loop
    from .task import Task

__all__ = ["Ledger", "finished"]

_IDS = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "task_id", "run_id"})


class Ledger:
    """The log of one run, between the loop and a saver."""

    __slots__ = (
        "_at_break",
        "_behind",
        "_ended",
        "_extra",
        "_given",
        "_lengths",
        "_prints",
        "_recorded",
        "_source",
        "before",
        "chain",
        "durability",
        "entries",
        "forks",
        "id",
        "input",
        "lease",
        "loaded",
        "newest",
        "ns",
        "ops",
        "parent",
        "records",
        "resuming",
        "root",
        "saver",
        "thread",
    )

    def __init__(self, saver: Any, configurable: Mapping[str, Any], ns: str, durability: str) -> None:
        thread = configurable.get("thread_id")
        if thread is None:
            # Where something is configured it is a key that is missing there.
            kind = MissingKey if configurable and "thread_id" not in configurable else InvalidArgument
            raise kind(
                "the graph has a checkpointer, so the run must name its thread: pass "
                '`config={"configurable": {"thread_id": "..."}}` (and, if wanted, `checkpoint_ns`, `checkpoint_id`).'
            )
        self.saver: LogSaver = log_saver(saver)
        self.thread = str(thread)
        self.ns = ns
        self.durability = durability
        self.lease = lease_of({"configurable": configurable})
        # The checkpoint that the run starts from; None: the latest.
        named = ns == (configurable.get("checkpoint_ns") or "")
        self.id: str | None = configurable.get("checkpoint_id") if named else None
        # Whether going back to a checkpoint begins a branch: not where the one meant is that of a graph inside.
        self.forks = True
        self.parent: str | None = None
        self.before: str | None = None  # the one before that, and where that one comes from
        self._source = "loop"
        # The last checkpoint on the way that was waited for: of an input, an update or a fork. The steps since then count
        # on from it, so it names them even where what lies between was lost.
        self.root: str | None = None
        self.newest: str | None = None  # the greatest id of the thread: what is added comes after it
        self.chain: Chain | None = None
        self.loaded: Loaded | None = None
        self.entries: list[Entry] = []
        self.ops: list[tuple[str, Op]] = []  # changes that belong to the next checkpoint
        # Of the step that waits: (task id, channel, value), as tasks wrote them.
        self.records: list[tuple[str, str, Any]] = []
        self.resuming = False
        # The input that a checkpoint waits with, where it was given by an update and not yet taken.
        self.input: tuple[Any] | None = None
        self._given: dict[str, list[Any]] = {}
        self._at_break = False
        self._extra: dict[str, Any] | None = None
        self._behind = Behind()
        # Writes of tasks that ended before the step they are in, not stored yet.
        self._ended: list[Record] = []
        self._recorded: set[str] = set()  # ids of those that are
        # Of lists: how long they are as stored. A list that is not was changed behind the reducer's back.
        self._lengths: dict[str, int] = {}
        # Of values whose reducer does not say what it changes: what they held as stored.
        self._prints: dict[str, Print | None] | None = {}

    # -- reading -----------------------------------------------------------------------------------------------------

    def only_read(self) -> None:
        """Nothing will be written: what only that needs is not kept."""
        self._prints = None

    async def load(self, loop: Loop) -> bool:
        """Put the thread's state into the loop; False when there is none."""
        loaded: Loaded | None = await self.call(loop, "load", self.thread, self.ns, self.id)
        if loaded is not None:
            self.restore(loop, loaded)
        return loaded is not None

    def restore(self, loop: Loop, loaded: Loaded) -> None:
        """Put a checkpoint's state into the loop."""
        self.loaded = loaded
        self.parent, self.chain, self.newest = loaded.id, loaded.chain, loaded.newest
        self.before, self._source = loaded.parent, loaded.source
        loop.start_from(loaded.id)
        loop.step = loaded.step + 1
        loop.values.update(loaded.values)
        in_order(loop.values, loop.plan.channels)
        self._lengths = {key: len(value) for key, value in loaded.values.items() if type(value) is list}
        if self._prints is not None:
            self._prints = {key: print_of(loop.values.get(key)) for key in loop.plan.compared}
        waits = loaded.waits
        self.root = waits.get("root", loaded.id)
        loop.next = [name for name in waits.get("next", ()) if name in loop.plan.nodes or name == START]
        loop.sends = waits.get("sends", [])
        loop.joins = {name: set(seen) for name, seen in waits.get("joins", {}).items()}
        loop.deferred = waits.get("deferred", [])
        self.input = (waits["input"],) if "input" in waits else None
        self.records = loaded.records
        if self.id is not None:  # gone back to: its step is run anew, though answers that were given may count
            self.records = [record for record in loaded.records if record[1] in (INTERRUPT, RESUME)]

    async def must_fork(self, loop: Loop) -> bool:
        """Whether the run goes back to an earlier checkpoint, so that a branch begins."""
        if self.id is None or self.loaded is None or not self.forks:
            return False
        if self.loaded.source not in ("update", "fork"):
            return True
        ids = await self.call(loop, "ids", self.thread, self.ns)
        return bool(ids[0] != self.id)

    async def pending_input(self, loop: Loop) -> Any:
        """The input that waits to be taken: as it was given, or as the run that took it wrote it."""
        assert self.loaded is not None
        if "input" in self.loaded.waits:
            return self.loaded.waits["input"]
        if kept := [value for _, channel, value in self.loaded.records if channel == INPUT]:
            return kept[-1]
        after = await self.call(loop, "writes_after", self.thread, self.ns, self.loaded.id)
        found = [writes for _, path, writes in after if path == f"0:{START}"]
        writes = {key: value for key, value in found[0] if key in loop.plan.channels} if found else {}
        return writes.get(ROOT) if loop.plan.is_root else writes

    async def call(self, loop: Loop, method: str, *args: Any) -> Any:
        """A method of the saver, in the colour that it and the run have."""
        saver: Any = self.saver
        if saver.inline:
            return getattr(saver, method)(*args)
        twin = getattr(saver, f"a{method}") if saver.awaitable else None
        return await loop.d.call(loop.scope, getattr(saver, method), twin, *args)

    def answers(self, loop: Loop, resume: Any) -> dict[str, Any]:
        """Answers by the id of their question.

        Raises:
            CannotResume: (a RuntimeError) one answer for several questions.
        """
        written = finished(self.records)
        pending = [
            question
            for task, channel, value in self.records
            if channel == INTERRUPT and task not in written
            for question in value
        ]
        strict = bool(loop.scope.configurable.get("__pregel_strict_resume"))
        return answers_of(resume, pending, strict)

    async def take_answers(self, loop: Loop) -> None:
        """Resume: give the answers that the loop has to the waiting tasks they are for, and store them."""
        self.resuming = True
        self._at_break = START not in loop.next
        written = finished(self.records)
        given = self._given = {task: list(value) for task, channel, value in self.records if channel == RESUME}
        if not loop.answers:
            return
        waiting = [task for task in loop.upcoming(loop.step) if task.id not in written]
        if self.id is not None:  # gone back to: an answer that was given wins
            asked = {task: value for task, channel, value in self.records if channel == INTERRUPT}
            answered = {
                task.id
                for task in waiting
                if any(is_answered(task, question, given.get(task.id, ())) for question in asked.get(task.id, ()))
            }
            waiting = [task for task in waiting if task.id not in answered]
        taken = {task: own_answer(task, loop.answers, given.get(task.id, [])) for task in waiting}
        if loop.nested and len(waiting) == 1 and ANY in loop.answers:
            task = waiting[0]
            if taken[task] is None and task.node.inner is None:
                taken[task] = [*given.get(task.id, []), loop.answers[ANY]]
        records = []
        for task, answers in taken.items():
            if answers is not None:
                loop.answers.pop(ANY, None)
                given[task.id] = answers
                records.append(Record(task.id, _path(task), [(RESUME, answers)]))
        await self.record(loop, records)

    def take_records(self) -> tuple[dict[str, list[tuple[str, Any]]], dict[str, list[Any]]]:
        """By task: what finished ones of the waiting step wrote, and the answers that others have. Given out once."""
        written, given = finished(self.records), self._given
        self.records, self._given, self.resuming = [], {}, False
        return written, given

    def passes_break(self) -> bool:
        """Whether the run goes on with this step: it passes the breakpoint there, once."""
        at_break, self._at_break = self._at_break, False
        return at_break

    @property
    def known_parent(self) -> str | None:
        """The checkpoint before the one that the run is at; with durability `exit` those on the way are never stored."""
        if self.durability == "exit":
            return None if self.loaded is None else self.loaded.parent
        return self.before

    def metadata(self, loop: Loop) -> dict[str, Any]:
        """Facts about the checkpoint that the run is at; of one that was loaded also what was stored of the config."""
        facts = {"source": self._source, "step": loop.step - 1, "parents": dict(loop.parents)}
        loaded = self.loaded
        return {**facts, **loaded.extra} if loaded is not None and loaded.id == self.parent else facts

    # -- writing -----------------------------------------------------------------------------------------------------

    def fold(self, key: str, channel: BaseChannel, old: Any, writes: Sequence[Any], ops: list[tuple[str, Op]]) -> Any:
        """The channel's new value; what changed is added to `ops`."""
        if not channel.stored:
            return channel.fold(key, old, writes)
        if channel.compared:
            new = channel.fold(key, old, writes)
            assert self._prints is not None
            more, self._prints[key] = changes(self._prints.get(key), new)
            ops += [(key, op) for op in more]
            return new
        lengths = self._lengths
        intact = type(old) is not list or len(old) == lengths.get(key, 0)
        new, more = channel.logged(key, old, writes)
        first = not more and type(new) is list and key not in lengths  # empty, but a value from now on
        if first or (not intact and (not more or more[0][0] != "set")):
            more = [("set", new)]
        ops += [(key, op) for op in more]
        if type(new) is list:
            lengths[key] = len(new)
        return new

    def stage(self, loop: Loop, source: str, ops: Sequence[tuple[str, Op]], tasks: Sequence[Task]) -> str:
        """Note a checkpoint to be stored by the next `flush`; returns its id."""
        if self._extra is None:
            self._extra = _metadata(loop.scope)
        if self.ops:
            ops, self.ops = [*self.ops, *ops], []
        id = self.newest = checkpoint_id(self.newest)
        waits: dict[str, Any] = {}
        keeps_root = source == "loop" and self.root is not None
        if keeps_root:
            waits["root"] = self.root
        if loop.next:
            waits["next"] = list(loop.next)
        if loop.sends:
            waits["sends"] = storable_sends(loop.plan, loop.sends)
        if loop.joins:
            waits["joins"] = {name: sorted(seen) for name, seen in loop.joins.items()}
        if loop.deferred:
            waits["deferred"] = loop.deferred
        if self.input is not None:
            waits["input"], self.input = self.input[0], None
        self.entries.append(
            Entry(
                id,
                self.parent,
                source=source,
                step=loop.step,
                ops=ops,
                waits=waits,
                writes=[Record(task.id, _path(task), task.record()) for task in tasks],
                parents=loop.parents,
                extra=self._extra,
                # An input is stored together with the step that takes it.
                values=dict(self._stored(loop)) if source == "input" else self._stored(loop),
                # Whoever goes back to a checkpoint by its id begins a branch, and may run its step again.
                once=source == "loop" and not (self.id is not None and self.parent == self.id),
            )
        )
        self.before, self.parent, self._source = self.parent, id, source
        if not keeps_root:
            self.root = id
        self._ended, self._recorded = [], set()  # they are in this checkpoint
        return id

    async def flush(self, loop: Loop, force: bool = False) -> None:
        """Store what was noted, unless the run's durability says to wait.

        With durability `async` this starts the commit of a step and returns when that of the step before has ended.
        """
        done = not loop.next and not loop.sends
        if self.durability == "exit":
            if not (done or force):
                return
            if done and ":" in self.ns:  # a call inside a task that is over: nobody goes on with it
                self.entries = []
                return
        entries = self.entries
        if entries:
            if self.durability == "exit":
                entries = last_only(entries)
            await self._store(loop, entries, now=done or force)
        if entries and done and self.chain is not None and self.parent is not None:
            self.saver.keep(self.thread, self.ns, self._left(loop))

    async def _store(self, loop: Loop, entries: list[Entry], now: bool) -> None:
        behind, saver = self._behind, self.saver
        if saver.inline:
            self.entries = []
            await self._commit(loop, entries)
            return
        # The input is on disk before the first node runs, whatever the durability.
        if not now and self.durability == "async" and all(entry.source == "loop" for entry in entries):
            await behind.end()  # now the chain is known; whoever cancels here leaves the entries to `close`
            if saver.detach(entries, self.chain):
                self.entries = []
                await behind.begin(loop.d, lambda: self._commit_behind(loop, entries))
                return
        self.entries = []
        await behind.perform(loop.d, lambda: self._commit(loop, entries))

    async def _commit(self, loop: Loop, entries: list[Entry]) -> None:
        if fault_points.strike is not None:
            fault_points.strike("commit.before")
        self.chain = await self.call(loop, "commit", self.thread, self.ns, entries, self.chain, self.lease)
        if fault_points.strike is not None:
            fault_points.strike("commit.after")

    async def _commit_behind(self, loop: Loop, entries: list[Entry]) -> None:
        await self._commit(loop, entries)
        if not loop.d.sync:
            await self._record_ended(loop)

    async def close(self, loop: Loop) -> None:
        """The run is over, in whatever way: wait until all that it noted is stored."""
        if self.entries and self._behind.broken is None:
            await self.flush(loop, force=True)
        await self._behind.end()

    async def ended(self, loop: Loop, task: Task) -> None:
        """One of several tasks of a step has ended: store what it wrote, so that it need not run again."""
        if self.saver.inline or self.durability == "exit" or not task.done:
            return  # what an inline saver keeps dies with the process anyway
        self._ended.append(Record(task.id, _path(task), task.record() or [(NO_WRITES, None)]))
        if loop.d.sync or self.durability == "sync":
            await self._behind.perform(loop.d, lambda: self._record_ended(loop))
        elif not self._behind.busy:  # what goes on looks for more at its end
            await self._behind.begin(loop.d, lambda: self._record_ended(loop))

    async def _record_ended(self, loop: Loop) -> None:
        while self._ended:
            records, self._ended = self._ended, []
            self._recorded.update(record.task_id for record in records)
            await self.record(loop, records)

    async def cut(self, loop: Loop) -> None:
        """The run stops within a step: store what its tasks wrote, asked and were answered, and their errors."""
        try:
            await self.flush(loop, force=True)
        finally:  # a cancellation that came meanwhile takes nothing away
            await self._record_cut(loop)

    async def _record_cut(self, loop: Loop) -> None:
        records = []
        drained = loop.control is not None and loop.control.drain_requested
        for task in loop.tasks:
            if task.done and task.id in self._recorded:
                continue
            # A list, if answers were given; an empty one where the only one was refused.
            writes: list[tuple[str, Any]] = [(RESUME, task.answers)] if isinstance(task.answers, list) else []
            if task.node is loop.plan.start:  # an input is stored with the step that takes it: this one did not end
                writes.append((INPUT, task.input))
            if task.done:
                writes += task.record() or [(NO_WRITES, None)]
            elif task.waits:
                writes.append((INTERRUPT, tuple(map(storable, task.interrupts))))
            elif task.error is not None:
                writes.append((ERROR, repr(task.error)))
            elif not loop.d.sync and not drained:
                writes.append((ERROR, "CancelledError()"))
            records.append(Record(task.id, _path(task), writes))
        if loop.calls is not None:
            records += loop.calls.left()
        self._ended = []
        if self.saver.inline:
            await self.record(loop, records)
        else:
            await self._behind.perform(loop.d, lambda: self.record(loop, records))

    async def record(self, loop: Loop, records: Sequence[Record]) -> None:
        """Store what tasks of the step wrote, against the checkpoint that the step started from."""
        records = [record for record in records if record.writes]
        if not records or self.parent is None:
            return
        if fault_points.strike is not None:
            fault_points.strike("writes.before")
        await self.call(loop, "record", self.thread, self.ns, self.parent, records, self.lease)
        if fault_points.strike is not None:
            fault_points.strike("writes.after")

    def record_now(self, records: Sequence[Record]) -> None:
        """`record` on this thread, for a saver whose methods block."""
        if self.parent is None:
            return
        if fault_points.strike is not None:
            fault_points.strike("writes.before")
        self.saver.record(self.thread, self.ns, self.parent, records, self.lease)
        if fault_points.strike is not None:
            fault_points.strike("writes.after")

    def _stored(self, loop: Loop) -> dict[str, Any]:
        if len(loop.plan.stored) == len(loop.plan.channels):
            return loop.values
        return {key: loop.values[key] for key in loop.plan.stored if key in loop.values}

    def _left(self, loop: Loop) -> Loaded:
        """How the run leaves the thread: containers copied, because the caller gets the loop's own."""
        left = Loaded.__new__(Loaded)
        assert self.parent is not None and self.chain is not None
        left.id, left.parent, left.chain = self.parent, self.before, self.chain
        if self.durability == "exit":  # what lay between was never stored
            left.parent = None if self.loaded is None else self.loaded.id
        left.newest = self.parent
        left.step = loop.step
        left.values = {
            key: value.copy() if type(value) in (list, dict, set) else value
            for key, value in self._stored(loop).items()
        }
        left.waits = {"joins": {name: sorted(seen) for name, seen in loop.joins.items()}} if loop.joins else {}
        left.records, left.writes = [], []
        left.source, left.parents, left.extra = self._source, loop.parents, self._extra or {}
        return left


def finished(records: Sequence[tuple[str, str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """The writes of tasks that ended well, by task."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in records:
        if channel not in SPECIAL:
            found.setdefault(task, []).append((channel, value))
    return found


def _path(task: Task) -> str:
    """The task's place in its step, as text that sorts in order."""
    return f"0:{task.node.name}" if task.index is None else f"1:{task.index:010d}:{task.node.name}"


def _metadata(scope: Scope) -> dict[str, Any]:
    """What a checkpoint's metadata keeps of the run's config: plain facts, no coordinates; a run's id where its metadata says one."""
    named = scope.metadata.get("run_id")
    found = {key: value for key, value in {**scope.configurable, **scope.metadata}.items() if key not in _IDS}
    if named is not None:
        found["run_id"] = named
    return {
        key: value
        for key, value in found.items()
        if not key.startswith(("__", "langgraph_")) and isinstance(value, (str, int, float, bool))
    }
