"""RunnableRetry: what failed is run again, after a pause."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from ..errors import InvalidArgument
from ..spine.events import MISSING
from ..spine.scope import Scope
from .driver import Driver, Outcome
from .many import Many
from .overrides import outcomes_of
from .runnable import Kwargs, Runnable, exec_of, flow_of
from .runs import watched_each

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..spine.config import RunnableConfig

__all__ = ["ExponentialJitterParams", "RunnableRetry"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class ExponentialJitterParams(TypedDict, total=False):
    """The pause before attempt n + 1, in seconds: `initial * exp_base ** (n - 1)` plus up to `jitter`, at most `max`."""

    initial: float
    max: float
    exp_base: float
    jitter: float


class RunnableRetry(Runnable[In, Out], Generic[In, Out]):
    """`bound`, run again when it fails; after the last attempt its own exception is raised.

    `retry_if_exception_type` is a tuple of classes, or a function that says of an exception whether to try again.
    Streams are not retried: what has been shown cannot be taken back. In a batch only what failed is run again.
    `retry_exception_types` and `max_attempt_number` are other names of two of the arguments.
    """

    def __init__(
        self,
        bound: Runnable[In, Out],
        *,
        retry_if_exception_type: tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (Exception,),
        wait_exponential_jitter: bool = True,
        exponential_jitter_params: ExponentialJitterParams | None = None,
        stop_after_attempt: int = 3,
        retry_exception_types: tuple[type[BaseException], ...] | None = None,
        max_attempt_number: int | None = None,
    ) -> None:
        retry_if_exception_type = retry_exception_types or retry_if_exception_type
        stop_after_attempt = stop_after_attempt if max_attempt_number is None else max_attempt_number
        if stop_after_attempt < 1:
            raise InvalidArgument(f"stop_after_attempt must be at least 1, not {stop_after_attempt}.")
        self.bound = bound
        self.retry_if_exception_type = retry_if_exception_type
        self.wait_exponential_jitter = wait_exponential_jitter
        self.exponential_jitter_params: ExponentialJitterParams = exponential_jitter_params or {}
        self.stop_after_attempt = stop_after_attempt
        self._run_bound = exec_of(bound)
        self._flow_bound = flow_of(bound)

    @property
    def max_attempt_number(self) -> int:
        """`stop_after_attempt`."""
        return self.stop_after_attempt

    @property
    def retry_exception_types(self) -> tuple[type[BaseException], ...] | Callable[[BaseException], bool]:
        """`retry_if_exception_type`."""
        return self.retry_if_exception_type

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what is retried."""
        return self.bound.get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what is retried."""
        return self.bound.get_output_schema(config)

    def _input_shape(self) -> Any:
        return self.bound._input_shape()

    def _output_shape(self) -> Any:
        return self.bound._output_shape()

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.bound]

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The name of what is retried."""
        return self.bound.get_name(suffix, name=name)

    def _again(self, error: BaseException, attempt: int) -> bool:
        # A cancellation is never retried: CancelledError is no Exception.
        if attempt >= self.stop_after_attempt or not isinstance(error, Exception):
            return False
        wanted = self.retry_if_exception_type
        return isinstance(error, wanted) if isinstance(wanted, tuple) else wanted(error)

    def _pause(self, attempt: int) -> float:
        if not self.wait_exponential_jitter:
            return 0.0
        params = self.exponential_jitter_params
        longest = params.get("max", 60.0)
        try:
            pause = params.get("initial", 1.0) * float(params.get("exp_base", 2.0)) ** (attempt - 1)
        except OverflowError:  # after a thousand attempts
            return longest
        return min(pause + random.uniform(0, params.get("jitter", 1.0)), longest)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        attempt = 1
        while True:
            try:
                return await self._run_bound(d, input, _attempt(scope, attempt), kwargs)
            except Exception as error:
                if not self._again(error, attempt):
                    raise
            await d.sleep(self._pause(attempt))
            attempt += 1

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        return self._flow_bound(d, inputs, scope, kwargs, given)

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        async def work(values: list[Any], scopes: list[Scope]) -> list[Outcome]:
            outcomes = [Outcome(None, None)] * len(values)
            going = list(range(len(values)))
            attempt = 1
            while going:
                attempts = [_attempt(scopes[index], attempt) for index in going]
                part = [values[index] for index in going]
                again = Many(part, attempts.__getitem__, many.limit, True, many.kwargs)
                results = await outcomes_of(self.bound)(d, again)
                for index, outcome in zip(going, results, strict=True):
                    outcomes[index] = outcome
                going = [i for i in going if (error := outcomes[i].error) is not None and self._again(error, attempt)]
                if going:
                    await d.sleep(self._pause(attempt))
                attempt += 1
            return outcomes

        return await watched_each(self, many, work)

    def __repr__(self) -> str:
        return f"RunnableRetry(bound={self.bound!r})"


def _attempt(scope: Scope, attempt: int) -> Scope:
    return scope.child(f"retry:attempt:{attempt}") if attempt > 1 else scope
