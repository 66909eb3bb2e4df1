"""CompiledStateGraph: a graph that runs; a Runnable like any other, and with options of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from ..errors import InvalidArgument
from ..flow.attend import attended, attended_items
from ..flow.drawing import Graph
from ..flow.driver import ASYNC, SYNC, Driver, aclose
from ..flow.entry import blocking_scope, sync_scope, with_default_limit
from ..flow.line import failing
from ..flow.runnable import Kwargs, Runnable, folded, once
from ..flow.step import step, step_iter
from ..flow.stream import AsyncStream, SyncStream
from ..spine.config import RunnableConfig
from ..spine.events import MISSING, STREAM
from ..spine.scope import Scope, enter
from .constants import INTERRUPT, START
from .control import All, Durability, GraphOutput, StateSnapshot, StateUpdate, StreamMode
from .draining import RunControl
from .drawing import drawing_of, opened
from .guarding import cache_namespace
from .interrupts import without_questions
from .launch import entered, loop_for, showing, takes_tasks_config
from .loop import Loop
from .options import Options, only_given, options_of
from .out import read_keys
from .savers.registry import register_graph
from .schema import json_schema_of, shape_of, titled_schema_of, value_schema_of
from .state import history, read_state, update_state
from .stream_parts import coerced, ensure_valid_checkpointer
from .streaming import chunks_of, listen

if TYPE_CHECKING:
    from ..chat.caches import BaseCache
    from .builder import StateGraph
    from .plan import Plan

__all__ = ["CompiledStateGraph"]

StateT = TypeVar("StateT")
ContextT = TypeVar("ContextT")
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class CompiledStateGraph(Runnable[Any, Any], Generic[StateT, ContextT, InputT, OutputT]):
    """What `StateGraph.compile()` gives. It keeps nothing of a run, so any number may go on at once."""

    stream_mode: StreamMode | list[StreamMode] = "updates"
    step_timeout: float | None = None
    """How many seconds a superstep may take."""

    def __init__(
        self,
        builder: StateGraph[StateT, ContextT, InputT, OutputT],
        plan: Plan,
        *,
        checkpointer: Any = None,
        cache: BaseCache | None = None,
        store: Any = None,
        interrupt_before: Sequence[str] = (),
        interrupt_after: Sequence[str] = (),
        debug: bool = False,
        name: str = "LangGraph",
    ) -> None:
        ensure_valid_checkpointer(checkpointer)
        self.builder = builder
        self.plan = plan
        self.checkpointer = checkpointer
        self.cache = cache
        self.store = store
        self.interrupt_before_nodes: All | tuple[str, ...] = "*" if "*" in interrupt_before else tuple(interrupt_before)
        self.interrupt_after_nodes: All | tuple[str, ...] = "*" if "*" in interrupt_after else tuple(interrupt_after)
        self.debug = debug
        self.name = name
        register_graph(builder)

    config: RunnableConfig | None = None
    """What `with_config` bound: nothing to the graph itself."""

    def copy(self, update: Mapping[str, Any] | None = None) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """A graph with the same plan, and other attributes where `update` names some."""
        new = copy(self)
        for name, value in (update or {}).items():
            setattr(new, name, value)
        return new

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> dict[str, Any]:
        """What runs at each node, by name; `__start__` takes the input."""
        start = {START: self.plan.start.call.target} if self.plan.entry is None else {}
        return start | {name: node.call.target for name, node in self.plan.nodes.items()}

    @property
    def channels(self) -> dict[str, Any]:
        """The channels by state key."""
        return dict(self.plan.channels)

    @property
    def input_channels(self) -> str:
        """Where an input lands."""
        return START

    @property
    def output_channels(self) -> str | list[str]:
        """The keys of the result."""
        keys = self.plan.output_keys
        return keys if isinstance(keys, str) else list(keys)

    @property
    def stream_channels(self) -> str | list[str]:
        """The keys that the `values` mode shows."""
        keys = self.plan.stream_keys
        return keys if isinstance(keys, str) else list(keys)

    def clear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """Forget what the cache keeps of some nodes, or of all of this graph."""
        if self.cache is not None:
            self.cache.clear(self._kept(nodes))

    async def aclear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """`clear_cache` on the event loop."""
        if self.cache is not None:
            await self.cache.aclear(self._kept(nodes))

    def _kept(self, nodes: Sequence[str] | None) -> list[tuple[str, ...]]:
        names = self.plan.nodes if nodes is None else nodes
        return [cache_namespace(name, self.plan.nodes[name].call.target) for name in names]

    def get_subgraphs(
        self, namespace: str | None = None, recurse: bool = False
    ) -> Iterator[tuple[str, CompiledStateGraph[Any, Any, Any, Any]]]:
        """Yield `(name, graph)` for each node that is a graph; with `recurse`, what is inside those too.

        `namespace` asks for one of them: `"node"`, or with `recurse` `"node|inner"`.
        """
        for name, node in self.plan.nodes.items():
            inner = node.inner
            if inner is None:
                continue
            if namespace is None or namespace == name:
                yield name, inner
            if recurse and (namespace is None or namespace.startswith(f"{name}|")):
                rest = None if namespace is None else namespace.removeprefix(f"{name}|")
                for below, graph in inner.get_subgraphs(rest, recurse):
                    yield f"{name}|{below}", graph

    async def aget_subgraphs(
        self, namespace: str | None = None, recurse: bool = False
    ) -> AsyncGenerator[tuple[str, CompiledStateGraph[Any, Any, Any, Any]], None]:
        """`get_subgraphs` for `async for`."""
        for found in self.get_subgraphs(namespace, recurse):
            yield found

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """The nodes, and the ways that may be taken between them, to be drawn with `draw_mermaid()` or `draw_ascii()`.

        With `xray` graphs inside nodes are drawn too: all the way down, or so many levels.
        """
        drawing = drawing_of(self.builder, self.interrupt_before_nodes, self.interrupt_after_nodes)
        inner = dict(self.get_subgraphs()) if xray else {}
        return (
            opened(drawing, {n: g.get_graph(config, xray=_level_below(xray)) for n, g in inner.items()})
            if inner
            else drawing
        )

    async def aget_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """`get_graph`, awaitable."""
        return self.get_graph(config, xray=xray)

    def _input_shape(self) -> Any:
        return shape_of(self.builder.input, self.builder.input_schema, given=True)

    def _output_shape(self) -> Any:
        return shape_of(self.builder.output, self.builder.output_schema, given=False)

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """The JSON schema of the input."""
        return self._schema_of(0, f"{self.get_name()}Input")

    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """The JSON schema of the result."""
        return self._schema_of(1, f"{self.get_name()}Output")

    def _schema_of(self, side: int, title: str) -> dict[str, Any]:
        type_ = (self.builder.input_schema, self.builder.output_schema)[side]
        return titled_schema_of(type_, title) if self.plan.entry is None else value_schema_of(type_, title)

    def get_context_jsonschema(self) -> dict[str, Any] | None:
        """The JSON schema of the context, None without one."""
        schema = self.builder.context_schema
        return None if schema is None else json_schema_of(schema)

    # -- running -----------------------------------------------------------------------------------------------------

    def invoke(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Any = None,
        interrupt_after: Any = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """Run to the end and return the state's output keys; with another `stream_mode`, the list of its chunks.

        Raises:
            EmptyInputError: (a ValueError) `input` is None and there is nothing to resume.
            GraphRecursionError: (a RecursionError) too many supersteps.
            InvalidUpdateError: (a ValueError) a node wrote what its channel cannot take.
        """
        only_given(kwargs, context, None if stream_mode == "values" else stream_mode, print_mode, output_keys,
               interrupt_before, interrupt_after, durability, control, version)  # fmt: skip
        return step(self._whole(SYNC, input, entered(sync_scope(config, "ainvoke"), config), kwargs))

    async def ainvoke(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Any = None,
        interrupt_after: Any = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """`invoke` on the event loop: async nodes as tasks, sync ones on worker threads."""
        only_given(kwargs, context, None if stream_mode == "values" else stream_mode, print_mode, output_keys,
               interrupt_before, interrupt_after, durability, control, version)  # fmt: skip
        scope = entered(enter(config), config)
        return await attended(ASYNC, scope, lambda scope: self._whole(ASYNC, input, scope, kwargs))

    def stream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Any = None,
        interrupt_after: Any = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> SyncStream[Any]:
        """Return an iterator over what the run says, in one mode or a list of them.

        One mode gives its payloads; a list gives `(mode, payload)`; `subgraphs=True` puts the namespace first and tells
        of graphs inside nodes too; `version="v2"` gives dicts with `type`, `ns` and `data`.
        """
        only_given(kwargs, context, stream_mode, print_mode, output_keys, interrupt_before, interrupt_after, durability, control,
               version, subgraphs, debug)  # fmt: skip
        scope = entered(blocking_scope(config), config)
        if takes_tasks_config(scope, config):
            kwargs.setdefault("stream_mode", "values")
        return SyncStream(self._parts(SYNC, once(input), scope, kwargs, input), "astream")

    def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Any = None,
        interrupt_after: Any = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> AsyncStream[Any]:
        """`stream` for `async for`."""
        only_given(kwargs, context, stream_mode, print_mode, output_keys, interrupt_before, interrupt_after, durability, control,
               version, subgraphs, debug)  # fmt: skip
        scope = entered(enter(config), config)
        if takes_tasks_config(scope, config):
            kwargs.setdefault("stream_mode", "values")
        return AsyncStream(
            attended_items(ASYNC, scope, lambda scope: self._parts(ASYNC, once(input), scope, kwargs, input))
        )

    # -- the native forms --------------------------------------------------------------------------------------------

    def _options(self, kwargs: dict[str, Any]) -> Options:
        return options_of({**kwargs, "debug": True} if self.debug else kwargs)

    # A chain, or whatever else calls the graph as a runnable, brings the runnable layer's limit of steps with it.

    def _exec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs
    ) -> Coroutine[Any, Any, Any]:
        return self._whole(d, input, with_default_limit(scope), kwargs)

    def _whole(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Coroutine[Any, Any, Any]:
        return super()._exec(d, input, showing(scope), kwargs)

    def _told_output(self, output: Any) -> Any:
        return without_questions(output)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if kwargs.get("stream_mode") == "values":  # bound to the graph; of the whole it is the last one
            kwargs = {key: value for key, value in kwargs.items() if key != "stream_mode"}
        options = self._options(kwargs)
        loop = loop_for(self, d, scope, options)
        if options.modes is None and not options.prints:
            await loop.run(input)
            return self.result(loop, options)
        said: list[Any] = []
        modes = ("values",) if options.modes is None else options.modes
        listen(loop, options, modes, self.keys(options, streaming=True), said.append)
        await loop.run(input)
        shape = options.shape(self.coerced)
        if options.modes is None:
            return self.result(loop, options)
        return [shape(item) for item in said]

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        return self._parts(d, inputs, with_default_limit(scope), kwargs, given)

    def _parts(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any
    ) -> AsyncGenerator[Any, None]:
        scope = showing(scope)
        if self.stream_mode != "updates":
            kwargs = {"stream_mode": self.stream_mode, **kwargs}
        if given is not MISSING and not scope.listeners:
            try:
                options = self._options(kwargs)
                return chunks_of(self, loop_for(self, d, scope.inner(), options), given, options)
            except Exception as error:  # a stream is asked for its items: there, whoever reads it finds what is wrong
                return failing(error)
        return self._flow_watched(d, inputs, scope, kwargs, given)

    async def _flow_watched(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any
    ) -> AsyncGenerator[Any, None]:
        if given is MISSING:
            try:
                given = await folded(inputs)
            finally:
                await aclose(inputs)
            if given is MISSING:
                return
        options = self._options(kwargs)
        run = scope.begin(self.get_name(), "chain", given) if scope.heard("chain") else None
        loop = loop_for(self, d, scope.inner() if run is None else run.scope, options)
        chunks = chunks_of(self, loop, given, options)
        try:
            async for chunk in chunks:
                if run is not None and run.parent is None and run.mask & STREAM:
                    run.emit(STREAM, chunk)  # inside another run a graph tells of its nodes, not of its chunks
                yield chunk
        except GeneratorExit as left:
            if run is not None:
                run.end(None) if d.sync else run.fail(left)
            raise
        except BaseException as error:
            if run is not None:
                run.fail(error)
            raise
        finally:
            await chunks.aclose()
        if run is not None:
            run.end(without_questions(self.result(loop, options)))

    # -- what a run gives ----------------------------------------------------------------------------------------------

    def keys(self, options: Options, streaming: bool) -> str | tuple[str, ...]:
        """The keys that a run shows: those that were asked for, else all (streaming) or those of the output schema."""
        keys = options.output_keys
        if keys is None:
            return self.plan.stream_keys if streaming else self.plan.output_keys
        for key in (keys,) if isinstance(keys, str) else keys:
            if key not in self.plan.channels:
                raise InvalidArgument(
                    f"output_keys names {key!r}, which the state does not have: {list(self.plan.channels)}."
                )
        return keys

    def result(self, loop: Loop, options: Options) -> Any:
        """What `invoke` returns."""
        keys = self.keys(options, streaming=False)
        result = read_keys(loop.seen, keys) if loop.answered and keys else None
        if options.version == "v2":
            result = {} if result is None and loop.waiting else result
            return GraphOutput(self.coerced("values", (), result), tuple(loop.waiting))
        if loop.waiting:
            result = (
                {**result, INTERRUPT: list(loop.waiting)}
                if isinstance(result, dict)
                else {INTERRUPT: list(loop.waiting)}
            )
        return result

    def coerced(self, mode: str, ns: tuple[str, ...], data: Any) -> Any:
        try:
            return coerced(mode, data, self.builder.output.make, self.builder.state.make)
        except Exception:
            if not ns:
                raise
            return data  # a graph inside has a state of another kind

    # -- state -------------------------------------------------------------------------------------------------------

    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """The state of the thread that `config` names, at its latest checkpoint or the one named.

        The latest is shown live: with what the finished tasks of an unfinished step wrote. With `subgraphs`, tasks that
        wait inside a graph hold that graph's snapshot as their `state`.

        Raises:
            InvalidArgument: (a ValueError) the graph has no checkpointer, or `config` no thread.
        """
        return step(read_state(self, SYNC, enter(config), subgraphs))

    async def aget_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """`get_state` on the event loop."""
        return await read_state(self, ASYNC, enter(config), subgraphs)

    def get_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: Mapping[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """The snapshots of a thread, newest first; `filter` compares metadata, `before` names a checkpoint."""
        return step_iter(history(self, SYNC, enter(config), filter, before, limit))

    def aget_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: Mapping[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """`get_state_history` for `async for`."""
        return history(self, ASYNC, enter(config), filter, before, limit)

    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None, task_id: str | None = None
    ) -> RunnableConfig:
        """Write `values` as if the node `as_node` had returned them; returns the config of the new checkpoint.

        The node's edges are followed, so what runs next is what would run after it. Without `as_node` it is the one that
        ran last. With a `checkpoint_id` in `config` a branch begins there.

        Raises:
            InvalidUpdateError: (a ValueError) an unknown node, or none named where several could be meant.
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    async def aupdate_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None, task_id: str | None = None
    ) -> RunnableConfig:
        """`update_state` on the event loop."""
        return await self.abulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    def bulk_update_state(self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]) -> RunnableConfig:
        """Several updates: each inner list is one superstep."""
        return cast(RunnableConfig, step(update_state(self, SYNC, enter(config), supersteps)))

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """`bulk_update_state` on the event loop."""
        return cast(RunnableConfig, await update_state(self, ASYNC, enter(config), supersteps))

    def __repr__(self) -> str:
        return f"CompiledStateGraph({self.name!r}, nodes={list(self.plan.nodes)})"


def _level_below(xray: int | bool) -> int | bool:
    return xray if isinstance(xray, bool) else xray - 1
