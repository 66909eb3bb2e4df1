"""Messages as OpenAI's API writes them: plain dicts with roles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from ..data.coercion import convert_to_messages
from ..data.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from ..errors import InvalidArgument

__all__ = ["convert_to_openai_messages"]

TextFormat = Literal["string", "block"]

_ROLES: tuple[tuple[type[BaseMessage], str], ...] = (
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
    (FunctionMessage, "function"),
)
# Blocks that are tool calls in the form of a provider; they stand in `tool_calls` instead.
_CALLS = frozenset({"tool_call", "tool_call_chunk", "tool_use", "invalid_tool_call", "function_call"})
_KNOWN = frozenset({"text", "image_url", "input_audio", "file", "refusal"})


@overload
def convert_to_openai_messages(
    messages: BaseMessage | dict[str, Any] | str,
    *,
    text_format: TextFormat = ...,
    include_id: bool = ...,
    pass_through_unknown_blocks: bool = ...,
) -> dict[str, Any]: ...
@overload
def convert_to_openai_messages(
    messages: Iterable[Any],
    *,
    text_format: TextFormat = ...,
    include_id: bool = ...,
    pass_through_unknown_blocks: bool = ...,
) -> list[dict[str, Any]]: ...
def convert_to_openai_messages(
    messages: Any,
    *,
    text_format: TextFormat = "string",
    include_id: bool = False,
    pass_through_unknown_blocks: bool = True,
) -> Any:
    """One message as a dict, several as a list of dicts, from anything that can be read as messages.

    With `text_format="string"` content of texts alone is one string, their parts on lines of their own; with "block"
    content always is a list of blocks.

    Raises:
        InvalidArgument: (a ValueError) another `text_format`; or a block of an unknown kind, where those are not to be
            passed through.
    """
    if text_format not in ("string", "block"):
        raise InvalidArgument(f"text_format is 'string' or 'block', not {text_format!r}.")
    one = isinstance(messages, (BaseMessage, dict, str))
    made = [
        _message(message, text_format, include_id, pass_through_unknown_blocks)
        for message in convert_to_messages([messages] if one else messages)
    ]
    return made[0] if one else made


def _message(message: BaseMessage, text_format: TextFormat, include_id: bool, pass_unknown: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"role": _role(message)}
    if message.name:
        made["name"] = message.name
    if include_id and message.id:
        made["id"] = message.id
    if isinstance(message, ToolMessage):
        made["tool_call_id"] = message.tool_call_id
    if isinstance(message, AIMessage) and message.tool_calls:
        made["tool_calls"] = [_call(call) for call in message.tool_calls]
    made["content"] = _content(message.content, text_format, pass_unknown)
    return made


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    for cls, role in _ROLES:
        if isinstance(message, cls):
            return role
    raise InvalidArgument(f"a {type(message).__name__} has no role in OpenAI's form; leave it out.")


def _call(call: Any) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    return {"type": "function", "id": call["id"], "function": {"name": call["name"], "arguments": arguments}}


def _content(content: str | list[Any], text_format: TextFormat, pass_unknown: bool) -> str | list[Any]:
    if isinstance(content, str):
        return content if text_format == "string" else [{"type": "text", "text": content}] if content else []
    blocks = [
        _block(block, pass_unknown)
        for block in content
        if not (isinstance(block, dict) and block.get("type") in _CALLS)
    ]
    if text_format == "string" and all(block.get("type") == "text" for block in blocks):
        return "\n".join(block["text"] for block in blocks)
    return blocks


def _block(block: Any, pass_unknown: bool) -> Any:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kind = block.get("type")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _image_url(block)}}
    if kind == "audio" and block.get("base64"):
        return {"type": "input_audio", "input_audio": {"data": block["base64"], "format": _format(block)}}
    if kind == "file" and block.get("base64"):
        return {"type": "file", "file": {"file_data": _data_url(block.get("mime_type"), block["base64"])}}
    if kind in _KNOWN or pass_unknown:
        return block
    raise InvalidArgument(f"a content block of the type {kind!r} has no form in OpenAI's messages: {block!r}.")


def _image_url(block: Mapping[str, Any]) -> str:
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic's form
        return str(source.get("url") or _data_url(source.get("media_type"), source.get("data")))
    data = block.get("base64") or block.get("data")
    return _data_url(block.get("mime_type"), data) if data else str(block.get("url", ""))


def _data_url(mime: Any, data: Any) -> str:
    return f"data:{mime or 'application/octet-stream'};base64,{data or ''}"


def _format(block: Mapping[str, Any]) -> str:
    return str(block.get("mime_type", "audio/wav")).rpartition("/")[2]
