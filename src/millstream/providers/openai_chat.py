"""The stream of OpenAI chat completions, decoded: bytes in, message chunks out. No I/O, no clock.

Many servers imitate this protocol and each does so a little differently. What is allowed for stands next to the
code that allows for it; the rest is in `openai_choice.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..errors import ProviderInterrupted
from .openai_choice import Choice, closing_metadata
from .openai_usage import usage_metadata
from .sse import SSEDecoder
from .status import redacted
from .wire_json import SurrogateJoiner, loads_odd, scrubbed, strict_loads

__all__ = ["OpenAIChatDecoder"]

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class OpenAIChatDecoder:
    """Turns the bytes of one streamed answer into `AIMessageChunk`s, however the bytes are cut.

    Feed it what arrives; when `finished`, or when no more bytes come, call `close`. Usage is given once, in the last
    chunk, also where a server repeats it in each frame. With several choices (`n`) the chunks of all but the first
    carry their number as `response_metadata["index"]`. `secrets` are taken out of what the server says in an error.
    """

    __slots__ = (
        "_choices",
        "_error",
        "_first",
        "_joiner",
        "_last",
        "_secrets",
        "_sse",
        "_usage",
        "done",
        "provider",
        "reported",
    )

    def __init__(self, *, provider: str = "openai", secrets: Sequence[str] = ()) -> None:
        self.provider = provider
        self._secrets = secrets
        self.reported: Any = None
        """The error that the server reported inside the stream, as it came."""
        self.done = False
        """The end mark `[DONE]` has come."""
        self._sse = SSEDecoder()
        self._joiner = SurrogateJoiner()
        self._first = Choice(0, provider)
        self._choices: dict[int, Choice] = {0: self._first}
        self._last: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._error: ProviderInterrupted | None = None

    @property
    def started(self) -> bool:
        """At least one chunk has been handed out."""
        return any(choice.started for choice in self._choices.values())

    @property
    def finished(self) -> bool:
        """Nothing that still comes can matter: the end mark or an error was read."""
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
            except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
                self._fail(f"{self.provider} sent a frame of another shape than chat completions have.")
            if self.done:
                self._finish(out)
                break
            if self._error is not None:
                break
        return out

    def close(self) -> list[AIMessageChunk]:
        """The chunks that were waiting for the end.

        Raises:
            ProviderInterrupted: the server reported an error, sent something that is no JSON, or the stream was cut:
                it ended inside a frame, or without both `[DONE]` and a reason to finish.
        """
        if self._error is not None:
            raise self._error
        out: list[AIMessageChunk] = []
        if self.done:
            return out
        rest = self._sse.close()
        if rest is not None and rest.strip() == b"[DONE]":
            rest, self.done = None, True
        begun = [choice for choice in self._choices.values() if choice.started]
        if rest is not None or not (self.done or (begun and all(choice.finished for choice in begun))):
            where = "inside a frame" if rest is not None else "without an end mark or a finish reason"
            raise self.interrupted(f"The stream of {self.provider} was cut: it ended {where}.")
        self.done = True
        self._finish(out)
        return out

    def interrupted(self, message: str, *, code: str | None = None) -> ProviderInterrupted:
        """The error for a stream that ends here, with the message so far (of the first choice)."""
        partial = self._first.partial()
        if partial is not None and self._usage:
            partial.usage_metadata = usage_metadata(self._usage)
        return ProviderInterrupted(message, provider=self.provider, partial=partial, code=code)

    def _read(self, frame: Any, out: list[AIMessageChunk]) -> None:
        if usage := frame.get("usage") or ("x_groq" in frame and (frame["x_groq"] or {}).get("usage")):
            self._usage = usage
        if frame.get("error") or frame.get("object") == "error":
            self.reported = frame.get("error") or frame
            self._report(self.reported)
            return
        self._last = frame
        # May be empty (usage, Azure's first frame), missing or null.
        for choice in frame.get("choices") or ():
            index = choice.get("index")
            state = self._choice(index) if index else self._first
            if (chunk := state.read(choice, frame)) is not None:
                out.append(chunk)

    def _choice(self, index: int) -> Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Choice(index, self.provider)
        return choice

    def _odd(self, payload: bytes) -> Any:
        """A payload that is no clean JSON; None when there is nothing to read in it."""
        text = payload.strip()
        if text == b"[DONE]":
            self.done = True
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

    def _join_texts(self, frame: Any) -> None:
        """Hand the texts being streamed to the joiner, in place: a half character may be held, or wait for this one."""
        for choice in frame.get("choices") or ():
            index, delta = choice.get("index") or 0, choice.get("delta") or {}
            for key in _TEXTS:
                if isinstance(delta.get(key), str):
                    delta[key] = self._joiner.join((index, key), delta[key])
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                if isinstance(function.get("arguments"), str):
                    place = (index, "arguments", call.get("index"))
                    function["arguments"] = self._joiner.join(place, function["arguments"])

    def _finish(self, out: list[AIMessageChunk]) -> None:
        for (index, key, *call), text in self._joiner.rest().items():
            delta: dict[str, Any] = {key: text}
            if key == "arguments":
                delta = {"tool_calls": [{"index": call[0], "function": {"arguments": text}}]}
            out += filter(None, [self._choices[index].read({"delta": delta}, {})])
        metadata: dict[str, Any] = {}
        if self._usage:
            metadata["token_usage"] = self._usage
        if not any(choice.finished for choice in self._choices.values()):
            metadata.update(closing_metadata(self._last))
        if metadata:
            usage = usage_metadata(self._usage) if self._usage else None
            out.append(self._first.closing(metadata, usage))

    def _report(self, error: Any) -> None:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        code = error.get("code") or error.get("type")
        message = redacted(str(error.get("message") or "no reason given"), self._secrets)
        self._fail(
            f"{self.provider} reported an error in the stream: {message}", code=None if code is None else str(code)
        )

    def _fail(self, message: str, *, code: str | None = None) -> None:
        self._error = self.interrupted(message, code=code)
