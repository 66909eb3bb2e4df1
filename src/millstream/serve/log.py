"""The log of one run: its records, numbered 1, 2, 3, …, and the viewers that read them.

The run's owner appends and never waits. Every viewer is a reader from a cursor with a byte budget: whether what it
reads was written just now or before it came makes no difference. One that falls behind its budget is dropped.

Everything here belongs to one event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .dialects.framing import encode
from .dialects.native import Record

__all__ = ["TERMINAL", "VIEWER_BYTES", "Behind", "Entry", "RunLog", "Viewer"]

TERMINAL = frozenset({"done", "error"})
VIEWER_BYTES = 256 * 1024
# A write larger than this only fills the transport's buffer, where it can no longer be counted.
_MAX_READ = 64 * 1024
# Letting go of read records looks at every viewer, so it is done once in a while and not at each read.
_TRIM_AT = 64


class Behind(Exception):
    """The viewer lagged by more than its budget and was dropped."""


class Entry(NamedTuple):
    """One record in the log, encoded once for all its viewers."""

    seq: int
    type: str
    body: bytes


class RunLog:
    """Records of one run in memory, kept as long as a viewer has still to read them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.closed = False
        self.last = 0  # seq of the newest record
        self._clock = clock
        self._start = clock()
        self._entries: deque[Entry] = deque()
        self._offset = 0  # bytes appended so far
        self._viewers: set[Viewer] = set()
        self._trim_at = _TRIM_AT

    def append(self, records: Iterable[Record]) -> int:
        """Number and keep `records`, wake the viewers, return the last seq.

        Nothing is taken after a terminal record: what a cancelled run still says is lost on purpose.
        """
        viewers = self._viewers
        for type, fields in records:
            if self.closed:
                break
            self.last += 1
            body = encode(type, self.last, int((self._clock() - self._start) * 1000), fields)
            self._offset += len(body)
            self.closed = type in TERMINAL
            if viewers:
                self._entries.append(Entry(self.last, type, body))
        for viewer in tuple(viewers):
            viewer._woken(self._offset)
        if len(self._entries) >= self._trim_at:
            self._trim()
        return self.last

    def bounds(self) -> tuple[int, int]:
        """The first and last seq that can be read; the first is one more than the last when nothing is kept."""
        return self.last - len(self._entries) + 1, self.last

    def viewer(self, after: int = 0, *, budget: int = VIEWER_BYTES) -> Viewer:
        """A reader of everything after seq `after`, live ones included. Close it.

        Raises:
            Behind: records after that cursor are no longer kept.
        """
        first, last = self.bounds()
        if not first - 1 <= after <= last:
            raise Behind
        unread = sum(len(entry.body) for entry in self._entries if entry.seq > after)
        viewer = Viewer(self, after, self._offset - unread, budget)
        self._viewers.add(viewer)
        return viewer

    @property
    def viewers(self) -> int:
        """How many are reading."""
        return len(self._viewers)

    def _since(self, after: int) -> list[Entry]:
        """The next entries after a cursor, up to what goes in one write."""
        entries = self._entries
        found: list[Entry] = []
        size = 0
        for index in range(len(entries) - (self.last - after), len(entries)):
            entry = entries[index]
            found.append(entry)
            size += len(entry.body)
            if size >= _MAX_READ:
                break
        return found

    def _trim(self) -> None:
        """Let go of what every viewer has read."""
        entries = self._entries
        slowest = min((viewer.cursor for viewer in self._viewers), default=self.last)
        while entries and entries[0].seq <= slowest:
            entries.popleft()
        self._trim_at = max(_TRIM_AT, 2 * len(entries))

    def _leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        self._trim()


class Viewer:
    """One reader of a run's log. `cursor` is the seq of the last record that it was given.

    `on_drop` is called when the viewer is dropped, so that a write it is stuck in can be given up.
    """

    __slots__ = ("_beat", "_budget", "_log", "_offset", "_timer", "_waiter", "behind", "closed", "cursor", "on_drop")

    def __init__(self, log: RunLog, after: int, offset: int, budget: int) -> None:
        self.cursor = after
        self.closed = False
        self.behind = False
        self.on_drop: Callable[[], Any] | None = None
        self._log = log
        self._offset = offset
        self._budget = budget
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat = 0.0

    @property
    def ended(self) -> bool:
        """Whether everything there will ever be has been read."""
        return self._log.closed and self.cursor == self._log.last

    async def read(self, silence: float) -> list[Entry]:
        """The records that are ready, at least one; none after `silence` seconds without any, or when closed.

        Raises:
            Behind: the viewer was dropped.
        """
        if self.cursor == self._log.last and not self._log.closed and not self.closed:
            await self._wait(silence)
        if self.behind:
            raise Behind
        if self.closed:
            return []
        entries = self._log._since(self.cursor)
        if entries:
            self.cursor = entries[-1].seq
            self._offset += sum(len(entry.body) for entry in entries)
        return entries

    def close(self) -> None:
        """Stop reading; a waiting `read` returns. May be called twice."""
        if not self.closed:
            self.closed = True
            self._log._leave(self)
            self._wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _woken(self, offset: int) -> None:
        # One that waits in `read` is not slow, however much came at once: it takes all of it when its turn comes.
        if offset - self._offset > self._budget and self._waiter is None and not self.closed:
            self.behind = True
            self.close()
            if self.on_drop is not None:
                self.on_drop()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    async def _wait(self, silence: float) -> None:
        # One timer outlives many waits: setting one for each token would cost more than the token.
        loop = asyncio.get_running_loop()
        self._beat = loop.time() + silence
        if self._timer is None:
            self._timer = loop.call_at(self._beat, self._tick, loop)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if loop.time() >= self._beat:
            self._wake()
        else:
            self._timer = loop.call_at(self._beat, self._tick, loop)
