"""Asking a provider on an event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from ..data.lazy import Lazy
from ..errors import ProviderTimeout
from ..flow.driver import ASYNC, in_worker
from .clients import Lease, take_client
from .http import FAREWELL, TOTAL_IS_OVER, Key, Post, is_encoded, no_first_token, request_of, reraise

if TYPE_CHECKING:
    import asyncio

    import httpx2
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["AsyncAnswer", "AsyncLink"]


class AsyncLink:
    """Asks on the running event loop, through the loop's shared client or one of the user's."""

    def __init__(
        self,
        client: httpx2.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = ASYNC.sleep,
    ) -> None:
        self._client = client
        self._proxy = proxy
        self._sleep = sleep
        self.headers: Mapping[str, str] = {}

    async def open(self, post: Post) -> AsyncAnswer:
        """Send a request and wait for the head of its answer; closing the answer closes its connection."""
        post.waits = True
        lease = Lease(self._client) if self._client is not None else await take_client(self._proxy)
        post.waits = False
        try:
            request = request_of(lease.client, post, read=None)
            response = await lease.client.send(request, stream=True)
        except BaseException as error:
            lease.release()
            if not isinstance(error, Exception):
                raise
            reraise(error, post)
        self.headers = response.headers
        return AsyncAnswer(response, post, lease)

    async def key(self, key: Key) -> Any:
        """Ask for a key, without blocking the loop."""
        if key.agive is not None:
            return await key.agive()
        assert key.give is not None
        return await in_worker(copy_context(), _hidden, key.give)

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the loop."""
        await self._sleep(seconds)

    @asynccontextmanager
    async def limit(self, post: Post) -> AsyncGenerator[None, None]:
        """Cancels what is inside when the first token takes too long."""
        try:
            async with asyncio.timeout(post.first_limit()):
                yield
        except TimeoutError as error:
            if isinstance(error, ProviderTimeout):
                raise
            raise no_first_token(post) from None


class AsyncAnswer:
    """The answer to an async request."""

    def __init__(self, response: httpx2.Response, post: Post, lease: Lease) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._post = post
        # The stream itself, which saves a layer for each piece; only a compressing proxy makes that layer needed.
        stream: Any = response.aiter_bytes() if is_encoded(response) else response.stream
        self.pieces: AsyncGenerator[bytes, None] = aiter(stream)
        self._watch: _IdleWatch | None = None
        self._lease: Lease | None = lease

    async def next(self) -> bytes | None:
        """The next piece of the body; None at its end."""
        try:
            return await anext(self.pieces, None)
        except Exception as error:
            reraise(error, self._post)

    def watch(self) -> _IdleWatch:
        """From now on break the connection when nothing comes for too long; who reads tells the watch of each piece."""
        self._watch = _IdleWatch(self._post, self._response.aclose)
        return self._watch

    async def farewell(self) -> None:
        """Read the end of a body whose content is complete, if it comes soon, so that the connection can be used again."""
        try:
            async with asyncio.timeout(FAREWELL):
                async for _ in self.pieces:
                    pass
        except Exception:  # nothing that matters can go wrong any more
            pass

    async def close(self) -> None:
        """Let go of the connection; it is closed unless the body was read to its end."""
        try:
            if self._watch is not None:
                await self._watch.stop()
            await self.pieces.aclose()
            await self._response.aclose()
        finally:
            lease, self._lease = self._lease, None
            if lease is not None:
                lease.release()


class _IdleWatch:
    """Breaks a connection on which nothing has come for too long.

    One timer a silence, not one a token: whoever reads sets `seen` to the time when it begins to wait for a piece, or to
    None while it does not wait, and the timer looks when it fires.
    """

    __slots__ = ("_break", "_closing", "_end", "_idle", "_loop", "_own_idle", "_timer", "expired", "seen")

    def __init__(self, post: Post, break_off: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._break = break_off
        self._idle = self._own_idle = post.timeouts.idle
        self.seen: float | None = time.monotonic()
        self._end = post.ends
        self.expired: str | None = None
        self._closing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._set()

    def _set(self) -> None:
        now = time.monotonic()
        silence_ends = None if self._idle is None else (now if self.seen is None else self.seen) + self._idle
        ends = [end for end in (silence_ends, self._end) if end is not None]
        if ends:
            self._timer = self._loop.call_later(max(min(ends) - now, 0.0), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if self._end is not None and now >= self._end:
            self.expired = TOTAL_IS_OVER
        elif self._idle is not None and self.seen is not None and now >= self.seen + self._idle:
            self.expired = f"nothing came for {self._idle:g} s"
        if self.expired is None:
            self._set()
        else:
            self._closing = asyncio.ensure_future(self._break())

    def allow(self, silence: float | None) -> bool:
        """Allow no longer silence than that from now on; None: as long as ever. True when it is a limit."""
        own = self._own_idle
        self._idle = own if silence is None else silence if own is None else min(silence, own)
        if self._timer is not None:
            self._timer.cancel()
        self._set()
        return silence is not None

    async def stop(self) -> None:
        """Forget the timer; wait for a connection that is being broken."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)


def _hidden(give: Callable[[], Any]) -> SecretStr:
    """The key in a form that can be printed: a finished future shows its result."""
    given = give()
    return given if isinstance(given, SecretStr) else SecretStr(str(given))
