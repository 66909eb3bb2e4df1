"""The plan of a compiled graph: triggers, writers and routes resolved once, so that a step is a few calls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from ..flow.binding import RunnableBinding
from ..flow.runnable import Runnable
from .branch import Branch
from .callables import Call
from .channels import BaseChannel
from .constants import ABSENT, END, PUSH, ROOT, START, TAG_HIDDEN, TO
from .guarding import Attempt, around
from .limits import timed
from .policies import TimeoutPolicy, check_timeout, timeout_of
from .retrying import RetryPolicy
from .running import attempt
from .schema import Schema

if TYPE_CHECKING:
    from .builder import NodeSpec, StateGraph
    from .loop import Loop
    from .task import Task

__all__ = ["Join", "Plan", "PlanNode", "Reader", "graph_in", "reader_of"]

Reader: TypeAlias = Callable[[dict[str, Any], int, int], Any]
"""What a node receives, from (values, step, last step)."""


class Join:
    """A list edge: `target` runs once all `sources` have run since it last did."""

    __slots__ = ("name", "sources", "target")

    def __init__(self, sources: Sequence[str], target: str) -> None:
        self.name = f"join:{'+'.join(sources)}:{target}"
        self.sources = frozenset(sources)
        self.target = target


class PlanNode:
    """One node as the loop needs it."""

    __slots__ = (
        "around",
        "attempt",
        "branches",
        "call",
        "defer",
        "hidden",
        "inner",
        "joins",
        "metadata",
        "name",
        "narrow",
        "next",
        "push_triggers",
        "read",
        "retry",
        "spec",
        "triggers",
    )

    def __init__(self, name: str, call: Call, read: Reader, spec: NodeSpec | None) -> None:
        self.name = name
        self.call = call
        self.read = read
        self.spec = spec
        self.defer = spec is not None and spec.defer
        self.metadata = dict(spec.metadata) if spec is not None and spec.metadata else None
        # How one run of it is made, and what is put around that: settled here, so that options cost only who uses them.
        self.attempt: Attempt = attempt
        self.retry: Sequence[RetryPolicy] = ()
        self.around: Callable[[Loop, Task], Coroutine[Any, Any, None]] | None = None
        self.inner = graph_in(call)
        self.hidden = spec is not None and TAG_HIDDEN in (getattr(call.runnable, "tags", None) or ())
        self.next: tuple[str, ...] = ()
        self.joins: tuple[Join, ...] = ()
        self.branches: tuple[tuple[Branch, Reader, str], ...] = ()  # each with the tag of its run
        self.narrow = False  # whether its branches see less than the whole state
        self.triggers: tuple[str, ...] = ()
        self.push_triggers: tuple[str, ...] = (PUSH,)


class Plan:
    """Everything about a graph that does not change from run to run; shared by all of them."""

    __slots__ = (
        "channels",
        "compared",
        "deferring",
        "eager",
        "entry",
        "held",
        "initial",
        "input_keys",
        "is_root",
        "nodes",
        "order",
        "output_keys",
        "output_set",
        "read_state",
        "shown",
        "start",
        "stored",
        "stream_keys",
        "volatile",
    )

    def __init__(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        channels = builder.channels
        self.channels: dict[str, BaseChannel] = channels
        # What the `tasks` mode and snapshots show of a task's writes; and the node that takes the input whole, if one does.
        self.shown = channels
        self.entry: str | None = None
        self.is_root = builder.state.is_root
        self.initial = tuple((k, c.initial) for k, c in channels.items() if c.initial() is not ABSENT)
        self.volatile = tuple(k for k, c in channels.items() if c.volatile)
        self.stored = tuple(k for k, c in channels.items() if c.stored)
        self.compared = tuple(k for k, c in channels.items() if c.compared and c.stored)
        self.held = {k: c for k, c in channels.items() if c.held}
        self.input_keys = frozenset(builder.input.channels)
        self.output_keys: str | tuple[str, ...] = ROOT if builder.output.is_root else builder.output.channels
        self.output_set = frozenset((self.output_keys,) if isinstance(self.output_keys, str) else self.output_keys)
        self.stream_keys: str | tuple[str, ...] = ROOT if self.is_root else tuple(channels)
        self.read_state = reader_of(builder.state, channels)
        readers: dict[int, Reader] = {}

        def read(schema: Schema) -> Reader:
            if id(schema) not in readers:
                readers[id(schema)] = reader_of(schema, channels)
            return readers[id(schema)]

        self.nodes = {name: PlanNode(name, spec.call, read(spec.input), spec) for name, spec in builder.nodes.items()}
        self._guard(builder)
        self.order = {name: index for index, name in enumerate(self.nodes)}
        self.start = PlanNode(START, Call(_nothing), read(builder.input), None)
        self.start.triggers = (START,)
        for name, node in (*self.nodes.items(), (START, self.start)):
            node.next = tuple(sorted(end for start, end in builder.edges if start == name and end != END))
            own = builder.state if node.spec is None else node.spec.input
            node.narrow = len(own.channels) < len(channels)
            # What a node does, what it writes and each of its edges are steps before them; the runnables of a chain are steps each.
            before = 2 if name == START else 2 + node.call.length
            before += len(node.next) + sum(name in starts for starts, _ in builder.waiting_edges)
            node.branches = tuple(
                (b, read(own if b.input_type is None else builder.schema_of(b.input_type)), f"seq:step:{at}")
                for at, b in enumerate(builder.branches.get(name, {}).values(), before)
            )
        self._resolve_joins(builder)
        self.deferring = any(node.defer for node in self.nodes.values())
        # A graph with a node that yields writes, or with a graph inside, can have something to say within a step.
        self.eager = any(n.call.iterate is not None for n in self.nodes.values())

    def _guard(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        """Put around each node what its options, or those for all nodes, ask for."""
        defaults, general = builder.defaults, None
        if defaults.handler is not None:
            general = self._handler("__default_error_handler__", defaults.handler, defaults)
        for name, spec in builder.nodes.items():
            node = self.nodes[name]
            _bound(node, spec.retry or defaults.retry, spec.timeout or defaults.timeout)
            handler = general
            if spec.handler is not None:
                handler = self._handler(f"__error_handler__{name}", spec.handler, defaults)
            node.around = around(spec.call, spec.cache or defaults.cache, handler, node.retry)

    def _handler(self, name: str, call: Call, defaults: NodeSpec) -> PlanNode:
        # It is given the input of the node that failed, so it reads nothing itself.
        handler = self.nodes[name] = PlanNode(name, call, lambda values, step, stop: None, None)
        handler.triggers = (f"{TO}{name}",)
        _bound(handler, defaults.retry, defaults.timeout)
        return handler

    def _resolve_joins(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        joins = [Join(sources, end) for sources, end in sorted(builder.waiting_edges) if end != END]
        for name, node in self.nodes.items():
            node.joins = tuple(j for j in joins if name in j.sources)
            own = [f"{TO}{name}", *(j.name for j in joins if j.target == name)]
            node.triggers = tuple(sorted(own))

    def take(self, task: Task, values: Any) -> None:
        """Take an update of the state as what a node returned."""
        task.take(values)

    def values(self) -> dict[str, Any]:
        """The state before any write: what reducers start from."""
        return {key: make() for key, make in self.initial}

    def seen(self, values: dict[str, Any]) -> dict[str, Any]:
        """The state as nodes and callers see it: the same dict, unless there are channels that keep something else."""
        return _seen(values, self.held) if self.held else values


def _bound(node: PlanNode, retry: Sequence[RetryPolicy], timeout: TimeoutPolicy | None) -> None:
    """Let a node's attempts be timed, and made again."""
    node.retry = retry
    if timeout is not None:
        check_timeout(node.name, node.call)
        node.attempt = timed(node.attempt, timeout)


