"""RunnableGenerator: a user's generator function over the chunks of its input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Concatenate, Generic, TypeVar, overload

from ..data.addable import add
from ..errors import AsyncOnlyMethod, InvalidType, Unsupported
from ..spine.config import RunnableConfig
from ..spine.scope import Scope
from .driver import Driver, aclose, isolated
from .function import filled, generates, is_async, wanted
from .runnable import Kwargs, Runnable, once
from .schemas import function_input, function_output, item_of
from .step import step_iter
from .stream import AsyncStream, SyncStream

__all__ = ["RunnableGenerator"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
A = TypeVar("A")
B = TypeVar("B")


class RunnableGenerator(Runnable[In, Out], Generic[In, Out]):
    """A generator function as a runnable: it gets the iterator of input chunks and yields output chunks.

    `transform` may be a generator function or an async generator function; `atransform` is its async twin. Only the form
    that is given exists. `invoke` adds all chunks with `+` (None when there are none).

    Raises:
        InvalidType: (a TypeError) something else than a generator function was given.
    """

    @overload
    def __init__(
        self: RunnableGenerator[A, B],
        transform: Callable[Concatenate[AsyncIterator[A], ...], AsyncIterator[B]],
        atransform: None = None,
        *,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RunnableGenerator[A, B],
        transform: Callable[Concatenate[Iterator[A], ...], Iterator[B]],
        atransform: Callable[Concatenate[AsyncIterator[A], ...], AsyncIterator[B]] | None = None,
        *,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RunnableGenerator[Any, Any],
        transform: Callable[..., Any],
        atransform: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
    ) -> None: ...

    def __init__(
        self, transform: Callable[..., Any], atransform: Callable[..., Any] | None = None, *, name: str | None = None
    ) -> None:
        for given in (transform, atransform):
            if given is not None and not generates(given):
                raise InvalidType(
                    f"RunnableGenerator needs a generator function (one with `yield`), not {given!r}; "
                    "use RunnableLambda for a plain function."
                )
        is_first_async = is_async(transform)
        self._transform = None if is_first_async else transform
        self._atransform = transform if is_first_async else atransform
        self._wants = wanted(transform)
        self._awants = self._wants if is_first_async else wanted(atransform) if atransform is not None else ()
        self.name = name

    def _input_shape(self) -> Any:
        return item_of(function_input(self._transform or self._atransform))  # type: ignore[arg-type]

    def _output_shape(self) -> Any:
        return function_output(self._transform or self._atransform)  # type: ignore[arg-type]

    # Called by itself it says at once that it lacks the form; as a part of something, when its turn comes.

    def stream(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> SyncStream[Out]:
        self._check(is_sync=True)
        return super().stream(input, config, **kwargs)

    def astream(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncStream[Out]:
        self._check(is_sync=False)
        return super().astream(input, config, **kwargs)

    def transform(self, input: Iterable[In], config: RunnableConfig | None = None, **kwargs: Any) -> SyncStream[Out]:
        self._check(is_sync=True)
        return super().transform(input, config, **kwargs)

    def atransform(
        self, input: AsyncIterable[In], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncStream[Out]:
        self._check(is_sync=False)
        return super().atransform(input, config, **kwargs)

    def _check(self, *, is_sync: bool) -> None:
        if is_sync and self._transform is None:
            raise AsyncOnlyMethod(f"`{self.get_name()}`", "ainvoke")
        if not is_sync and self._atransform is None:
            raise Unsupported(f"`{self.get_name()}` has only a sync generator; give `atransform` for async runs.")

    def _default_name(self) -> str:
        return str(getattr(self._transform or self._atransform, "__name__", type(self).__name__))

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        # What it yields is told as it comes, also where the caller waits for the whole.
        chunks = self._flow(d, once(input), scope, kwargs)
        return add([chunk async for chunk in chunks])

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        self._check(is_sync=d.sync)
        wants = self._wants if d.sync else self._awants
        if wants:
            kwargs = {**kwargs, **filled(wants, scope, not d.sync)}
        # The leaf pulls its inputs from inside its own context, which must not become that of the steps before it.
        source = isolated(inputs)
        try:
            items = d.iterate(
                scope, self._transform, self._atransform, step_iter(source) if d.sync else source, **kwargs
            )
            try:
                async for item in items:
                    yield item
            finally:
                await items.aclose()
        finally:
            await source.aclose()
            await aclose(inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunnableGenerator) and (self._transform, self._atransform) == (
            other._transform,
            other._atransform,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RunnableGenerator({self.get_name()})"
