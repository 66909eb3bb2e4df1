"""The answer to a request for a run: its records as they come, in one of the framings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .dialects import framing
from .limits import Limits
from .log import Behind, Entry, Viewer
from .runs import ServedRun

__all__ = ["NDJSON", "SSE", "Framing", "RunStream", "framing_for"]

logger = logging.getLogger("millstream.serve")


@dataclass(frozen=True, slots=True)
class Framing:
    """How records are written: media type, one record, and what is sent when there is silence."""

    content_type: str
    frame: Callable[[Entry], bytes]
    heartbeat: bytes


NDJSON = Framing("application/x-ndjson", lambda entry: framing.ndjson(entry.body), framing.HEARTBEAT_NDJSON)
SSE = Framing(
    "text/event-stream; charset=utf-8",
    lambda entry: framing.sse(entry.type, entry.seq, entry.body),
    framing.HEARTBEAT_SSE,
)


def framing_for(accept: str) -> Framing:
    """The framing that an `Accept` header asks for: NDJSON unless it prefers server-sent events."""
    best, best_quality = NDJSON, 0.0
    for part in accept.split(","):
        media, *parameters = [piece.strip().lower() for piece in part.split(";")]
        asked = {"text/event-stream": SSE, "application/x-ndjson": NDJSON}.get(media)
        quality = _quality(parameters)
        if asked is not None and quality > best_quality:
            best, best_quality = asked, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


class RunStream(Response):
    """Writes a run to one viewer, straight to the ASGI server.

    Headers go out at once, records as they come, those that are ready together in one write. Whoever leaves is noticed
    at once; whoever does not read is dropped. Neither is waited for by the run.
    """

    def __init__(self, run: ServedRun, viewer: Viewer, framing: Framing, limits: Limits) -> None:
        self.run = run
        self.viewer = viewer
        self.framing = framing
        self.limits = limits
        self.background = None
        self.status_code = 200
        headers = {
            "content-type": framing.content_type,
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            "x-run-id": run.id,
            # Keeps compressing middleware away, which would hold tokens back until a block is full.
            "content-encoding": "identity",
        }
        self.body = b""
        self.raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream until the run ends, the client leaves, or it is dropped."""
        viewer = self.viewer
        writer = asyncio.ensure_future(self._write(send))
        watcher = asyncio.ensure_future(_until_gone(receive))
        viewer.on_drop = writer.cancel
        try:
            await asyncio.wait({writer, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.run.left(viewer)
            await _cancelled(writer, watcher)
        if viewer.behind:
            logger.warning("run %s: a viewer that read too slowly was dropped", self.run.id)
        elif writer.done() and not writer.cancelled() and (error := writer.exception()) is not None:
            raise error

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        viewer, frame, heartbeat = self.viewer, self.framing.frame, self.limits.heartbeat
        while not viewer.ended:
            try:
                entries = await viewer.read(heartbeat)
            except Behind:
                return
            if viewer.closed:
                return
            body = b"".join(map(frame, entries)) if entries else self.framing.heartbeat
            await self._send(send, body, more=not viewer.ended)

    async def _send(self, send: Send, body: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(self.limits.send_timeout):
                await send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:
            self.viewer.behind = True
            self.viewer.close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
