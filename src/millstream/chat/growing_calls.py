"""The tool calls of a message that is still streaming: how far each has come, and the moment at which it is whole."""

from __future__ import annotations

from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.partial_json import PartialJson
from ..data.types import ToolCall

__all__ = ["GrowingCalls"]


class GrowingCalls:
    """Feed it the chunks of one message, in order. Its cost is linear in the new characters."""

    __slots__ = ("_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Growing] = []
        self._by_index: dict[Any, _Growing] = {}

    def feed(self, message: AIMessageChunk) -> list[ToolCall]:
        """Take a chunk; return the calls that are whole with it, each once.

        A call is whole when its arguments are a finished JSON object, or when another call takes its place.
        """
        whole: list[ToolCall] = []
        for piece in message.tool_call_chunks:
            index, id = piece["index"], piece["id"]
            call = self._by_index.get(index) if index is not None else None
            if call is not None and id and call.id and id != call.id:
                # Another id under the same index is another call.
                whole += call.finish()
                call = None
            if call is None:
                call = _Growing()
                self._calls.append(call)
                self._by_index[index] = call
            call.take(piece)
            if call.args is not None and call.args.complete:
                whole += call.finish()
        return whole

    def end(self) -> list[ToolCall]:
        """The calls that are whole only because the message is."""
        return [call for growing in self._calls for call in growing.finish()]

    def calls(self) -> list[ToolCall]:
        """All calls as far as they have come; those whose arguments are no object are left out."""
        return [call for growing in self._calls if (call := growing.so_far()) is not None]


class _Growing:
    __slots__ = ("args", "finished", "id", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.args: PartialJson | None = None
        self.finished = False

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

    def finish(self) -> list[ToolCall]:
        """The call, the first time that this is asked."""
        call = None if self.finished else self.so_far()
        self.finished = True
        return [] if call is None else [call]
