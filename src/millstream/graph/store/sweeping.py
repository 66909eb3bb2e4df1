"""Deleting what is due now and then, as long as a store is open: on a thread, or as a task."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from ...errors import InvalidArgument, MillstreamError

__all__ = ["AsyncSweeper", "Sweeper", "interval_of"]

EVERY: Final = 5.0
"""Minutes between two sweeps, unless the store's TTLConfig says otherwise."""

_log = logging.getLogger(__name__)


def interval_of(given: float | None, configured: float | None) -> float:
    """The seconds between two sweeps."""
    minutes = given if given is not None else configured if configured is not None else EVERY
    if not minutes > 0:
        raise InvalidArgument(f"the time between two sweeps is a number of minutes above 0, not {minutes!r}.")
    return minutes * 60


class Sweeper:
    """A thread that sweeps until it is stopped. A sweep that fails is logged, and the next one tried."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.done: Future[None] | None = None

    def start(self, sweep: Callable[[], object], seconds: float) -> Future[None]:
        """Start, unless it runs already; the future ends with it."""
        if self.done is None or self.done.done():
            self._stop.clear()
            self.done = Future()
            self._thread = threading.Thread(
                target=self._run, args=(sweep, seconds, self.done), name="millstream-sweeper", daemon=True
            )
            self._thread.start()
        return self.done

    def _run(self, sweep: Callable[[], object], seconds: float, done: Future[None]) -> None:
        while not self._stop.wait(seconds):
            try:
                sweep()
            except MillstreamError as error:
                _log.warning("expired items could not be deleted: %s", error)
        done.set_result(None)

    def stop(self, timeout: float | None = None) -> bool:
        """Stop and wait for a sweep under way; whether it ended in time."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()


class AsyncSweeper:
    """`Sweeper` as a task of the running loop."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self, sweep: Callable[[], Awaitable[object]], seconds: float) -> asyncio.Task[None]:
        """Start, unless it runs already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(sweep, seconds), name="millstream-sweeper")
        return self._task

    async def _run(self, sweep: Callable[[], Awaitable[object]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await sweep()
            except MillstreamError as error:
                _log.warning("expired items could not be deleted: %s", error)

    async def stop(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - it may go on afterwards
        """Stop and wait for a sweep under way; whether it ended in time."""
        task = self._task
        if task is None:
            return True
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=timeout)
        return task.done()
