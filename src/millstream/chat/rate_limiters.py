"""Rate limiters: how often models may be asked."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod

from ..errors import InvalidArgument

__all__ = ["BaseRateLimiter", "InMemoryRateLimiter"]


class BaseRateLimiter(ABC):
    """Asked before each request of a model that has it as `rate_limiter`; one may be shared by many models."""

    @abstractmethod
    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait for a turn; without `blocking` only say whether there is one now, and take it."""

    @abstractmethod
    async def aacquire(self, *, blocking: bool = True) -> bool:
        """`acquire` in async form."""


class InMemoryRateLimiter(BaseRateLimiter):
    """A bucket that fills with `requests_per_second` tokens up to `max_bucket_size`; each request takes one.

    It is empty at first, so that many processes started at once do not all ask at once. Turns are given in the order of
    asking, to threads and tasks alike, and each waiter sleeps just until its own: `check_every_n_seconds` is accepted,
    and not needed.

    Raises:
        InvalidArgument: (ValueError) with these numbers nobody would ever have a turn.
    """

    def __init__(
        self,
        *,
        requests_per_second: float = 1,
        check_every_n_seconds: float = 0.1,
        max_bucket_size: float = 1,
    ) -> None:
        if requests_per_second <= 0 or max_bucket_size < 1:
            raise InvalidArgument(
                "`requests_per_second` must be greater than 0 and `max_bucket_size` at least 1, "
                f"not {requests_per_second} and {max_bucket_size}."
            )
        self.requests_per_second = requests_per_second
        self.check_every_n_seconds = check_every_n_seconds
        self.max_bucket_size = max_bucket_size
        self._tokens = 0.0  # below zero: what is owed to those who wait
        self._counted_at: float | None = None
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait for a turn on this thread."""
        wait = self._take(blocking)
        if wait is None:
            return False
        try:
            if wait > 0:
                time.sleep(wait)
        except BaseException:
            self._give_back()
            raise
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait for a turn without blocking the event loop."""
        wait = self._take(blocking)
        if wait is None:
            return False
        try:
            if wait > 0:
                await asyncio.sleep(wait)
        except BaseException:
            self._give_back()
            raise
        return True

    def _take(self, blocking: bool) -> float | None:
        """Take a token that is there or will be; the seconds until then, None where it may not be waited for."""
        with self._lock:
            now = time.monotonic()
            if self._counted_at is not None:
                gained = (now - self._counted_at) * self.requests_per_second
                self._tokens = min(self._tokens + gained, self.max_bucket_size)
            self._counted_at = now
            if self._tokens < 1 and not blocking:
                return None
            self._tokens -= 1
            return max(0.0, -self._tokens / self.requests_per_second)

    def _give_back(self) -> None:
        with self._lock:
            self._tokens += 1
