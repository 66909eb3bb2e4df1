"""Line: what one source yields, each item passed through stages, in one generator whatever the number of stages.

A generator for each step of a chain costs more a token than what the steps do. So a step that works item by item adds
itself to the line that it is fed with, as a stage; the drivers hold the loop (`Driver.line`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from operator import length_hint
from typing import TYPE_CHECKING, Any

from ..spine.events import MISSING

if TYPE_CHECKING:
    from ..spine.scope import Scope
    from .driver import Driver

__all__ = [
    "Each",
    "Enough",
    "Leaf",
    "Line",
    "Opened",
    "Stage",
    "close_inputs",
    "broken_off",
    "end",
    "failing",
    "line_of",
    "nothing",
    "place_of",
    "rest",
    "stop",
]


class Stage:
    """What is done to each item of a line, and who hears how the line ended."""

    __slots__ = ()

    def take(self, item: Any) -> Any:
        """What becomes of an item."""
        return item

    def last(self) -> Any:
        """One more item when the source has ended, or MISSING. It goes through the stages behind."""
        return MISSING

    def ended(self) -> None:
        """The source has ended and the last item was taken."""

    def stopped(self, error: BaseException, left: bool) -> None:
        """The line broke off: with `left` because whoever reads has gone or failed, else because `error` came this far."""


class Each(Stage):
    """A function of each item."""

    __slots__ = ("take",)

    def __init__(self, take: Callable[[Any], Any]) -> None:
        self.take = take  # type: ignore[method-assign,assignment]


class Leaf:
    """A source that is users' code: what `Driver.iterate` is called with."""

    __slots__ = ("afn", "args", "fn", "kwargs", "scope")

    def __init__(self, scope: Scope, fn: Any, afn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.scope = scope
        self.fn = fn
        self.afn = afn
        self.args = args
        self.kwargs = kwargs


class Enough(GeneratorExit):
    """Thrown into a line whose reader has ended by itself, without reading it all."""


class Opened:
    """A line that has begun. `inputs` are closed when the source has been.

    After an error that is done only when the stages have been told of it: what failed is told first, then what it cut short.
    """

    __slots__ = ("inputs", "source", "stages")

    def __init__(
        self,
        source: Leaf | AsyncIterator[Any],
        stages: Sequence[Stage] = (),
        inputs: Sequence[AsyncIterator[Any]] = (),
    ) -> None:
        self.source = source
        self.stages = stages
        self.inputs = inputs


class Line(AsyncGenerator[Any, None]):
    """An async generator that may still be given stages until it is iterated. `opens` does what comes before the source."""

    __slots__ = ("_d", "_items", "_more", "_opens")

    def __init__(self, d: Driver, opens: Callable[[], Awaitable[Opened]]) -> None:
        self._d = d
        self._opens = opens
        self._more: tuple[Stage, ...] = ()
        self._items: AsyncGenerator[Any, None] | None = None

    def then(self, stage: Stage) -> Line:
        """This line, with one more stage."""
        self._more = (*self._more, stage)
        return self

    async def opened(self) -> Opened:
        """Begin. For whoever takes the line over, instead of iterating it."""
        try:
            opened = await self._opens()
        except BaseException as error:
            stop(self._more, 0, error)
            raise
        if self._more:
            opened.stages = (*opened.stages, *self._more)
        return opened

    def generator(self) -> AsyncGenerator[Any, None]:
        """What iterating it comes to: nothing of the line itself is left in it."""
        items = self._items
        if items is None:
            items = self._items = self._d.line(self.opened)
        return items

    def __aiter__(self) -> AsyncGenerator[Any, None]:
        return self.generator()

    async def asend(self, value: None) -> Any:
        return await self.generator().asend(value)

    async def athrow(self, *error: Any) -> Any:
        return await self.generator().athrow(*error)

    async def aclose(self) -> None:
        if self._items is not None:
            await self._items.aclose()


def line_of(d: Driver, items: AsyncIterator[Any]) -> Line:
    """`items`, to which stages may be added. They are closed with it."""
    if isinstance(items, Line):
        return items

    async def opens() -> Opened:
        return Opened(items)

    return Line(d, opens)


async def close_inputs(inputs: Sequence[AsyncIterator[Any]], error: BaseException | None) -> None:
    """Close what a line has read from; `error` is what ended the line, None where it came to its end."""
    for each in inputs:
        if isinstance(each, Line) and (error is None or isinstance(error, Enough)):
            with suppress(GeneratorExit, StopAsyncIteration):
                await each.athrow(Enough())
        close = getattr(each, "aclose", None)
        if close is not None:
            await close()


async def nothing() -> AsyncGenerator[Any, None]:
    """A source without items."""
    return
    yield


async def failing(error: Exception) -> AsyncGenerator[Any, None]:
    """A source that raises `error` when it is asked for an item."""
    raise error
    yield


def place_of(takes: Sequence[Any], left: Iterator[Any]) -> int:
    """Which of `takes` was being called, from what is left of their iterator.

    So the loops need not count: they run for each token.
    """
    return max(0, len(takes) - length_hint(left) - 1)


def rest(stages: Sequence[Stage]) -> Iterator[Any]:
    """The items that stages add when the source has ended."""
    for at, stage in enumerate(stages, 1):
        item = stage.last()
        if item is not MISSING:
            for later in stages[at:]:
                item = later.take(item)
            yield item


def end(stages: Sequence[Stage]) -> None:
    """Tell the stages, first to last, that the line has come to its end."""
    for at, stage in enumerate(stages, 1):
        try:
            stage.ended()
        except BaseException as error:
            stop(stages[at:], 0, error)
            raise


def broken_off(
    stages: Sequence[Stage], takes: Sequence[Any], left: Iterator[Any], place: int, error: BaseException
) -> None:
    """Tell the stages that a line broke off; where `place` is not known (-1), the steps that the item has `left` say it."""
    if stages:
        if place < 0:
            place = len(stages) if isinstance(error, GeneratorExit) else place_of(takes, left)
        stop(stages, place, error)


def stop(stages: Sequence[Stage], place: int, error: BaseException) -> None:
    """Tell the stages that the line broke off with an `error` that came from the one at `place`: that one and those after it
    first, then those before it, which were cut short.

    Raises:
        BaseException: what a stage raised when it was told.
    """
    raised: BaseException | None = None
    count = len(stages)
    for at in (*range(place, count), *range(min(place, count))):
        stage = stages[at]
        try:
            if at < place:
                stage.stopped(error if isinstance(error, GeneratorExit) else GeneratorExit(), True)
            else:
                stage.stopped(raised or error, False)
        except BaseException as other:
            raised = other
    if raised is not None:
        raise raised
