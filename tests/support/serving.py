"""A real server in a thread, and clients that are raw sockets, so that a test decides what they read and when they go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn


class Running(uvicorn.Server):
    """A uvicorn server in a thread; `port` is where it listens."""

    port: int
    loop: asyncio.AbstractEventLoop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def tasks(self) -> list[str]:
        """The tasks of the server's loop that are not the server's own."""

        async def names() -> list[str]:
            current = asyncio.current_task()
            return [repr(task.get_coro()) for task in asyncio.all_tasks() if task is not current]

        told = asyncio.run_coroutine_threadsafe(names(), self.loop).result(5)
        return [name for name in told if ".serve " not in name and "Lifespan" not in name]


@contextlib.contextmanager
def serving(app: Any, *, send_buffer: int | None = None, **options: Any) -> Iterator[Running]:
    """`app` on a free port of 127.0.0.1, by uvicorn as a user would run it.

    `send_buffer`: what the kernel may hold for a client that does not read (else several megabytes).
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        if send_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2, **options)
        server = Running(config)
        server.port = sock.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="test-server")
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield server
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive(), "the server did not shut down"


def until(condition: Callable[[], Any], timeout: float = 5.0) -> float:
    """Wait until `condition()` is true; the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout, "timed out"
        time.sleep(0.002)
    return time.monotonic() - start


def connect(port: int) -> socket.socket:
    """A connection that takes little before it is read from."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    try:
        sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


class Client:
    """One request on a socket of its own; the answer is read when the test says so."""

    def __init__(self, port: int, path: str, body: Any = None, *, method: str = "POST", headers: str = "") -> None:
        self.sock = connect(port)
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(raw)}\r\n"
        if body is not None and "content-type" not in headers.lower():
            head += "Content-Type: application/json\r\n"
        self.sock.sendall(f"{head}{headers}\r\n".encode() + raw)
        self.file = self.sock.makefile("rb")
        self.status = 0
        self.headers: dict[str, str] = {}
        self.left = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, whatever is still to come."""
        self.file.close()
        self.sock.close()

    def head(self) -> Client:
        """Read the status line and the headers."""
        self.status = int(self.file.readline().split()[1])
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        return self

    def parts(self) -> Iterator[bytes]:
        """The chunks of the body as they arrive; ends with the body."""
        if not self.status:
            self.head()
        if "content-length" in self.headers:
            yield self.file.read(int(self.headers["content-length"]))
            return
        while size := int(self.file.readline() or b"0", 16):
            part = self.file.read(size + 2)[:-2]
            yield part

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of an NDJSON stream as they arrive, heartbeats left out."""
        pending = b""
        for part in self.parts():
            *lines, pending = (pending + part).split(b"\n")
            yield from (json.loads(line) for line in lines if line)
        assert not pending

    def json(self) -> Any:
        """The whole body as JSON."""
        return json.loads(b"".join(self.parts()))
