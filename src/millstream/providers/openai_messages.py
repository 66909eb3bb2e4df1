"""Messages in the form that OpenAI chat completions, and all that imitate it, take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..data.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from ..errors import InvalidType

__all__ = ["to_openai"]

# What a model made for itself or for another place, and no server takes back as content.
_NOT_SENT = frozenset({"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "thinking", "reasoning", "redacted_thinking", "reasoning_content", "function_call"})  # fmt: skip


def to_openai(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """The `messages` of a request.

    Raises:
        InvalidType: (TypeError) a message of a kind that has no role there.
    """
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> dict[str, Any]:
    out: dict[str, Any] = {"role": _role(message), "content": _content(message.content)}
    if message.name:
        out["name"] = message.name
    if isinstance(message, ToolMessage):
        out["tool_call_id"] = message.tool_call_id
        out.pop("name", None)  # a tool's answer is found by its id alone, and some servers refuse more
    elif isinstance(message, AIMessage):
        _add_answer(message, out)
    return out


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    if isinstance(message, ToolMessage):
        return "tool"
    if isinstance(message, FunctionMessage):
        return "function"
    raise InvalidType(f"A {type(message).__name__} cannot be sent to a model: it has no role in a conversation.")


def _add_answer(message: AIMessage, out: dict[str, Any]) -> None:
    """What only an assistant's message has: its calls, as it made them; its refusal; the id of what it said."""
    extra = message.additional_kwargs
    calls = [
        _call(call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False)) for call in message.tool_calls
    ]
    calls += [_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    if calls:
        out["tool_calls"] = calls
    elif "function_call" in extra:
        out["function_call"] = extra["function_call"]
    if extra.get("refusal"):
        out["refusal"] = extra["refusal"]
    if isinstance(extra.get("audio"), Mapping) and "id" in extra["audio"]:
        out["audio"] = {"id": extra["audio"]["id"]}
    if not out["content"] and ("function_call" in out or calls or "audio" in out or "refusal" in out):
        out["content"] = None


def _call(id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"type": "function", "id": id, "function": {"name": name or "", "arguments": arguments or ""}}


def _content(content: str | list[Any]) -> str | list[Any]:
    if isinstance(content, str):
        return content
    return [_block(block) for block in content if not (isinstance(block, dict) and block.get("type") in _NOT_SENT)]


def _block(block: Any) -> Any:
    """A content block in OpenAI's form; one that is not known is passed on, because some server may know it."""
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block.get("text", "")}
    if kind == "text-plain":
        return {"type": "text", "text": block.get("text", "")}
    if kind == "image":
        return _image(block)
    if kind == "audio" and (data := block.get("base64") or block.get("data")):
        return {"type": "input_audio", "input_audio": {"data": data, "format": _subtype(block)}}
    if kind == "file" and "file" not in block:
        return _file(block)
    return block


def _image(block: Mapping[str, Any]) -> Mapping[str, Any]:
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic's form
        url = source.get("url") or _data_url(source.get("media_type"), source.get("data"))
    elif block.get("base64") or block.get("data"):
        url = _data_url(block.get("mime_type"), block.get("base64") or block.get("data"))
    else:
        url = block.get("url")
    if not url:
        return block
    image: dict[str, Any] = {"url": url}
    if detail := block.get("detail"):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(block: Mapping[str, Any]) -> Mapping[str, Any]:
    if data := block.get("base64") or block.get("data"):
        name = block.get("filename") or (block.get("extras") or {}).get("filename") or "file"
        return {"type": "file", "file": {"file_data": _data_url(block.get("mime_type"), data), "filename": name}}
    if file_id := block.get("file_id") or block.get("id"):
        return {"type": "file", "file": {"file_id": file_id}}
    return block


def _data_url(mime: str | None, data: str | None) -> str:
    return f"data:{mime or 'application/octet-stream'};base64,{data or ''}"


def _subtype(block: Mapping[str, Any]) -> str:
    subtype = str(block.get("mime_type", "audio/wav")).partition("/")[2]
    return {"mpeg": "mp3", "x-wav": "wav"}.get(subtype, subtype)
