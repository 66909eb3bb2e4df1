"""The superstep loop: what runs next, running it, applying what it wrote.

A step sees the state as it was when the step began. Tasks run at once; their writes are applied together when all are
done, in the order of the tasks, never of their completion. A step of one task takes no asyncio task and no thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.ids import new_id
from ..errors import (
    EmptyInputError,
    GraphBubbleUp,
    GraphInterrupt,
    GraphRecursionError,
    InvalidArgument,
    InvalidUpdateError,
    ParentCommand,
)
from ..flow.driver import Driver, aclose
from ..spine.events import END as ENDED
from ..spine.events import STREAM
from ..spine.scope import Scope
from .callables import Returned
from .channels import Op
from .constants import ABSENT, END, START
from .control import Command, Send
from .out import (
    CHECKPOINTS,
    CUSTOM,
    DEBUG,
    TASKS,
    TOOLS,
    UPDATES,
    VALUES,
    Out,
    checkpoint_payload,
    ended_payload,
    started_payload,
)
from .runtime import _silent
from .task import Task, TaskScope

if TYPE_CHECKING:
    from .ledger import Ledger
    from .plan import Plan, PlanNode

__all__ = ["Loop"]

logger = logging.getLogger("millstream")


class Loop:
    """One run of a graph. Whoever makes it sets the optional parts, then calls `begin` and `run` (or `pull`)."""

    __slots__ = (
        "_origin",
        "answered",
        "context",
        "d",
        "deferred",
        "joins",
        "ledger",
        "limit",
        "name",
        "next",
        "ns",
        "ns_text",
        "outs",
        "parents",
        "plan",
        "previous",
        "scope",
        "sends",
        "step",
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
        self.context: Any = None
        self.previous: Any = None
        self.ns: tuple[str, ...] = ()
        self.ns_text = ""
        self.parents: dict[str, str] = {}
        self._origin: str | None = None
        # The state, and what is to run next.
        self.values: dict[str, Any] = plan.values()
        self.next: Iterable[str] = ()
        self.sends: list[Send] = []
        self.joins: dict[str, set[str]] = {}
        self.deferred: list[str] = []
        self.tasks: list[Task] = []
        self.todo: list[Task] = []  # those of them that are to be run
        self.step = -1
        self.stop = limit
        # Whether the output keys were written, or the run resumed: only then is there a result.
        self.answered = False
        self.waiting: tuple[Any, ...] = ()

    def tell(self, out: Out) -> None:
        """Add a reader."""
        self.outs = (*self.outs, out)
        self.wants |= out.mask

    @property
    def origin(self) -> str:
        """The id of the checkpoint that the current step starts from."""
        if self._origin is None:
            self._origin = new_id()
        return self._origin

    def config_at(self, checkpoint: str) -> dict[str, Any]:
        """The config that addresses a checkpoint of this run."""
        configurable = {"checkpoint_ns": self.ns_text, "checkpoint_id": checkpoint}
        if (thread := self.scope.configurable.get("thread_id")) is not None:
            configurable["thread_id"] = thread
        return {"configurable": configurable}

    def writer(self) -> Callable[[Any], None]:
        """What puts a value on the `custom` stream."""
        outs = [out for out in self.outs if out.mask & CUSTOM]
        if not outs:
            return _silent

        def write(value: Any) -> None:
            for out in outs:
                out.put((out.ns, "custom", value))

        return write

    def tool_said(self, payload: dict[str, Any]) -> None:
        """Put something that a tool said of itself on the `tools` stream."""
        for out in self.outs:
            if out.mask & TOOLS:
                out.put((out.ns, "tools", payload))

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def run(self, input: Any) -> None:
        """Run from `input` to the end; what is to be said goes to the readers as it happens."""
        await self.begin(input)
        while self.prepare():
            if len(self.todo) == 1:
                await self._solo(self.todo[0])
            elif self.todo:
                async for _ in self._crowd():
                    pass
            for gate in self.scope.gates:
                await self._wait_for(gate)
            if not await self.apply():
                return

    async def pull(self, input: Any, said: deque[Any]) -> AsyncGenerator[Any, None]:
        """`run` for a single reader whose `put` is `said.append`: yields what it says, driven by the consumer."""
        try:
            await self.begin(input)
            while self.prepare():
                while said:
                    yield said.popleft()
                if len(self.todo) == 1:
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
                if not await self.apply():
                    break
                while said:
                    yield said.popleft()
        except Exception:
            while said:
                yield said.popleft()
            raise
        while said:
            yield said.popleft()

    async def begin(self, input: Any) -> None:
        """Load the thread, take the input, and work out the first tasks.

        Raises:
            EmptyInputError: (a ValueError) there is nothing to start with and nothing to resume.
        """
        ledger = self.ledger
        resumable = ledger is not None and await ledger.load(self)
        self.stop = self.step + self.limit + 1
        if input is None or isinstance(input, Command):
            if not resumable and input is None:
                raise EmptyInputError(
                    f"Received no input for {START}: the graph {self.name!r} was called with None, and there is no "
                    "saved run that it could continue; give an input."
                )
            self._take_command(input)
            for out in self.outs:
                out.values(self.values, None)
            self.answered = True
            return
        await self._take_input(input)

    async def _take_input(self, input: Any) -> None:
        plan = self.plan
        self.next, self.sends, self.deferred = (), [], []
        if self.ledger is not None:
            self.ledger.records = []  # what was going on is given up
        start = Task(self, plan.start, input, None)
        start.take(input)
        if not plan.is_root:
            start.writes = [pair for pair in start.writes if pair[0] in plan.input_keys]
        if self.ledger is not None:
            self.next = (START,)
            self._save(self.ledger, "input", [])
        self.step += 1
        start.step = self.step
        if plan.start.branches:
            await self._branch(start, input, TaskScope(start))
        await self._settle([start])

    def prepare(self) -> bool:
        """Make the tasks of the next step; False when there are none.

        Raises:
            GraphRecursionError: the run has taken all the steps that it may.
        """
        if self.step > self.stop:
            raise GraphRecursionError(
                f"Recursion limit of {self.limit} reached without hitting a stop condition. The graph {self.name!r} may "
                "be in a loop: end it with an edge to END, or raise the limit with "
                f'`config={{"recursion_limit": {self.limit * 2}}}`.'
            )
        nodes, values, step, stop = self.plan.nodes, self.values, self.step, self.stop
        tasks = []
        for index, send in enumerate(self.sends):
            if send.node in nodes:
                tasks.append(Task(self, nodes[send.node], send.arg, index))
            else:
                logger.warning("graph %r: ignoring a Send to the unknown node %r", self.name, send.node)
        for name in sorted(self.next):
            node = nodes[name]
            tasks.append(Task(self, node, node.read(values, step, stop), None))
        self.tasks = self.todo = tasks
        if not tasks:
            return False
        if self.wants & (TASKS | DEBUG):
            for task in tasks:
                for out in self.outs:
                    out.task(step, started_payload(task), "task")
        if self.ledger is not None and self.ledger.records:
            self._replay(self.ledger.take_records())
        return True

    def _replay(self, records: dict[str, list[tuple[str, Any]]]) -> None:
        """Take what tasks of this step wrote before the run was cut; only the others are run again."""
        for task in self.tasks:
            if task.id in records:
                task.recall(records[task.id])
                if self.wants & UPDATES and not task.node.hidden:
                    for out in self.outs:
                        if out.mask & UPDATES:
                            out.update(task.node.name, task.writes, cached=True)
        self.todo = [task for task in self.tasks if not task.done]

    async def _solo(self, task: Task) -> None:
        try:
            await self._run(task)
        except GraphInterrupt as asked:
            task.interrupts = asked.interrupts
        except BaseException as error:
            await self._failed(task, error)
            raise
        self._ended(task)

    async def _crowd(self) -> AsyncGenerator[None, None]:
        """Run the tasks of a step at once; yields after each that ends."""
        tasks = self.todo
        running = self.d.run_all(
            [lambda task=task: self._run(task) for task in tasks],  # type: ignore[misc]
            self.scope.max_concurrency,
        )
        failed: tuple[Task, BaseException] | None = None
        try:
            async for index, outcome in running:
                if isinstance(outcome.error, GraphInterrupt):
                    tasks[index].interrupts = outcome.error.interrupts
                elif outcome.error is not None:
                    failed = tasks[index], outcome.error
                    break
                self._ended(tasks[index])
                yield
        finally:
            await running.aclose()
        if failed is not None:
            await self._failed(*failed)
            raise failed[1]

    async def _run(self, task: Task) -> None:
        """Run one node and take what it returns."""
        node = task.node
        scope = TaskScope(task)
        if scope.listeners and not node.hidden:
            await self._run_watched(task, scope)
            return
        try:
            if node.call.run is not None:
                try:
                    result = await node.call.run(self.d, task.input, scope)
                except ParentCommand as bubbled:
                    result = self._from_inside(bubbled)
                task.take(result)
            else:
                result = await self._collect(task, scope)
            if node.branches:
                await self._branch(task, result, scope)
        except Exception as error:
            _annotate(error, task)
            raise
        task.done = True

    async def _run_watched(self, task: Task, scope: TaskScope) -> None:
        node = task.node
        run = scope.begin(node.name, "chain", task.input, tags=(f"graph:step:{task.step}",), extra={"graph_task": task})
        try:
            if node.call.run is not None:
                try:
                    result = await node.call.run(self.d, task.input, run.scope.child("seq:step:1"))
                except ParentCommand as bubbled:
                    result = self._from_inside(bubbled)
                task.take(result)
            else:
                result = await self._collect(task, run.scope.child("seq:step:1"))
            if node.branches:
                await self._branch(task, result, run.scope)
        except GraphInterrupt:
            raise  # the node is not over: it goes on when the answer is there
        except BaseException as error:
            if isinstance(error, Exception):
                _annotate(error, task)
            run.fail(error)
            raise
        if run.mask & STREAM:
            run.emit(STREAM, result)
        if run.mask & ENDED:
            run.end(result)
        task.done = True

    async def _collect(self, task: Task, scope: Scope) -> Any:
        """Run a generator node: each dict or Command it yields is a write of its own, anything else is `custom`."""
        iterate = task.node.call.iterate
        assert iterate is not None
        items = iterate(self.d, task.input, scope)
        write = self.writer()
        taken = []
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
                if self.wants & UPDATES and not task.node.hidden:
                    for out in self.outs:
                        if out.mask & UPDATES:
                            out.update(task.node.name, task.writes[before:])
        finally:
            await items.aclose()
        return taken

    async def _branch(self, task: Task, result: Any, scope: Scope) -> None:
        """Ask the conditional edges of a node where to go; they see the state with this node's writes."""
        d = self.d
        fresh = self._fresh(task)
        extra = result if type(result) is dict and len(result) > len(task.writes) else None
        for branch, read in task.node.branches:
            state = read(fresh, self.step, self.stop)
            if extra is not None and branch.input_type is None and type(state) is dict:
                state = {**extra, **state}
            inner = scope.child("seq:step:3")
            call = branch.call
            if not inner.listeners or call.runnable is not None:
                assert call.run is not None
                chosen = await call.run(d, state, inner)
            else:
                chosen = await self._branch_watched(branch, state, inner)
            for target in branch.targets(chosen, task.node.name):
                task.send_to(target)

    async def _branch_watched(self, branch: Any, state: Any, scope: Scope) -> Any:
        name = "Unnamed" if branch.call.name == "<lambda>" else branch.call.name
        run = scope.begin(name, "chain", state)
        try:
            chosen = await branch.call.run(self.d, state, run.scope)
        except BaseException as error:
            run.fail(error)
            raise
        run.end(chosen)
        return chosen

    def _fresh(self, task: Task) -> dict[str, Any]:
        if not task.writes:
            return self.values
        fresh = dict(self.values)
        for key, writes in _grouped([task]).items():
            fresh[key] = self.plan.channels[key].fold(key, fresh.get(key, ABSENT), writes)
        return fresh

    def _from_inside(self, bubbled: ParentCommand) -> Command[Any]:
        """The command of a graph inside a node, as if the node had returned it."""
        command: Command[Any] = bubbled.command
        if command.graph not in (Command.PARENT, self.name, self.ns_text):
            raise bubbled
        return Command(update=command.update, goto=command.goto, resume=command.resume)

    # -- between steps -----------------------------------------------------------------------------------------------

    def _ended(self, task: Task) -> None:
        """Say what a task that has ended wrote."""
        wants = self.wants
        if not wants & (UPDATES | TASKS | DEBUG):
            return
        for out in self.outs:
            if out.mask & UPDATES and not task.interrupts and not task.node.hidden and not task.said:
                out.update(task.node.name, task.writes)
            if out.mask & (TASKS | DEBUG):
                out.task(self.step, ended_payload(task), "task_result")

    async def _failed(self, task: Task, error: BaseException) -> None:
        """A task of the step failed: say so, and keep what its siblings wrote."""
        task.error = error
        if self.wants & (TASKS | DEBUG) and not isinstance(error, (GraphBubbleUp, asyncio.CancelledError)):
            for out in self.outs:
                out.task(self.step, ended_payload(task), "task_result")
        if self.ledger is not None:
            await self.ledger.failed(self)

    async def apply(self) -> bool:
        """Apply the writes of the step's tasks, work out what runs next, and store a checkpoint.

        False when the run stops here because a task waits for a person.
        """
        tasks = self.tasks
        if len(tasks) > 1:
            # By path: tasks of edges (already in the order of their names) before those of Sends.
            tasks = [t for t in tasks if t.index is None] + [t for t in tasks if t.index is not None]
        await self._settle(tasks)
        return True

    async def _wait_for(self, gate: Any) -> None:
        """Let a reader have what the step said before its writes are applied."""
        if not self.d.sync:
            await gate.drain() if gate.behind else await self.d.sleep(0)
        elif gate.behind or gate.abandoned:
            gate.drain_blocking()

    async def _settle(self, tasks: list[Task]) -> None:
        plan, ledger = self.plan, self.ledger
        values, channels = self.values, plan.channels
        groups = _grouped(tasks)
        ops: list[tuple[str, Op]] = []
        changed: dict[str, Any] = {}
        key = ""
        try:
            if ledger is None:
                for key, writes in groups.items():
                    changed[key] = channels[key].fold(key, values.get(key, ABSENT), writes)
            else:
                for key, writes in groups.items():
                    changed[key] = ledger.fold(key, channels[key], values.get(key, ABSENT), writes, ops)
        except InvalidUpdateError as error:
            writers = [t.node.name for t in tasks if any(k == key for k, _ in t.writes)]
            error.add_note(f"Key {key!r} was written in step {self.step} by {', '.join(writers)}.")
            raise
        for key in plan.volatile:
            if key not in changed and key in values:
                changed[key] = channels[key].idle(values[key])
                ops.append((key, ("unset", None)))
        for key, value in changed.items():
            if value is ABSENT:
                values.pop(key, None)
            else:
                values[key] = value
        self._route(tasks)
        if self.wants & VALUES:
            for out in self.outs:
                out.values(values, groups)
        self.answered = self.answered or not groups.keys().isdisjoint(
            plan.output_keys if isinstance(plan.output_keys, tuple) else (plan.output_keys,)
        )
        if ledger is not None:
            self._save(ledger, "loop", ops, tasks)
            await ledger.flush(self)
        self.step += 1

    def _route(self, tasks: list[Task]) -> None:
        """Work out which nodes the tasks lead to."""
        if len(tasks) == 1:
            task = tasks[0]
            node = task.node
            if not task.goto and not node.joins and not self.deferred:
                self.sends = task.sends
                self.next = node.next
                if not self.plan.deferring:
                    return
        names: dict[str, None] = {}
        sends: list[Send] = []
        for task in tasks:
            names.update(dict.fromkeys(task.node.next))
            names.update(dict.fromkeys(task.goto))
            sends += task.sends
            for join in task.node.joins:
                seen = self.joins.setdefault(join.name, set())
                seen.add(task.node.name)
                if seen == join.sources:
                    del self.joins[join.name]
                    names[join.target] = None
        self.sends = sends
        self._wake(names)

    def _wake(self, names: dict[str, None]) -> None:
        nodes = self.plan.nodes
        ready = []
        for name in names:
            if name == END:
                continue
            if name not in nodes:
                logger.warning("graph %r: ignoring the unknown destination %r", self.name, name)
            elif not nodes[name].defer:
                ready.append(name)
            elif name not in self.deferred:
                self.deferred.append(name)
        if not ready and not self.sends:
            ready, self.deferred = self.deferred, []
        self.next = ready

    def _save(self, ledger: Ledger, source: str, ops: list[tuple[str, Op]], tasks: Sequence[Task] = ()) -> None:
        """Note a checkpoint: what changed, what waits."""
        parent = ledger.parent
        self._origin = ledger.stage(self, source, ops, tasks)
        if self.wants & (CHECKPOINTS | DEBUG):
            payload = checkpoint_payload(self, source, self.step, parent, self.pending())
            for out in self.outs:
                out.checkpoint(self.step, payload)

    def pending(self) -> list[tuple[str, str, Any]]:
        """Name, id and sub-state of the tasks that would run next."""
        step, self.step = self.step, self.step + 1
        try:
            nodes = self.plan.nodes
            waiting = [Task(self, nodes[s.node], s.arg, i) for i, s in enumerate(self.sends) if s.node in nodes]
            waiting += [Task(self, nodes.get(name, self.plan.start), None, None) for name in sorted(self.next)]
            return [(task.node.name, task.id, None) for task in waiting]
        finally:
            self.step = step

    def _take_command(self, command: Command[Any] | None) -> None:
        """Apply a Command given as input: its update and its directions, before the pending tasks."""
        if command is None:
            return
        if command.resume is not None:
            raise InvalidArgument(f"the graph {self.name!r} has no interrupt to resume.")
        node: PlanNode = self.plan.start
        task = Task(self, node, None, None)
        task.take(Command(update=command.update, goto=command.goto))
        for key, writes in _grouped([task]).items():
            self.values[key] = self.plan.channels[key].fold(key, self.values.get(key, ABSENT), writes)
        names = dict.fromkeys([*self.next, *task.goto])
        self.sends = [*self.sends, *task.sends]
        self._wake(names)


def _grouped(tasks: list[Task]) -> dict[str, list[Any]]:
    """The writes of tasks by key, in order."""
    groups: dict[str, list[Any]] = {}
    for task in tasks:
        for key, value in task.writes:
            if key in groups:
                groups[key].append(value)
            else:
                groups[key] = [value]
    return groups


def _annotate(error: Exception, task: Task) -> None:
    if not isinstance(error, GraphBubbleUp):
        error.add_note(f"During task with name '{task.node.name}' and id '{task.id}'")
