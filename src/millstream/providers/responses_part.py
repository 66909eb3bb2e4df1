"""One content block of a streamed OpenAI response: what is told of it piece by piece, and what of it has come so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.types import ToolCallChunk

__all__ = ["Part"]


class Part:
    """Makes the chunks of one block, and keeps what they said: of texts only the strings."""

    __slots__ = ("_annotations", "_args", "_call", "_head", "_lists", "_tags", "_texts", "index", "kind")

    def __init__(self, index: int, kind: str, tags: dict[str, Any]) -> None:
        self.index = index
        self.kind = kind
        self._tags = tags
        self._head: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        # Texts that come as several: key, number, (type, pieces).
        self._lists: dict[str, dict[int, tuple[str, list[str]]]] = {}
        self._annotations: list[Any] = []
        self._call: dict[str, Any] | None = None
        self._args: list[str] = []

    @property
    def begun(self) -> bool:
        """Something of it was told."""
        return bool(self._head or self._texts or self._lists or self._annotations)

    def has(self, key: str) -> bool:
        """This key was told."""
        return key in self._head or key in self._texts or key in self._lists

    @property
    def annotations(self) -> int:
        """How many annotations were told."""
        return len(self._annotations)

    def tell(self, told: Mapping[str, Any], **metadata: Any) -> AIMessageChunk:
        """Keys that come whole, once."""
        chunk = self._chunk(dict(told), **metadata)
        self._head.update(told)
        return chunk

    def text(self, key: str, piece: str, **metadata: Any) -> AIMessageChunk:
        """The next piece of a text."""
        chunk = self._chunk({key: _text(piece)}, **metadata)
        self._texts.setdefault(key, []).append(piece)
        return chunk

    def said(self, piece: str) -> AIMessageChunk:
        """`text("text", piece)`, in fewer steps: nearly every chunk is made here."""
        chunk = AIMessageChunk(
            [{"type": "text", "text": _text(piece), "index": self.index}], response_metadata=self._tags
        )
        self._texts.setdefault("text", []).append(piece)
        return chunk

    def listed(self, key: str, number: int, kind: str, piece: str) -> AIMessageChunk:
        """The next piece of one of several texts under a key."""
        chunk = self._chunk({key: [{"type": kind, "text": _text(piece), "index": number}]})
        self._lists.setdefault(key, {}).setdefault(number, (kind, []))[1].append(piece)
        return chunk

    def annotation(self, annotation: Any) -> AIMessageChunk:
        """A citation in the text."""
        chunk = self._chunk({"text": "", "annotations": [annotation]})
        self._annotations.append(annotation)
        return chunk

    def call(self, told: Mapping[str, Any], name: str, id: str) -> AIMessageChunk:
        """A call of a tool that the caller of the model runs begins."""
        chunk = self._chunk(dict(told), [self._piece(name, id, "")])
        self._call = {"name": name, "id": id}
        self._head.update(told)
        return chunk

    def arguments(self, key: str | None, piece: str, args: str) -> AIMessageChunk:
        """The next piece of a call's input, as it came and as JSON."""
        item = {} if key is None else {key: _text(piece)}
        chunk = self._chunk(item, [self._piece(None, None, args)])
        if key is not None:
            self._texts.setdefault(key, []).append(piece)
        self._args.append(args)
        return chunk

    def content(self) -> dict[str, Any] | None:
        """All that came, as the sum of the chunks has it; None when nothing did."""
        if not self.begun:
            return None
        whole: dict[str, Any] = {"type": self.kind, **self._head, "index": self.index}
        for key, texts in self._texts.items():
            whole[key] = "".join(texts)
        for key, numbered in self._lists.items():
            whole[key] = [{"type": t, "text": "".join(p), "index": n} for n, (t, p) in numbered.items()]
        if self._annotations:
            whole["annotations"] = list(self._annotations)
            whole.setdefault("text", "")
        return whole

    def tool_call(self) -> ToolCallChunk | None:
        """All that came of a call, as one piece."""
        if self._call is None:
            return None
        return self._piece(self._call["name"], self._call["id"], "".join(self._args))

    def _piece(self, name: str | None, id: str | None, args: str) -> ToolCallChunk:
        return {"name": name, "args": args, "id": id, "index": self.index, "type": "tool_call_chunk"}

    def _chunk(self, item: dict[str, Any], calls: Sequence[ToolCallChunk] = (), **metadata: Any) -> AIMessageChunk:
        content = [{"type": self.kind, **item, "index": self.index}] if item else []
        tags = {**self._tags, **metadata} if metadata else self._tags
        return AIMessageChunk(content, response_metadata=tags, tool_call_chunks=calls or None)


def _text(value: Any) -> str:
    """Text; a TypeError where it is none."""
    if value.__class__ is not str:
        raise TypeError
    return value
