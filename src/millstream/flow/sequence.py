"""RunnableSequence: steps one after another, each fed with the chunks of the one before."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import InvalidArgument
from ..spine.scope import Scope
from .coerce import coerce
from .described import hanging
from .driver import Driver, Outcome
from .many import Many
from .overrides import hearer_of, outcomes_of
from .runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of
from .runs import watched_each

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..spine.config import RunnableConfig

__all__ = ["RunnableSequence", "joined"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class RunnableSequence(Runnable[In, Out], Generic[In, Out]):
    """`first | ... | last`. Keyword arguments of a call go to the first step.

    The steps may also be given as `first=`, `middle=` (a list) and `last=`.

    Raises:
        InvalidArgument: (a ValueError) fewer than two steps.
    """

    def __init__(
        self,
        *steps: Any,
        name: str | None = None,
        first: Any = None,
        middle: Sequence[Any] | None = None,
        last: Any = None,
    ) -> None:
        flat: list[Runnable[Any, Any]] = []
        named = (first, *(middle or ()), last)
        for each in steps or (each for each in named if each is not None):
            part = coerce(each)
            flat.extend(part.steps if isinstance(part, RunnableSequence) else [part])
        if len(flat) < 2:
            raise InvalidArgument(f"a RunnableSequence needs at least 2 steps, got {len(flat)}.")
        self.steps: list[Runnable[Any, Any]] = flat
        self.name = name
        self._parts = [
            (exec_of(part), flow_of(part), (f"seq:step:{n}", hearer_of(part))) for n, part in enumerate(flat, 1)
        ]

    def _input_shape(self) -> Any:
        return self.steps[0]._input_shape()

    def _output_shape(self) -> Any:
        shape = self.steps[0]._output_shape()
        for part in self.steps[1:]:
            shape = part._output_shape_after(shape)
        return shape

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of the first step."""
        return self.steps[0].get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of the last step, unless what this gives depends on the steps before."""
        last = self.steps[-1]
        shape = self._output_shape()
        return last.get_output_schema(config) if shape == last._output_shape() else super().get_output_schema(config)

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return self.steps

    @property
    def first(self) -> Runnable[In, Any]:
        """The first step."""
        return self.steps[0]

    @property
    def middle(self) -> list[Runnable[Any, Any]]:
        """The steps between the first and the last."""
        return self.steps[1:-1]

    @property
    def last(self) -> Runnable[Any, Out]:
        """The last step."""
        return self.steps[-1]

    def _exec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs
    ) -> Coroutine[Any, Any, Any]:
        # One frame where nobody watches: many sequences wait here at once, for a model.
        if scope.heard(self.run_type):
            return super()._exec(d, input, scope, kwargs)
        return self._body(d, input, scope.inner(), kwargs)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        for run_step, _, tag in self._parts:
            input = await run_step(d, input, scope.child(*tag), kwargs)
            kwargs = NO_KWARGS
        return input

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        """Step by step: every input has passed a step before any enters the next.

        Without `keep_going` an error in one step keeps all inputs out of the next, and is the outcome of all that did
        not fail themselves.
        """

        async def work(values: list[Any], scopes: list[Scope]) -> list[Outcome]:
            kwargs = many.kwargs
            outcomes = [Outcome(value, None) for value in values]
            for part, (_, _, tag) in zip(self.steps, self._parts, strict=True):
                going = [index for index, outcome in enumerate(outcomes) if outcome.error is None]
                children = [scopes[index].child(*tag) for index in going]
                values = [outcomes[index].value for index in going]
                step = Many(values, children.__getitem__, many.limit, many.keep_going, kwargs)
                results = await outcomes_of(part)(d, step)
                for index, result in zip(going, results, strict=True):
                    outcomes[index] = result
                kwargs = NO_KWARGS
                failed = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
                if failed is not None and not many.keep_going:
                    return [outcome if outcome.error is not None else Outcome(None, failed) for outcome in outcomes]
            return outcomes

        return await watched_each(self, many, work)

    def _pour(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs) -> AsyncGenerator[Any, None]:
        # No generator of its own: the last step's stream is the sequence's, and closing it closes the ones before.
        for _, flow_step, tag in self._parts:
            inputs = flow_step(d, inputs, scope.child(*tag), kwargs)
            kwargs = NO_KWARGS
        return inputs  # type: ignore[return-value]

    def __repr__(self) -> str:
        return "\n".join(hanging("| " if at else "", step) for at, step in enumerate(self.steps))


def joined(left: Any, right: Any) -> RunnableSequence[Any, Any]:
    """`left | right`. A named sequence lends its name: the one on the left, or what any but a single runnable is joined to."""
    name = left.name if isinstance(left, RunnableSequence) else None
    if name is None and isinstance(right, RunnableSequence):
        name = right.name if isinstance(left, RunnableSequence) or not isinstance(left, Runnable) else None
    return RunnableSequence(left, right, name=name)
