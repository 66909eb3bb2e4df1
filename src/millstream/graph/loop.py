"""The superstep loop: what runs next, running it, stopping.

A step sees the state as it was when the step began. Tasks run at once; their writes are applied together when all are
done, in the order of the tasks, never of their completion. A step of one task takes no asyncio task and no thread.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.ids import new_id
from ..data.lazy import Lazy
from ..errors import GraphBubbleUp, GraphDrained, GraphInterrupt, GraphRecursionError, StorageError
from ..flow.driver import Driver, aclose
from ..spine.scope import Scope
from .control import Interrupt, Send
from .draining import RunControl
from .handlers import Status, tell_interrupt
from .interrupts import named, own_answer
from .limits import Deadline
from .out import CHECKPOINTS, CUSTOM, DEBUG, TASKS, TOOLS, UPDATES, Out, ended_payload, started_payload
from .plan import bounded
from .running import run_task
from .runtime import silent
from .settling import apply, by_path, in_preparation, settle, show_start
from .starting import begin, drain
from .task import Task, grouped
from .tool_input import ToolCallWithContext

if TYPE_CHECKING:
    import asyncio

    from ..chat.caches import BaseCache
    from .calls import Calls
    from .ledger import Ledger
    from .plan import Plan
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["Loop"]

_OWN = frozenset({"checkpoint_map", "lease"})

logger = logging.getLogger("millstream")


class Loop:
    """One run of a graph. Whoever makes it sets the optional parts, then calls `run` (or `pull`)."""

    __slots__ = (
        "_origin",
        "answered",
        "answers",
        "breaks_after",
        "breaks_before",
        "cache",
        "calls",
        "context",
        "control",
        "d",
        "deferred",
        "joins",
        "ledger",
        "limit",
        "name",
        "nested",
        "nested_anew",
        "next",
        "ns",
        "ns_text",
        "outs",
        "parents",
        "plan",
        "previous",
        "resumed",
        "scope",
        "sends",
        "step",
        "step_timeout",
        "stop",
        "store",
        "tasks",
        "todo",
        "values",
        "waiting",
        "wants",
    )

    def __init__(self, plan: Plan, d: Driver, scope: Scope, limit: int, name: str) -> None:
        self.plan = plan
        self.d = d
        self.scope = scope
        self.limit = limit
        self.name = name
        self.outs: tuple[Out, ...] = ()
        self.wants = 0
        self.ledger: Ledger | None = None
        self.store: Any = None
        self.cache: BaseCache | None = None
        self.calls: Calls | None = None
        self.control: RunControl | None = None
        self.step_timeout: float | None = None
        self.context: Any = None
        self.previous: Any = None
        self.nested = False
        self.nested_anew = False  # a graph inside a task that keeps its state, and is not to go on with an old run
        self.resumed = False
        self.ns: tuple[str, ...] = ()
        self.ns_text = ""
        self.parents: dict[str, str] = {}
        self.breaks_before: frozenset[str] = frozenset()
        self.breaks_after: frozenset[str] = frozenset()
        self._origin: str | None = None
        # The state, and what is to run next.
        self.values: dict[str, Any] = plan.values()
        self.next: Iterable[str] = ()
        self.sends: Sequence[Send] = ()
        self.joins: dict[str, set[str]] = {}
        self.deferred: Sequence[str] = ()
        self.tasks: Sequence[Task] = ()
        self.todo: Sequence[Task] = ()  # those of them that are to be run
        self.step = -1
        self.stop = limit
        # Whether the output keys were written, or the run resumed: only then is there a result.
        self.answered = False
        # Answers to questions, by the id of the question; and the questions of the step, in the order in which they came.
        self.answers: dict[str, Any] = {}
        self.waiting: tuple[Interrupt, ...] = ()

    def tell(self, out: Out) -> None:
        """Add a reader."""
        self.outs = (*self.outs, out)
        self.wants |= out.mask

    @property
    def seen(self) -> dict[str, Any]:
        """The state as nodes and callers see it."""
        return self.plan.seen(self.values)

    @property
    def origin(self) -> str:
        """The id of the checkpoint that the current step starts from."""
        if self._origin is None:
            self._origin = new_id()
        return self._origin

    @property
    def root(self) -> str:
        """What the ids of the run's tasks begin with: it outlives the loss of a step."""
        ledger = self.ledger
        return self.origin if ledger is None or ledger.root is None else ledger.root

    def start_from(self, checkpoint: str) -> None:
        """Let the next step start from this checkpoint."""
        self._origin = checkpoint

    def config_at(self, checkpoint: str) -> dict[str, Any]:
        """The config of this run, at one of its checkpoints."""
        given = self.scope.configurable
        configurable = {key: given[key] for key in given if key not in _OWN and not key.startswith("__pregel")}
        configurable |= {"checkpoint_ns": self.ns_text, "checkpoint_id": checkpoint}
        if self.ledger is not None:
            configurable["thread_id"] = self.ledger.thread
        if self.parents:
            configurable["checkpoint_map"] = {**self.parents, self.ns_text: checkpoint}
        return {"configurable": configurable}

    def writer(self, below: tuple[str, ...] = ()) -> Callable[[Any], None]:
        """What puts a value on the `custom` stream, as of a part of the run that stands `below` it."""
        outs = [((*out.ns, *below), out) for out in self.outs if out.mask & CUSTOM]
        if not outs:
            return silent

        def write(value: Any) -> None:
            for ns, out in outs:
                out.put((ns, "custom", value))

        return write

    def tool_said(self, payload: dict[str, Any]) -> None:
        """Put something that a tool said of itself on the `tools` stream."""
        for out in self.outs:
            if out.mask & TOOLS:
                out.put((out.ns, "tools", payload))

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def run(self, input: Any) -> None:
        """Run from `input` to the end; what is to be said goes to the readers as it happens."""
        try:
            going = await begin(self, input)
            while going and self.prepare():
                if len(self.todo) == 1 and self.step_timeout is None:
                    await self._solo(self.todo[0])
                elif self.todo:
                    async for _ in self._crowd():
                        pass
                for gate in self.scope.gates:
                    await self._wait_for(gate)
                if not await self.end_step():
                    break
        except BaseException as error:
            await self._close(error)
            raise
        if self.ledger is not None:
            await self.ledger.close(self)

    async def pull(self, input: Any, said: deque[Any]) -> AsyncGenerator[Any, None]:
        """`run` for a single reader whose `put` is `said.append`: yields what it says, driven by the consumer.

        What a step says at its end comes when the next one is ready: where that cannot be, the reader gets the error alone.
        """
        between = True
        try:
            going = await begin(self, input)
            while going and self.prepare():
                between = False
                while said:
                    yield said.popleft()
                if len(self.todo) == 1 and self.step_timeout is None:
                    await self._solo(self.todo[0])
                elif self.todo:
                    crowd = self._crowd()
                    try:
                        async for _ in crowd:
                            while said:
                                yield said.popleft()
                    finally:
                        await aclose(crowd)
                for gate in self.scope.gates:
                    await self._wait_for(gate)
                between = True
                if not await self.end_step():
                    break
            if self.ledger is not None:
                await self.ledger.close(self)
        except BaseException as error:
            await self._close(error)
            whole = not between or isinstance(error, (GraphRecursionError, GraphBubbleUp, StorageError))
            if whole and isinstance(error, Exception):
                while said:
                    yield said.popleft()
            raise
        while said:
            yield said.popleft()

    async def _close(self, error: BaseException) -> None:
        """The run ends by `error`: wait until what it noted is stored."""
        if self.ledger is not None:
            try:
                await self.ledger.close(self)
            except Exception as lost:
                _also(error, lost)

    async def cut(self, error: BaseException) -> None:
        """The step ends by `error`: keep what its finished tasks wrote."""
        if self.ledger is not None:
            try:
                await self.ledger.cut(self)
            except Exception as lost:
                _also(error, lost)

    def _sent(self, send: Send) -> Any:
        """The input of the task that a Send makes; a tool's call that was stored gets its state back."""
        arg = send.arg
        if type(arg) is ToolCallWithContext and "state" not in arg:
            arg["state"] = self.plan.nodes[send.node].read(self.values, self.step - 1, self.stop)
        return arg

    def prepare(self) -> bool:
        """Make the tasks of the next step; False when there are none, or when the run is to stop before them.

        Raises:
            GraphRecursionError: the run has taken all the steps that it may.
        """
        if self.step > self.stop:
            self._show_left()
            raise GraphRecursionError(
                f"Recursion limit of {self.limit} reached without hitting a stop condition. The graph {self.name!r} may "
                "be in a loop: end it with an edge to END, or raise the limit with "
                f'`config={{"recursion_limit": {self.limit * 2}}}`.'
            )
        nodes, values, step, stop = self.plan.nodes, self.values, self.step, self.stop
        tasks = []
        for index, send in enumerate(self.sends):
            if send.node in nodes:
                node = nodes[send.node] if send.timeout is None else bounded(nodes[send.node], send.timeout)
                tasks.append(Task(self, node, self._sent(send), index))
            else:
                logger.warning("graph %r: ignoring a Send to the unknown node %r", self.name, send.node)
        for name in sorted(self.next):
            node = nodes[name]
            tasks.append(Task(self, node, node.read(values, step, stop), None))
        self.tasks = self.todo = tasks
        ledger = self.ledger
        if ledger is not None and self.wants & (CHECKPOINTS | DEBUG):
            show_start(self, ledger, tasks)
        if not tasks:
            return False
        if (
            self.breaks_before
            and not (ledger is not None and ledger.passes_break())
            and self._breaks(self.breaks_before)
        ):
            self._stop("interrupt_before")
            return False
        if self.wants & (TASKS | DEBUG):
            for task in tasks:
                for out in self.outs:
                    out.task(step, started_payload(task), "task")
        if ledger is not None and ledger.resuming:
            self._recall(ledger)
        elif ledger is None and self.nested and self.answers:
            for task in tasks:
                task.answers = own_answer(task, self.answers, ()) or ()
        return True

    def _recall(self, ledger: Ledger) -> None:
        """Take what tasks of this step wrote before the run was cut; only the others are run again."""
        written, answers = ledger.take_records()
        for task in self.tasks:
            task.answers = answers.get(task.id, ())
            if task.id in written:
                task.recall(written[task.id])
                if self.wants & UPDATES and not task.node.hidden:
                    for out in self.outs:
                        if out.mask & UPDATES:
                            out.update(task.node.name, task.writes, cached=True)
        self.todo = [task for task in self.tasks if not task.done]
        if written or answers:
            from .calls import Calls  # only what calls tasks needs it

            self.calls = Calls(written, answers)

    async def _solo(self, task: Task) -> None:
        try:
            await run_task(self, task)
        except GraphInterrupt as asked:
            self.asked(task, asked)
        except BaseException as error:
            await self._failed(task, error)
            raise
        self._ended(task)

    async def _crowd(self) -> AsyncGenerator[None, None]:
        """Run the tasks of a step at once; yields after each that ends."""
        tasks = self.todo
        within = None if self.step_timeout is None else Deadline(self.step_timeout)
        run = run_task if within is None else within.run_task
        running = self.d.run_all(
            [lambda task=task: run(self, task) for task in tasks],  # type: ignore[misc]
            self.scope.max_concurrency,
        )
        failed: tuple[Task, BaseException] | None = None
        told: set[int] = set()
        beside: list[Task] = []
        try:
            async for index, outcome in running:
                told.add(index)
                if isinstance(outcome.error, GraphInterrupt):
                    self.asked(tasks[index], outcome.error)
                elif outcome.error is not None:
                    failed = tasks[index], outcome.error
                    if not self.d.sync:  # those that ended in the same moment; of threads, nobody can say which did
                        beside = [task for at, task in enumerate(tasks) if task.done and at not in told]
                    break
                elif within is not None and within.passed:
                    failed = tasks[index], TimeoutError("Timed out")
                    break
                if self.ledger is not None:
                    await self.ledger.ended(self, tasks[index])
                self._ended(tasks[index])
                yield
        except BaseException as left:  # the run was left or cancelled
            try:
                await running.aclose()
            finally:
                await self.cut(left)
            raise
        finally:
            await running.aclose()
        if failed is not None:
            await self._failed(*failed)
            for task in beside:
                self._ended(task)
            raise failed[1]

    # -- the end of a task and of a step -------------------------------------------------------------------------------

    def _ended(self, task: Task) -> None:
        """Say what a task that has ended wrote."""
        wants = self.wants
        if not wants & (UPDATES | TASKS | DEBUG) or (task.waits and not task.interrupts):
            return
        for out in self.outs:
            if out.mask & UPDATES and task.done and not task.node.hidden and not task.said:
                out.update(task.node.name, task.writes)
            if out.mask & (TASKS | DEBUG) and task.attempt:
                out.task(self.step, ended_payload(task), "task_result")

    def asked(self, task: Task, asked: GraphInterrupt) -> None:
        """A task waits for a person."""
        task.interrupts = named(task, asked)
        task.waits = True
        if not task.interrupts:  # a graph inside the task is at a breakpoint: whoever began the run is told at its end
            return
        self.waiting = (*self.waiting, *task.interrupts)
        for out in self.outs:
            out.interrupted(self.seen, task.interrupts)

    async def _failed(self, task: Task, error: BaseException) -> None:
        """A task of the step failed: say so, and keep what its siblings wrote."""
        if not isinstance(error, GraphDrained):
            task.error = error
        if self.calls is not None:
            await self.calls.finish(self.d.sync, cancel=True)
        late = self.step_timeout is not None and type(error) is TimeoutError  # of the step, not of a task
        untold = late or isinstance(error, (GraphBubbleUp, asyncio.CancelledError))
        if self.wants & (TASKS | DEBUG) and not untold:
            for out in self.outs:
                out.task(self.step, ended_payload(task), "task_result")
        await self.cut(error)

    async def end_step(self) -> bool:
        """Apply what the step's tasks wrote; False when the run stops here because a task waits for a person."""
        tasks = self.tasks
        if self.calls is not None:
            await self.calls.finish(self.d.sync)
        if any(task.waits for task in tasks):
            await self._interrupted()
            return False
        await settle(self, tasks if len(tasks) == 1 else by_path(tasks))
        if self.breaks_after and self._breaks(self.breaks_after):
            self._show_left()
            self._stop("interrupt_after")
            return False
        if self.control is not None:
            if self.control.drain_requested and (self.next or self.sends):
                self._show_left()
            await drain(self, self.control)
        return True

    def _show_left(self) -> None:
        """Tell the checkpoint that the run ends with, before its end, and what would come next."""
        if self.ledger is not None and self.wants & (CHECKPOINTS | DEBUG):
            show_start(self, self.ledger, sorted(self.upcoming(self.step), key=in_preparation))

    async def _interrupted(self) -> None:
        if self.ledger is not None:
            await self.ledger.cut(self)
        finished = [task for task in by_path(self.tasks) if task.done]
        groups = grouped(finished)
        if groups and not self.nested:
            # Shown, not stored: the step is not over.
            apply(self, finished, groups)
            for out in self.outs:
                out.values(self.seen, groups)
        self._stop()

    def _breaks(self, where: frozenset[str]) -> bool:
        return any(task.node.name in where or ("*" in where and not task.node.hidden) for task in self.tasks)

    def _stop(self, where: Status = "pending") -> None:
        """End the run before its end; a graph inside a task takes that task with it."""
        if self.scope.listeners:
            tell_interrupt(self, where, self.waiting)
        if self.nested:
            raise GraphInterrupt(self.waiting)
        if not self.waiting:  # at a breakpoint; questions were told as they were asked
            for out in self.outs:
                out.interrupted(self.seen, ())

    async def _wait_for(self, gate: Any) -> None:
        """Let a reader have what the step said before its writes are applied."""
        if not self.d.sync:
            await gate.drain() if gate.behind else await self.d.sleep(0)
        elif gate.behind or gate.abandoned:
            gate.drain_blocking()

    def upcoming(self, step: int) -> list[Task]:
        """The tasks that would run in `step`, in the order of the nodes' definition, without their input."""
        nodes, order = self.plan.nodes, self.plan.order
        tasks = [Task(self, nodes[s.node], self._sent(s), i) for i, s in enumerate(self.sends) if s.node in nodes]
        names = sorted(self.next, key=lambda name: order.get(name, -1))
        tasks += [Task(self, nodes.get(name, self.plan.start), None, None) for name in names]
        for task in tasks:
            task.step = step
        return tasks


def _also(error: BaseException, lost: Exception) -> None:
    """A run that fails could not store what it had: the first error is raised, and tells of the second."""
    if lost is error or lost is error.__context__:
        return
    error.add_note(f"What the run had done could not be stored either: {lost!r}")
    logger.warning("a run that failed could not store what it had done", exc_info=lost)
