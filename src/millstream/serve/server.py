"""Running an application with uvicorn so that streams end well."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .runs import Runs

__all__ = ["Server", "run"]

# What the kernel may hold of a stream that its client does not read.
_SEND_BUFFER = 128 * 1024
# After so long without a sign of life the kernel ends the connection, also of a peer that takes nothing.
_DEAD_AFTER_MS = 30_000


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol on sockets whose memory and patience are bounded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
        super().connection_made(transport)


class Server(uvicorn.Server):
    """A uvicorn server that ends the runs of the application before it waits for its connections.

    uvicorn tells the application of a shutdown only when every response is through, which a stream may never be.
    """

    def __init__(self, application: FastAPI, **options: Any) -> None:
        options = {"http": _Protocol, "timeout_graceful_shutdown": 2, "log_level": "warning", **options}
        super().__init__(uvicorn.Config(application, **options))
        self.runs: Runs = application.state.runs

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the runs, then shut down as uvicorn does."""
        drained = asyncio.create_task(self.runs.drain())
        while not drained.done() and not self.force_exit:
            await asyncio.wait({drained}, timeout=0.1)
        drained.cancel()
        await super().shutdown(sockets)


def run(application: FastAPI, *, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> None:
    """Serve an application made by `serve.app` until a signal ends it.

    The first SIGINT or SIGTERM lets runs end within their grace time, a second one ends them now. `options` are
    uvicorn's.
    """
    Server(application, host=host, port=port, **options).run()
