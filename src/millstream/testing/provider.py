"""A model provider for tests: a local HTTP server that follows a script, byte for byte, and remembers what it saw."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, TypeAlias

from .anthropic_streams import message_error, message_of
from .openai_streams import answer_of, chat_error, frames_of
from .responses_streams import response_of

__all__ = ["RecordedConnection", "RecordedRequest", "Reply", "StandInProvider"]

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_TYPES |= {413: "request_too_large", 529: "overloaded_error"}
_SSE = {"content-type": "text/event-stream; charset=utf-8"}
_JSON = {"content-type": "application/json"}


@dataclass(slots=True)
class Reply:
    """One scripted answer.

    `chunk` says how the body is cut into writes: "frame" (one SSE frame each), a number of bytes, the places in the body
    where to cut, or None (all at once). `pause` seconds pass before each write but the first, `delay` before the headers.
    With `stop_after` only that many bytes of the body are sent; without a `head` nothing is. Then `ending` happens:

    - "clean": the body is ended as HTTP wants, also when it was cut short;
    - "close": the connection is closed without ending the body;
    - "cut": the same; under TLS without its farewell, as when something between the two ends cuts;
    - "reset": the same with a TCP reset;
    - "silent": nothing more is said and the connection stays open until the client leaves, as when the other end has gone
      without a word.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_SSE))
    chunk: int | Literal["frame"] | Sequence[int] | None = "frame"
    pause: float = 0.0
    delay: float = 0.0
    stop_after: int | None = None
    ending: Literal["clean", "close", "cut", "reset", "silent"] = "clean"
    head: bool = True

    @classmethod
    def json(
        cls, body: bytes | Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """An answer that is one JSON body, such as an error."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return cls(data, status=status, headers={**_JSON, **(headers or {})}, chunk=None)

    @classmethod
    def error(
        cls,
        status: int = 429,
        message: str = "the stand-in provider is busy",
        *,
        retry_after: float | str | datetime | None = None,
        type: str | None = None,
    ) -> Reply:
        """A refusal as every provider words it. `retry_after`: seconds, a moment (sent as an HTTP date), or any text."""
        kind = type or _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {"type": "error", "error": {"type": kind, "message": message, "param": None, "code": None}}
        if isinstance(retry_after, datetime):
            retry_after = format_datetime(retry_after.astimezone(UTC), usegmt=True)
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls.json(body, status=status, headers=headers)

    def writes(self) -> Iterator[bytes]:
        """The pieces in which the body goes out."""
        body = self.body if self.stop_after is None else self.body[: self.stop_after]
        if self.chunk is None:
            yield from [body] if body else []
        elif self.chunk == "frame":
            pieces = frames_of(body)
            if pieces and not body.endswith(b"\n\n"):
                pieces[-1] = pieces[-1][:-2]
            yield from pieces
        else:
            places = range(0, len(body), self.chunk) if isinstance(self.chunk, int) else sorted({0, *self.chunk})
            yield from (piece for a, b in pairwise([*places, len(body)]) if (piece := body[a:b]))


class _Wire(NamedTuple):
    """A protocol that is served: where, how a stream becomes a whole answer, how an error looks."""

    path: str
    answer_of: Callable[[bytes], bytes]
    error: Callable[[str], bytes]


_WIRES = (
    _Wire("/chat/completions", answer_of, chat_error),
    _Wire("/responses", response_of, chat_error),
    _Wire("/messages", message_of, message_error),
    _Wire("/embeddings", bytes, chat_error),
)

Step: TypeAlias = Reply | bytes | str | Path
"""A reply, which is sent as it is; or the bytes of a stream, or the path of a file that holds them.

Bytes of a stream are sent as one whole answer where the request asks for no stream.
"""


@dataclass(slots=True, eq=False)
class RecordedConnection:
    """A connection as the server saw it; times are `time.monotonic()`."""

    opened_at: float
    closed_at: float | None = None
    closed_by_client: bool = False


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """A request as it came, and what was sent in answer; times are `time.monotonic()`."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: RecordedConnection
    at: float
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    """When each piece of the answer's body was written, and the piece."""
    finished_at: float | None = None

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def wants_stream(self) -> bool:
        """The answer was asked for as a stream."""
        try:
            return bool(self.json.get("stream"))
        except (AttributeError, ValueError):
            return False


class StandInProvider:
    """Serves OpenAI's and Anthropic's protocols on 127.0.0.1 from a script.

    Paths: `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`, `/v1/messages`, and Azure's, which end like these.

    `script` is an iterable of steps, one a request in the order of their arrival, or a function from the request
    to its step. A script that has run out answers 400. Used as a context manager it runs in a thread of its own;
    as an async context manager, in the running loop. With `tls`, a context that holds a certificate, it speaks HTTPS.

    ```python
    with StandInProvider([chat_stream("Hello there")]) as provider:
        model = ChatOpenAI(model="any", base_url=provider.base_url)
        model.invoke("hi")
    ```
    """

    def __init__(
        self,
        script: Iterable[Step] | Callable[[RecordedRequest], Step] = (),
        *,
        pause: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[RecordedRequest] = []
        self.connections: list[RecordedConnection] = []
        self.port = 0
        self._steps: Iterator[Step] | None = None if callable(script) else iter(script)
        self._choose = script if callable(script) else None
        self._pause = pause
        self._tls = tls
        self._changed = threading.Condition()
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None

    @property
    def base_url(self) -> str:
        """What to give a client as its base URL."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/v1"

    def wait_until(self, condition: Callable[[StandInProvider], bool], timeout: float = 5.0) -> bool:
        """Block until `condition(self)` holds, checking at every event here; False when it took too long.

        Not for the loop that the server itself runs in.
        """
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    def __enter__(self) -> StandInProvider:
        ready: list[BaseException | None] = []
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run_thread, args=(ready, started), name="stand-in-provider", daemon=True
        )
        self._thread.start()
        started.wait()
        if ready[0] is not None:
            raise ready[0]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._stop is not None and self._thread is not None
        self._stop()
        self._thread.join()

    async def __aenter__(self) -> StandInProvider:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._shut()

    def _run_thread(self, ready: list[BaseException | None], started: threading.Event) -> None:
        async def serve() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
            try:
                await self._listen()
            except BaseException as error:
                ready.append(error)
                return
            finally:
                ready.append(None)
                started.set()
            await stopped.wait()
            await self._shut()

        asyncio.run(serve())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=2048, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        connections = list(self._open)
        for connection in connections:
            connection.transport.abort()
        for connection in connections:
            await connection.lost.wait()
            if connection.player is not None:
                await asyncio.gather(connection.player, return_exceptions=True)

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _reply_to(self, request: RecordedRequest) -> Reply:
        if request.method == "GET" and request.path.endswith("/models"):
            listing = {"object": "list", "data": [{"id": "stand-in-1", "object": "model", "owned_by": "millstream"}]}
            return Reply.json(listing)
        path = request.path.partition("?")[0]
        wire = next((wire for wire in _WIRES if path.endswith(wire.path)), None)
        if wire is None:
            return Reply.json(chat_error(f"no such path: {request.path}", code="not_found"), status=404)
        if self._choose is not None:
            step: Step | None = self._choose(request)
        else:
            assert self._steps is not None
            step = next(self._steps, None)
        if step is None:
            return Reply.json(wire.error("the stand-in provider's script has run out"), status=400)
        if isinstance(step, Reply):
            return step
        body = step if isinstance(step, bytes) else Path(step).read_bytes()
        if body.startswith(b"{"):
            return Reply.json(body)
        if not request.wants_stream:
            return Reply.json(wire.answer_of(body))
        return Reply(body, pause=self._pause)


class _Connection(asyncio.Protocol):
    """One client: reads requests, plays replies, and notices at once when the client leaves."""

    transport: asyncio.Transport

    def __init__(self, provider: StandInProvider) -> None:
        self._provider = provider
        self._buffer = bytearray()
        self._record = RecordedConnection(time.monotonic())
        self._writable = asyncio.Event()
        self._writable.set()
        self.player: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._provider._open.add(self)
        self._provider.connections.append(self._record)
        self._provider._note()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next_request()

    def eof_received(self) -> None:
        self._gone(by_client=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone(by_client=exc is not None)
        if self.player is not None:
            self.player.cancel()
        self._provider._open.discard(self)
        self.lost.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _gone(self, *, by_client: bool) -> None:
        if self._record.closed_at is None:
            self._record.closed_at = time.monotonic()
            self._record.closed_by_client = by_client
            self._provider._note()

    def _next_request(self) -> None:
        if self.player is not None and not self.player.done():
            return
        head, mark, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not mark:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        del self._buffer[: len(head) + len(mark) + length]
        method, path, _ = first.split(" ", 2)
        request = RecordedRequest(method, path, headers, rest[:length], self._record, time.monotonic())
        self._provider.requests.append(request)
        self._provider._note()
        self.player = asyncio.get_running_loop().create_task(self._play(request))

    async def _play(self, request: RecordedRequest) -> None:
        reply = self._provider._reply_to(request)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if not reply.head:
            await self._end(reply)
            return
        head = f"HTTP/1.1 {reply.status} Scripted\r\ntransfer-encoding: chunked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        self.transport.write(head.encode("latin-1") + b"\r\n")
        for number, piece in enumerate(reply.writes()):
            if number and reply.pause:
                await asyncio.sleep(reply.pause)
            elif number % 64 == 63:
                await asyncio.sleep(0)
            await self._writable.wait()
            if self.transport.is_closing() or self._record.closed_at is not None:
                return
            request.sent.append((time.monotonic(), piece))
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._provider._note()
        await self._end(reply)
        request.finished_at = time.monotonic()
        self._provider._note()
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._next_request)

    async def _end(self, reply: Reply) -> None:
        if reply.ending == "clean":
            self.transport.write(b"0\r\n\r\n")
        elif reply.ending == "close":
            self.transport.close()
        elif reply.ending in ("cut", "reset"):
            # What is unsent would be dropped, so let it go out first.
            while self.transport.get_write_buffer_size():  # noqa: ASYNC110 - under TLS nothing tells of it
                await asyncio.sleep(0.001)
            if reply.ending == "reset":
                # Linger of zero: the kernel answers with RST.
                raw: socket.socket = self.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            await asyncio.Event().wait()
