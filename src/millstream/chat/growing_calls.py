"""The tool calls of a message that is still streaming, as far as they have come."""

from __future__ import annotations

from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.partial_json import PartialJson
from ..data.types import ToolCall

__all__ = ["GrowingCalls"]


class GrowingCalls:
    """Feed it the chunks of one message, in order, and read `calls()` whenever you like.

    The same calls as those of the chunks' sum, at a cost that is linear in the new characters: a sum would parse the
    arguments anew each time.
    """

    __slots__ = ("_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Growing] = []
        self._by_index: dict[Any, _Growing] = {}

    def feed(self, message: AIMessageChunk) -> None:
        """Take a chunk."""
        for piece in message.tool_call_chunks:
            index, id = piece["index"], piece["id"]
            call = self._by_index.get(index) if index is not None else None
            if call is None or (id and call.id and id != call.id):
                # Without an index pieces are never joined; another id under the same index is another call.
                call = _Growing()
                self._calls.append(call)
                self._by_index[index] = call
            call.take(piece)

    def calls(self) -> list[ToolCall]:
        """All calls as far as they have come; those whose arguments are no object are left out."""
        return [call for growing in self._calls if (call := growing.so_far()) is not None]


class _Growing:
    __slots__ = ("args", "id", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.args: PartialJson | None = None

    def take(self, piece: Any) -> None:
        self.id = self.id or piece["id"]
        self.name += piece["name"] or ""
        if piece["args"]:
            if self.args is None:
                self.args = PartialJson()
            self.args.feed(piece["args"])

    def so_far(self) -> ToolCall | None:
        try:
            args = self.args.value if self.args is not None else {}
        except ValueError:
            return None
        return {"name": self.name, "args": args, "id": self.id, "type": "tool_call"} if isinstance(args, dict) else None
