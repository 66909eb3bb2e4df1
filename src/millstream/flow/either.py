"""EitherStream: one stream for `for` and `async for`; how it is read decides how the run is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import InvalidType
from .driver import ASYNC, SYNC, Driver
from .stream import AsyncStream, SyncStream

__all__ = ["EitherStream"]

T = TypeVar("T", covariant=True)


class EitherStream(Generic[T]):
    """What a run yields, for `for` or for `async for`, whichever comes first. Nothing runs before the first item is asked for.

    Leave it early with `break` inside `with stream:` or `async with stream:`, or call `close()` or `aclose()`.
    """

    __slots__ = ("__weakref__", "_instead", "_make", "_stream")

    def __init__(self, make: Callable[[Driver], AsyncGenerator[T, None]], instead: str) -> None:
        self._make = make
        self._instead = instead
        self._stream: AsyncStream[T] | SyncStream[T] | None = None

    def _sync(self) -> SyncStream[T]:
        if self._stream is None:
            self._stream = SyncStream(self._make(SYNC), self._instead)
        if isinstance(self._stream, AsyncStream):
            raise InvalidType("this stream is being read with `async for`; a second reader needs a stream of its own.")
        return self._stream

    def _async(self) -> AsyncStream[T]:
        if self._stream is None:
            self._stream = AsyncStream(self._make(ASYNC))
        if isinstance(self._stream, SyncStream):
            raise InvalidType("this stream is being read with `for`; a second reader needs a stream of its own.")
        return self._stream

    def __iter__(self) -> Generator[T, None, None]:
        return iter(self._sync())

    def __next__(self) -> T:
        return next(self._sync())

    def __aiter__(self) -> AsyncGenerator[T, None]:
        return aiter(self._async())

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._async().__anext__()

    def close(self) -> None:
        """End the run of a `for`, if it has not ended, and wait for its clean-up."""
        if self._stream is not None:
            self._sync().close()

    async def aclose(self) -> None:
        """End the run of an `async for`, if it has not ended, and wait for its clean-up."""
        if self._stream is not None:
            await self._async().aclose()

    def __enter__(self) -> EitherStream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> EitherStream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
