"""The state of a thread, read and changed from outside of a run: snapshots, history, updates."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CorruptCheckpoint, InvalidArgument, InvalidUpdateError
from ..flow.driver import Driver
from ..spine.scope import Scope
from .constants import END, ERROR, INPUT, INTERRUPT, NULL_TASK, RESUME, START
from .control import PregelTask, StateSnapshot, StateUpdate
from .interrupts import is_answered
from .ledger import Ledger, finished
from .loop import Loop
from .out import read_keys, result_of
from .running import choose
from .savers.base import BaseCheckpointSaver
from .savers.ids import made_at
from .savers.log import Loaded, nodes_of
from .savers.tuples import named
from .settling import apply, by_path, commanded, save, settle
from .task import Task, TaskScope, grouped

if TYPE_CHECKING:
    from .compiled import CompiledStateGraph

__all__ = ["history", "read_state", "update_state"]

COPY = "__copy__"
PART = 512
"""How many checkpoints of a history are held at once, at most."""


async def read_state(
    app: CompiledStateGraph[Any, Any, Any, Any], d: Driver, scope: Scope, subgraphs: bool = False
) -> StateSnapshot:
    """The state at the checkpoint that the scope names, or at the latest one.

    The latest one is live: what finished tasks of an unfinished step wrote is shown as applied.
    """
    empty = StateSnapshot({}, (), {"configurable": dict(scope.configurable)}, None, None, None, (), ())
    if _graph_at(app, scope) is None:
        return empty
    loop, ledger = _loop(app, d, scope)
    ledger.only_read()
    loaded = await _load(loop, ledger, ledger.id)
    if loaded is None:
        return empty
    after = await _after(loop, ledger, loaded.id)
    snapshot = _snapshot(loop, ledger, loaded, after, live=ledger.id is None)
    return await _with_inner(app, d, scope, snapshot) if subgraphs else snapshot


async def history(
    app: CompiledStateGraph[Any, Any, Any, Any],
    d: Driver,
    scope: Scope,
    filter: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
    limit: int | None,
) -> AsyncGenerator[StateSnapshot, None]:
    """Snapshots of one thread and namespace, newest first."""
    if _graph_at(app, scope) is None:
        return
    loop, ledger = _loop(app, d, scope)
    ledger.only_read()
    ids = await ledger.call(loop, "ids", ledger.thread, ledger.ns)
    if ledger.id is not None:
        ids = [id for id in ids if id == ledger.id]
    bound = ((before or {}).get("configurable") or {}).get("checkpoint_id")
    newer = bound is not None or ledger.id is not None  # whether there may be later checkpoints, which are not read
    after: dict[str, list[Any]] = {}
    shown = [id for id in ids if bound is None or id < bound]
    async for loaded in _newest_first(loop, ledger, shown):
        if limit is not None and limit <= 0:
            return
        if loaded.parent is not None and (loaded.writes or loaded.parent not in after):  # a branch has none of its own
            after[loaded.parent] = loaded.writes
        if newer and loaded.id not in after:
            after[loaded.id] = await _after(loop, ledger, loaded.id)
        snapshot = _snapshot(loop, ledger, loaded, after.get(loaded.id, []), live=False)
        metadata = snapshot.metadata or {}
        if filter and any(key not in metadata or metadata[key] != want for key, want in filter.items()):
            continue
        limit = None if limit is None else limit - 1
        yield snapshot


async def _newest_first(loop: Loop, ledger: Ledger, ids: Sequence[str]) -> AsyncGenerator[Loaded, None]:
    """Checkpoints, read in parts that double: the first is there at once, and what many share is read once."""
    begin, count = 0, 1
    while begin < len(ids):
        part = ids[begin : begin + count]
        try:
            found = await ledger.call(loop, "load_all", ledger.thread, ledger.ns, part[::-1])
        except CorruptCheckpoint:  # those that are whole come before the error
            for id in part:
                if (loaded := await _load(loop, ledger, id)) is not None:
                    yield loaded
        else:
            for loaded in reversed(found):
                yield loaded
        begin, count = begin + count, min(2 * count, PART)


async def update_state(
    app: CompiledStateGraph[Any, Any, Any, Any], d: Driver, scope: Scope, supersteps: Sequence[Sequence[StateUpdate]]
) -> dict[str, Any]:
    """Write updates as if nodes had returned them, one checkpoint a superstep; the config of the last one.

    Raises:
        InvalidUpdateError: (a ValueError) an unknown node, or none named where several could be meant.
        InvalidArgument: (a ValueError) no updates.
    """
    if not supersteps or not all(supersteps):
        raise InvalidArgument("an update of the state needs at least one superstep, and each at least one update.")
    for updates in supersteps:
        if len(updates) > 1 and not all(update.as_node for update in updates):
            raise InvalidUpdateError(
                "as_node is required where one superstep has several updates: name it in each of them."
            )
    config: dict[str, Any] = {}
    for updates in supersteps:
        loop, ledger = _loop(app, d, scope)
        if config:
            ledger.id = config["configurable"]["checkpoint_id"]
        loaded = await _load(loop, ledger, ledger.id)
        if loaded is not None:
            ledger.restore(loop, loaded)
            ledger.records = loaded.records
            loop.parents = loaded.parents
        elif updates[0].as_node != INPUT:
            loop.step = 0
        await _update(loop, ledger, loaded, updates)
        await ledger.flush(loop, force=True)
        assert ledger.parent is not None
        config = _config(ledger, loop.parents, ledger.parent)
    return config


async def _update(loop: Loop, ledger: Ledger, loaded: Loaded | None, updates: Sequence[StateUpdate]) -> None:
    first = updates[0]
    if len(updates) == 1 and first.as_node == COPY:
        if loaded is None:
            raise InvalidUpdateError(f"thread {ledger.thread!r} has no checkpoint that could be copied.")
        ran = await _ran_last(loop, ledger, loaded)
        ledger.parent, ledger.chain = loaded.parent, None
        save(loop, ledger, "fork", _all_set(loop))
        ledger.entries[-1].waits["ran"] = sorted(ran)
        return
    if len(updates) == 1 and first.as_node == END and first.values is None:
        _finish(loop, ledger)
        return
    if len(updates) == 1 and first.as_node == INPUT:
        if first.values is None:
            raise InvalidUpdateError(f"an update as {INPUT!r} stands for an input: give its values, and not None.")
        ledger.records, loop.sends, loop.deferred = [], [], []
        ledger.input = (first.values,)
        loop.next = (START,)
        save(loop, ledger, "input", [])
        return
    # Updates as named nodes are beside what others wrote in a step that was cut; one without goes back to before the step.
    done = finished(ledger.records) if ledger.id is None and first.as_node else {}
    tasks = []
    for update in updates:
        name = update.as_node or await _last_node(loop, ledger, loaded)
        if name != START and name not in loop.plan.nodes:
            raise InvalidUpdateError(f"Node {name} does not exist; nodes are {list(loop.plan.nodes)}.")
        node = loop.plan.start if name == START else loop.plan.nodes[name]
        task = Task(loop, node, update.values, None)
        loop.plan.take(task, update.values)
        if node.branches:
            await choose(loop, task, update.values, TaskScope(task))
        tasks.append(task)
    led = {name for task in tasks for name in (*task.node.next, *task.goto)}
    waiting = loop.upcoming(loop.step)
    pending = by_path([task for task in waiting if task.id in done and task.node.name not in led])
    named = {task.node.name for task in tasks}
    joined = {join.target for node in loop.plan.nodes.values() for join in node.joins} - named
    # What all of a list edge's sources led to still waits; what other edges led to is given up with the step.
    tasks[0].goto = [*tasks[0].goto, *(t.node.name for t in waiting if t.index is None and t.node.name in joined)]
    commanded(loop, finished(ledger.records).get(NULL_TASK, []) if ledger.id is None else [], ledger.ops)
    for task in pending:
        task.recall(done[task.id])
    if pending:
        apply(loop, pending, grouped(pending), ledger.ops)
    await settle(loop, tasks, "update", pending)


def _finish(loop: Loop, ledger: Ledger) -> None:
    """Give up what waits; what finished tasks of the step wrote is kept."""
    done = finished(ledger.records)
    commanded(loop, done.get(NULL_TASK, []), ledger.ops)
    tasks = by_path([task for task in loop.upcoming(loop.step) if task.id in done])
    for task in tasks:
        task.recall(done[task.id])
    apply(loop, tasks, grouped(tasks), ledger.ops)
    loop.next, loop.sends, loop.deferred = (), [], []
    save(loop, ledger, "update", [])


def _all_set(loop: Loop) -> list[Any]:
    """Every value anew: a copy has the parent of what it copies, so it cannot build on that one's changes."""
    return [(key, ("set", loop.values[key])) for key in loop.plan.stored if key in loop.values]


