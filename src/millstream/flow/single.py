"""Single: a stream of at most one item. Most inputs are one, and so is what a prompt gives to its model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from ..spine.events import MISSING

__all__ = ["Single", "once"]


class Single(AsyncGenerator[Any, None]):
    """What `make` makes when it is asked for; nothing where that is MISSING.

    An async generator would cost four times as much: it is registered with the loop, and asked twice. Who needs all of the
    stream awaits `whole`.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make: Callable[[], Awaitable[Any]] | None = make

    async def whole(self) -> Any:
        """The item; MISSING where there is none, or none any more."""
        make, self._make = self._make, None
        return MISSING if make is None else await make()

    async def __anext__(self) -> Any:
        item = await self.whole()
        if item is MISSING:
            raise StopAsyncIteration
        return item

    async def asend(self, value: None) -> Any:
        return await self.__anext__()

    async def athrow(self, *error: Any) -> Any:
        self._make = None
        raise error[0]

    async def aclose(self) -> None:
        self._make = None


class _Once(Single):
    __slots__ = ("_taken", "_value")

    def __init__(self, value: Any, taken: list[Any] | None) -> None:
        self._value = value
        self._taken = taken

    async def whole(self) -> Any:
        value, self._value = self._value, MISSING
        if self._taken is not None and value is not MISSING:
            self._taken.append(value)
        return value

    async def athrow(self, *error: Any) -> Any:
        self._value = MISSING
        raise error[0]

    async def aclose(self) -> None:
        self._value = MISSING


def once(value: Any, taken: list[Any] | None = None) -> Single:
    """A stream of one item, or none if that is MISSING; noted in `taken` when it is read."""
    return _Once(value, taken)
