"""The start of a run: what the thread holds, what the input is, and which tasks come first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import CannotResume, EmptyInputError, GraphDrained, GraphInterrupt, InvalidUpdateError
from .constants import NULL_TASK, PREVIOUS, START
from .control import Command
from .draining import RunControl
from .handlers import tell_resume
from .interrupts import own_answer
from .ledger import finished
from .out import CHECKPOINTS, DEBUG
from .running import annotate, choose_first
from .savers.log import Record
from .settling import apply, commanded, save, settle, show_start
from .task import Task, grouped

if TYPE_CHECKING:
    from .loop import Loop

__all__ = ["begin", "drain"]


async def begin(loop: Loop, input: Any) -> bool:
    """Load the thread, take the input, and work out the first tasks; False where a path from START waits for a person.

    Raises:
        EmptyInputError: (a ValueError) there is nothing to start with and nothing to resume.
        CannotResume: (a RuntimeError) an answer without a question that it could be for.
    """
    ledger = loop.ledger
    resumable = ledger is not None and await ledger.load(loop)
    loop.stop = loop.step + loop.limit + 1
    if isinstance(input, Command):
        _check(loop, input)
        if resumable or loop.plan.entry is not None:
            going = await _resume(loop, input)
        else:  # nothing waits: what it says is the input
            going = await _take_input(loop, Command(update=input.update, goto=input.goto))
    # A graph inside a task finds its namespace used only when that task is run again: it goes on then.
    elif resumable and (input is None or _goes_on(loop)):
        going = await _resume(loop, None)
    elif input is None:
        raise EmptyInputError(
            f"Received no input for {START}: the graph {loop.name!r} was called with None, and there is no "
            "saved run that it could continue; give an input."
        )
    else:
        going = await _take_input(loop, input)
    if going and loop.control is not None:
        await drain(loop, loop.control)
    return going


def _goes_on(loop: Loop) -> bool:
    """Whether this is a graph inside a task that was cut."""
    if not loop.nested or loop.nested_anew:
        return False
    # With the task's id in its namespace the state is that of this very call: if that ended, it is not made again.
    return bool(loop.next) or bool(loop.sends) or ":" in loop.ns_text


async def _take_input(loop: Loop, input: Any) -> bool:
    ledger = loop.ledger
    if ledger is not None:  # what was going on is given up, but for what a Command said of the state
        said = finished(ledger.records).get(NULL_TASK, [])
        commanded(loop, [pair for pair in said if pair[0] in loop.plan.channels], ledger.ops)
        ledger.records = []
    loop.next, loop.sends, loop.deferred = (), (), ()
    if loop.plan.entry is not None:
        await _enter(loop, loop.plan.entry, input)
        return True
    if loop.ledger is not None:
        loop.next = (START,)
        save(loop, loop.ledger, "input", [])
    loop.step += 1
    return await _start(loop, input)


async def _start(loop: Loop, input: Any) -> bool:
    """The step of the start node: it writes the input and goes where START's edges lead."""
    plan = loop.plan
    if loop.ledger is not None and loop.wants & (CHECKPOINTS | DEBUG):
        show_start(loop, loop.ledger, loop.upcoming(loop.step))
    start = Task(loop, plan.start, input, None)
    start.take(input)
    if loop.control is not None and loop.control.drain_requested:
        loop.tasks = (start,)
        await loop.cut(GraphDrained())
        raise GraphDrained(loop.control.drain_reason)
    if not plan.is_root and not isinstance(input, Command):
        start.writes = [pair for pair in start.writes if pair[0] in plan.input_keys]
    if plan.start.branches and not await _led(loop, start):
        return False
    await settle(loop, [start])
    return True