async def _last_node(loop: Loop, ledger: Ledger, loaded: Loaded | None) -> str:
    """The node that an update without one is taken to come from: the one that ran last. What updates stood for did not run."""
    if loop.plan.entry is not None:
        return loop.plan.entry
    ran = await _ran_last(loop, ledger, loaded)
    if len(ran) > 1:
        raise InvalidUpdateError(f"Ambiguous update, specify as_node: {', '.join(sorted(ran))} ran last, together.")
    return ran.pop() if ran else START


async def _ran_last(loop: Loop, ledger: Ledger, loaded: Loaded | None) -> set[str]:
    """The nodes of the last step before a checkpoint that a run made."""
    while loaded is not None:
        ran = set(loaded.waits.get("ran", ()))
        if not ran and loaded.source == "loop":
            ran = nodes_of(write for write in loaded.writes if write[1].startswith("0:"))  # a Send is of no edge
        if ran:
            return ran
        loaded = None if loaded.parent is None else await _load(loop, ledger, loaded.parent)
    return set()


def _result(loop: Loop, task: Task) -> Any:
    """What a task wrote: by key, or itself where the state is one value."""
    result = result_of(task.writes, loop.plan.shown)
    return next(iter(result.values()), None) if isinstance(loop.plan.stream_keys, str) else result


