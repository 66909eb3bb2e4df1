"""The stream of Anthropic's messages API, decoded: bytes in, message chunks out. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.types import UsageMetadata
from .anthropic_block import DELTAS, Block
from .anthropic_usage import later_usage, usage_metadata
from .frame_decoder import FrameDecoder
from .wire_json import loads

__all__ = ["AnthropicDecoder", "stop_metadata"]

_STOPPING = ("stop_reason", "stop_sequence", "stop_details", "container", "context_management")


class AnthropicDecoder(FrameDecoder):
    """Turns the bytes of one streamed message into `AIMessageChunk`s, however the bytes are cut.

    Text comes as plain strings. With `blocks=True`, or from the first block on that is no text, the content is a list of
    indexed blocks, as they came. The first chunk names the model, the last, which is marked so, tells usage and why the
    model stopped. Several messages in one body (a proxy that runs tools puts them there) are read as one.
    """

    __slots__ = (
        "_blocks",
        "_in_blocks",
        "_offset",
        "_open",
        "_opening",
        "_stopping",
        "_tags",
        "_text",
        "_usage",
        "_with_usage",
        "started",
    )
    wire = "Anthropic's messages"
    _missing = "`message_stop`"

    def __init__(
        self,
        *,
        provider: str = "anthropic",
        secrets: Sequence[str] = (),
        blocks: bool = False,
        usage: bool = True,
    ) -> None:
        super().__init__(provider=provider, secrets=secrets)
        self._with_usage = usage
        self._in_blocks = blocks
        self._tags: dict[str, Any] = {"model_provider": provider}
        self.started = False
        """At least one chunk has been handed out."""
        self._opening: dict[str, Any] = {}
        self._text: list[str] = []
        self._blocks: list[Block] = []
        # Those of the message that is being read, by their number in it.
        self._open: dict[int, Block] = {}
        self._offset = 0
        self._usage: dict[str, Any] = {}
        self._stopping: dict[str, Any] = {}

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, frame: Any, out: list[AIMessageChunk]) -> None:
        kind = frame["type"]
        if kind == "content_block_delta":
            delta = frame["delta"]
            if delta["type"] == "text_delta" and not self._in_blocks and self.started:
                # Nearly every frame: one string kept, one chunk made.
                text = delta["text"]
                if text:
                    out.append(AIMessageChunk(_text(text), response_metadata=self._tags))
                    self._text.append(text)
                return
            self._read_delta(frame["index"], delta, out)
        elif kind == "content_block_start":
            self._read_start(frame["index"], frame["content_block"], out)
        elif kind == "content_block_stop":
            block = self._open.get(frame["index"])
            if block is not None and (chunk := block.stop()) is not None:
                self._give(chunk, out)
        elif kind == "message_start":
            self._read_message(frame["message"])
        elif kind == "message_delta":
            self._stopping.update(
                {key: value for key, value in (frame.get("delta") or {}).items() if value is not None}
            )
            self._usage = later_usage(self._usage, frame.get("usage") or {})
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            self._report(frame.get("error") or frame)

    def _read_message(self, message: Mapping[str, Any]) -> None:
        if self._opening:
            # Another message in the same body goes on with this one.
            self._offset = len(self._blocks)
            self._open = {}
            self.complete = False
        else:
            self._opening = {
                key: message[name] for name, key in (("model", "model_name"), ("id", "id")) if message.get(name)
            }
        self._usage = dict(message.get("usage") or {})
        self._stopping = {}

    def _read_start(self, index: int, first: Mapping[str, Any], out: list[AIMessageChunk]) -> None:
        block = self._begin_block(index, first)
        if block.kind == "fallback" and not self.started and (model := (first.get("to") or {}).get("model")):
            self._opening["model_name"] = model
        if block.kind == "text" and not self._in_blocks:
            if text := first.get("text"):
                self._give_text(text, out)
            return
        if (chunk := block.start()) is not None:
            self._in_blocks = True
            self._give(chunk, out)

    def _read_delta(self, index: int, delta: Mapping[str, Any], out: list[AIMessageChunk]) -> None:
        kind = delta["type"]
        if kind == "text_delta" and not self._in_blocks:
            if delta["text"]:
                self._give_text(delta["text"], out)
            return
        block = self._open.get(index)
        if block is None:
            # A block that nobody announced.
            if kind not in DELTAS:
                return
            block = self._begin_block(index, {"type": DELTAS[kind][2]})
        if (chunk := block.delta(kind, delta)) is not None:
            self._in_blocks = True
            self._give(chunk, out)

    def _begin_block(self, index: int, first: Mapping[str, Any]) -> Block:
        number = index + self._offset
        block = self._open[index] = Block(number, first, self._tags)
        self._blocks.append(block)
        return block

    # -- giving ------------------------------------------------------------------------------------------------------

    def _give_text(self, text: str, out: list[AIMessageChunk]) -> None:
        self._give(AIMessageChunk(_text(text), response_metadata=self._tags), out)
        self._text.append(text)

    def _give(self, chunk: AIMessageChunk, out: list[AIMessageChunk]) -> None:
        self._start(out)
        out.append(chunk)

    def _start(self, out: list[AIMessageChunk]) -> None:
        # Not at `message_start`: an error that comes before the first block can still be answered by asking again.
        if not self.started:
            self.started = True
            out.append(AIMessageChunk(self._empty(), response_metadata={**self._tags, **self._opening}))

    def _empty(self) -> Any:
        return [] if self._in_blocks else ""

    def _finish(self, out: list[AIMessageChunk]) -> None:
        for (index, kind), text in self._joiner.rest().items():
            self._read_delta(index, {"type": kind, DELTAS[kind][0]: text}, out)
        for block in self._open.values():
            if (chunk := block.stop()) is not None:
                self._give(chunk, out)
        self._start(out)
        metadata = {**self._tags, **stop_metadata(self._stopping)}
        usage = self._usage_so_far()
        if usage is not None:
            metadata["usage"] = self._usage
        out.append(
            AIMessageChunk(self._empty(), response_metadata=metadata, usage_metadata=usage, chunk_position="last")
        )

    # -- ends --------------------------------------------------------------------------------------------------------

    def _may_end(self) -> bool:
        return self.complete

    def _ends_well(self, rest: bytes) -> bool:
        try:
            frame = loads(rest)
        except ValueError:
            return False
        return isinstance(frame, dict) and frame.get("type") == "message_stop"

    def _partial(self) -> AIMessageChunk | None:
        if not self.started:
            return None
        text = "".join(self._text)
        content: Any = text
        if self._in_blocks:
            blocks = [content for block in self._blocks if (content := block.content()) is not None]
            content = [text, *blocks] if text else blocks
        calls = [call for block in self._blocks if (call := block.call()) is not None]
        return AIMessageChunk(content, response_metadata={**self._tags, **self._opening}, tool_call_chunks=calls)

    def _usage_so_far(self) -> UsageMetadata | None:
        return usage_metadata(self._usage) if self._usage and self._with_usage else None

    def _join_texts(self, frame: Any) -> None:
        if frame.get("type") != "content_block_delta":
            return
        index, delta = frame["index"], frame["delta"]
        source = DELTAS.get(delta["type"], ("", "", ""))[0]
        if isinstance(delta.get(source), str):
            delta[source] = self._joiner.join((index, delta["type"]), delta[source])


def _text(text: Any) -> str:
    """The text of a delta; a TypeError where it is none."""
    if text.__class__ is not str:
        raise TypeError
    return text


def stop_metadata(message: Mapping[str, Any]) -> dict[str, Any]:
    """Why a model stopped, from a `message_delta` or a whole message."""
    told = {key: message[key] for key in _STOPPING if message.get(key) is not None}
    return {"stop_reason": None, "stop_sequence": None, **told}
