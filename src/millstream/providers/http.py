"""One POST to a provider, in both colours: sent, answered in pieces, never silent for longer than its limits.

A *link* opens answers. Everything that decides something (retries, what a status means) is written once, as `async def`
against a link, and stepped for synchronous calls; only what reads from a socket exists twice.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from pydantic import SecretStr

from ..errors import AsyncOnly, InvalidArgument, ProviderConnectionError, ProviderError, ProviderTimeout
from ..flow.driver import in_worker
from .clients import MOST_CONNECTIONS, Lease, sync_client, take_client
from .timeouts import Timeouts

if TYPE_CHECKING:
    import httpx2

__all__ = ["Answer", "AsyncAnswer", "AsyncLink", "Key", "Link", "Post", "SyncAnswer", "SyncLink", "reraise"]

# A server that has sent its end mark has nothing more to say; one that ends the body soon keeps its connection.
_FAREWELL = 0.25
_TOTAL_IS_OVER = "it took longer than its total limit"


class Key:
    """A key that is asked for before each request: of a function, in either form or in both."""

    __slots__ = ("agive", "give", "header")

    def __init__(
        self,
        give: Callable[[], Any] | None,
        *,
        agive: Callable[[], Awaitable[Any]] | None = None,
        header: str = "authorization",
    ) -> None:
        if agive is None and inspect.iscoroutinefunction(give):
            give, agive = None, give
        self.give = give
        self.agive = agive
        self.header = header


def _hidden(give: Callable[[], Any]) -> SecretStr:
    """The key in a form that can be printed: a finished future shows its result."""
    given = give()
    return given if isinstance(given, SecretStr) else SecretStr(str(given))


@dataclass(slots=True)
class Post:
    """A request, ready to be sent. Its headers carry the key, so they are not in its repr."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeouts: Timeouts
    provider: str
    ends: float | None = None
    """When all of it must be over (`time.monotonic`), all attempts together."""
    key: Key | None = field(default=None, repr=False)
    waits: bool = False
    """It waits for one of the connections, all of which are in use."""

    def __post_init__(self) -> None:
        if self.ends is None and self.timeouts.total is not None:
            self.ends = time.monotonic() + self.timeouts.total

    def first_limit(self) -> float | None:
        """Seconds that an attempt beginning now may take to its first token."""
        left = None if self.ends is None else max(self.ends - time.monotonic(), 0.0)
        limits = [limit for limit in (self.timeouts.first_token, left) if limit is not None]
        return min(limits) if limits else None


class Answer(Protocol):
    """An answer whose body is read in pieces."""

    status: int
    headers: Mapping[str, str]

    async def next(self) -> bytes | None:
        """The next piece of the body; None at its end."""
        ...

    async def close(self) -> None:
        """Let go of the connection; it is closed unless the body was read to its end."""
        ...


