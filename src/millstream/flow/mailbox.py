"""Mailbox: many writers in any thread, one reader, a high-water mark, and one wake-up a burst.

`put` never blocks. A writer that is about to fetch more calls `drain` (or `drain_blocking` in a thread), which waits
while the reader is behind. Lost wake-ups are excluded by order: a writer appends, then looks for a waiting reader; a
reader says that it waits, then looks once more for items. Whoever waits stands in a list, and taking it out of there is
atomic: so one thread wakes it, once, and takes nobody else out by mistake.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ..data.lazy import Lazy, logger_of
from .step import running_loop
from .workers import workers

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["HIGH_WATER", "PATIENCE", "Abandoned", "Mailbox", "Waiter", "wake_all"]

logger = logger_of("millstream")

T = TypeVar("T")
# Somebody who waits: in a task, or blocking a thread.
Waiter: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | threading.Lock"

HIGH_WATER = 256
# How long a thread waits before it looks for itself: Ctrl-C may have struck the one that was about to wake it.
PATIENCE = 1.0


class Abandoned(BaseException):
    """The reader has gone: unwinds a writer in a thread, which nothing else can stop."""


class Mailbox(Generic[T]):
    """Items on their way from writers to one reader.

    The reader owns it: its reading ends when a writer's side calls `close`, and `abandon` tells the writers that nobody
    reads any more (then `put` drops and `drain` returns at once).
    """

    __slots__ = ("_awake", "_error", "abandoned", "closed", "items", "mark", "room")

    def __init__(self, mark: int = HIGH_WATER) -> None:
        self.mark = mark
        self.abandoned = False
        self.items: deque[T] = deque()
        self.closed = False
        self._error: BaseException | None = None
        # Lists: an empty deque is 600 bytes, and most streams never need them.
        self._awake: list[Waiter] = []  # the reader, while it waits for items
        self.room: list[Waiter] = []  # writers that wait for the reader

    def put(self, item: T) -> None:
        """Leave one item; from any thread."""
        if self.abandoned:
            return
        self.items.append(item)
        if self._awake:
            wake_all(self._awake)

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; after the last one the reader ends, or raises `error`.

        An error that comes when the reader has gone, so one in clean-up, is logged.
        """
        self._error = error
        self.closed = True
        if self._awake:
            wake_all(self._awake)
        if self.abandoned and isinstance(error, Exception):
            logger.warning("an error after the reader of a stream had left: %r", error, exc_info=error)

    def abandon(self) -> None:
        """The reader has gone: let waiting writers go on, drop what is left."""
        self.abandoned = True
        self.items.clear()
        self._make_room()

    @property
    def strict(self) -> bool:
        """Whether every leaf waits, before it begins, until the reader is level."""
        return False

    async def level(self) -> None:
        """Wait until the reader of a strict mailbox has everything."""

    def level_blocking(self) -> None:
        """`level` for a leaf that is called in a thread of its own."""

    @property
    def behind(self) -> bool:
        """Whether a writer should wait before it fetches more."""
        return len(self.items) >= self.mark

    async def drain(self) -> None:
        """Wait until the reader has caught up to half the mark, or has gone."""
        while len(self.items) >= self.mark and not self.abandoned:
            loop = asyncio.get_running_loop()
            entry = (loop, loop.create_future())
            self._wait_for_room(entry)
            try:
                await entry[1]
            finally:
                self._forget_writer(entry)

    def drain_blocking(self) -> None:
        """`drain` for a writer in a thread of its own.

        Raises:
            Abandoned: the reader has gone while the producer runs. (What outlives the producer was not for the reader.)
        """
        while len(self.items) >= self.mark and not self.abandoned:
            room = threading.Lock()
            room.acquire()
            self._wait_for_room(room)
            with workers.resting():
                room.acquire(timeout=PATIENCE)
            self._forget_writer(room)
        if self.abandoned and not self.closed:
            raise Abandoned

    # -- the reader's side: `while take()` what is there, then wait for more, until `ended` ---------------------------

    def take(self) -> T:
        """The next item. The reader asks only while there are some.

        Raises:
            IndexError: there is none.
        """
        item = self.items.popleft()
        if self.room and len(self.items) <= self.mark // 2:
            self._make_room()
        return item

    @property
    def ended(self) -> bool:
        """Whether the last item has been taken and no more will come; raises, once, the error that the writers ended with."""
        if not self.closed or self.items:
            return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def expect(self) -> asyncio.Future[None] | None:
        """A future of the running loop that is done when something is there; None when something is there now."""
        loop = asyncio.get_running_loop()
        awake: asyncio.Future[None] = loop.create_future()
        return awake if self._wait_for_items((loop, awake)) else None

    def expect_blocking(self) -> None:
        """Block this thread until something is there, or for a while."""
        awake = threading.Lock()
        awake.acquire()
        if self._wait_for_items(awake):
            with workers.resting():
                awake.acquire(timeout=PATIENCE)

    async def read(self, sync: bool = False) -> AsyncGenerator[T, None]:
        """Yield items until the writers close; with `sync` by blocking this thread instead of suspending."""
        while True:
            while self.items:
                yield self.take()
            if self.ended:
                return
            if sync:
                self.expect_blocking()
            elif (awake := self.expect()) is not None:
                await awake

    def _wait_for_items(self, reader: Waiter) -> bool:
        """Whether there are none, and `reader` will be woken."""
        self._awake.clear()  # of an earlier wait, that was cancelled
        self._awake.append(reader)
        if not self.items and not self.closed:
            return True
        self._awake.clear()
        return False

    def _wait_for_room(self, writer: Waiter) -> None:
        self.room.append(writer)
        if len(self.items) < self.mark or self.abandoned:
            self._make_room()

    def _forget_writer(self, writer: Waiter) -> None:
        try:
            self.room.remove(writer)
        except ValueError:
            pass  # taken out by whoever made room

    def _make_room(self) -> None:
        wake_all(self.room)


def wake_all(waiters: list[Waiter]) -> None:
    """Let all go on that wait in this list, and take them out of it; from any thread."""
    while waiters:
        try:
            waiter = waiters.pop()
        except IndexError:
            return  # another thread was faster
        if not isinstance(waiter, tuple):
            waiter.release()
            continue
        loop, future = waiter
        if running_loop() is loop:
            _set(future)
            continue
        try:
            loop.call_soon_threadsafe(_set, future)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more


def _set(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
