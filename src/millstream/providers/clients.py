"""The HTTP clients that all models share: some for each event loop, one for synchronous calls; made when first needed."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from ..flow.driver import in_worker

if TYPE_CHECKING:
    import asyncio

    import httpx2
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["MOST_CONNECTIONS", "Lease", "close_clients", "sync_client", "take_client"]

MOST_CONNECTIONS = 1000
"""Requests under way at once, in one event loop or in all synchronous calls; more wait for their turn."""

_IDLE_SECONDS = 30.0
# The library's pool looks at every connection whenever a request comes or goes, and asks the kernel about each idle one:
# 1,000 streams in one pool spend seconds on that. So a loop has several clients with few connections each.
_MOST_OF_A_CLIENT = 16
_CLIENTS_THAT_KEEP_IDLE = 6
_MOST_SYNC_IDLE = 64

_lock = threading.Lock()
_lock_of_options = threading.Lock()
_made_options: dict[str, Any] | None = None
# By the proxy that they go through.
_sync: dict[str | None, httpx2.Client] = {}
_of_loop: dict[asyncio.AbstractEventLoop, _LoopClients] = {}


class Lease:
    """The use of a client for one request, until `release`."""

    __slots__ = ("_clients", "busy", "client")

    def __init__(self, client: httpx2.AsyncClient, clients: _LoopClients | None = None) -> None:
        self.client = client
        self._clients = clients
        self.busy = 0

    def release(self) -> None:
        """Say that the answer is closed."""
        self.busy -= 1
        if self._clients is not None:
            self._clients.leave()


class _LoopClients:
    """The clients of one event loop. The first ones are used first, so that their idle connections are."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._leases: dict[str | None, list[Lease]] = {}
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.keeper: AsyncGenerator[None, None] | None = None

    async def take(self, proxy: str | None) -> Lease:
        if self._busy < MOST_CONNECTIONS:
            self._busy += 1
        else:
            await self._turn()
        leases = self._leases.setdefault(proxy, [])
        lease = next((lease for lease in leases if lease.busy < _MOST_OF_A_CLIENT), None)
        if lease is None:
            lease = self._new_lease(proxy, keeps_idle=len(leases) < _CLIENTS_THAT_KEEP_IDLE)
            leases.append(lease)
        lease.busy += 1
        return lease

    async def _turn(self) -> None:
        """Wait for somebody to leave, who hands over his place."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """A request is over: the one that has waited longest has its place."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._busy -= 1

    def _new_lease(self, proxy: str | None, *, keeps_idle: bool) -> Lease:
        import httpx2

        # Connections of a rare crowd are not kept: nobody would come by to see that they have expired.
        idle = _MOST_OF_A_CLIENT if keeps_idle else 0
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=idle, keepalive_expiry=_IDLE_SECONDS)
        return Lease(httpx2.AsyncClient(limits=limits, proxy=proxy, **self._options), self)

    async def keep(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        # A loop that ends closes the async generators it has seen: the one notice of its end that it gives.
        try:
            yield
        finally:
            _of_loop.pop(loop, None)
            for lease in [lease for leases in self._leases.values() for lease in leases]:
                await lease.client.aclose()


async def take_client(proxy: str | None = None) -> Lease:
    """A client of the running loop, as soon as one is free. All are closed when the loop shuts down its async generators,
    as `asyncio.run` does.
    """
    loop = asyncio.get_running_loop()
    clients = _of_loop.get(loop)
    if clients is not None:
        return await clients.take(proxy)
    # The import and the certificates take a tenth of a second the first time: not on the loop.
    options = await in_worker(copy_context(), _options)
    clients = _of_loop.get(loop)  # another request may have been faster
    if clients is None:
        for old in [old for old in _of_loop if old.is_closed()]:
            del _of_loop[old]
        clients = _of_loop[loop] = _LoopClients(options)
        clients.keeper = clients.keep(loop)
        await anext(clients.keeper)
    return await clients.take(proxy)


def sync_client(proxy: str | None = None) -> httpx2.Client:
    """The client of the process for synchronous calls, in any thread. It is closed at exit, or by `close_clients`."""
    client = _sync.get(proxy)
    if client is None:
        with _lock:
            client = _sync.get(proxy)
            if client is None:
                import httpx2

                limits = httpx2.Limits(
                    max_connections=MOST_CONNECTIONS,
                    max_keepalive_connections=_MOST_SYNC_IDLE,
                    keepalive_expiry=_IDLE_SECONDS,
                )
                client = _sync[proxy] = httpx2.Client(limits=limits, proxy=proxy, **_options())
    return client


def close_clients() -> None:
    """Close the idle connections of synchronous calls. The next call makes new ones."""
    with _lock:
        clients = [*_sync.values()]
        _sync.clear()
    for client in clients:
        client.close()


def _options() -> dict[str, Any]:
    # Under a lock: a hundred first requests at once would read the certificates a hundred times.
    global _made_options
    with _lock_of_options:
        if _made_options is None:
            import httpx2

            # Each request brings its own limits; see `Timeouts`.
            _made_options = {"verify": httpx2.create_ssl_context(), "timeout": None}
    return _made_options


def _forget() -> None:
    # In a forked child the sockets are the parent's: to close or use them would disturb its streams.
    global _lock, _lock_of_options
    _lock, _lock_of_options = threading.Lock(), threading.Lock()
    _sync.clear()
    _of_loop.clear()


atexit.register(close_clients)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
