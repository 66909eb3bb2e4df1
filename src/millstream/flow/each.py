"""RunnableEach: a runnable over a list, as `map()` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from ..errors import Unsupported
from ..spine.scope import Scope
from .batch import limit_of
from .driver import Driver
from .many import Many
from .overrides import outcomes_of
from .runnable import Kwargs, Runnable

__all__ = ["RunnableEach"]

In = TypeVar("In")
Out = TypeVar("Out")


class RunnableEach(Runnable[list[In], list[Out]], Generic[In, Out]):
    """A list in, the list of the outputs of `bound` for each of its items out, in order; at most `max_concurrency` at once."""

    def __init__(self, bound: Runnable[In, Out]) -> None:
        self.bound = bound

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.bound]

    def _default_name(self) -> str:
        return f"RunnableEach<{self.bound.get_name()}>"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> list[Any]:
        outcomes = await outcomes_of(self.bound)(d, Many(input, lambda _: scope, limit_of(d, scope), False, kwargs))
        return [outcome.get() for outcome in outcomes]

    def astream_events(self, *args: Any, **kwargs: Any) -> Any:
        """Not there: a list of runs has no single stream of events.

        Raises:
            Unsupported: (a NotImplementedError) always.
        """
        raise Unsupported("a mapped runnable has no astream_events; watch the runnable that is mapped.")

    def __repr__(self) -> str:
        return f"RunnableEach({self.bound!r})"