async def _led(loop: Loop, start: Task) -> bool:
    """Ask the paths from START where to go; False where one of them waits for a person."""
    ledger = loop.ledger
    if ledger is not None and ledger.resuming:
        start.answers = ledger.take_records()[1].get(start.id, ())
    elif ledger is None and loop.nested and loop.answers:
        start.answers = own_answer(start, loop.answers, ()) or ()
    loop.tasks = (start,)
    try:
        await choose_first(loop, start)
    except GraphInterrupt as asked:
        loop.asked(start, asked)
        await loop.end_step()
        return False
    except BaseException as error:
        if isinstance(error, Exception):
            annotate(error, start)
        start.error = error
        await loop.cut(error)
        raise
    return True


async def _enter(loop: Loop, entry: str, input: Any) -> None:
    """Give the input to the node that takes it whole; there is no step of the start node then."""
    ops: list[Any] = []
    start = Task(loop, loop.plan.start, input, None)
    start.writes = [(START, input)]
    apply(loop, [start], grouped([start]), ops)
    loop.previous = loop.values.get(PREVIOUS)
    loop.next = (entry,)
    if loop.ledger is not None:
        save(loop, loop.ledger, "input", ops)
        await loop.ledger.flush(loop)
    loop.step += 1


async def _resume(loop: Loop, command: Command[Any] | None) -> bool:
    """Go on with what waits, after what a Command says was applied."""
    ledger = loop.ledger
    loop.resumed = True
    if loop.scope.listeners:
        tell_resume(loop)
    if ledger is not None and ledger.id is not None and (command is None or command.resume is None):
        ledger.records = []
    if command is not None and command.resume is not None and ledger is not None:
        loop.answers = ledger.answers(loop, command.resume)
    answering = command is not None and command.resume is not None
    forks = ledger is not None and not answering and await ledger.must_fork(loop)
    await _take_command(loop, command, recorded=not forks)
    if ledger is not None:
        if forks:
            save(loop, ledger, "fork", [])
            await ledger.flush(loop)
            loop.step += 1
        await ledger.take_answers(loop)
    for out in loop.outs:
        out.values(loop.seen, None)
    loop.answered = True
    if loop.plan.entry is not None:
        loop.previous = loop.values.get(PREVIOUS)
    if ledger is not None and START in loop.next:
        return await _start(loop, await ledger.pending_input(loop))
    return True


def _check(loop: Loop, command: Command[Any]) -> None:
    if command.graph == Command.PARENT:
        raise InvalidUpdateError(
            "There is no parent graph: a Command given as input is for the graph that is called; leave `graph` out."
        )
    if command.resume is None and command.update is None and not command.goto:
        raise EmptyInputError(
            f"Received no input for {START}: the Command is empty; give it `resume`, `update` or `goto`, or call with None."
        )
    if command.resume is not None and loop.ledger is None:
        raise CannotResume("Cannot use Command(resume=...) without checkpointer; compile the graph with one.")


async def _take_command(loop: Loop, command: Command[Any] | None, recorded: bool) -> None:
    """Apply the update and the directions of a Command given as input, before the pending tasks.

    They are stored at once (`recorded`), against the checkpoint that waits: whoever goes on after the run was cut finds
    them. Where a branch begins they are in its first checkpoint.
    """
    ledger = loop.ledger
    earlier = [] if ledger is None else finished(ledger.records).get(NULL_TASK, [])
    task = Task(loop, loop.plan.start, None, None)
    if command is not None and (command.update is not None or command.goto):
        task.take(Command(update=command.update, goto=command.goto))
        if ledger is not None and recorded:
            await ledger.record(loop, [Record(NULL_TASK, "", [*earlier, *task.record()])])
    commanded(loop, earlier, ledger.ops if ledger is not None else None)
    commanded(loop, task.record(), ledger.ops if ledger is not None else None)


async def drain(loop: Loop, control: RunControl) -> None:
    """Stop the run here if that was asked for and something is left to be done.

    Raises:
        GraphDrained: (control flow) it was.
    """
    if control.drain_requested and (loop.next or loop.sends):
        if loop.ledger is not None:
            await loop.ledger.flush(loop, force=True)
        raise GraphDrained(control.drain_reason)
