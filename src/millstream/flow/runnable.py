"""Runnable: the protocol that users call, and the four colourless methods that our own classes write.

The public forms are facades: `invoke` steps the same coroutine that `ainvoke` awaits. A subclass that overrides a public
form is honoured wherever it is composed; `exec_of` and `flow_of` see to that.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

from ..errors import Unsupported
from ..spine.config import RunnableConfig
from ..spine.events import MISSING, TOLD
from ..spine.scope import Scope, enter
from .attend import attended, attended_items
from .batch import as_completed, batch, each_by_itself
from .described import Described
from .driver import ASYNC, SYNC, Driver, Outcome, aclose, as_async
from .entry import blocking_scope, sync_scope, warn_if_blocking
from .line import Each, line_of
from .many import Many
from .overrides import Kwargs, exec_of, flow_of, folded, has_body, needs_body, once
from .runs import watched, watched_whole
from .step import step
from .stream import AsyncStream, SyncStream
from .threads import in_worker
from .watchable import Watchable

if TYPE_CHECKING:
    from .binding import RunnableBinding
    from .configurable import (
        AnyField,
        ConfigurableField,
        RunnableConfigurableAlternatives,
        RunnableConfigurableFields,
    )
    from .each import RunnableEach
    from .fallbacks import RunnableWithFallbacks
    from .retry import ExponentialJitterParams, RunnableRetry
    from .sequence import RunnableSequence

__all__ = [
    "NO_KWARGS",
    "Kwargs",
    "Runnable",
    "exec_of",
    "flow_of",
    "folded",
    "once",
    "sync_scope",
]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Other = TypeVar("Other")

Configs: TypeAlias = RunnableConfig | Sequence[RunnableConfig] | None
"""For many inputs: one config for all, or a list with one for each."""

if TYPE_CHECKING:
    Streamed: TypeAlias = "Awaitable[Other] | AsyncIterator[Other] | Iterator[Other] | Runnable[Any, Other]"

NO_KWARGS: Final[Kwargs] = {}


class Runnable(Watchable, Described, Generic[In, Out]):
    """Something that turns an input into an output, whole or as a stream, alone or composed with `|`.

    Users who subclass it override `invoke` (and `ainvoke`, `stream`, `transform`, ... where they can do better than the
    defaults: `ainvoke` runs `invoke` on a worker thread, `stream` yields its one result).
    """

    run_type: str = "chain"
    _ms_root = True  # see overrides.py: the native methods of this class are defaults, not a body
    _takes_whole = False  # whether a run that is streamed begins with the whole input, not with its first chunk
    _must_add = False  # whether a run whose chunks do not add up tells None as its output, not the last of them

    # -- what users call ---------------------------------------------------------------------------------------------

    def invoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:
        """Return the output for one input.

        Raises:
            AsyncOnly: (a TypeError) a part of this runnable has only an async form.
        """
        needs_body(self)
        scope = sync_scope(config, "ainvoke")
        if scope.gates:
            return step(attended(SYNC, scope, lambda scope: self._exec(SYNC, input, scope, kwargs)))  # type: ignore[no-any-return]
        return step(self._exec(SYNC, input, scope, kwargs))  # type: ignore[no-any-return]

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:
        """Return the output for one input, without blocking the event loop."""
        if not has_body(type(self)):
            return await in_worker(copy_context(), lambda: self.invoke(input, config, **kwargs))  # type: ignore[no-any-return]
        scope = enter(config)
        if scope.listeners:
            return await attended(ASYNC, scope, lambda scope: self._exec(ASYNC, input, scope, kwargs))
        return await self._exec(ASYNC, input, scope, kwargs)  # type: ignore[no-any-return]

    def stream(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> SyncStream[Out]:
        """Return an iterator over the output's chunks; nothing runs before the first is asked for."""
        if not has_body(type(self)):
            return SyncStream(_one(self, SYNC, input, config, kwargs))
        return SyncStream(self._flow(SYNC, once(input), blocking_scope(config), kwargs, input), "astream")

    def astream(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncStream[Out]:
        """Return an async iterator over the output's chunks; nothing runs before the first is asked for."""
        if not has_body(type(self)):
            return AsyncStream(_one(self, ASYNC, input, config, kwargs))
        return AsyncStream(
            attended_items(ASYNC, enter(config), lambda scope: self._flow(ASYNC, once(input), scope, kwargs, input))
        )

    def transform(self, input: Iterable[In], config: RunnableConfig | None = None, **kwargs: Any) -> SyncStream[Out]:
        """Return an iterator over the output's chunks for an input that itself comes in chunks."""
        if not has_body(type(self)):
            return SyncStream(_folded_stream(self, SYNC, as_async(input), config, kwargs))
        return SyncStream(self._flow(SYNC, as_async(input), blocking_scope(config), kwargs), "atransform")

    def atransform(
        self, input: AsyncIterable[In], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncStream[Out]:
        """Return an async iterator over the output's chunks for an input that itself comes in chunks."""
        if not has_body(type(self)):
            return AsyncStream(_folded_stream(self, ASYNC, aiter(input), config, kwargs))
        return AsyncStream(
            attended_items(ASYNC, enter(config), lambda scope: self._flow(ASYNC, aiter(input), scope, kwargs))
        )

    @overload
    def batch(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: Literal[False] = False, **kwargs: Any
    ) -> list[Out]: ...
    @overload
    def batch(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: bool, **kwargs: Any
    ) -> list[Any]: ...
    def batch(
        self,
        inputs: Iterable[In],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the outputs for many inputs, in the order of the inputs.

        Inputs run on worker threads, at most `config["max_concurrency"]` at once; a list of configs has one for each
        input, and the first says the bound. All inputs are run; then the first error by input order is raised. With
        `return_exceptions=True` each takes the place of its output instead.
        """
        warn_if_blocking("abatch")
        return step(batch(self, SYNC, inputs, config, return_exceptions, kwargs))

    @overload
    async def abatch(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: Literal[False] = False, **kwargs: Any
    ) -> list[Out]: ...
    @overload
    async def abatch(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: bool, **kwargs: Any
    ) -> list[Any]: ...
    async def abatch(
        self,
        inputs: Iterable[In],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """`batch` as tasks on the event loop; inputs are read as they start, at most 1,000 at once by default.

        Of several errors the one that came first is raised.
        """
        return await batch(self, ASYNC, inputs, config, return_exceptions, kwargs)

    @overload
    def batch_as_completed(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: Literal[False] = False, **kwargs: Any
    ) -> SyncStream[tuple[int, Out]]: ...
    @overload
    def batch_as_completed(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: bool, **kwargs: Any
    ) -> SyncStream[tuple[int, Any]]: ...
    def batch_as_completed(
        self,
        inputs: Iterable[In],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> SyncStream[tuple[int, Any]]:
        """Return an iterator over `(index of the input, output)` in the order of completion.

        An error is raised where its input completes; inputs that have not started then never do.
        """
        items = as_completed(self, SYNC, inputs, config, return_exceptions, kwargs)
        return SyncStream(items, "abatch_as_completed")

    @overload
    def abatch_as_completed(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: Literal[False] = False, **kwargs: Any
    ) -> AsyncStream[tuple[int, Out]]: ...
    @overload
    def abatch_as_completed(
        self, inputs: Iterable[In], config: Configs = None, *, return_exceptions: bool, **kwargs: Any
    ) -> AsyncStream[tuple[int, Any]]: ...
    def abatch_as_completed(
        self,
        inputs: Iterable[In],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncStream[tuple[int, Any]]:
        """`batch_as_completed` as tasks on the event loop; leaving early cancels what still runs."""
        return AsyncStream(as_completed(self, ASYNC, inputs, config, return_exceptions, kwargs))

    # -- composing ---------------------------------------------------------------------------------------------------

    # What a function makes is told apart by its kind: a value, or what comes of a coroutine, a generator or a runnable.

    @overload
    def __or__(self, other: Runnable[Any, Other]) -> RunnableSequence[In, Other]: ...
    @overload
    def __or__(self, other: Callable[[Any], Streamed[Other]]) -> RunnableSequence[In, Other]: ...
    @overload
    def __or__(self, other: Callable[[Any], Other]) -> RunnableSequence[In, Other]: ...
    @overload
    def __or__(self, other: Mapping[str, Any]) -> RunnableSequence[In, dict[str, Any]]: ...
    def __or__(self, other: Any) -> RunnableSequence[In, Any]:
        from .sequence import joined

        return joined(self, other)

    @overload
    def __ror__(
        self, other: Callable[[Iterator[Other]], Iterator[Any]] | Callable[[AsyncIterator[Other]], AsyncIterator[Any]]
    ) -> RunnableSequence[Other, Out]: ...
    @overload
    def __ror__(self, other: Callable[[Other], Any]) -> RunnableSequence[Other, Out]: ...
    @overload
    def __ror__(self, other: Mapping[str, Any]) -> RunnableSequence[Any, Out]: ...
    def __ror__(self, other: Any) -> RunnableSequence[Any, Out]:
        from .sequence import joined

        return joined(other, self)

    @overload
    def pipe(self, other: Runnable[Any, Other], /, *, name: str | None = None) -> RunnableSequence[In, Other]: ...
    @overload
    def pipe(
        self, other: Any, second: Runnable[Any, Other], /, *, name: str | None = None
    ) -> RunnableSequence[In, Other]: ...
    @overload
    def pipe(self, *others: Any, name: str | None = None) -> RunnableSequence[In, Any]: ...
    def pipe(self, *others: Any, name: str | None = None) -> RunnableSequence[In, Any]:
        """This runnable followed by others, as `self | a | b`."""
        from .sequence import RunnableSequence

        return RunnableSequence(self, *others, name=name)

    def bind(self, **kwargs: Any) -> RunnableBinding[In, Out]:
        """This runnable with keyword arguments that every call gets."""
        from .binding import RunnableBinding

        return RunnableBinding(self, kwargs=kwargs)

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RunnableBinding[In, Out]:
        """This runnable with a config that lies under the one of each call."""
        from .binding import RunnableBinding

        return RunnableBinding(self, config={**(config or {}), **kwargs})  # type: ignore[arg-type]

    def with_retry(
        self,
        *,
        retry_if_exception_type: tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (Exception,),
        wait_exponential_jitter: bool = True,
        exponential_jitter_params: ExponentialJitterParams | None = None,
        stop_after_attempt: int = 3,
    ) -> RunnableRetry[In, Out]:
        """This runnable, run again when it fails; see `RunnableRetry`."""
        from .retry import RunnableRetry

        return RunnableRetry(
            self,
            retry_if_exception_type=retry_if_exception_type,
            wait_exponential_jitter=wait_exponential_jitter,
            exponential_jitter_params=exponential_jitter_params,
            stop_after_attempt=stop_after_attempt,
        )

    def with_fallbacks(
        self,
        fallbacks: Sequence[Runnable[Any, Any]],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = (Exception,),
        exception_key: str | None = None,
    ) -> RunnableWithFallbacks[In, Any]:
        """This runnable, and others for when it fails; see `RunnableWithFallbacks`."""
        from .fallbacks import RunnableWithFallbacks

        return RunnableWithFallbacks(
            self, fallbacks, exceptions_to_handle=exceptions_to_handle, exception_key=exception_key
        )

    def map(self) -> RunnableEach[In, Out]:
        """This runnable over lists: each item by itself, in order."""
        from .each import RunnableEach

        return RunnableEach(self)  # type: ignore[type-var,unused-ignore]

    def with_listeners(
        self,
        *,
        on_start: Callable[..., Any] | None = None,
        on_end: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
    ) -> RunnableBinding[In, Out]:
        """This runnable, with functions that are told when its own run starts, ends or fails.

        Each is called with the `Run`, which has `inputs`, `outputs`, `error`, `child_runs` and more, and with the config
        of the call where it takes a second argument. An error of theirs is logged.
        """
        from .listeners import Listened

        return Listened(self, functions=((on_start, on_end, on_error, False),))

    def with_alisteners(
        self,
        *,
        on_start: Callable[..., Awaitable[Any]] | None = None,
        on_end: Callable[..., Awaitable[Any]] | None = None,
        on_error: Callable[..., Awaitable[Any]] | None = None,
    ) -> RunnableBinding[In, Out]:
        """`with_listeners` with coroutine functions."""
        from .listeners import Listened

        return Listened(self, functions=((on_start, on_end, on_error, True),))

    @overload
    def pick(self, keys: str) -> RunnableSequence[In, Any]: ...
    @overload
    def pick(self, keys: list[str]) -> RunnableSequence[In, dict[str, Any]]: ...
    def pick(self, keys: str | list[str]) -> RunnableSequence[In, Any]:
        """This runnable, then one key of its output (a string), or a dict of some (a list)."""
        from .passthrough import RunnablePick

        return self | RunnablePick(keys)

    def assign(self, **mapping: Any) -> RunnableSequence[In, dict[str, Any]]:
        """This runnable, then its output dict with keys added, each computed from that dict."""
        from .assign import RunnableAssign

        return self | RunnableAssign(mapping)

    def configurable_fields(self, **fields: AnyField) -> RunnableConfigurableFields[In, Out]:
        """This component with fields that a call's `config["configurable"]` may set.

        Raises:
            InvalidArgument: (a ValueError) it has no such field.
        """
        from .configurable import RunnableConfigurableFields

        return RunnableConfigurableFields(self, fields)

    def configurable_alternatives(
        self,
        which: ConfigurableField,
        *,
        default_key: str = "default",
        prefix_keys: bool = False,
        **alternatives: Any,
    ) -> RunnableConfigurableAlternatives[In, Out]:
        """This runnable, or the alternative that a call's `config["configurable"][which.id]` names."""
        from .configurable import RunnableConfigurableAlternatives

        return RunnableConfigurableAlternatives(which, self, alternatives, default_key, prefix_keys)

    def with_types(self, *, input_type: Any = None, output_type: Any = None) -> RunnableBinding[In, Out]:
        """This runnable with other types in its schemas; nothing is checked or changed when it runs."""
        from .binding import RunnableBinding

        return RunnableBinding(self, input_type=input_type, output_type=output_type)

    def as_tool(
        self,
        args_schema: Any = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: Mapping[str, Any] | None = None,
    ) -> Any:
        """This runnable as a tool that a model can call; it gets the dict of the arguments.

        Raises:
            InvalidArgument: (a ValueError) nothing tells what the arguments are; give `arg_types`.
        """
        from millstream import convert_runnable_to_tool

        return convert_runnable_to_tool(self, args_schema, name=name, description=description, arg_types=arg_types)

    # -- what our own classes write ----------------------------------------------------------------------------------

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        """One value in, one out, with the run around it."""
        if not scope.heard(self.run_type):
            return await self._body(d, input, scope.inner(), kwargs)
        run = scope.begin(self.get_name(), self.run_type, input)
        try:
            output = await self._body(d, input, run.scope, kwargs)
        except BaseException as error:
            run.fail(error)
            raise
        run.end(self._told_output(output))
        return output

    def _told_output(self, output: Any) -> Any:
        """What a whole call tells its watchers that it gave."""
        return output

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        """The work itself, inside the run."""
        raise Unsupported(f"{type(self).__name__} has no `invoke`; override it.")

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        """Chunks in, chunks out, with the run around it; `given` is the whole input where that was not in chunks."""
        if not scope.heard(self.run_type):
            return self._poured(d, inputs, scope.inner(), kwargs)
        run = scope.open(self.get_name(), self.run_type)
        if not run.mask & TOLD:
            return self._poured(d, inputs, run.scope, kwargs)
        return (watched_whole if self._takes_whole else watched)(self, d, inputs, run, kwargs)

    def _poured(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs) -> AsyncGenerator[Any, None]:
        each = self._each_item()
        return self._pour(d, inputs, scope, kwargs) if each is None else line_of(d, inputs).then(Each(each))

    def _each_item(self) -> Callable[[Any], Any] | None:
        """What `_pour` comes to where it is one quick function of each item: then it needs no generator of its own."""
        return None

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        """The streaming work itself, inside the run. Owns `inputs`: closes it when it ends."""
        whole = await folded(inputs)
        if whole is not MISSING:
            yield await self._body(d, whole, scope, kwargs)

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        """How each input of a batch ended, in input order."""
        return await each_by_itself(self, d, many)


async def _one(
    runnable: Runnable[Any, Any], d: Driver, input: Any, config: RunnableConfig | None, kwargs: Kwargs
) -> AsyncGenerator[Any, None]:
    """The default stream of a class that has only `invoke`: its one result."""
    yield runnable.invoke(input, config, **kwargs) if d.sync else await runnable.ainvoke(input, config, **kwargs)


async def _folded_stream(
    runnable: Runnable[Any, Any],
    d: Driver,
    inputs: AsyncIterator[Any],
    config: RunnableConfig | None,
    kwargs: Kwargs,
) -> AsyncGenerator[Any, None]:
    """The default transform of a class that has only `invoke`: fold, then stream."""
    whole = await folded(inputs)
    if whole is MISSING:
        return
    items = as_async(runnable.stream(whole, config, **kwargs)) if d.sync else runnable.astream(whole, config, **kwargs)
    try:
        async for item in items:
            yield item
    finally:
        await aclose(items)
