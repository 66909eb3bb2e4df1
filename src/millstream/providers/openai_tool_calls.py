"""The tool calls of a streamed chat completion, put together from pieces that servers send in many shapes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from ..data.types import ToolCallChunk
from .free_text import CLOSE, OPEN, free_piece
from .wire_json import dumps, strict_loads

__all__ = ["ToolCallPieces"]


class _Call:
    __slots__ = ("args", "free", "id", "index", "name", "wire_id")

    def __init__(self, index: int, wire_id: str | None) -> None:
        self.index = index
        self.wire_id = wire_id
        self.id: str | None = None
        self.name: str | None = None
        self.free = False
        self.args: list[str] = []

    def is_another(self, id: str | None, name: str | None, args: str) -> bool:
        """This piece opens a new call, although its index (or id) is this one's."""
        if id and self.wire_id and id != self.wire_id:
            return True
        if not (name and self.name):
            return False
        # Some servers repeat the name in every piece; others number all their calls 0 and send each whole.
        return name != self.name or (args.startswith("{") and _is_whole("".join(self.args)))


class ToolCallPieces:
    """Gives each call of a message an index and an id of its own, and each piece to its call."""

    __slots__ = ("_by_wire", "_calls", "new_free")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_wire: dict[int, _Call] = {}
        self.new_free: list[str] = []
        """The ids of calls with free text that have begun since this was emptied."""

    def read(self, pieces: Iterable[Mapping[str, Any]], answer_id: str) -> list[ToolCallChunk]:
        """The pieces of one delta, as chunks. `answer_id` helps to name a call that came without an id."""
        return [self._read(piece, answer_id) for piece in pieces]

    def merged(self) -> list[ToolCallChunk]:
        """All calls so far, one chunk each."""
        return [_chunk(call.index, call.id, call.name, "".join(call.args)) for call in self._calls]

    def ends(self) -> list[ToolCallChunk]:
        """What ends the arguments of calls with free text, which no piece does."""
        open = [call for call in self._calls if call.free]
        for call in open:
            call.free = False
            call.args.append(CLOSE)
        return [_chunk(call.index, None, None, CLOSE) for call in open]

    def _read(self, piece: Mapping[str, Any], answer_id: str) -> ToolCallChunk:
        free = piece.get("custom") or None
        function = free or piece.get("function") or {}
        id, name = _word(piece.get("id")), _word(function.get("name"))
        args = _text(function.get("arguments")) if free is None else free_piece(_free_text(free.get("input")))
        wire = piece.get("index")
        call = self._by_wire.get(wire) if isinstance(wire, int) else self._without_index(id, name)
        if call is None or call.is_another(id, name, args):
            call = self._open(wire, id)
        if free is not None and not call.args:
            call.free, args = True, OPEN + args
        call.args.append(args)
        told_id, told_name = None, None
        if name and call.name is None:
            told_name = call.name = name
        if call.id is None and (id or name):
            told_id = call.id = self._unique(id or f"call_{answer_id or uuid.uuid4().hex}_{call.index}")
            if call.free:
                self.new_free.append(call.id)
        return _chunk(call.index, told_id, told_name, args)

    def _without_index(self, id: str | None, name: str | None) -> _Call | None:
        """The call that a piece without an index goes on with; None if it opens one."""
        if id:
            return next((call for call in reversed(self._calls) if call.wire_id == id), None)
        return self._calls[-1] if self._calls and not name else None

    def _open(self, wire: int | None, id: str | None) -> _Call:
        taken = {call.index for call in self._calls}
        index = wire if isinstance(wire, int) and wire not in taken else max(taken, default=-1) + 1
        call = _Call(index, id)
        self._calls.append(call)
        if isinstance(wire, int):
            self._by_wire[wire] = call
        return call

    def _unique(self, id: str) -> str:
        taken = {call.id for call in self._calls}
        return id if id not in taken else f"{id}_{len(self._calls)}"


def _chunk(index: int, id: str | None, name: str | None, args: str) -> ToolCallChunk:
    return {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}


def _word(value: Any) -> str | None:
    """An id or a name; a few servers number their calls. Raises TypeError where it is neither."""
    if isinstance(value, int):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or None


def _text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else dumps(arguments).decode()


def _free_text(text: Any) -> str:
    if text is not None and not isinstance(text, str):
        raise TypeError
    return text or ""


def _is_whole(args: str) -> bool:
    try:
        strict_loads(args)
    except ValueError:
        return False
    return True