# -- snapshots -------------------------------------------------------------------------------------------------------


def _snapshot(loop: Loop, ledger: Ledger, loaded: Loaded, after: Sequence[Any], live: bool) -> StateSnapshot:
    loop.values = loop.plan.values()
    ledger.restore(loop, loaded)
    written = {**finished(loaded.records), **{task: [tuple(w) for w in writes] for task, _, writes in after}}
    errors = {task: value for task, channel, value in loaded.records if channel == ERROR}
    asked = {task: value for task, channel, value in loaded.records if channel == INTERRUPT}
    given = {task: value for task, channel, value in loaded.records if channel == RESUME}
    tasks = []
    if commands := written.get(NULL_TASK):
        commanded(loop, commands if live else [pair for pair in commands if pair[0] in loop.plan.channels])
    waiting = loop.upcoming(loop.step)
    names = [task.node.name for task in waiting]  # a handler that went on for one of them was none that waited
    for task, name in zip(waiting, names, strict=True):
        result, inner = written.get(task.id), task.inner_config()
        if result is not None and not live and (failed := [value for channel, value in result if channel == ERROR]):
            errors[task.id], result = failed[-1], None  # what went on for it wrote under its own name
        questions = tuple(asked.get(task.id, ())) if result is None or not live else ()
        if live:
            questions = tuple(q for q in questions if not is_answered(task, q, given.get(task.id, ())))
        if result is not None:
            task.recall(result)
        tasks.append(
            PregelTask(
                task.id,
                name,
                task.path,
                error=errors.get(task.id),
                interrupts=questions,
                state=inner,
                result=None if result is None else _result(loop, task),
            )
        )
    done = by_path([task for task in waiting if task.done]) if live else []
    if done:
        apply(loop, done, grouped(done))
    return StateSnapshot(
        read_keys(loop.seen, loop.plan.stream_keys),
        tuple(name for task, name in zip(waiting, names, strict=True) if task not in done),
        _config(ledger, loaded.parents, loaded.id),
        {"source": loaded.source, "step": loaded.step, "parents": loaded.parents, **loaded.extra},
        made_at(loaded.id),
        None if loaded.parent is None else _config(ledger, loaded.parents, loaded.parent),
        tuple(tasks),
        tuple(question for task in tasks for question in task.interrupts),
    )


