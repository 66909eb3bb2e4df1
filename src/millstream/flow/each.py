"""RunnableEach: a runnable over a list, as `map()` makes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

from ..spine.config import RunnableConfig
from ..spine.events import MISSING
from ..spine.scope import Scope
from .batch import limit_of, value_or_exception
from .driver import Driver
from .many import Many
from .overrides import folded, outcomes_of
from .runnable import Kwargs, Runnable
from .schemas import list_of
from .watchable import refused

__all__ = ["RunnableEach"]

In = TypeVar("In")
Out = TypeVar("Out")


class RunnableEach(Runnable[list[In], list[Out]], Generic[In, Out]):
    """A list in, the list of the outputs of `bound` for each of its items out, in order; at most `max_concurrency` at once.

    With `return_exceptions=True` an exception takes the place of its item's output.
    """

    def __init__(self, bound: Runnable[In, Out]) -> None:
        self.bound = bound

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RunnableEach[In, Out]:  # type: ignore[override]
        """The same with a config for each item's run."""
        return RunnableEach(self.bound.with_config(config, **kwargs))

    def with_listeners(self, **functions: Any) -> RunnableEach[In, Out]:  # type: ignore[override]
        """The same with functions that are told of each item's run."""
        return RunnableEach(self.bound.with_listeners(**functions))

    def with_alisteners(self, **functions: Any) -> RunnableEach[In, Out]:  # type: ignore[override]
        """`with_listeners` with coroutine functions."""
        return RunnableEach(self.bound.with_alisteners(**functions))

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.bound]

    def _input_shape(self) -> Any:
        return list_of(self.bound.get_name("Input"), self.bound._input_shape())

    def _output_shape(self) -> Any:
        return list_of(self.bound.get_name("Output"), self.bound._output_shape())

    def _default_name(self) -> str:
        return f"RunnableEach<{self.bound.get_name()}>"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> list[Any]:
        keep_going = kwargs.get("return_exceptions", False)
        kwargs = {key: value for key, value in kwargs.items() if key != "return_exceptions"}
        outcomes = await outcomes_of(self.bound)(
            d, Many(input, lambda _: scope, limit_of(d, scope), keep_going, kwargs)
        )
        return [value_or_exception(outcome) if keep_going else outcome.get() for outcome in outcomes]

    async def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        # A list is one value: the run of a stream is that of `invoke`, with a start and an end and no chunk.
        whole = await folded(inputs) if given is MISSING else given
        if whole is not MISSING:
            yield await self._exec(d, whole, scope, kwargs)

    def astream_events(self, *args: Any, **kwargs: Any) -> Any:
        """Not there: a list of runs has no single stream of events.

        Raises:
            Unsupported: (a NotImplementedError) always, when it is iterated.
        """
        return refused("a mapped runnable has no astream_events; watch the runnable that is mapped.")

    def __repr__(self) -> str:
        return f"RunnableEach(bound={self.bound!r})"
