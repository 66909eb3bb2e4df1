"""The handles that users hold: an async stream and a sync one; and `push`, which lets several writers feed one.

`async for` and `for` go straight to the generator underneath, so a handle costs nothing a token.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ..errors import InvalidType
from .driver import SYNC, Driver
from .entry import warn_if_blocking
from .line import Line
from .mailbox import Mailbox
from .step import step_iter

__all__ = ["AsyncStream", "SyncStream", "push"]

T = TypeVar("T", covariant=True)


class AsyncStream(Generic[T]):
    """An async iterator over what a run yields. Nothing runs before the first item is asked for.

    Leave it early with `break` inside `async with stream:`, or call `aclose()`: both wait until everything that the
    stream started has ended. A stream that is dropped is closed by the event loop, a little later.
    """

    __slots__ = ("__weakref__", "_items")

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items.generator() if isinstance(items, Line) else items

    def __aiter__(self) -> AsyncGenerator[T, None]:
        return self._items

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._items.__anext__()

    async def aclose(self) -> None:
        """End the run, if it has not ended, and wait for its clean-up."""
        await self._items.aclose()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._items.aclose()

    if not TYPE_CHECKING:  # a checker knows without it

        def __iter__(self) -> NoReturn:
            raise InvalidType(
                "this stream is asynchronous: write `async for item in ...`, or use `stream()` for a plain `for`."
            )


class SyncStream(Generic[T]):
    """An iterator over what a run yields. Nothing runs before the first item is asked for.

    Leave it early with `break` inside `with stream:`, or call `close()`; a stream that is dropped is closed at once.
    `instead` names the verb to use where it is iterated on the thread of a running event loop.
    """

    __slots__ = ("__weakref__", "_items")

    def __init__(self, items: AsyncGenerator[T, None], instead: str | None = None) -> None:
        # Who iterates blocks, which may be another thread than the one that made the stream.
        begin = None if instead is None else partial(warn_if_blocking, instead)
        self._items: Generator[T, None, None] = (
            SYNC.pulled(items.opened, begin) if isinstance(items, Line) else step_iter(items, begin)
        )

    def __iter__(self) -> Generator[T, None, None]:
        return self._items

    def __next__(self) -> T:
        return next(self._items)

    def close(self) -> None:
        """End the run, if it has not ended, and wait for its clean-up."""
        self._items.close()

    def __enter__(self) -> SyncStream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._items.close()


async def push(
    d: Driver,
    mailbox: Mailbox[Any],
    produce: Callable[[], Coroutine[Any, Any, None]],
    feed: Callable[[Any], Iterable[Any]] | None = None,
    failure: Callable[[Exception], Any] | None = None,
) -> AsyncGenerator[Any, None]:
    """Yield what `produce` and its helpers put into `mailbox`, each item through `feed` if that is given.

    The producer runs in a task (or worker thread) that this stream owns: it ends with the stream. Its error is raised
    after the items that came before it, and after what `failure` makes of it.
    """
    producer = None
    sync, items = d.sync, mailbox.items
    try:
        producer = d.spawn(produce, mailbox)
        # `mailbox.read()` written out: one generator less for every stream that is open.
        while True:
            while items:
                item = mailbox.take() if mailbox.room else items.popleft()
                if feed is None:
                    yield item
                else:
                    for output in feed(item):
                        yield output
            try:
                if mailbox.ended:
                    return
            except Exception as error:
                if failure is not None:
                    yield failure(error)
                raise
            if sync:
                mailbox.expect_blocking()
            elif (awake := mailbox.expect()) is not None:
                await awake
    finally:
        mailbox.abandon()
        if producer is not None:
            await producer.end()
