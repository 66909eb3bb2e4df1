"""Running one task: its node, then the conditional edges of that node."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from ..errors import GraphBubbleUp, GraphInterrupt, NodeCancelledError, ParentCommand
from ..spine import fault_points
from ..spine.events import END, STREAM
from ..spine.scope import Scope
from .branch import Branch
from .callables import Returned
from .constants import ABSENT, START, TAG_HIDDEN
from .control import Command, Send
from .heard import tell_returned
from .out import UPDATES
from .settling import in_order
from .task import Task, TaskScope, grouped

if TYPE_CHECKING:
    import asyncio

    from .loop import Loop
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["annotate", "attempt", "choose", "choose_first", "run_plainly", "run_task"]


class FromInside(Command[Any]):
    """The command of a graph inside a node: it takes the place of what the node would have returned."""


# Every wake-up inside a node passes through all frames around it: so these hand on coroutines where they need not await.


def run_task(loop: Loop, task: Task) -> Coroutine[Any, Any, None]:
    """Run a task's node, with all that its options ask for around it."""
    around = task.node.around
    return run_plainly(loop, task) if around is None else around(loop, task)


def run_plainly(loop: Loop, task: Task) -> Coroutine[Any, Any, None]:
    """Run a task's node and take what it returns and where it leads."""
    if fault_points.strike is not None:
        fault_points.strike("task.start")
    scope = TaskScope(task)
    watched = not task.node.hidden and scope.heard("chain")
    return _run_watched(loop, task, scope) if watched else _run(loop, task, scope)


async def _run(loop: Loop, task: Task, scope: TaskScope) -> None:
    try:
        result = await task.node.attempt(loop, task, scope)
        if task.node.branches:
            await choose(loop, task, result, scope)
    except Exception as error:
        annotate(error, task)
        raise
    except asyncio.CancelledError as error:
        if _is_cancelled(loop):
            raise
        raise _cancelled_itself(task) from error
    if scope.listeners and not task.node.hidden and not isinstance(result, FromInside):
        tell_returned(task, result)
    task.done = True
    if fault_points.strike is not None:
        fault_points.strike("task.done")


async def _run_watched(loop: Loop, task: Task, scope: TaskScope) -> None:
    node = task.node
    scope.own_tags = (f"graph:step:{task.step}",)
    policy = None if node.spec is None else node.spec.trace
    shown = task.input if policy is None or policy.process_inputs is None else policy.process_inputs(task.input)
    run = scope.begin(node.name, "chain", shown, extra=task.told)
    try:
        if not loop.d.sync and len(loop.todo) > 1:
            await loop.d.sleep(0)  # those that start together are told to have started, before one of them ends
        result = await task.node.attempt(loop, task, run.scope.child("seq:step:1"))
        if node.branches:
            await choose(loop, task, result, run.scope)
    except GraphInterrupt as asked:
        run.fail(asked)  # this run of the node is over; another one begins when the answer is there
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and not _is_cancelled(loop):
            run.fail(own := _cancelled_itself(task))
            raise own from error
        if isinstance(error, Exception):
            annotate(error, task)
        run.fail(error)
        task.told = run._extra
        raise
    if isinstance(result, FromInside):  # a graph inside was left: the node has an update, and returned nothing
        run.fail(ParentCommand(result))
        task.done = True
        return
    tell_returned(task, result)
    if policy is not None and policy.process_outputs is not None:
        result = policy.process_outputs(result)
    if run.mask & STREAM:
        run.emit(STREAM, result)
    if run.mask & END:
        run.end(result)
    task.done = True
    if fault_points.strike is not None:
        fault_points.strike("task.done")


async def attempt(loop: Loop, task: Task, scope: Scope) -> Any:
    """What the node returned, taken by the task."""
    run = task.node.call.run
    if run is None:
        return await _collected(loop, task, scope)
    try:
        result = await run(loop.d, task.input, scope)
    except ParentCommand as bubbled:
        result = _from_inside(loop, bubbled)
    if result is not None and type(result) is not dict and hasattr(result, "__await__"):
        result = await _awaited(loop, result, scope)
    task.take(result)
    return result


