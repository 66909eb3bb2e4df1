"""A task: one run of one node in one superstep; and the scope in which it runs.

What a task is called, its namespace and its metadata are worked out only when somebody reads them: most runs are
not watched, and a step should cost little more than the node itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ErrorCode, InvalidUpdateError, ParentCommand
from ..spine.scope import Scope
from .constants import ERROR, HANDLER, NO_WRITES, PULL, PUSH, ROOT, TASKS, TO
from .control import Command, Interrupt, Send
from .runtime import ExecutionInfo, Runtime, heard, idle, server_info
from .schema import object_pairs

if TYPE_CHECKING:
    from .limits import Watch
    from .loop import Loop
    from .plan import Plan, PlanNode
    from .policies import NodeError

__all__ = ["PregelExecutableTask", "Task", "TaskScope", "grouped", "task_of", "uuid_of"]


class Task:
    """One node to be run with one input. `index` is None for a node that an edge triggered, else that of its Send."""

    __slots__ = (
        "_begun",
        "_id",
        "_metadata",
        "answers",
        "asked",
        "attempt",
        "done",
        "error",
        "failure",
        "goto",
        "index",
        "input",
        "interrupts",
        "loop",
        "node",
        "said",
        "sends",
        "step",
        "subgraphs",
        "told",
        "waits",
        "watch",
        "writes",
    )

    def __init__(self, loop: Loop, node: PlanNode, input: Any, index: int | None) -> None:
        self.loop: Loop = loop
        self.node = node
        self.input = input
        self.index = index
        self.step = loop.step
        self.writes: list[tuple[str, Any]] = []
        # Where it leads, beside its edges. Most tasks lead nowhere else: then nothing is made for it.
        self.goto: Sequence[str] = ()
        self.sends: Sequence[Send] = ()
        self.done = False
        self.said = False
        self.told: dict[str, Any] | None = None  # what views noted of the attempt before this one
        self.error: BaseException | None = None
        self.interrupts: tuple[Interrupt, ...] = ()
        self.waits = False
        # Questions: how many this run of the node has asked, and the answers that there are.
        self.asked = 0
        self.answers: Sequence[Any] = ()
        self.subgraphs = 0
        self.attempt = 1
        self.failure: NodeError | None = None
        self.watch: Watch | None = None
        self._begun: float | None = None
        self._id: str | None = None
        self._metadata: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name of its node."""
        return self.node.name

    # -- what it is called -------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """A uuid that is the same whenever this task of this step is run."""
        if self._id is None:
            loop = self.loop
            parts = (loop.root, loop.ns_text, str(self.step), self.node.name, str(self.index))
            self._id = uuid_of(*parts)
        return self._id

    def handlers_id(self) -> str:
        """What streams call the handler that went on in its place; it is stored under the task's own id."""
        return uuid_of(self.id, self.node.name)

    @property
    def begun(self) -> float:
        """When its node began first, as far as anybody asked before it ended: the first asking counts."""
        if self._begun is None:
            self._begun = time()
        return self._begun

    @property
    def ns(self) -> str:
        """The checkpoint namespace of what runs inside the task."""
        return self.ns_of(self.node.name)

    def ns_of(self, name: str) -> str:
        """The namespace that it has as a task of the node `name`."""
        own = f"{name}:{self.id}"
        return f"{self.loop.ns_text}|{own}" if self.loop.ns_text else own

    @property
    def path(self) -> tuple[Any, ...]:
        """Where the task stands in its step."""
        return (PULL, self.node.name) if self.index is None else (PUSH, self.index, False)

    @property
    def triggers(self) -> tuple[str, ...]:
        """What can start it."""
        return self.node.triggers if self.index is None else self.node.push_triggers

    @property
    def metadata(self) -> dict[str, Any]:
        """The run's metadata with what the graph adds to it."""
        if self._metadata is None:
            ns = self.ns
            self._metadata = {
                **self.loop.scope.metadata,
                "langgraph_step": self.step,
                "langgraph_node": self.node.name,
                "langgraph_triggers": self.triggers,
                "langgraph_path": self.path,
                "langgraph_checkpoint_ns": ns,
                "checkpoint_ns": ns,
                **(self.node.metadata or {}),
            }
        return self._metadata

    def configurable(self) -> dict[str, Any]:
        """The run's configurable values with the task's own namespace, and the checkpoints that it and those around stand on."""
        loop = self.loop
        given = loop.scope.configurable
        above = {**(given.get("checkpoint_map") or {}), **loop.parents, loop.ns_text: loop.origin}
        return {**given, "checkpoint_ns": self.ns, "checkpoint_id": None, "checkpoint_map": above}

    def inner_config(self) -> dict[str, Any] | None:
        """The config that names the state of the graph inside the task; None where there is none."""
        if self.node.inner is None or self.node.inner.checkpointer is False:
            return None
        thread = self.loop.scope.configurable.get("thread_id")
        return {"configurable": {"thread_id": thread, "checkpoint_ns": self.ns}}

    def writer(self) -> Callable[[Any], None]:
        """What the node says with it goes to the `custom` stream, if that was asked for."""
        write = self.loop.writer()
        return write if self.watch is None else heard(write, self.watch)

    def runtime(self) -> Runtime[Any]:
        """The node's Runtime."""
        loop = self.loop
        return Runtime(
            context=loop.context,
            store=loop.store,
            stream_writer=self.writer(),
            previous=loop.previous,
            execution_info=ExecutionInfo(self),
            server_info=server_info(loop.scope.configurable),
            heartbeat=idle if self.watch is None else self.watch.beat,
            control=loop.control,
        )

    # -- what it wrote -----------------------------------------------------------------------------------------------

    def take(self, result: Any) -> None:
        """Take what the node returned as its writes and directions.

        Raises:
            InvalidUpdateError: it is nothing that can be written.
            ParentCommand: it is meant for an enclosing graph.
        """
        if result is None:
            return
        plan = self.loop.plan
        if type(result) is dict and not plan.is_root:
            channels = plan.channels
            self.writes += [pair for pair in result.items() if pair[0] in channels]
        elif isinstance(result, Command):
            self._take_command(result)
        elif isinstance(result, Send):
            self.sends = [*self.sends, result]
        elif isinstance(result, (list, tuple)) and any(isinstance(each, Command) for each in result):
            for each in result:
                self.take(each)
        else:
            self._take_update(result)

    def _take_command(self, command: Command[Any]) -> None:
        if command.graph is not None and command.graph not in (self.loop.name, self.loop.ns_text):
            raise ParentCommand(command)
        update = command.update
        if isinstance(update, (list, tuple)) and not self.loop.plan.is_root and all(map(_is_pair, update)):
            self._take_pairs(update)
        elif update is not None:
            self._take_update(update)
        goto = command.goto
        for target in (goto,) if isinstance(goto, (str, Send)) else goto:
            self.send_to(target)

    def _take_update(self, update: Any) -> None:
        if self.loop.plan.is_root:
            self.writes.append((ROOT, update))
            return
        pairs = update.items() if isinstance(update, dict) else object_pairs(update)
        if pairs is None:
            raise InvalidUpdateError(
                f"Expected dict, got {update!r} from node {self.node.name!r}; return a dict of state keys, a Command or None.",
                code=ErrorCode.INVALID_GRAPH_NODE_RETURN_VALUE,
            )
        self._take_pairs(pairs)

    def _take_pairs(self, pairs: Iterable[tuple[str, Any]]) -> None:
        channels = self.loop.plan.channels
        self.writes += [(key, value) for key, value in pairs if key in channels]

    def send_to(self, target: Any) -> None:
        """Add a direction: the name of a node, or a Send."""
        if isinstance(target, Send):
            if not isinstance(self.sends, list):
                self.sends = []
            self.sends.append(target)
        else:
            self.goto = [*self.goto, target]

    def begin_again(self) -> None:
        """Forget what a failed attempt wrote."""
        self.begun  # noqa: B018 - it was, before this attempt
        self.attempt += 1
        self.writes, self.goto, self.sends, self.asked = [], (), (), 0

    def hand_to(self, node: PlanNode, failure: NodeError) -> None:
        """Let another node go on in the place of this one, which failed."""
        self.begin_again()
        self.attempt, self.failure = 1, failure
        self.id  # noqa: B018 - the task stays the one that was begun
        self.node, self._metadata = node, None

    def record(self) -> list[tuple[str, Any]]:
        """What it wrote and where it leads, as pairs to be stored."""
        directions: list[tuple[str, Any]] = [(f"{TO}{name}", None) for name in self.goto]
        if self.failure is not None:
            directions += [(HANDLER, self.node.name), (ERROR, repr(self.failure.error))]
        plan = self.loop.plan
        if len(plan.stored) == len(plan.channels):
            return [*self.writes, *directions, *((TASKS, send) for send in self.sends)]
        writes = [pair for pair in self.writes if pair[0] in plan.stored]
        return [*writes, *directions, *((TASKS, send) for send in storable_sends(plan, self.sends))]

    def recall(self, record: list[tuple[str, Any]]) -> None:
        """Take what was stored of it instead of running it."""
        self.done = True
        for channel, value in record:
            if channel.startswith(TO):
                self.goto = [*self.goto, channel.removeprefix(TO)]
            elif channel == TASKS:
                self.sends = [*self.sends, value]
            elif channel == HANDLER:
                self.id  # noqa: B018 - the task stays the one that was begun
                self.node = self.loop.plan.nodes[value]
            elif channel not in (NO_WRITES, ERROR):
                self.writes.append((channel, value))

    def __repr__(self) -> str:
        return f"Task({self.node.name!r}, step={self.step})"