class Link(Protocol):
    """What the colourless part needs of a colour."""

    async def open(self, post: Post) -> Answer:
        """Send a request and wait for the head of its answer."""
        ...

    async def key(self, key: Key) -> Any:
        """Ask for a key."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def limit(self, post: Post) -> AbstractAsyncContextManager[None]:
        """Raises ProviderTimeout where the first token of an attempt takes too long inside."""
        ...


class AsyncLink:
    """Asks on the running event loop, through the loop's shared client or one of the user's."""

    def __init__(
        self,
        client: httpx2.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._proxy = proxy
        self._sleep = sleep

    async def open(self, post: Post) -> AsyncAnswer:
        """Send a request and wait for the head of its answer; closing the answer closes its connection."""
        post.waits = True
        lease = Lease(self._client) if self._client is not None else await take_client(self._proxy)
        post.waits = False
        try:
            request = _request(lease.client, post, read=None)
            response = await lease.client.send(request, stream=True)
        except BaseException as error:
            lease.release()
            if not isinstance(error, Exception):
                raise
            reraise(error, post)
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
            raise _no_first_token(post) from None


class AsyncAnswer:
    """The answer to an async request."""

    def __init__(self, response: httpx2.Response, post: Post, lease: Lease) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._post = post
        # The stream itself, which saves a layer for each piece; only a compressing proxy makes that layer needed.
        stream: Any = response.aiter_bytes() if _is_encoded(response) else response.stream
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
            async with asyncio.timeout(_FAREWELL):
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
            self.expired = _TOTAL_IS_OVER
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

    async def open(self, post: Post) -> SyncAnswer:
        """Send a request and wait for the head of its answer. Does not suspend."""
        client = self._client or sync_client(self._proxy)
        first = post.first_limit()
        limit = _Limit(first)
        request = _request(client, post, read=limit, pool=first)
        try:
            response = client.send(request, stream=True)
        except Exception as error:
            reraise(error, post)
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
        self._first_end = _end(post.first_limit())
        stream: Any = response.iter_bytes() if _is_encoded(response) else response.stream
        self.pieces: Iterator[bytes] = iter(stream)

    async def next(self) -> bytes | None:
        """The next piece of the body before its first token; None at its end. Does not suspend."""
        if self._first_end is not None:
            left = self._first_end - time.monotonic()
            if left <= 0:
                raise _no_first_token(self._post)
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
            return _TOTAL_IS_OVER
        if "TimeoutException" not in _kinds(error):
            return None
        over = self._idle is None or (self._post.ends is not None and time.monotonic() >= self._post.ends)
        return _TOTAL_IS_OVER if over else f"nothing came for {self._idle:g} s"

    def farewell(self) -> None:
        """Read the end of a body whose content is complete, if it comes soon, so that the connection can be used again."""
        self._limit.seconds = _FAREWELL
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


def reraise(error: Exception, post: Post) -> NoReturn:
    """Raise what went wrong below as one of our errors; what did not come from the HTTP library goes on as it is."""
    where = f"{post.provider} at {_shown(post.url)}"
    kinds = _kinds(error)
    if "ConnectTimeout" in kinds:
        limit = post.timeouts.connect or 0
        raise ProviderConnectionError(f"{where} could not be reached within {limit:g} s.", provider=post.provider)
    if "TimeoutException" in kinds:
        post.waits = post.waits or "PoolTimeout" in kinds
        raise _no_first_token(post) from error
    if "ConnectError" in kinds:
        raise ProviderConnectionError(f"{where} could not be reached: {error}", provider=post.provider) from error
    if kinds & {"LocalProtocolError", "UnsupportedProtocol", "InvalidURL"}:
        # What these say may quote a header, and with it the key.
        raise InvalidArgument(f"The request to {where} cannot be sent: look at base_url and the headers.") from None
    if "TransportError" in kinds:
        raise ProviderConnectionError(f"The connection to {where} broke: {error}", provider=post.provider) from error
    if "DecodingError" in kinds:
        raise ProviderError(f"{where} sent a body that cannot be decompressed.", provider=post.provider) from error
    raise error


def _kinds(error: Exception) -> set[str]:
    """The names of the HTTP library's classes that an error has: by name, because a user's client may be of httpx itself."""
    return {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] in ("httpx", "httpx2")}


def _request(client: Any, post: Post, *, read: Any, pool: float | None = None) -> httpx2.Request:
    connect = post.timeouts.connect
    request: httpx2.Request = client.build_request("POST", post.url, headers=post.headers, content=post.body)
    request.extensions["timeout"] = {"connect": connect, "read": read, "write": post.timeouts.idle, "pool": pool}
    return request


def _end(limit: float | None) -> float | None:
    return None if limit is None else time.monotonic() + limit


def _no_first_token(post: Post) -> ProviderTimeout:
    limits = [limit for limit in (post.timeouts.first_token, post.timeouts.total) if limit is not None]
    within = f" within {min(limits):g} s" if limits else " in time"
    if post.waits:
        return ProviderTimeout(
            f"None of the {MOST_CONNECTIONS} connections that may be open at once became free{within}. "
            "Close the streams that nobody reads, or give a client of your own.",
            provider=post.provider,
        )
    return ProviderTimeout(
        f"{post.provider} at {_shown(post.url)} gave no token{within}. "
        "Give it longer with `timeout=`, if the model needs that.",
        provider=post.provider,
    )


def _is_encoded(response: httpx2.Response) -> bool:
    return bool(response.headers.get("content-encoding", "identity") != "identity")


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.partition("?")[0]
