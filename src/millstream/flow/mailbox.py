"""Mailbox: many writers in any thread, one reader, a high-water mark, and one wake-up a burst.

`put` never blocks. A writer that is about to fetch more calls `drain` (or `drain_blocking` in a thread), which waits
while the reader is behind. Lost wake-ups are excluded by order: a writer appends, then looks for a waiting reader; a
reader says that it waits, then looks once more for items.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

from .step import running_loop

__all__ = ["HIGH_WATER", "Abandoned", "Mailbox"]

T = TypeVar("T")

HIGH_WATER = 256


class Abandoned(BaseException):
    """The reader has gone: unwinds a writer in a thread, which nothing else can stop."""


_making_room = threading.Lock()


class Mailbox(Generic[T]):
    """Items on their way from writers to one reader.

    The reader owns it: its reading ends when a writer's side calls `close`, and `abandon` tells the writers that nobody
    reads any more (then `put` drops and `drain` returns at once).
    """

    __slots__ = ("_awake", "_closed", "_error", "_loop", "abandoned", "items", "mark", "room")

    def __init__(self, mark: int = HIGH_WATER) -> None:
        self.mark = mark
        self.abandoned = False
        self.items: deque[T] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the reader's loop, once it reads
        self._awake: asyncio.Future[None] | threading.Lock | None = None  # set while the reader waits
        # Waiting writers, made by the first that waits. Then one deque for life: a writer may be about to append to the
        # one it has read. (An empty deque is 600 bytes, and most streams never need it.)
        self.room: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | threading.Lock] | None = None

    def put(self, item: T) -> None:
        """Leave one item; from any thread."""
        if self.abandoned:
            return
        self.items.append(item)
        awake = self._awake
        if awake is not None:
            # Most often the reader waits on this very loop: then without the detours of `_wake_reader`.
            if running_loop() is self._loop is not None:
                self._awake = None
                if not awake.done():  # type: ignore[union-attr]
                    awake.set_result(None)  # type: ignore[union-attr]
            else:
                self._wake_reader()

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; after the last one the reader ends, or raises `error`."""
        self._error = error
        self._closed = True
        if self._awake is not None:
            self._wake_reader()

    def abandon(self) -> None:
        """The reader has gone: let waiting writers go on, drop what is left."""
        self.abandoned = True
        self.items.clear()
        self._make_room()

    @property
    def strict(self) -> bool:
        """Whether every leaf waits for the reader to be level, not only those that fetch tokens."""
        return False

    @property
    def behind(self) -> bool:
        """Whether a writer should wait before it fetches more."""
        return len(self.items) >= self.mark

    async def drain(self) -> None:
        """Wait until the reader has caught up to half the mark, or has gone."""
        while len(self.items) >= self.mark and not self.abandoned:
            loop = asyncio.get_running_loop()
            room: asyncio.Future[None] = loop.create_future()
            entry = (loop, room)
            waiting = self._waiting()
            waiting.append(entry)
            if len(self.items) < self.mark or self.abandoned:
                self._make_room()
            try:
                await room
            finally:
                try:
                    waiting.remove(entry)
                except ValueError:
                    pass  # taken out by whoever made room

    def drain_blocking(self) -> None:
        """`drain` for a writer in a thread of its own.

        Raises:
            Abandoned: the reader has gone.
        """
        while len(self.items) >= self.mark and not self.abandoned:
            room = threading.Lock()
            room.acquire()
            self._waiting().append(room)
            if len(self.items) < self.mark or self.abandoned:
                self._make_room()
            room.acquire()
        if self.abandoned:
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
        """Whether the last item has been taken and no more will come; raises the error that the writers ended with."""
        if not self._closed or self.items:
            return False
        if self._error is not None:
            raise self._error
        return True

    def expect(self) -> asyncio.Future[None] | None:
        """A future of the running loop that is done when something is there; None when something is there now."""
        loop = self._loop = asyncio.get_running_loop()
        awake: asyncio.Future[None] = loop.create_future()
        self._awake = awake
        if self.items or self._closed:
            self._awake = None
            return None
        return awake

    def expect_blocking(self) -> None:
        """Block this thread until something is there."""
        awake = threading.Lock()
        awake.acquire()
        self._awake = awake
        if self.items or self._closed:
            self._awake = None
            return
        awake.acquire()

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

    def _waiting(self) -> deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | threading.Lock]:
        if self.room is None:
            with _making_room:
                if self.room is None:
                    self.room = deque()
        return self.room

    def _wake_reader(self) -> None:
        awake, self._awake = self._awake, None
        if awake is None:
            return  # another writer was faster
        if isinstance(awake, asyncio.Future):
            assert self._loop is not None
            _resolve(self._loop, awake)
        else:
            try:
                awake.release()
            except RuntimeError:
                pass  # two writers woke it at once

    def _make_room(self) -> None:
        while self.room:
            try:
                entry = self.room.popleft()
            except IndexError:
                return  # another thread took it
            if isinstance(entry, tuple):
                _resolve(*entry)
            else:
                try:
                    entry.release()
                except RuntimeError:
                    pass


def _resolve(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    if running_loop() is loop:
        _set(future)
        return
    try:
        loop.call_soon_threadsafe(_set, future)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _set(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