PregelExecutableTask: TypeAlias = Task


class TaskScope(Scope):
    """The scope inside a task. Copies of it (for runs inside) stay in the task; its dictionaries are made when read."""

    __slots__ = ("_configurable", "_metadata", "task")

    def __init__(self, task: Task) -> None:
        base = task.loop.scope
        self.parent = base.parent
        self.listeners = base.listeners
        self.tags = base.tags
        self.shown_tags = base.shown_tags
        self.shown_metadata = None
        self.recursion_limit = task.loop.limit
        self.max_concurrency = base.max_concurrency
        self.gates = base.gates
        self.run_name = None
        self.run_id = None
        self.own_tags = ()
        self.task = task
        self._metadata: dict[str, Any] | None = None
        self._configurable: dict[str, Any] | None = None

    def copy(self) -> TaskScope:
        new = TaskScope.__new__(TaskScope)
        new.parent = self.parent
        new.listeners = self.listeners
        new.tags = self.tags
        new.shown_tags = self.shown_tags
        new.shown_metadata = self.shown_metadata
        new.recursion_limit = self.recursion_limit
        new.max_concurrency = self.max_concurrency
        new.gates = self.gates
        new.run_name = self.run_name
        new.run_id = self.run_id
        new.own_tags = self.own_tags
        new.task = self.task
        new._metadata = self._metadata
        new._configurable = self._configurable
        return new

    @property
    def metadata(self) -> dict[str, Any]:
        return self.task.metadata if self._metadata is None else self._metadata

    @metadata.setter
    def metadata(self, value: dict[str, Any]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._metadata = value

    @property
    def configurable(self) -> dict[str, Any]:
        if self._configurable is None:
            self._configurable = self.task.configurable()
        return self._configurable

    @configurable.setter
    def configurable(self, value: dict[str, Any]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._configurable = value

    @property
    def within(self) -> bool:
        """Whether a graph that runs with this scope is a part of the task, not a thread of its own."""
        return self._configurable is None or self._configurable.get("checkpoint_ns") == self.task.ns


def grouped(tasks: Iterable[Task]) -> dict[str, list[Any]]:
    """The writes of tasks by key, in order."""
    groups: dict[str, list[Any]] = {}
    for task in tasks:
        for key, value in task.writes:
            if key in groups:
                groups[key].append(value)
            else:
                groups[key] = [value]
    return groups


def storable_sends(plan: Plan, sends: Sequence[Send]) -> Sequence[Send]:
    """Sends as they are stored: without what their inputs have under keys that are never stored."""
    if len(plan.stored) == len(plan.channels):
        return sends
    lost = plan.channels.keys() - set(plan.stored)
    return [
        Send(send.node, {key: value for key, value in send.arg.items() if key not in lost}, timeout=send.timeout)
        if type(send.arg) is dict and not lost.isdisjoint(send.arg)
        else send
        for send in sends
    ]


def task_of(scope: Scope | None) -> Task | None:
    """The task that `scope` is inside of."""
    return scope.task if isinstance(scope, TaskScope) else None


def uuid_of(*parts: str) -> str:
    """A uuid that is the same for the same texts."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def _is_pair(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)
