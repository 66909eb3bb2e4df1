"""Tool calls inside messages: their shape, the old OpenAI form, and what the pieces of a stream amount to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ValidationError
from .lazy import Lazy
from .types import InvalidToolCall, ToolCall, ToolCallChunk, invalid_tool_call, tool_call, tool_call_chunk

if TYPE_CHECKING:
    import json

    from . import partial_json
else:
    json = Lazy("json", globals())
    partial_json = Lazy(".partial_json", globals())

__all__ = [
    "calls_of_chunks",
    "check_calls",
    "check_chunks",
    "check_invalid_calls",
    "chunks_of_calls",
    "legacy_calls",
    "legacy_chunks",
    "merge_tool_chunks",
]

Calls = tuple[list[ToolCall], list[InvalidToolCall]]


def check_calls(given: Iterable[Any]) -> list[ToolCall]:
    """Tool calls with exactly their keys."""
    return [
        tool_call(name=_of(call, "name"), args=_of(call, "args"), id=call.get("id"))
        for call in _dicts("tool_calls", given)
    ]


def check_invalid_calls(given: Iterable[Any]) -> list[InvalidToolCall]:
    """Invalid tool calls with exactly their keys."""
    return [
        invalid_tool_call(name=call.get("name"), args=call.get("args"), id=call.get("id"), error=call.get("error"))
        for call in _dicts("invalid_tool_calls", given)
    ]


def check_chunks(given: Iterable[Any]) -> list[ToolCallChunk]:
    """Tool call chunks with exactly their keys."""
    if given.__class__ is not list:
        given = list(_dicts("tool_call_chunks", given))
    chunks: list[ToolCallChunk] = []
    for call in given:
        if call.__class__ is not dict:
            call = next(iter(_dicts("tool_call_chunks", [call])))
        get = call.get
        chunks.append(tool_call_chunk(get("name"), get("args"), get("id"), get("index")))
    return chunks


def calls_of_chunks(chunks: Iterable[ToolCallChunk], *, whole: bool = False) -> Calls:
    """What the pieces amount to: calls with the arguments parsed as far as they go, and those that do not parse.

    When the message is `whole`, arguments that are not were cut by the model's limit: nobody should run such a call.
    """
    parse = partial_json.parse_lenient if whole else partial_json.parse_partial_json
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for chunk in chunks:
        text = chunk["args"]
        try:
            args = parse(text) if text else {}
        except (ValueError, RecursionError):
            args = None
        if isinstance(args, dict):
            calls.append({"name": chunk["name"] or "", "args": args, "id": chunk["id"], "type": "tool_call"})
        else:
            invalid.append(invalid_tool_call(name=chunk["name"], args=text, id=chunk["id"]))
    return calls, invalid


def chunks_of_calls(calls: Iterable[ToolCall], invalid: Iterable[InvalidToolCall]) -> list[ToolCallChunk]:
    """Whole calls as pieces, their arguments as JSON text."""
    chunks = [tool_call_chunk(call["name"], json.dumps(call["args"], default=str), call["id"]) for call in calls]
    chunks += [tool_call_chunk(call["name"], call["args"], call["id"]) for call in invalid]
    return chunks


def legacy_calls(given: Any) -> Calls:
    """Calls in OpenAI's form, `{"id", "function": {"name", "arguments"}}`; what is not in that form is left out."""
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for item in given if isinstance(given, list) else ():
        function = item.get("function") if isinstance(item, dict) else None
        if not isinstance(function, dict):
            continue
        name, text, id = function.get("name"), function.get("arguments"), item.get("id")
        try:
            args = partial_json.parse_lenient(text) if text else {}
        except (ValueError, TypeError, RecursionError):
            args = None
        if isinstance(args, dict):
            calls.append(tool_call(name=name or "", args=args, id=id))
        else:
            invalid.append(invalid_tool_call(name=name, args=text, id=id))
    return calls, invalid


def legacy_chunks(given: Any) -> list[ToolCallChunk]:
    """Pieces of calls in OpenAI's form; what is not in that form is left out."""
    functions = [
        (item, item["function"])
        for item in (given if isinstance(given, list) else ())
        if isinstance(item, dict) and isinstance(item.get("function"), dict)
    ]
    return [
        tool_call_chunk(
            name=function.get("name"), args=function.get("arguments"), id=item.get("id"), index=item.get("index")
        )
        for item, function in functions
    ]


def merge_tool_chunks(pieces: Iterable[Sequence[ToolCallChunk]]) -> list[ToolCallChunk]:
    """Join pieces of the same index whose ids agree; the rest, and what the first list holds, stays separate.

    The same as `merge_lists`, for dicts that have the keys of a tool call chunk and no others.
    """
    growing: list[_Growing] = []
    by_index: dict[Any, list[_Growing]] = {}
    for number, piece in enumerate(pieces):
        for chunk in piece:
            index, id = chunk["index"], chunk["id"]
            joins = isinstance(index, int) or (index is not None and index.startswith("lc_"))
            same = by_index.setdefault(index, []) if joins else []
            call = next((call for call in same if not call.id or not id or call.id == id), None) if number else None
            if call is None:
                call = _Growing(index)
                growing.append(call)
                same.append(call)
            call.add(chunk["name"], chunk["args"], id)
    return [call.chunk() for call in growing]


class _Growing:
    """A tool call that is arriving."""

    __slots__ = ("args", "id", "index", "names")

    def __init__(self, index: int | str | None) -> None:
        self.index = index
        self.id: str | None = None
        self.names: list[str] = []
        self.args: list[str] = []

    def add(self, name: str | None, args: str | None, id: str | None) -> None:
        if name is not None:
            self.names.append(name)
        if args is not None:
            self.args.append(args)
        self.id = id or (id if self.id is None else self.id)

    def chunk(self) -> ToolCallChunk:
        return {
            "name": "".join(self.names) if self.names else None,
            "args": "".join(self.args) if self.args else None,
            "id": self.id,
            "index": self.index,
            "type": "tool_call_chunk",
        }


def _dicts(field: str, given: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    if not isinstance(given, (list, tuple)):
        raise ValidationError(f"`{field}` must be a list of dicts, not {type(given).__name__}.", field=field)
    for item in given:
        if not isinstance(item, Mapping):
            raise ValidationError(f"`{field}` must hold dicts, not {type(item).__name__}: {item!r}.", field=field)
        yield item


def _of(call: Mapping[str, Any], key: str) -> Any:
    if key not in call:
        raise ValidationError(f"A tool call needs `{key}`: {call!r}.", field=key)
    return call[key]
