"""RunnableWithFallbacks: others that take over when the first fails."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import InvalidArgument, ValidationError
from ..spine.events import MISSING
from ..spine.scope import Scope
from .driver import Driver, Outcome
from .many import Many
from .overrides import folded, outcomes_of
from .runnable import Kwargs, Runnable, exec_of, flow_of, once
from .runs import watched_each

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..spine.config import RunnableConfig

__all__ = ["RunnableWithFallbacks"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class RunnableWithFallbacks(Runnable[In, Out], Generic[In, Out]):
    """`runnable`, and when it fails with one of `exceptions_to_handle` each of `fallbacks` in turn.

    When all fail, the first one's exception is raised (a batch reports the last one's). With `exception_key` the input must
    be a dict, and gets the exception under that key before a fallback is tried. A stream falls back only while its
    first chunk has not come, and also where none comes at all. Attributes are those of `runnable`; a method that gives a runnable is applied to all.
    """

    _takes_whole = True
    _must_add = True

    def __init__(
        self,
        runnable: Runnable[In, Out],
        fallbacks: Sequence[Runnable[In, Out]],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = (Exception,),
        exception_key: str | None = None,
    ) -> None:
        for each in fallbacks:
            if not isinstance(each, Runnable):
                raise ValidationError(
                    f"a fallback must be a Runnable, not {each!r}; wrap a function in RunnableLambda."
                )
        self.runnable = runnable
        self.fallbacks = list(fallbacks)
        self.exceptions_to_handle = exceptions_to_handle
        self.exception_key = exception_key

    @property
    def runnables(self) -> list[Runnable[In, Out]]:
        """The first and its fallbacks, in the order in which they are tried."""
        return [self.runnable, *self.fallbacks]

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        self._check(input)
        first: BaseException | None = None
        for each in self.runnables:
            try:
                return await exec_of(each)(d, input, scope, kwargs)
            except Exception as error:
                if not self._handles(error):
                    raise
                first = error if first is None else first
                self._tell(input, error)
        assert first is not None
        raise first

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        input = await folded(inputs)
        if input is MISSING:
            return
        self._check(input)
        first: BaseException | None = None
        for each in self.runnables:
            items = flow_of(each)(d, once(input), scope, kwargs)
            try:
                try:
                    chunk = await anext(items)
                except StopAsyncIteration:  # it gave nothing: another may have something
                    continue
                except Exception as error:
                    if not self._handles(error):
                        raise
                    first = error if first is None else first
                    self._tell(input, error)
                    continue
                yield chunk
                async for chunk in items:
                    yield chunk
                return
            finally:
                await items.aclose()
        if first is not None:
            raise first

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        async def work(values: list[Any], scopes: list[Scope]) -> list[Outcome]:
            for value in values:
                self._check(value)
            outcomes = [Outcome(None, None)] * len(values)
            going = list(range(len(values)))
            for each in self.runnables:
                part = [values[index] for index in going]
                inner = [scopes[index] for index in going]
                results = await outcomes_of(each)(d, Many(part, inner.__getitem__, many.limit, True, many.kwargs))
                failed = []
                for index, outcome in zip(going, results, strict=True):
                    outcomes[index] = outcome
                    if outcome.error is not None and self._handles(outcome.error):
                        failed.append(index)
                        self._tell(values[index], outcome.error)
                going = failed
                if not going:
                    break
            return outcomes

        return await watched_each(self, many, work)

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of the first runnable."""
        return self.runnable.get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of the first runnable."""
        return self.runnable.get_output_schema(config)

    def _input_shape(self) -> Any:
        return self.runnable._input_shape()

    def _output_shape(self) -> Any:
        return self.runnable._output_shape()

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return self.runnables

    def _handles(self, error: BaseException) -> bool:
        # Whatever the user lists: a cancellation, an interrupt or an exit is nobody's failure.
        return isinstance(error, Exception) and isinstance(error, self.exceptions_to_handle)

    def _check(self, input: Any) -> None:
        if self.exception_key is not None and not isinstance(input, dict):
            raise InvalidArgument(
                f"with exception_key={self.exception_key!r} the input must be a dict, got {type(input).__name__}."
            )

    def _tell(self, input: Any, error: BaseException) -> None:
        if self.exception_key is not None:
            input[self.exception_key] = error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("runnable", "fallbacks"):
            raise AttributeError(name)
        found = getattr(self.runnable, name)
        if not (inspect.ismethod(found) or inspect.isfunction(found)):
            return found

        def for_all(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            if not isinstance(result, Runnable):
                return result
            return RunnableWithFallbacks(
                result,
                [getattr(each, name)(*args, **kwargs) for each in self.fallbacks],
                exceptions_to_handle=self.exceptions_to_handle,
                exception_key=self.exception_key,
            )

        return for_all

    def __repr__(self) -> str:
        return f"RunnableWithFallbacks(runnable={self.runnable!r}, fallbacks={self.fallbacks!r})"