async def _awaited(loop: Loop, given: Any, scope: Scope) -> Any:
    """What a function that is not marked as async gave to be awaited, such as `lambda state: agent.ainvoke(state)`."""
    try:
        return await loop.d.call(scope, None, lambda: given)
    finally:
        if loop.d.sync and hasattr(given, "close"):
            given.close()


def _from_inside(loop: Loop, bubbled: ParentCommand) -> Command[Any]:
    """The command of a graph inside a node, as if the node had returned it."""
    command: Command[Any] = bubbled.command
    if command.graph not in (Command.PARENT, loop.name, loop.ns_text):
        raise bubbled
    return FromInside(update=command.update, goto=command.goto)


async def _collected(loop: Loop, task: Task, scope: Scope) -> list[Any]:
    """Run a generator node: each dict or Command it yields is a write of its own, anything else is `custom`."""
    iterate = task.node.call.iterate
    assert iterate is not None
    write = task.writer()
    taken = []
    items = iterate(loop.d, task.input, scope)
    try:
        async for item in items:
            if isinstance(item, Returned):
                item = item.value
            elif not isinstance(item, (dict, Command, Send)):
                write(item)
                continue
            before = len(task.writes)
            task.take(item)
            taken.append(item)
            task.said = True
            if loop.wants & UPDATES and not task.node.hidden:
                for out in loop.outs:
                    if out.mask & UPDATES:
                        out.update(task.node.name, task.writes[before:])
    finally:
        await items.aclose()
    return taken


async def choose(loop: Loop, task: Task, result: Any, scope: Scope) -> None:
    """Ask the conditional edges of a node where to go; they see the state with this node's writes."""
    fresh = _fresh(loop, task)
    # A path sees what its node does, and also the keys that the node returned.
    whole = type(result) is dict and (task.node.narrow or len(result) > len(task.writes))
    for branch, read, tag in task.node.branches:
        state = read(fresh, loop.step, loop.stop)
        if whole and branch.input_type is None and type(state) is dict:
            state = {**result, **state}
        inner = scope.child(tag)
        call = branch.call
        if call.runnable is not None or not inner.heard("chain"):
            assert call.run is not None
            chosen = await call.run(loop.d, state, inner)
        else:
            chosen = await _choose_watched(loop, branch, state, inner)
        for target in branch.targets(chosen, task.node.name):
            task.send_to(target)


async def choose_first(loop: Loop, start: Task) -> None:
    """Ask the conditional edges of START; whoever watches sees them inside a hidden run."""
    scope = TaskScope(start)
    scope.tags = (*scope.tags, TAG_HIDDEN)
    if not scope.heard("chain"):
        return await choose(loop, start, start.input, scope)
    scope.own_tags = (f"graph:step:{start.step}",)
    run = scope.begin(START, "chain", start.input)
    try:
        await choose(loop, start, start.input, run.scope)
    except BaseException as error:
        run.fail(error)
        raise
    if run.mask & STREAM:
        run.emit(STREAM, start.input)
    run.end(start.input)


async def _choose_watched(loop: Loop, branch: Branch, state: Any, scope: Scope) -> Any:
    call = branch.call
    assert call.run is not None
    run = scope.begin(call.name, "chain", state)
    try:
        chosen = await call.run(loop.d, state, run.scope)
    except BaseException as error:
        run.fail(error)
        raise
    run.end(chosen)
    return chosen


def _fresh(loop: Loop, task: Task) -> dict[str, Any]:
    if not task.writes:
        return loop.values
    fresh = dict(loop.values)
    channels = loop.plan.channels
    for key, writes in grouped([task]).items():
        fresh[key] = channels[key].fold(key, fresh.get(key, ABSENT), writes)
    if len(fresh) > len(loop.values):
        in_order(fresh, channels)
    return fresh


def _is_cancelled(loop: Loop) -> bool:
    """Whether somebody cancelled the run; else a CancelledError is the node's own."""
    current = None if loop.d.sync else asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _cancelled_itself(task: Task) -> NodeCancelledError:
    own = NodeCancelledError(task.node.name)
    annotate(own, task)
    return own


def annotate(error: Exception, task: Task) -> None:
    """Say in the error in which task it was raised."""
    if not isinstance(error, GraphBubbleUp):
        error.add_note(f"During task with name '{task.node.name}' and id '{task.id}'")
