"""The functional API: a workflow as a plain function, its steps as tasks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, ParamSpec, TypeVar, get_args, get_origin, overload

from ..errors import GraphBubbleUp, InvalidArgument, InvalidType, Unsupported
from ..flow.driver import Driver
from ..spine.scope import Scope
from .builder import StateGraph
from .callables import Call, parameter_hints
from .calls import CallTask, begin_call
from .channels import EphemeralValue, LastValue
from .constants import END, PREVIOUS, START
from .guarding import Attempt, cache_namespace
from .limits import timed
from .plan import Plan, PlanNode
from .policies import CachePolicy, TimeoutPolicy, check_timeout, timeout_of
from .retrying import RetryPolicy, pause_after, policies_of
from .runtime import current_task
from .savers.registry import register_all
from .task import Task

if TYPE_CHECKING:
    from ..chat.caches import BaseCache
    from .compiled import CompiledStateGraph
    from .loop import Loop

__all__ = ["TaskFunction", "entrypoint", "task"]

P = ParamSpec("P")
R = TypeVar("R")
ValueT = TypeVar("ValueT")
SaveT = TypeVar("SaveT")

logger = logging.getLogger("millstream")


class TaskFunction(Generic[P, R]):
    """A function that is run as a task: calling it gives a future (see `task`)."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        cache_policy: CachePolicy | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        self.call = Call(function, name)
        if self.call.run is None:
            raise Unsupported(f"the task {self.call.name!r} is a generator function; a task returns its result.")
        self.node = PlanNode(self.call.name, self.call, lambda values, step, stop: None, None)
        self.cache_policy = cache_policy
        self._retry = policies_of(retry_policy)
        parameters, hints = parameter_hints(function)
        self._names = [parameter.name for parameter in parameters]
        register_all(hints.values())
        self._timed: Attempt | None = None
        bound = timeout_of(timeout)
        if bound is not None:
            check_timeout(self.call.name, self.call)
            self._timed = timed(self._once, bound)
        self.__name__ = self.call.name
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Start the task, and return the future of its result.

        Raises:
            OutsideRun: (a RuntimeError) there is no surrounding workflow, node or task.
        """
        return begin_call(current_task(f"the task {self.call.name!r}"), self, args, kwargs)

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments of a call by their names, for whoever watches."""
        try:
            given = inspect.signature(self.__wrapped__).bind_partial(*args, **kwargs)
        except (TypeError, ValueError):
            return args, kwargs
        filled = {name for name, _ in self.call.inject or ()}
        given.apply_defaults()
        named = {name: value for name, value in given.arguments.items() if name not in filled}
        rest = next((n for n, p in given.signature.parameters.items() if p.kind is p.VAR_KEYWORD), None)
        more = named.pop(rest, {}) if rest is not None else {}
        return {**named, **more}

    def clear_cache(self, cache: BaseCache) -> None:
        """Forget what the cache keeps of this task."""
        cache.clear([self._kept])

    async def aclear_cache(self, cache: BaseCache) -> None:
        """`clear_cache` on the event loop."""
        await cache.aclear([self._kept])

    @property
    def _kept(self) -> tuple[str, ...]:
        return cache_namespace(self.call.name, self.call.target)

    async def result(self, d: Driver, call: CallTask, scope: Scope) -> tuple[Any, bool]:
        """What a call gives, and whether that is from the cache."""
        cache, policy = call.loop.cache, self.cache_policy
        if cache is None or policy is None:
            return await self._tried(d, call, scope), False
        args, kwargs = call.input
        key = self._kept, policy.key_of(*args, **kwargs)
        found = await d.call(scope, cache.get, cache.aget, [key])
        if key in found:
            return found[key], True
        value = await self._tried(d, call, scope)
        await d.call(scope, cache.set, cache.aset, {key: (value, policy.ttl)})
        return value, False

    async def _tried(self, d: Driver, call: CallTask, scope: Scope) -> Any:
        while True:
            try:
                if self._timed is None:
                    return await self._call(d, call, scope)
                return await self._timed(call.loop, call, scope)
            except GraphBubbleUp:
                raise
            except Exception as error:
                pause = pause_after(error, self._retry, call.attempt)
                if pause is None:
                    raise
                logger.info(
                    "task %r failed, attempt %d: %r; again in %.2f s", call.node.name, call.attempt, error, pause
                )
            await d.sleep(pause)
            call.begin_again()

    async def _once(self, loop: Loop, task: Task, scope: Scope) -> Any:
        return await self._call(loop.d, task, scope)

    async def _call(self, d: Driver, task: Task, scope: Scope) -> Any:
        args, kwargs = task.input
        call = self.call
        if call.inject:
            given = {*self._names[: len(args)], *kwargs}
            kwargs = {**{name: get(scope) for name, get in call.inject if name not in given}, **kwargs}
        if call.runnable is not None:
            assert call.run is not None
            return await call.run(d, args[0], scope)
        return await d.call(scope, call.fn, call.afn, *args, **kwargs)

    def __repr__(self) -> str:
        return f"task({self.call.name!r})"