def bounded(node: PlanNode, timeout: float | timedelta | TimeoutPolicy) -> PlanNode:
    """The node, with a bound of time of its own for one task.

    Raises:
        InvalidArgument: (a ValueError) it is a sync function, which nothing can stop.
    """
    own = copy(node)
    own.attempt = attempt
    _bound(own, node.retry, timeout_of(timeout))
    return own


def reader_of(schema: Schema, channels: dict[str, BaseChannel]) -> Reader:
    """How a node with this input schema reads the state."""
    held = {key: channels[key] for key in schema.channels if key in channels and channels[key].held}
    if held:
        read_kept = _reader(schema, channels)
        return lambda values, step, stop: read_kept(_seen(values, held), step, stop)
    return _reader(schema, channels)


def _seen(values: dict[str, Any], held: dict[str, BaseChannel]) -> dict[str, Any]:
    seen = dict(values)
    for key, channel in held.items():
        if key in seen and (shown := channel.shown(seen.pop(key))) is not ABSENT:
            seen[key] = shown
    return seen


def _reader(schema: Schema, channels: dict[str, BaseChannel]) -> Reader:
    if schema.is_root:
        return lambda values, step, stop: values.get(ROOT)
    keys, managed, make = schema.channels, schema.managed, schema.make
    if not managed and make is None:
        if keys == tuple(channels):
            return lambda values, step, stop: dict(values)
        return lambda values, step, stop: {k: values[k] for k in keys if k in values}

    def read(values: dict[str, Any], step: int, stop: int) -> Any:
        state = {k: values[k] for k in keys if k in values}
        for key, rule in managed:
            state[key] = rule.read(step, stop)
        return state if make is None else make(**state)

    return read


def graph_in(call: Call) -> Any:
    """The compiled graph that a node is, or that the node's function refers to by name or closure."""
    target = call.target
    while isinstance(target, RunnableBinding):
        target = target.bound
    if _is_graph(target):
        return target
    code = getattr(target, "__code__", None)
    if code is None:
        return None
    cells = [_content(cell) for cell in getattr(target, "__closure__", None) or ()]
    names = getattr(target, "__globals__", {})
    found = (value for value in (*cells, *(names.get(name) for name in code.co_names)) if _is_graph(value))
    return next(found, None)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is not set yet, such as the one that the graph is about to be put in
        return None


def _is_graph(value: Any) -> bool:
    return isinstance(value, Runnable) and isinstance(getattr(value, "plan", None), Plan)


def _nothing(state: Any) -> None:
    """What the start node does: its writes are the input."""
