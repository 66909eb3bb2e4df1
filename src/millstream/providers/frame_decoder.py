"""What the decoders of all wires share: bytes to JSON frames, halves of characters, how a stream may fail. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from ..data.ai_chunk import AIMessageChunk
from ..data.types import UsageMetadata
from ..errors import ProviderInterrupted
from .sse import SSEDecoder
from .status import redacted
from .wire_json import SurrogateJoiner, loads_odd, scrubbed, strict_loads

__all__ = ["FrameDecoder"]


# What code that takes a frame for granted raises where the frame is odd.
_ODD = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class FrameDecoder(ABC):
    """Turns the bytes of one streamed answer into `AIMessageChunk`s, however the bytes are cut.

    Feed it what arrives; when `finished`, or when no more bytes come, call `close`. A subclass knows one wire: it reads
    frames, and says when they have told all. `secrets` are taken out of what the server says in an error.
    """

    __slots__ = ("_error", "_joiner", "_secrets", "_sse", "complete", "done", "provider", "reported")

    wire: ClassVar[str]
    """What its frames are frames of, for error messages."""

    def __init__(self, *, provider: str, secrets: Sequence[str] = ()) -> None:
        self.provider = provider
        self._secrets = secrets
        self.reported: Any = None
        """The error that the server reported inside the stream, as it came."""
        self.done = False
        """The end has come, and nothing after it can matter."""
        self.complete = False
        """All that the server must say has been said; more may come."""
        self._sse = SSEDecoder()
        self._joiner = SurrogateJoiner()
        self._error: ProviderInterrupted | None = None

    @property
    def finished(self) -> bool:
        """Nothing that still comes can matter: the end or an error was read."""
        return self.done or self._error is not None

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """The chunks that are complete with these bytes.

        Never raises: an error that the server reports waits for `close`, so that what came before it is not lost.
        """
        out: list[AIMessageChunk] = []
        if self.done or self._error is not None:
            return out
        for payload in self._sse.feed(data):
            try:
                try:
                    frame = strict_loads(payload)
                    if self._joiner.held:
                        self._join_texts(frame)
                except ValueError:
                    frame = self._odd(payload)
                if frame is not None:
                    self._read(frame, out)
                if self.done:
                    self._finish(out)
            except _ODD:
                self._fail(f"{self.provider} sent a frame of another shape than {self.wire} have.")
            if self.done or self._error is not None:
                break
        return out

    def close(self) -> list[AIMessageChunk]:
        """The chunks that were waiting for the end.

        Raises:
            ProviderInterrupted: the server reported an error, sent something that is no JSON, or the stream was cut.
        """
        if self._error is not None:
            raise self._error
        out: list[AIMessageChunk] = []
        if self.done:
            return out
        rest = self._sse.close()
        if rest is not None and self._ends_well(rest):
            rest, self.done = None, True
        if rest is not None or not (self.done or self._may_end()):
            where = "inside a frame" if rest is not None else f"without {self._missing}"
            raise self.interrupted(f"The stream of {self.provider} was cut: it ended {where}.")
        self.done = True
        try:
            self._finish(out)
        except _ODD:
            raise self._fail(f"{self.provider} sent an end of another shape than {self.wire} have.") from None
        return out

    def interrupted(self, message: str, *, code: str | None = None) -> ProviderInterrupted:
        """The error for a stream that ends here, with the message so far."""
        partial = self._partial()
        usage = self._usage_so_far()
        if partial is not None and usage is not None:
            partial.usage_metadata = usage
        return ProviderInterrupted(message, provider=self.provider, partial=partial, code=code)

    # -- what a wire knows -------------------------------------------------------------------------------------------

    _done_ends: ClassVar[bool] = False
    """`[DONE]` is the end mark. On other wires some gateways add it, and alone it says nothing."""
    _missing: ClassVar[str]
    """What a stream that was cut between frames lacks."""

    @abstractmethod
    def _read(self, frame: Any, out: list[AIMessageChunk]) -> None:
        """Read one frame; what it gives goes to `out`. Errors of shape (TypeError, KeyError, ...) may be raised."""

    @abstractmethod
    def _join_texts(self, frame: Any) -> None:
        """Hand the texts being streamed to the joiner, in place: a half character may be held, or wait for this one."""

    @abstractmethod
    def _finish(self, out: list[AIMessageChunk]) -> None:
        """The chunks that come last."""

    @abstractmethod
    def _partial(self) -> AIMessageChunk | None:
        """All that came, as one chunk; None when nothing did."""

    @abstractmethod
    def _usage_so_far(self) -> UsageMetadata | None:
        """The usage told up to here."""

    @abstractmethod
    def _may_end(self) -> bool:
        """A body that ends here, between frames, was not cut."""

    @abstractmethod
    def _ends_well(self, rest: bytes) -> bool:
        """The payload of a last frame that lacks its closing blank line is a whole end mark."""

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def _odd(self, payload: bytes) -> Any:
        """A payload that is no clean JSON; None when there is nothing to read in it."""
        text = payload.strip()
        if text == b"[DONE]":
            self.done = self._done_ends or self.complete
            return None
        if not text:
            return None
        try:
            frame = loads_odd(payload)
        except ValueError:
            self._fail(f"{self.provider} sent a frame that is not JSON.")
            return None
        self._join_texts(frame)
        return scrubbed(frame)

    def _report(self, error: Any) -> None:
        """The server reports an error inside the stream."""
        self.reported = error
        if not isinstance(error, dict):
            error = {"message": str(error)}
        code = error.get("code") or error.get("type")
        message = redacted(str(error.get("message") or "no reason given"), self._secrets)
        self._fail(
            f"{self.provider} reported an error in the stream: {message}", code=None if code is None else str(code)
        )

    def _fail(self, message: str, *, code: str | None = None) -> ProviderInterrupted:
        self._error = self.interrupted(message, code=code)
        return self._error