@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...


def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task of workflows, nodes and other tasks: calling it starts it and gives a future at once.

    In sync code ask for `future.result()`, in async code await it. With a checkpointer the result is stored, and a workflow
    that is resumed gets it again instead of running the task: calls are matched by their order, so a workflow must
    make them in the same order whenever it runs.

    ```python
    @task
    def square(x: int) -> int:
        return x * x
    ```
    """
    return TaskFunction(function) if function is not None else lambda given: TaskFunction(given, **options)


class entrypoint:  # noqa: N801 - used as a decorator
    """Make a function a workflow: a graph of one node that runs, streams and remembers as graphs do.

    The function's first parameter is the input; others are asked for by name: `previous` (what the last run on the thread
    returned), `config`, `writer`, `store`, `runtime`. What it returns is the output, and the next run's `previous`, unless
    it returns `entrypoint.final(value=..., save=...)`.

    ```python
    @entrypoint(checkpointer=InMemorySaver())
    def add_up(numbers: list[int], *, previous: int | None = None) -> int:
        return (previous or 0) + sum(future.result() for future in [square(n) for n in numbers])
    ```

    Raises:
        InvalidArgument: (a ValueError) the function has no parameter.
        Unsupported: (a NotImplementedError) it is a generator function.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class final(Generic[ValueT, SaveT]):  # noqa: N801 - read as a part of the decorator
        """What a workflow returns, and what it keeps for the next run, apart."""

        value: ValueT
        save: SaveT

    def __init__(
        self,
        checkpointer: Any = None,
        store: Any = None,
        cache: BaseCache | None = None,
        context_schema: Any = None,
        cache_policy: CachePolicy | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        self._checkpointer = checkpointer
        self._store = store
        self._cache = cache
        self._context = context_schema
        self._options: dict[str, Any] = {"cache_policy": cache_policy, "retry_policy": retry_policy, "timeout": timeout}

    def __call__(self, function: Callable[..., Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
        from .compiled import CompiledStateGraph

        if not callable(function):
            raise InvalidType(f"an entrypoint is made of a function, not of {function!r}.")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise Unsupported(f"the entrypoint {function.__name__!r} is a generator function; return the result.")
        parameters, hints = parameter_hints(function)
        if not parameters:
            raise InvalidArgument(f"the entrypoint {function.__name__!r} needs a parameter: the input of the workflow.")
        builder: StateGraph[Any, Any, Any, Any] = StateGraph(Annotated[Any, "value"], context_schema=self._context)
        name = function.__name__
        builder.add_node(name, function, input_schema=Annotated[Any, "value"], **self._options)
        builder.add_edge(START, name)
        register_all(hints.values())
        plan = EntryPlan(builder, name)
        # What is told of the workflow as a graph: its function's types.
        builder.input_schema = hints.get(parameters[0].name, Any)
        builder.output_schema = _returned(hints.get("return", Any))
        return CompiledStateGraph(
            builder, plan, checkpointer=self._checkpointer, store=self._store, cache=self._cache, name="LangGraph"
        )


class EntryPlan(Plan):
    """The plan of a workflow: its node reads the input as it is, and writes what it returns and what it keeps."""

    __slots__ = ()

    def __init__(self, builder: StateGraph[Any, Any, Any, Any], name: str) -> None:
        super().__init__(builder)
        self.entry = name
        self.channels = {START: EphemeralValue(), END: LastValue(), PREVIOUS: LastValue()}
        self.shown = {END: self.channels[END]}
        self.is_root = False
        self.initial, self.volatile, self.stored = (), (START,), tuple(self.channels)
        self.compared, self.held = (), {}
        self.input_keys = frozenset((START,))
        self.output_keys = self.stream_keys = END
        self.output_set = frozenset((END,))
        self.eager = True
        node = self.nodes[name]
        node.read = lambda values, step, stop: values.get(START)
        node.triggers = (START,)

    def take(self, task: Task, values: Any) -> None:
        """Take an update of the state as what the workflow returned."""
        task.writes = [(END, values), (PREVIOUS, values)]

    def _guard(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        for node in self.nodes.values():
            node.attempt = _entered
        super()._guard(builder)


def _returned(hint: Any) -> Any:
    """The type of a workflow's result, by its function's annotation."""
    if hint is entrypoint.final:
        return Any
    return get_args(hint)[0] if get_origin(hint) is entrypoint.final else hint


async def _entered(loop: Loop, task: Task, scope: Scope) -> Any:
    """Run a workflow's function."""
    run = task.node.call.run
    assert run is not None
    if loop.calls is not None and task.attempt > 1:
        loop.calls.forget(task)
    value = save = await run(loop.d, task.input, scope)
    if isinstance(value, entrypoint.final):
        value, save = value.value, value.save
    task.writes = [(END, value), (PREVIOUS, save)]
    return value
