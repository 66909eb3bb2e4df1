"""The HTTP clients that all models share: one for each event loop, one for synchronous calls; made when first needed."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any

from ..flow.driver import in_worker

if TYPE_CHECKING:
    import httpx2

__all__ = ["async_client", "close_clients", "sync_client"]

# Enough for a server with a thousand streams at once; a provider's own limit comes first.
_MOST_CONNECTIONS = 2000
_MOST_IDLE = 100
_IDLE_SECONDS = 30.0

_lock = threading.Lock()
_sync: httpx2.Client | None = None
_of_loop: dict[asyncio.AbstractEventLoop, tuple[httpx2.AsyncClient, AsyncGenerator[None, None]]] = {}


async def async_client() -> httpx2.AsyncClient:
    """The client of the running loop. It is closed when the loop shuts down its async generators, as `asyncio.run` does."""
    loop = asyncio.get_running_loop()
    entry = _of_loop.get(loop)
    if entry is not None:
        return entry[0]
    # The import and the certificates take a tenth of a second the first time: not on the loop.
    options = await in_worker(copy_context(), _options)
    entry = _of_loop.get(loop)
    if entry is None:
        for old in [old for old in _of_loop if old.is_closed()]:
            del _of_loop[old]
        import httpx2

        client = httpx2.AsyncClient(**options)
        keeper = _keep(loop, client)
        entry = _of_loop[loop] = (client, keeper)
        await anext(keeper)
    return entry[0]


async def _keep(loop: asyncio.AbstractEventLoop, client: httpx2.AsyncClient) -> AsyncGenerator[None, None]:
    # A loop that ends closes the async generators it has seen: the one notice of its end that it gives.
    try:
        yield
    finally:
        _of_loop.pop(loop, None)
        await client.aclose()


def sync_client() -> httpx2.Client:
    """The client of the process for synchronous calls, in any thread. It is closed at exit, or by `close_clients`."""
    global _sync
    client = _sync
    if client is None:
        with _lock:
            if _sync is None:
                import httpx2

                _sync = httpx2.Client(**_options())
            client = _sync
    return client


def close_clients() -> None:
    """Close the idle connections of synchronous calls. The next call makes new ones."""
    global _sync
    with _lock:
        client, _sync = _sync, None
    if client is not None:
        client.close()


@cache
def _options() -> dict[str, Any]:
    import httpx2

    return {
        "verify": httpx2.create_ssl_context(),
        "limits": httpx2.Limits(
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
        ),
        # Each request brings its own limits; see `Timeouts`.
        "timeout": None,
    }


def _forget() -> None:
    # In a forked child the sockets are the parent's: to close or use them would disturb its streams.
    global _sync, _lock
    _lock = threading.Lock()
    _sync = None
    _of_loop.clear()


atexit.register(close_clients)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
