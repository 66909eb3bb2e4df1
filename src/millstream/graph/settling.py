"""Between two steps: apply what the tasks wrote, and work out what runs next."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .channels import Op
from .constants import ABSENT, END, START
from .control import Send
from .out import VALUES, checkpoint_payload
from .task import Task, grouped

if TYPE_CHECKING:
    from .ledger import Ledger
    from .loop import Loop
    from .plan import Join

__all__ = ["by_path", "commanded", "in_order", "in_preparation", "route", "save", "settle", "show_start", "wake"]

logger = logging.getLogger("millstream")


async def settle(loop: Loop, tasks: Sequence[Task], source: str = "loop", beside: Sequence[Task] = ()) -> None:
    """Apply the writes of a step's tasks, in their order; say the new values; store a checkpoint.

    What those `beside` them wrote was applied already; they lead on too.

    Raises:
        InvalidUpdateError: (a ValueError) a channel cannot take what was written. Nothing is applied then.
    """
    ledger = loop.ledger
    ops: list[tuple[str, Op]] = []
    groups = grouped(tasks)
    try:
        apply(loop, tasks, groups, ops)
    except Exception as error:
        await loop.cut(error)
        raise
    route(loop, [*beside, *tasks] if beside else tasks)
    if loop.plan.held and not loop.next and not loop.sends:
        _finish(loop, groups, ops)
    if loop.wants & VALUES:
        for out in loop.outs:
            out.values(loop.seen, groups)
    if not loop.answered:
        loop.answered = not loop.plan.output_set.isdisjoint(groups)
    if ledger is not None:
        save(loop, ledger, source, ops, tasks)
        await ledger.flush(loop)
    loop.step += 1
    loop.resumed = False


def apply(
    loop: Loop, tasks: Sequence[Task], groups: dict[str, list[Any]], ops: list[tuple[str, Op]] | None = None
) -> None:
    """Fold writes into the values; what changed is added to `ops` where there is a ledger."""
    values, channels, ledger = loop.values, loop.plan.channels, loop.ledger
    changed: dict[str, Any] = {}
    key = ""
    try:
        if ledger is None or ops is None:
            for key, writes in groups.items():
                changed[key] = channels[key].fold(key, values.get(key, ABSENT), writes)
        else:
            for key, writes in groups.items():
                changed[key] = ledger.fold(key, channels[key], values.get(key, ABSENT), writes, ops)
    except Exception as error:
        writers = [t.node.name for t in tasks if any(k == key for k, _ in t.writes)]
        error.add_note(f"Key {key!r} was written in step {loop.step} by {', '.join(writers)}.")
        raise
    for key in loop.plan.volatile:
        if key not in changed and key in values:
            changed[key] = channels[key].idle(values[key])
            if ops is not None and channels[key].stored:
                ops.append((key, ("unset", None)))
    new = False
    for key, value in changed.items():
        if value is ABSENT:
            values.pop(key, None)
        else:
            new = new or key not in values
            values[key] = value
    if new and len(values) > 1:
        in_order(values, channels)


def in_order(values: dict[str, Any], channels: Mapping[str, Any]) -> None:
    """Keep the keys of the state in the order in which the schema has them: so nodes see them, and whoever prints them."""
    ordered = {key: values[key] for key in channels if key in values}
    values.clear()
    values.update(ordered)


def _finish(loop: Loop, groups: dict[str, list[Any]], ops: list[tuple[str, Op]]) -> None:
    """Tell the channels that wait for it that the run is out of work."""
    for key, channel in loop.plan.held.items():
        old = loop.values.get(key, ABSENT)
        if old is not ABSENT and (new := channel.finished(old)) != old:
            loop.values[key] = new
            groups.setdefault(key, [])
            ops.append((key, ("set", new)))


def route(loop: Loop, tasks: Sequence[Task]) -> None:
    """Work out which nodes the tasks lead to."""
    if len(tasks) == 1:
        task = tasks[0]
        if not task.goto and not task.node.joins and not loop.deferred and not loop.plan.deferring:
            loop.sends, loop.next = task.sends, task.node.next
            return
    names: dict[str, None] = {}
    sends: list[Send] = []
    joins: list[Join] = []
    for task in tasks:
        names.update(dict.fromkeys(task.node.next))
        names.update(dict.fromkeys(task.goto))
        sends += task.sends
        for join in task.node.joins:
            loop.joins.setdefault(join.name, set()).add(task.node.name)
            joins.append(join)
    for join in joins:
        # Whichever of them ran more than once meanwhile.
        if join.name in loop.joins and loop.joins[join.name] == join.sources:
            del loop.joins[join.name]
            names[join.target] = None
    loop.sends = sends
    wake(loop, names)


def wake(loop: Loop, names: Iterable[str]) -> None:
    """Let the named nodes run next; deferred ones once nothing else is left to run."""
    nodes = loop.plan.nodes
    ready = []
    for name in names:
        if name == END:
            continue
        if name not in nodes:
            logger.warning("graph %r: ignoring the unknown destination %r", loop.name, name)
        elif not nodes[name].defer:
            ready.append(name)
        elif name not in loop.deferred:
            loop.deferred = [*loop.deferred, name]
    if not ready and not loop.sends:
        ready, loop.deferred = [*loop.deferred], ()
    loop.next = ready


def commanded(loop: Loop, record: list[tuple[str, Any]], ops: list[tuple[str, Op]] | None = None) -> None:
    """Apply what a Command given as input says, to the state and to what runs next."""
    if not record:
        return
    task = Task(loop, loop.plan.start, None, None)
    task.recall(record)
    apply(loop, [task], grouped([task]), ops)
    loop.sends = [*loop.sends, *task.sends]
    input_waits = START in loop.next
    wake(loop, dict.fromkeys(name for name in [*loop.next, *task.goto] if name != START))
    if input_waits:
        loop.next = [START, *loop.next]


def save(loop: Loop, ledger: Ledger, source: str, ops: list[tuple[str, Op]], tasks: Sequence[Task] = ()) -> None:
    """Note a checkpoint: what changed, what waits."""
    loop.start_from(ledger.stage(loop, source, ops, tasks))


def show_start(loop: Loop, ledger: Ledger, tasks: Sequence[Task]) -> None:
    """Say from which checkpoint a step starts."""
    payload = checkpoint_payload(loop, ledger, tasks)
    for out in loop.outs:
        out.checkpoint(loop.step - 1, payload)


def in_preparation(task: Task) -> tuple[bool, str]:
    """Where a task stands among those that are prepared together: those of Sends are first, as they were sent."""
    return task.index is None, task.node.name if task.index is None else ""


def by_path(tasks: Sequence[Task]) -> Sequence[Task]:
    """The order in which writes are applied: tasks of edges by the names of their nodes, then those of Sends."""
    if len(tasks) < 2:
        return tasks
    pulled = sorted((t for t in tasks if t.index is None), key=lambda t: t.node.name)
    return [*pulled, *(t for t in tasks if t.index is not None)]
