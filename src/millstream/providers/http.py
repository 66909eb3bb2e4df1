"""One POST to a provider: what it is, what a link and an answer are in both colours, and what may go wrong.

A *link* opens answers. Everything that decides something (retries, what a status means) is written once, as `async def`
against a link, and stepped for synchronous calls; only what reads from a socket exists twice.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import InvalidArgument, ProviderConnectionError, ProviderError, ProviderTimeout
from .clients import MOST_CONNECTIONS
from .discreet import hide_query
from .timeouts import Timeouts

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "FAREWELL",
    "TOTAL_IS_OVER",
    "Answer",
    "Key",
    "Link",
    "Post",
    "end_of",
    "is_encoded",
    "kinds_of",
    "no_first_token",
    "request_of",
    "reraise",
]

# A server that has sent its end mark has nothing more to say; one that ends the body soon keeps its connection.
FAREWELL = 0.25
TOTAL_IS_OVER = "it took longer than its total limit"


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


@dataclass(slots=True)
class Post:
    """A request, ready to be sent. Its headers or its query carry the key, so they are not in its repr."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeouts: Timeouts
    provider: str
    ends: float | None = None
    """When all of it must be over (`time.monotonic`), all attempts together."""
    key: Key | None = field(default=None, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    """What of it, beside the model's own secrets, no message may hold."""
    hides_query: bool = False
    """Whatever prints its URL, such as the HTTP library's log, does so without the query."""
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

    headers: Mapping[str, str]
    """Those of the last answer that it has opened."""

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


def reraise(error: Exception, post: Post) -> NoReturn:
    """Raise what went wrong below as one of our errors; what did not come from the HTTP library goes on as it is."""
    where = f"{post.provider} at {_shown(post.url)}"
    kinds = kinds_of(error)
    if "ConnectTimeout" in kinds:
        limit = post.timeouts.connect or 0
        raise ProviderConnectionError(f"{where} could not be reached within {limit:g} s.", provider=post.provider)
    if "TimeoutException" in kinds:
        post.waits = post.waits or "PoolTimeout" in kinds
        raise no_first_token(post) from error
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


def kinds_of(error: Exception) -> set[str]:
    """The names of the HTTP library's classes that an error has: by name, because a user's client may be of httpx itself."""
    return {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] in ("httpx", "httpx2")}


def request_of(client: Any, post: Post, *, read: Any, pool: float | None = None) -> httpx2.Request:
    connect = post.timeouts.connect
    request: httpx2.Request = client.build_request("POST", post.url, headers=post.headers, content=post.body)
    if post.hides_query:
        hide_query(request)
    request.extensions["timeout"] = {"connect": connect, "read": read, "write": post.timeouts.idle, "pool": pool}
    return request


def end_of(limit: float | None) -> float | None:
    return None if limit is None else time.monotonic() + limit


def no_first_token(post: Post) -> ProviderTimeout:
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


def is_encoded(response: httpx2.Response) -> bool:
    return bool(response.headers.get("content-encoding", "identity") != "identity")


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.partition("?")[0]
