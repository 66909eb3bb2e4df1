"""The plain dictionaries inside messages: tool calls, their chunks, usage; and makers that check their shape."""

from __future__ import annotations

import sys
from typing import Any, Literal

from ..errors import ValidationError

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:  # pydantic refuses typing.TypedDict before 3.12, and users put these into their models
    from typing_extensions import NotRequired, TypedDict  # noqa: UP035

__all__ = [
    "InputTokenDetails",
    "InvalidToolCall",
    "OutputTokenDetails",
    "ToolCall",
    "ToolCallChunk",
    "UsageMetadata",
    "invalid_tool_call",
    "tool_call",
    "tool_call_chunk",
]


class InputTokenDetails(TypedDict, total=False):
    """Where input tokens came from; providers add keys of their own."""

    audio: int
    cache_creation: int
    cache_read: int


class OutputTokenDetails(TypedDict, total=False):
    """What output tokens were spent on; providers add keys of their own."""

    audio: int
    reasoning: int


class UsageMetadata(TypedDict):
    """Tokens of one model call. Usages are added key by key."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: NotRequired[InputTokenDetails]
    output_token_details: NotRequired[OutputTokenDetails]


class ToolCall(TypedDict):
    """A model's request to run a tool: its arguments parsed."""

    name: str
    args: dict[str, Any]
    id: str | None
    type: NotRequired[Literal["tool_call"]]


class InvalidToolCall(TypedDict):
    """A tool call whose arguments are not a JSON object; `args` is the text as it came."""

    name: str | None
    args: str | None
    id: str | None
    error: str | None
    type: NotRequired[Literal["invalid_tool_call"]]


class ToolCallChunk(TypedDict):
    """A piece of a tool call. Pieces with the same `index` are joined, their `args` as text."""

    name: str | None
    args: str | None
    id: str | None
    index: int | str | None
    type: NotRequired[Literal["tool_call_chunk"]]


def tool_call(*, name: str, args: dict[str, Any], id: str | None = None) -> ToolCall:
    """Make a tool call; `args` must be a dict with string keys."""
    if args.__class__ is not dict and not isinstance(args, dict):
        raise _wrong("tool call", "args", "a dict of arguments", args)
    if not isinstance(name, str):
        raise _wrong("tool call", "name", "a str", name)
    if id is not None and not isinstance(id, str):
        raise _wrong("tool call", "id", "a str or None", id)
    return {"name": name, "args": args, "id": id, "type": "tool_call"}


def invalid_tool_call(
    *, name: str | None = None, args: str | None = None, id: str | None = None, error: str | None = None
) -> InvalidToolCall:
    """Make the record of a tool call that could not be parsed."""
    for key, value in (("name", name), ("args", args), ("id", id), ("error", error)):
        if value is not None and not isinstance(value, str):
            raise _wrong("invalid tool call", key, "a str or None", value)
    return {"name": name, "args": args, "id": id, "error": error, "type": "invalid_tool_call"}


def tool_call_chunk(
    name: str | None = None, args: str | None = None, id: str | None = None, index: int | str | None = None
) -> ToolCallChunk:
    """Make a piece of a tool call."""
    # Made per token: look at the classes at once, and at what is wrong only when something is.
    if not (
        name.__class__ in _TEXT and args.__class__ in _TEXT and id.__class__ in _TEXT and index.__class__ in _INDEX
    ):
        for key, value in (("name", name), ("args", args), ("id", id)):
            if value is not None and not isinstance(value, str):
                raise _wrong("tool call chunk", key, "a str or None", value)
        if index is not None and not isinstance(index, (int, str)):
            raise _wrong("tool call chunk", "index", "an int, a str or None", index)
    return {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}


_TEXT = (str, type(None))
_INDEX = (int, type(None), str)


def _wrong(what: str, key: str, wanted: str, got: object) -> ValidationError:
    return ValidationError(f"`{key}` of a {what} must be {wanted}, not {type(got).__name__}: {got!r}", field=key)


for _open in (InputTokenDetails, OutputTokenDetails, UsageMetadata):
    # Providers count things of their own; pydantic must not drop them.
    setattr(_open, "__pydantic_config__", {"extra": "allow"})  # noqa: B010
