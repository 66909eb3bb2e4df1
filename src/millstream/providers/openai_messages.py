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
from ..data.openai_format import openai_block
from ..errors import InvalidType
from .free_text import free_calls, free_text

__all__ = ["is_text_file", "to_openai"]

# What a model said that a server takes back as content. All else it made for itself, or another server made it.
_SAID = frozenset({"text", "image_url", "input_audio"})
_NOT_SENT = frozenset({"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "thinking", "reasoning", "redacted_thinking", "reasoning_content", "function_call"})  # fmt: skip


def to_openai(messages: Iterable[BaseMessage], *, marks: bool = False) -> list[dict[str, Any]]:
    """The `messages` of a request. `marks`: with `cache_control` where texts have it, which OpenAI itself refuses.

    Raises:
        InvalidType: (TypeError) a message of a kind that has no role there.
    """
    messages = list(messages)
    free = free_calls(messages)
    return [_message(message, marks, free) for message in messages]


def _message(message: BaseMessage, marks: bool, free: set[str | None]) -> dict[str, Any]:
    said = isinstance(message, AIMessage)
    out: dict[str, Any] = {"role": _role(message), "content": _content(message.content, said, marks)}
    if message.name:
        out["name"] = message.name
    if isinstance(message, ToolMessage):
        out["tool_call_id"] = message.tool_call_id
        out.pop("name", None)  # a tool's answer is found by its id alone, and some servers refuse more
    elif isinstance(message, AIMessage):
        _add_answer(message, out, free)
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


def _add_answer(message: AIMessage, out: dict[str, Any], free: set[str | None]) -> None:
    """What only an assistant's message has: its calls, as it made them; its refusal; the id of what it said."""
    extra = message.additional_kwargs
    calls = [
        _free_call(call)
        if call["id"] in free
        else _call(call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
        for call in message.tool_calls
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


def _free_call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "custom", "id": call["id"], "custom": {"name": call["name"], "input": free_text(call["args"])}}


def _content(content: str | list[Any], said: bool, marks: bool) -> str | list[Any]:
    if isinstance(content, str):
        return content
    return [_block(block, marks) for block in content if isinstance(block, str) or _is_sent(block.get("type"), said)]


def _is_sent(kind: Any, said: bool) -> bool:
    return kind in _SAID if said else kind not in _NOT_SENT


def _block(block: Any, marks: bool) -> Any:
    """A content block in OpenAI's form; one that is not known is passed on, because some server may know it."""
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if block.get("type") == "text":
        mark = block.get("cache_control") if marks else None
        return {"type": "text", "text": block.get("text", ""), **({"cache_control": mark} if mark else {})}
    if is_text_file(block):
        return {"type": "text", "text": block["text"]}
    if isinstance(block.get("image_url"), str):
        return {**block, "image_url": {"url": block["image_url"]}}
    return openai_block(block) or block


def is_text_file(block: Mapping[str, Any]) -> bool:
    """It is a file that is its text (an older form of the block `text-plain`)."""
    return block.get("type") == "file" and block.get("source_type") == "text" and isinstance(block.get("text"), str)
