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


class Mailbox(Generic[T]):
    """Items on their way from writers to one reader.

    The reader owns it: `read` ends when a writer's side calls `close`, and `abandon` tells the writers that nobody
    reads any more (then `put` drops and `drain` returns at once).
    """

    __slots__ = ("_awake", "_closed", "_error", "_items", "_loop", "_room", "abandoned", "mark")

    def __init__(self, mark: int = HIGH_WATER) -> None:
        self.mark = mark
        self.abandoned = False
        self._items: deque[T] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the reader's loop, once it reads
        self._awake: asyncio.Future[None] | threading.Lock | None = None  # set while the reader waits
        # Waiting writers. One deque for life: a writer may be about to append to the one it has read.
        self._room: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | threading.Lock] = deque()

    def put(self, item: T) -> None:
        """Leave one item; from any thread."""
        if self.abandoned:
            return
        self._items.append(item)
        if self._awake is not None:
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
        self._items.clear()
        self._make_room()

    @property
    def behind(self) -> bool:
        """Whether a writer should wait before it fetches more."""
        return len(self._items) >= self.mark

    async def drain(self) -> None:
        """Wait until the reader has caught up to half the mark, or has gone."""
        while len(self._items) >= self.mark and not self.abandoned:
            loop = asyncio.get_running_loop()
            room: asyncio.Future[None] = loop.create_future()
            entry = (loop, room)
            self._room.append(entry)
            if len(self._items) < self.mark or self.abandoned:
                self._make_room()
            try:
                await room
            finally:
                try:
                    self._room.remove(entry)
                except ValueError:
                    pass  # taken out by whoever made room

    def drain_blocking(self) -> None:
        """`drain` for a writer in a thread of its own.

        Raises:
            Abandoned: the reader has gone.
        """
        while len(self._items) >= self.mark and not self.abandoned:
            room = threading.Lock()
            room.acquire()
            self._room.append(room)
            if len(self._items) < self.mark or self.abandoned:
                self._make_room()
            room.acquire()
        if self.abandoned:
            raise Abandoned

    async def read(self) -> AsyncGenerator[T, None]:
        """Yield items until closed; on the running event loop."""
        items = self._items
        low = self.mark // 2
        self._loop = asyncio.get_running_loop()
        while True:
            while items:
                yield items.popleft()
                if self._room and len(items) <= low:
                    self._make_room()
            if self._closed and not items:
                break
            awake: asyncio.Future[None] = self._loop.create_future()
            self._awake = awake
            if items or self._closed:
                self._awake = None
                continue
            try:
                await awake
            finally:
                self._awake = None
        if self._error is not None:
            raise self._error

    async def read_blocking(self) -> AsyncGenerator[T, None]:
        """`read` for the sync driver: blocks this thread instead of suspending."""
        items = self._items
        low = self.mark // 2
        while True:
            while items:
                yield items.popleft()
                if self._room and len(items) <= low:
                    self._make_room()
            if self._closed and not items:
                break
            awake = threading.Lock()
            awake.acquire()
            self._awake = awake
            if items or self._closed:
                self._awake = None
                continue
            awake.acquire()
        if self._error is not None:
            raise self._error

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
        while True:
            try:
                entry = self._room.popleft()
            except IndexError:
                return
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
