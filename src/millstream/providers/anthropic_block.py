"""One content block of a streamed Anthropic message: what its deltas say, and what of it has come so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.types import ToolCallChunk
from .wire_json import dumps

__all__ = ["DELTAS", "Block"]

DELTAS: dict[str, tuple[str, str, str]] = {
    # delta: (where its text is, where the text goes in the content, the type of a block that has not begun)
    "text_delta": ("text", "text", "text"),
    "input_json_delta": ("partial_json", "partial_json", "input_json_delta"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "signature_delta": ("signature", "signature", "thinking"),
    "compaction_delta": ("content", "content", "compaction"),
    "citations_delta": ("citation", "citations", "text"),
}
# Blocks that begin with nothing in them. They come into the content with their first delta.
_EMPTY = {"text": "text", "thinking": "thinking", "compaction": "content"}


class Block:
    """Reads the events of one block.

    Of what the deltas say only the strings are kept, to be able to tell what came if the stream breaks.
    """

    __slots__ = ("_begun", "_citations", "_first", "_pending", "index", "kind", "tags", "texts")

    def __init__(self, index: int, first: Mapping[str, Any], tags: dict[str, Any]) -> None:
        self.index = index
        self.kind: str = first.get("type") or "text"
        self.tags = tags
        self.texts: list[str] = []
        """The pieces of the text that makes up most blocks."""
        self._first: dict[str, Any] = {**first, "type": self.kind, "index": index}
        self._begun = False
        self._citations: list[Any] = []
        # The arguments that a call brought with its start. Some servers stream them after that as well.
        self._pending: Any = None

    @property
    def is_call(self) -> bool:
        """A call of a tool that the caller of the model runs."""
        return self.kind == "tool_use"

    def start(self) -> AIMessageChunk | None:
        """The chunk for the block's start; None for a block that has nothing in it yet."""
        first = self._first
        body = _EMPTY.get(self.kind)
        if body is not None and not first.get(body):
            # An empty block is no content: some APIs refuse to take it back.
            self._first = {"type": self.kind, "index": self.index}
            return None
        calls = [self._piece(first.get("id"), first.get("name"), "")] if self.is_call else []
        chunk = self._chunk(dict(first), *calls)
        # Only what has passed for a chunk is kept.
        self._begun = True
        self._pending = (first.get("input") or None) if self.is_call else None
        return chunk

    def delta(self, kind: str, delta: Mapping[str, Any]) -> AIMessageChunk | None:
        """The chunk for a delta; None when it says nothing, or nothing that we know."""
        if kind not in DELTAS:
            return None
        source, key, type = DELTAS[kind]
        said = delta.get(source)
        if not said:
            return self._nothing() if kind == "input_json_delta" and said == "" else None
        if kind == "text_delta" and said.__class__ is str:
            # The usual one, in fewer steps.
            chunk = AIMessageChunk([{"type": type, "text": said, "index": self.index}], response_metadata=self.tags)
            self._begun, self._pending = True, None
            self.texts.append(said)
            return chunk
        item: dict[str, Any] = {"type": type, key: said, "index": self.index}
        if kind == "citations_delta":
            item |= {"text": "", "citations": [said]}
        elif said.__class__ is not str:
            raise TypeError
        elif kind == "signature_delta":
            # A thinking block goes back with its thought, also where that is not shown.
            item["thinking"] = ""
        calls = [self._piece(None, None, said)] if kind == "input_json_delta" and self.is_call else []
        chunk = self._chunk(item, *calls)
        self._keep(kind, said)
        return chunk

    def _nothing(self) -> AIMessageChunk:
        """Arguments begin, and perhaps there are none: the content says so, for whoever puts it together."""
        self.texts.append("")
        calls = [self._piece(None, None, "")] if self.is_call else []
        return self._chunk({"type": "input_json_delta", "partial_json": "", "index": self.index}, *calls)

    def _keep(self, kind: str, said: Any) -> None:
        self._begun = True
        if kind == "citations_delta":
            self._citations.append(said)
        elif kind == "signature_delta":
            self._first["signature"] = self._first.get("signature", "") + said
        else:
            self._pending = None
            self.texts.append(said)

    def stop(self) -> AIMessageChunk | None:
        """The chunk for the block's end: the arguments of a call that came with its start and not in pieces."""
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        text = dumps(pending).decode()
        self.texts.append(text)
        item = {"type": "input_json_delta", "partial_json": text, "index": self.index}
        return self._chunk(item, self._piece(None, None, text))

    def content(self) -> dict[str, Any] | None:
        """All that came of the block, as the sum of its chunks has it; None when it has nothing in it."""
        if not self._begun:
            return None
        whole = dict(self._first)
        key = _EMPTY.get(self.kind, "partial_json")
        if self.texts or self.kind in _EMPTY:
            whole[key] = (whole.get(key) or "") + "".join(self.texts)
        if self._citations:
            whole["citations"] = [*whole.get("citations", ()), *self._citations]
        return whole

    def call(self) -> ToolCallChunk | None:
        """All that came of a tool call, as one piece."""
        if not self.is_call or not self._begun:
            return None
        return self._piece(self._first.get("id"), self._first.get("name"), "".join(self.texts))

    def _piece(self, id: str | None, name: str | None, args: str) -> ToolCallChunk:
        return {"name": name, "args": args, "id": id, "index": self.index, "type": "tool_call_chunk"}

    def _chunk(self, item: dict[str, Any], *calls: ToolCallChunk) -> AIMessageChunk:
        return AIMessageChunk([item], response_metadata=self.tags, tool_call_chunks=list(calls))
