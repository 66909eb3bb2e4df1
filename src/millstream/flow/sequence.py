"""RunnableSequence: steps one after another, each fed with the chunks of the one before."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Generic, TypeVar

from ..errors import InvalidArgument
from ..spine.events import MISSING
from ..spine.scope import Scope
from .coerce import coerce
from .driver import Driver
from .runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of

__all__ = ["RunnableSequence", "joined"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class RunnableSequence(Runnable[In, Out], Generic[In, Out]):
    """`first | ... | last`. Keyword arguments of a call go to the first step.

    Raises:
        InvalidArgument: (a ValueError) fewer than two steps.
    """

    def __init__(self, *steps: Any, name: str | None = None) -> None:
        flat: list[Runnable[Any, Any]] = []
        for each in steps:
            part = coerce(each)
            flat.extend(part.steps if isinstance(part, RunnableSequence) else [part])
        if len(flat) < 2:
            raise InvalidArgument(f"a RunnableSequence needs at least 2 steps, got {len(flat)}.")
        self.steps: list[Runnable[Any, Any]] = flat
        self.name = name
        self._parts = [(exec_of(part), flow_of(part), f"seq:step:{n}") for n, part in enumerate(flat, 1)]

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

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        for run_step, _, tag in self._parts:
            input = await run_step(d, input, scope.child(tag), kwargs)
            kwargs = NO_KWARGS
        return input

    def _pour(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs) -> AsyncGenerator[Any, None]:
        # No generator of its own: the last step's stream is the sequence's, and closing it closes the ones before.
        for _, flow_step, tag in self._parts:
            inputs = flow_step(d, inputs, scope.child(tag), kwargs)
            kwargs = NO_KWARGS
        return inputs  # type: ignore[return-value]

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        if given is not MISSING and not scope.listeners:
            return self._pour_given(d, inputs, scope.inner(), kwargs, given)
        return super()._flow(d, inputs, scope, kwargs, given)

    def _pour_given(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any
    ) -> AsyncGenerator[Any, None]:
        for _, flow_step, _tag in self._parts:
            inputs = flow_step(d, inputs, scope, kwargs, given)
            kwargs, given = NO_KWARGS, MISSING
        return inputs  # type: ignore[return-value]

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.steps))


def joined(left: Any, right: Any) -> RunnableSequence[Any, Any]:
    """`left | right`; a named sequence on the left lends its name."""
    name = left.name if isinstance(left, RunnableSequence) else None
    return RunnableSequence(left, right, name=name)
