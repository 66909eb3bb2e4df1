"""StateGraph: nodes and edges put together, checked as early as each mistake can be known."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args, get_origin

from ..data.lazy import Lazy, logger_of
from ..errors import InvalidGraph, InvalidType, Unsupported
from .branch import Branch
from .callables import Call, parameter_hints
from .channels import BaseChannel, LastValue
from .constants import END, RESERVED, START
from .control import All, Command
from .schema import Rule, Schema, has_fields

if TYPE_CHECKING:
    from ..chat.caches import BaseCache
    from . import policies, retrying
    from .compiled import CompiledStateGraph
else:
    policies = Lazy(".policies", globals())
    retrying = Lazy(".retrying", globals())

__all__ = ["MessageGraph", "NodeSpec", "StateGraph"]

StateT = TypeVar("StateT")
ContextT = TypeVar("ContextT")
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")

logger = logger_of("millstream")


class NodeSpec:
    """What `add_node` was told about one node."""

    __slots__ = (
        "cache",
        "call",
        "defer",
        "destinations",
        "handler",
        "input",
        "metadata",
        "name",
        "retry",
        "timeout",
        "trace",
    )

    def __init__(self, name: str, call: Call, input: Schema) -> None:
        self.name = name
        self.call = call
        self.input = input
        self.defer = False
        self.metadata: Mapping[str, Any] | None = None
        self.destinations: tuple[str, ...] | dict[str, str] = ()
        self.retry: Sequence[retrying.RetryPolicy] = ()
        self.cache: policies.CachePolicy | None = None
        self.handler: Call | None = None
        self.timeout: policies.TimeoutPolicy | None = None
        self.trace: policies.TracePolicy | None = None

    def __repr__(self) -> str:
        return f"NodeSpec({self.name!r})"


class StateGraph(Generic[StateT, ContextT, InputT, OutputT]):
    """A graph whose nodes read and write a shared state.

    Each field of `state_schema` is a channel: a plain field keeps the last value, one annotated with a function of
    two values (`Annotated[list, operator.add]`) folds every write with it. Methods return the builder, so they chain;
    `compile()` gives the graph that runs.

    ```python
    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    app = graph.compile()
    ```
    """

    def __init__(
        self,
        state_schema: type[StateT] | Any,
        context_schema: type[ContextT] | None = None,
        *,
        input_schema: type[InputT] | None = None,
        output_schema: type[OutputT] | None = None,
        **deprecated: Any,
    ) -> None:
        renamed = _renamed(
            deprecated,
            {"config_schema": "context_schema", "input": "input_schema", "output": "output_schema"},
            "StateGraph",
        )
        self.state_schema = state_schema
        self.context_schema: Any = context_schema or renamed.get("context_schema")
        self.input_schema: Any = input_schema or renamed.get("input_schema") or state_schema
        self.output_schema: Any = output_schema or renamed.get("output_schema") or state_schema
        self.nodes: dict[str, NodeSpec] = {}
        self.edges: set[tuple[str, str]] = set()
        self.waiting_edges: set[tuple[tuple[str, ...], str]] = set()
        self.branches: dict[str, dict[str, Branch]] = {}
        self.rules: dict[str, Rule] = {}
        self.defaults = NodeSpec("", Call(dict), Schema(dict))
        self.compiled = False
        self._schemas: dict[int, Schema] = {}
        self.state = self._register(state_schema)
        self.input = self._register(self.input_schema, own_managed=False)
        self.output = self._register(self.output_schema, own_managed=False)

    @property
    def channels(self) -> dict[str, BaseChannel]:
        """The channels by state key."""
        return {key: rule for key, rule in self.rules.items() if isinstance(rule, BaseChannel)}

    # -- nodes -------------------------------------------------------------------------------------------------------

    def add_node(
        self,
        node: str | Any,
        action: Any = None,
        *,
        defer: bool = False,
        metadata: Mapping[str, Any] | None = None,
        input_schema: Any = None,
        retry_policy: retrying.RetryPolicy | Sequence[retrying.RetryPolicy] | None = None,
        cache_policy: policies.CachePolicy | None = None,
        error_handler: Any = None,
        timeout: float | timedelta | policies.TimeoutPolicy | None = None,
        destinations: Mapping[str, str] | Sequence[str] | None = None,
        trace_policy: policies.TracePolicy | None = None,
        **deprecated: Any,
    ) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Add a node: a name and what to run, or just what to run (its own name is taken then).

        A function may ask, by parameter name, for `config`, `writer`, `store`, `runtime` and `previous`. With
        `defer=True` the node waits until nothing else is left to run; with a `retry_policy` (or several, of which the first
        that matches counts) a failed attempt is made again, and after the last one the `error_handler` (a function of the
        node's input and `error: NodeError`) is run in its place. `cache_policy` writes again what the node wrote for the
        same input; `timeout` (seconds, or a policy) stops attempts of an async node. `destinations` names where the node's
        Commands may go, for drawing and checking. `trace_policy` says what callbacks and events show of its input and output.

        Raises:
            InvalidGraph: (a ValueError) the name is taken, reserved, or has a character that is.
            InvalidType: (a TypeError) `action` cannot be run.
        """
        renamed = _renamed(deprecated, {"retry": "retry_policy", "input": "input_schema"}, "add_node")
        self._warn_if_compiled("node")
        call, name = self._named(node, action)
        self._check_name(name)
        hints = _Hints(call)
        schema_type = input_schema or renamed.get("input_schema") or hints.input_type
        spec = NodeSpec(name, call, self.state if schema_type is None else self._register(schema_type))
        spec.defer = defer
        spec.metadata = metadata
        spec.destinations = _destinations(destinations) if destinations is not None else hints.destinations
        spec.retry = retrying.policies_of(retry_policy or renamed.get("retry_policy"))
        spec.cache = cache_policy
        spec.handler = None if error_handler is None else Call(error_handler)
        spec.timeout = policies.timeout_of(timeout)
        spec.trace = trace_policy
        self.nodes[name] = spec
        return self

    def set_node_defaults(
        self,
        *,
        retry_policy: retrying.RetryPolicy | Sequence[retrying.RetryPolicy] | None = None,
        cache_policy: policies.CachePolicy | None = None,
        error_handler: Any = None,
        timeout: float | timedelta | policies.TimeoutPolicy | None = None,
    ) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Options for every node that has none of its own; retry and timeout are also for error handlers."""
        defaults = self.defaults
        if retry_policy is not None:
            defaults.retry = retrying.policies_of(retry_policy)
        if cache_policy is not None:
            defaults.cache = cache_policy
        if error_handler is not None:
            defaults.handler = Call(error_handler)
        if timeout is not None:
            defaults.timeout = policies.timeout_of(timeout)
        return self

    def _named(self, node: Any, action: Any) -> tuple[Call, str]:
        if isinstance(node, str):
            if action is None:
                raise InvalidGraph(f"node {node!r} has nothing to run; write add_node({node!r}, function).")
            return Call(action), node
        if action is not None:
            raise InvalidType(f"the name of a node is a string, not {node!r}; write add_node('name', function).")
        call = Call(node)
        return call, call.name

    def _check_name(self, name: str) -> None:
        if name in self.nodes:
            raise InvalidGraph(f"Node `{name}` already present. Give one of the two another name.")
        if name in (START, END) or name in RESERVED:
            raise InvalidGraph(f"Node `{name}` is reserved. Give the node another name.")
        for character in "|:":
            if character in name:
                raise InvalidGraph(f"{character!r} is a reserved character, so {name!r} cannot name a node.")

    # -- edges -------------------------------------------------------------------------------------------------------

    def add_edge(self, start_key: str | Sequence[str], end_key: str) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Run `end_key` after `start_key`; after all of them, once a round, where that is a list.

        Raises:
            InvalidGraph: (a ValueError) an edge out of END or into START, or a list naming an unknown node.
        """
        self._warn_if_compiled("edge")
        if end_key == START:
            raise InvalidGraph(f"START cannot be the end of an edge (from {start_key!r}).")
        if isinstance(start_key, str):
            if start_key == END:
                raise InvalidGraph(f"END cannot be the start of an edge (to {end_key!r}).")
            self.edges.add((start_key, end_key))
            return self
        for each in start_key:
            if each in (START, END):
                raise InvalidGraph(f"a list edge starts at nodes only, not at {each!r} (to {end_key!r}).")
            if each not in self.nodes:
                raise InvalidGraph(f"Need to add_node `{each}` first, before the list edge to {end_key!r}.")
        if end_key != END and end_key not in self.nodes:
            raise InvalidGraph(f"Need to add_node `{end_key}` first, before the list edge to it.")
        if not start_key:
            raise InvalidGraph(f"a list edge needs at least one start (to {end_key!r}).")
        self.waiting_edges.add((tuple(start_key), end_key))
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Any,
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """After `source`, run what `path(state)` names: a node, END, a Send, or a list of these.

        `path_map` translates its results, and tells where it may go (for drawing and checking).

        Raises:
            InvalidGraph: (a ValueError) `source` has a branch of this name already, or is END.
        """
        self._warn_if_compiled("edge")
        if source == END:
            raise InvalidGraph("END cannot be the start of a conditional edge.")
        branch = Branch(path, path_map)
        if branch.input_type is not None:
            self._register(branch.input_type)
        own = self.branches.setdefault(source, {})
        if branch.name in own:
            raise InvalidGraph(
                f"Branch with name `{branch.name}` already exists for node `{source}`; rename one of the functions."
            )
        own[branch.name] = branch
        return self

    def add_sequence(self, nodes: Sequence[Any]) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Add nodes (functions, or pairs of name and function) with an edge from each to the next.

        Raises:
            InvalidGraph: (a ValueError) no nodes, or a name twice.
        """
        if not nodes:
            raise InvalidGraph("add_sequence needs at least one node.")
        previous = None
        for node in nodes:
            name, action = node if isinstance(node, tuple) else (Call(node).name, node)
            self.add_node(name, action)
            if previous is not None:
                self.add_edge(previous, name)
            previous = name
        return self

    def set_entry_point(self, key: str) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Start at `key`: an edge from START."""
        return self.add_edge(START, key)

    def set_finish_point(self, key: str) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """End after `key`: an edge to END."""
        return self.add_edge(key, END)

    def set_conditional_entry_point(
        self, path: Any, path_map: Mapping[Hashable, str] | Sequence[str] | None = None
    ) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Start where `path(input)` says: a conditional edge from START."""
        return self.add_conditional_edges(START, path, path_map)

    # -- compile -----------------------------------------------------------------------------------------------------

    def validate(self, interrupt: Iterable[str] = ()) -> StateGraph[StateT, ContextT, InputT, OutputT]:
        """Check that every edge has both its ends and that the graph can be entered.

        Raises:
            InvalidGraph: (a ValueError) naming the edge or node.
        """
        known = self.nodes.keys()
        for start, end in self._all_edges():
            if start not in known and start != START:
                raise InvalidGraph(
                    f"an edge starts at the unknown node {start!r} (to {end!r}); add the node, or mend the name."
                )
            if end not in known and end != END:
                raise InvalidGraph(
                    f"an edge ends at the unknown node {end!r} (from {start!r}); add the node, or mend the name."
                )
        if not any(start == START for start, _ in self.edges) and START not in self.branches:
            raise InvalidGraph("Graph must have an entrypoint: add at least one edge from START to a node.")
        for name in interrupt:
            if name not in known:
                raise InvalidGraph(f"the interrupt names the unknown node {name!r}; nodes are {list(known)}.")
        return self

    def _all_edges(self) -> Iterable[tuple[str, str]]:
        yield from sorted(self.edges)
        for starts, end in sorted(self.waiting_edges):
            yield from ((start, end) for start in starts)
        for source, branches in self.branches.items():
            for branch in branches.values():
                yield from ((source, end) for end in (branch.ends or {END: END}).values())
        for name, spec in self.nodes.items():
            yield from ((name, end) for end in spec.destinations)

    def compile(
        self,
        checkpointer: Any = None,
        *,
        cache: BaseCache | None = None,
        store: Any = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        debug: bool = False,
        name: str | None = None,
        transformers: Sequence[Any] | None = None,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """Check the graph and return one that runs.

        `cache` is for nodes with a `cache_policy`. With a `checkpointer` runs that name a `thread_id` remember their state.
        Later changes of the builder do not reach the compiled graph.

        Raises:
            InvalidGraph: (a ValueError) an edge with an unknown end, no entry point.
            InvalidType: (a TypeError) `checkpointer` is no saver.
            Unsupported: (a NotImplementedError) `transformers`, which belong to version 3 of event streaming.
        """
        if transformers:
            raise Unsupported(
                "version 3 of event streaming, which `transformers` are for, is not there; use stream modes."
            )
        # The loop and what it needs are loaded with the first graph that is compiled, not with the first defined.
        from .compiled import CompiledStateGraph
        from .plan import Plan

        before, after = _names(interrupt_before), _names(interrupt_after)
        self.validate([n for n in (*before, *after) if n != "*"])
        self.compiled = True
        return CompiledStateGraph(
            self,
            Plan(self),
            checkpointer=checkpointer,
            cache=cache,
            store=store,
            interrupt_before=before,
            interrupt_after=after,
            debug=debug,
            name=name or "LangGraph",
        )

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _register(self, type_: Any, own_managed: bool = True) -> Schema:
        """Read a schema once and take its fields as channels."""
        schema = self._schemas.get(id(type_))
        if schema is None:
            schema = self._schemas[id(type_)] = Schema(type_)
            for key, rule in schema.rules.items():
                known = self.rules.get(key)
                if known is None or (isinstance(known, LastValue) and isinstance(rule, LastValue)):
                    self.rules.setdefault(key, rule)
                elif isinstance(rule, LastValue):
                    pass  # a plain field says nothing about how the key is combined
                elif not _same(known, rule):
                    raise InvalidGraph(
                        f"the state key {key!r} already exists with a different type: {known!r} and {rule!r}; "
                        "declare one reducer for it, or rename one of the keys."
                    )
        if not own_managed and type_ is not self.state_schema and schema.managed:
            names = [key for key, _ in schema.managed]
            raise InvalidGraph(f"{type_!r} holds managed values {names}, which no caller can give or receive.")
        return schema

    def schema_of(self, type_: Any) -> Schema:
        """The schema that `type_` was registered as."""
        return self._schemas[id(type_)]

    def schemas(self) -> Iterable[Schema]:
        """Every schema that the graph and its nodes name."""
        return self._schemas.values()

    def _warn_if_compiled(self, what: str) -> None:
        if self.compiled:
            logger.warning("adding a %s to a graph that was compiled; graphs compiled before do not change", what)


class MessageGraph(StateGraph[Any, Any, Any, Any]):
    """A graph whose whole state is a list of messages. Deprecated: use `StateGraph(MessagesState)`."""

    def __init__(self) -> None:
        from .messages import AnyMessages

        warnings.warn("MessageGraph is deprecated; use StateGraph(MessagesState).", DeprecationWarning, stacklevel=2)
        super().__init__(AnyMessages)


class _Hints:
    """What a node's annotations say: its input schema, and where its Commands go."""

    __slots__ = ("destinations", "input_type")

    def __init__(self, call: Call) -> None:
        self.input_type: Any = None
        self.destinations: tuple[str, ...] = ()
        if call.runnable is not None:
            return
        parameters, hints = parameter_hints(call.target)
        first = hints.get(parameters[0].name) if parameters else None
        if isinstance(first, type) and has_fields(first) and not issubclass(first, (str, int, list)):
            self.input_type = first
        self.destinations = tuple(_command_targets(hints.get("return")))


def _command_targets(returned: Any) -> Iterable[str]:
    if get_origin(returned) is Command:
        for argument in get_args(returned):
            if get_origin(argument) is Literal:
                yield from get_args(argument)
        return
    for each in get_args(returned):
        yield from _command_targets(each)


def _destinations(given: Mapping[str, str] | Sequence[str]) -> tuple[str, ...] | dict[str, str]:
    return dict(given) if isinstance(given, Mapping) else tuple(given)


def _same(known: Rule, rule: Rule) -> bool:
    if isinstance(known, BaseChannel) and isinstance(rule, BaseChannel):
        return known.same_rule(rule)
    return known is rule


def _names(given: All | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _renamed(given: dict[str, Any], names: dict[str, str], where: str) -> dict[str, Any]:
    """Keywords under their old names, moved to the new ones with a warning."""
    for old in given:
        if old not in names:
            raise InvalidType(f"{where} has no parameter {old!r}.")
        warnings.warn(f"{where}({old}=...) is now called {names[old]!r}.", DeprecationWarning, stacklevel=3)
    return {names[old]: value for old, value in given.items()}
