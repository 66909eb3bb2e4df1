"""Asking a provider on the caller's thread."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from ..errors import AsyncOnly, ProviderTimeout
from .clients import sync_client
from .http import FAREWELL, TOTAL_IS_OVER, Key, Post, end_of, is_encoded, kinds_of, no_first_token, request_of, reraise

if TYPE_CHECKING:
    import httpx2

__all__ = ["SyncAnswer", "SyncLink"]


class SyncLink:
    """Asks on the caller's thread, through the shared client or one of the user's."""

    def __init__(
        self,
        client: httpx2.Client | None = None,
        *,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._proxy = proxy
        self._sleep = sleep
        self.headers: Mapping[str, str] = {}

    async def open(self, post: Post) -> SyncAnswer:
        """Send a request and wait for the head of its answer. Does not suspend."""
        client = self._client or sync_client(self._proxy)
        first = post.first_limit()
        limit = _Limit(first)
        request = request_of(client, post, read=limit, pool=first)
        try:
            response = client.send(request, stream=True)
        except Exception as error:
            reraise(error, post)
        self.headers = response.headers
        return SyncAnswer(response, post, limit)

    async def key(self, key: Key) -> Any:
        """Ask for a key on the caller's thread.

        Raises:
            AsyncOnly: the function that gives it is async.
        """
        if key.give is None:
            raise AsyncOnly("The function that gives the key", "ainvoke")
        return key.give()

    async def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        self._sleep(seconds)

    @asynccontextmanager
    async def limit(self, post: Post) -> AsyncGenerator[None, None]:
        """Nothing: each read has its limit."""
        yield


class SyncAnswer:
    """The answer to a synchronous request."""

    def __init__(self, response: httpx2.Response, post: Post, limit: _Limit) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._post = post
        self._limit = limit
        self._idle = post.timeouts.idle
        self._first_end = end_of(post.first_limit())
        stream: Any = response.iter_bytes() if is_encoded(response) else response.stream
        self.pieces: Iterator[bytes] = iter(stream)

    async def next(self) -> bytes | None:
        """The next piece of the body before its first token; None at its end. Does not suspend."""
        if self._first_end is not None:
            left = self._first_end - time.monotonic()
            if left <= 0:
                raise no_first_token(self._post)
            self._limit.seconds = left
        try:
            return next(self.pieces, None)
        except Exception as error:
            reraise(error, self._post)

    def watch(self) -> None:
        """From now on the limit of each read is that of a silence."""
        self.allow(None)

    def allow(self, silence: float | None) -> bool:
        """Allow no longer silence than that from now on; None: as long as ever. True when it is a limit."""
        own = self._post.timeouts.idle
        self._idle = own if silence is None else silence if own is None else min(silence, own)
        self._limit.seconds = self._idle
        if self._post.ends is not None:
            self.check_total()
        return silence is not None

    def check_total(self) -> None:
        """Raises ProviderTimeout when the whole took too long; no read may take longer than what is left."""
        if self._post.ends is None:
            return
        left = self._post.ends - time.monotonic()
        if left <= 0:
            raise ProviderTimeout("It took longer than its total limit.", provider=self._post.provider)
        self._limit.seconds = left if self._idle is None else min(self._idle, left)

    def expired(self, error: Exception) -> str | None:
        """Which limit an error says is over; None if it says something else."""
        if isinstance(error, ProviderTimeout):
            return TOTAL_IS_OVER
        if "TimeoutException" not in kinds_of(error):
            return None
        over = self._idle is None or (self._post.ends is not None and time.monotonic() >= self._post.ends)
        return TOTAL_IS_OVER if over else f"nothing came for {self._idle:g} s"

    def farewell(self) -> None:
        """Read the end of a body whose content is complete, if it comes soon, so that the connection can be used again."""
        self._limit.seconds = FAREWELL
        try:
            for _ in self.pieces:
                pass
        except Exception:  # nothing that matters can go wrong any more
            pass

    async def close(self) -> None:
        """Let go of the connection; it is closed unless the body was read to its end."""
        self._response.close()


class _Limit:
    """The limit of a read on a blocking socket, that changes while a body is read.

    The HTTP library takes one number for the whole body and hands it to `socket.settimeout` before each read, which asks
    what is no float for its `__index__`. Whole seconds, rounded up.
    """

    __slots__ = ("seconds",)
    NEVER: Final = 10**8

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    def __index__(self) -> int:
        return self.NEVER if self.seconds is None else max(1, int(-(-self.seconds // 1)))
