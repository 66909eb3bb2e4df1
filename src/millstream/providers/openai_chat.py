"""The stream of OpenAI chat completions, decoded: bytes in, message chunks out. No I/O, no clock.

Many servers imitate this protocol and each does so a little differently. What is allowed for stands next to the
code that allows for it; the rest is in `openai_choice.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.types import UsageMetadata
from .frame_decoder import FrameDecoder
from .openai_choice import Choice, closing_metadata
from .openai_usage import usage_metadata

__all__ = ["OpenAIChatDecoder"]

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
# What a piece of a call has under the kind of its tool.
_ARGUMENTS = {"function": "arguments", "custom": "input"}


class OpenAIChatDecoder(FrameDecoder):
    """Turns the bytes of one streamed answer into `AIMessageChunk`s, however the bytes are cut.

    Usage is given once, in the last chunk, also where a server repeats it in each frame. With several choices (`n`) the
    chunks of all but the first carry their number as `response_metadata["index"]`.
    """

    __slots__ = ("_choices", "_first", "_last", "_usage")
    wire = "chat completions"
    _done_ends = True
    _missing = "an end mark or a finish reason"

    def __init__(self, *, provider: str = "openai", secrets: Sequence[str] = ()) -> None:
        super().__init__(provider=provider, secrets=secrets)
        self._first = Choice(0, provider)
        self._choices: dict[int, Choice] = {0: self._first}
        self._last: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None

    @property
    def started(self) -> bool:
        """At least one chunk has been handed out."""
        return any(choice.started for choice in self._choices.values())

    def _read(self, frame: Any, out: list[AIMessageChunk]) -> None:
        if usage := frame.get("usage") or ("x_groq" in frame and (frame["x_groq"] or {}).get("usage")):
            self._usage = dict(usage)
        if frame.get("error") or frame.get("object") == "error":
            self._report(frame.get("error") or frame)
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

    def _ends_well(self, rest: bytes) -> bool:
        return rest.strip() == b"[DONE]"

    def _may_end(self) -> bool:
        begun = [choice for choice in self._choices.values() if choice.started]
        return bool(begun) and all(choice.finished for choice in begun)

    def _partial(self) -> AIMessageChunk | None:
        return self._first.partial()

    def _usage_so_far(self) -> UsageMetadata | None:
        return usage_metadata(self._usage) if self._usage else None

    def _join_texts(self, frame: Any) -> None:
        for choice in frame.get("choices") or ():
            index, delta = choice.get("index") or 0, choice.get("delta") or {}
            for key in _TEXTS:
                if isinstance(delta.get(key), str):
                    delta[key] = self._joiner.join((index, key), delta[key])
            for call in delta.get("tool_calls") or ():
                for kind, key in _ARGUMENTS.items():
                    given = call.get(kind) or {}
                    if isinstance(given.get(key), str):
                        given[key] = self._joiner.join((index, kind, call.get("index")), given[key])

    def _finish(self, out: list[AIMessageChunk]) -> None:
        for (index, key, *call), text in self._joiner.rest().items():
            delta: dict[str, Any] = {key: text}
            if key in _ARGUMENTS:
                delta = {"tool_calls": [{"index": call[0], key: {_ARGUMENTS[key]: text}}]}
            out += filter(None, [self._choices[index].read({"delta": delta}, {})])
        out += filter(None, [choice.ends() for choice in self._choices.values()])
        metadata: dict[str, Any] = {}
        if self._usage:
            metadata["token_usage"] = self._usage
        if not any(choice.finished for choice in self._choices.values()):
            metadata.update(closing_metadata(self._last))
        if metadata:
            usage = usage_metadata(self._usage) if self._usage else None
            out.append(self._first.closing(metadata, usage))