def _config(ledger: Ledger, parents: Mapping[str, str], id: str) -> dict[str, Any]:
    """The config that names a checkpoint; of a graph inside a task also those above it."""
    config = named(ledger.thread, ledger.ns, id)
    if parents:
        config["configurable"]["checkpoint_map"] = {**parents, ledger.ns: id}
    return config


async def _with_inner(
    app: CompiledStateGraph[Any, Any, Any, Any], d: Driver, scope: Scope, snapshot: StateSnapshot
) -> StateSnapshot:
    """The snapshot with the states of the graphs inside its waiting tasks."""
    tasks = []
    for task in snapshot.tasks:
        if task.state is not None:
            inner = scope.copy()
            given = {key: value for key, value in scope.configurable.items() if key != "checkpoint_id"}
            inner.configurable = {**given, **task.state["configurable"]}
            task = task._replace(state=await read_state(app, d, inner, subgraphs=True))
        tasks.append(task)
    return snapshot._replace(tasks=tuple(tasks))


# -- the saver -------------------------------------------------------------------------------------------------------


def _graph_at(
    app: CompiledStateGraph[Any, Any, Any, Any], scope: Scope
) -> CompiledStateGraph[Any, Any, Any, Any] | None:
    """The graph that the scope's namespace leads to; None where a node on the way is unknown, or no graph."""
    if not isinstance(app.checkpointer, BaseCheckpointSaver):
        raise InvalidArgument("No checkpointer set: compile the graph with one, e.g. InMemorySaver().")
    ns = scope.configurable.get("checkpoint_ns") or ""
    graph = app
    for part in ns.split("|") if ns else ():
        name = part.split(":")[0]
        if name.isdigit():  # the number of a call within a task
            continue
        node = graph.plan.nodes.get(name)
        if node is None or node.inner is None:
            return None
        graph = node.inner
    return graph


def _loop(app: CompiledStateGraph[Any, Any, Any, Any], d: Driver, scope: Scope) -> tuple[Loop, Ledger]:
    graph = _graph_at(app, scope)
    ns = scope.configurable.get("checkpoint_ns") or ""
    if graph is None:
        raise InvalidArgument(
            f"Subgraph {ns!r} not found: no nodes of {app.get_name()!r} and of what is in it have these names."
        )
    if graph.checkpointer is True:  # it has one state for the thread, whichever task it is run by
        ns = "|".join(part.split(":")[0] for part in ns.split("|"))
    loop = Loop(graph.plan, d, scope, 1, graph.get_name())
    loop.ns_text = ns
    loop.ns = tuple(ns.split("|")) if ns else ()
    loop.ledger = Ledger(app.checkpointer, {**scope.configurable, "checkpoint_ns": ns}, ns, "sync")
    return loop, loop.ledger


async def _load(loop: Loop, ledger: Ledger, id: str | None) -> Loaded | None:
    loaded: Loaded | None = await ledger.call(loop, "load", ledger.thread, ledger.ns, id, True)
    return loaded


async def _after(loop: Loop, ledger: Ledger, id: str) -> list[Any]:
    """What the tasks that waited at a checkpoint wrote, where the run went on from it."""
    found: list[Any] = await ledger.call(loop, "writes_after", ledger.thread, ledger.ns, id)
    return found
