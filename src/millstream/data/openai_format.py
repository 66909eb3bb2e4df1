"""Messages as dicts in OpenAI's form, for programs that speak to such a server by themselves or store that form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from ..errors import InvalidArgument
from .coercion import MessageLikeRepresentation, convert_to_messages
from .messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from .prompt_values import PromptValue

__all__ = ["convert_to_openai_messages", "openai_block", "openai_role"]

TextFormat = Literal["string", "block"]

# In OpenAI's form already, or of a model's own making, which only that model can use again.
_AS_IT_IS = frozenset({"text", "image_url", "input_audio", "refusal", "thinking", "reasoning", "redacted_thinking"})
# Calls that are among `tool_calls` too, or are no calls.
_TOLD_ELSEWHERE = frozenset({"tool_call_chunk", "invalid_tool_call", "function_call"})


@overload
def convert_to_openai_messages(  # type: ignore[overload-overlap]  # a str and a dict are iterable too, but one message
    messages: BaseMessage | str | dict[str, Any],
    *,
    text_format: TextFormat = "string",
    include_id: bool = False,
    pass_through_unknown_blocks: bool = True,
) -> dict[str, Any]: ...
@overload
def convert_to_openai_messages(
    messages: Iterable[MessageLikeRepresentation] | PromptValue,
    *,
    text_format: TextFormat = "string",
    include_id: bool = False,
    pass_through_unknown_blocks: bool = True,
) -> list[dict[str, Any]]: ...
def convert_to_openai_messages(
    messages: Any,
    *,
    text_format: TextFormat = "string",
    include_id: bool = False,
    pass_through_unknown_blocks: bool = True,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Turn messages into dicts of OpenAI's chat completions: one into a dict, several into a list.

    With `text_format="string"` content of nothing but text becomes one string, with "block" every content is a list.
    Results of tools that stand inside a user's content become messages of their own.

    Raises:
        InvalidArgument: (ValueError) an unknown `text_format`; a message without a role there; or, without
            `pass_through_unknown_blocks`, a content block that nobody knows.
    """
    if text_format not in ("string", "block"):
        raise InvalidArgument(f"`text_format` must be 'string' or 'block', not {text_format!r}.")
    single = isinstance(messages, (BaseMessage, str, dict))
    made: list[dict[str, Any]] = []
    for message in convert_to_messages([messages] if single else messages):
        made += _converted(message, text_format, include_id, pass_through_unknown_blocks)
    return made[0] if single and len(made) == 1 else made


def openai_role(message: BaseMessage) -> str:
    """The role that a message has in OpenAI's form.

    Raises:
        InvalidArgument: (ValueError) it has none there.
    """
    if isinstance(message, ChatMessage):
        return message.role
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    for cls, role in _ROLES:
        if isinstance(message, cls):
            return role
    raise InvalidArgument(f"A {type(message).__name__} has no role in OpenAI's form; leave it out.")


_ROLES = ((HumanMessage, "user"), (AIMessage, "assistant"), (ToolMessage, "tool"), (FunctionMessage, "function"))


def _converted(message: BaseMessage, text_format: TextFormat, include_id: bool, lenient: bool) -> list[dict[str, Any]]:
    """The dict for a message, and those for the tool results inside it."""
    head: dict[str, Any] = {"role": openai_role(message)}
    if message.name:
        head["name"] = message.name
    calls: list[dict[str, Any]] = []
    if isinstance(message, AIMessage):
        calls = [_call(call["id"], call["name"], call["args"]) for call in message.tool_calls]
        if message.additional_kwargs.get("refusal"):
            head["refusal"] = message.additional_kwargs["refusal"]
    if isinstance(message, ToolMessage):
        head["tool_call_id"] = message.tool_call_id
    if include_id and message.id:
        head["id"] = message.id
    blocks: list[Any] = []
    answers: list[dict[str, Any]] = []
    for item in [message.content] if isinstance(message.content, str) else message.content:
        if isinstance(item, str):
            blocks += [{"type": "text", "text": item}] if item else []
        elif item.get("type") in ("tool_use", "tool_call"):
            if isinstance(message, AIMessage) and not any(call["id"] == item.get("id") for call in calls):
                calls.append(_call(item.get("id"), item.get("name"), item.get("input", item.get("args"))))
        elif item.get("type") in _TOLD_ELSEWHERE:
            continue
        elif item.get("type") == "tool_result":
            answers += _converted(_answer(item), text_format, False, lenient)
        else:
            blocks.append(_block(item, lenient))
    if calls:
        head["tool_calls"] = calls
    head["content"] = _content(blocks, text_format)
    # A message that held nothing but results of tools is those results.
    return [head, *answers] if blocks or calls or not answers else answers


def _content(blocks: list[Any], text_format: TextFormat) -> Any:
    if text_format == "block":
        return blocks
    if all(block.get("type") == "text" for block in blocks):
        return "\n".join(block.get("text") or "" for block in blocks)
    return blocks


def _call(id: str | None, name: str | None, args: Any) -> dict[str, Any]:
    text = args if isinstance(args, str) else json.dumps({} if args is None else args, ensure_ascii=False)
    return {"type": "function", "id": id, "function": {"name": name, "arguments": text}}


def _answer(block: Mapping[str, Any]) -> ToolMessage:
    return ToolMessage(
        block.get("content", ""),
        tool_call_id=block.get("tool_use_id") or "",
        status="error" if block.get("is_error") else "success",
    )


def _block(block: dict[str, Any], lenient: bool) -> dict[str, Any]:
    made = openai_block(block)
    if made is None and not lenient:
        raise InvalidArgument(
            f"A content block of type {block.get('type')!r} has no place in OpenAI's form: {block!r}; "
            "pass_through_unknown_blocks=True leaves such blocks as they are."
        )
    return block if made is None else made


def openai_block(block: dict[str, Any]) -> dict[str, Any] | None:
    """A content block in OpenAI's form; None where nothing is known of its kind."""
    kind = block.get("type")
    if kind in _AS_IT_IS:
        return block
    if kind is None:
        return _nameless(block)
    translate = _TRANSLATORS.get(kind) if isinstance(kind, str) else None
    return translate(block) if translate is not None else None


def _plain_text(block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": block.get("text", "")}


def _image(block: dict[str, Any]) -> dict[str, Any] | None:
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic's form
        url = source.get("url") or _data_url(source.get("media_type"), source.get("data"))
    else:
        data = block.get("base64") or block.get("data")
        url = _data_url(block.get("mime_type"), data) if data else block.get("url")
    if not url:
        return None
    detail = block.get("detail") or (block.get("extras") or {}).get("detail")
    return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}


def _audio(block: dict[str, Any]) -> dict[str, Any] | None:
    data = block.get("base64") or block.get("data")
    if not data:
        return None
    subtype = str(block.get("mime_type", "audio/wav")).partition("/")[2]
    form = {"mpeg": "mp3", "x-wav": "wav"}.get(subtype, subtype)
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def _file(block: dict[str, Any]) -> dict[str, Any] | None:
    if "file" in block:  # OpenAI's own
        return block
    if data := block.get("base64") or block.get("data"):
        name = block.get("filename") or (block.get("extras") or {}).get("filename") or "file"
        return {"type": "file", "file": {"file_data": _data_url(block.get("mime_type"), data), "filename": name}}
    file_id = block.get("file_id") or (block.get("id") if block.get("source_type") == "id" else None)
    return {"type": "file", "file": {"file_id": file_id}} if file_id else None


def _media(block: dict[str, Any]) -> dict[str, Any] | None:
    """Gemini's data."""
    kind = str(block.get("mime_type")).partition("/")[0]
    translate = {"image": _image, "audio": _audio}.get(kind, _file)
    return translate(block) if block.get("data") else None


def _json(block: dict[str, Any]) -> dict[str, Any] | None:
    return {"type": "text", "text": json.dumps(block["json"], ensure_ascii=False)} if "json" in block else None


def _nameless(block: dict[str, Any]) -> dict[str, Any] | None:
    """Bedrock's blocks have a key in place of a type."""
    if isinstance(block.get("text"), str):
        return _plain_text(block)
    if isinstance(block.get("image"), Mapping):
        return _bedrock_image(block["image"])
    return _guarded(block) if "guard_content" in block else _json(block)


def _bedrock_image(image: Mapping[str, Any]) -> dict[str, Any] | None:
    data = (image.get("source") or {}).get("bytes")
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    return _image({"mime_type": f"image/{image.get('format', 'png')}", "base64": data}) if data else None


def _guarded(block: dict[str, Any]) -> dict[str, Any] | None:
    """Bedrock's mark of a text that is to be looked at."""
    guarded = block.get("guard_content")
    text = guarded.get("text") if isinstance(guarded, Mapping) else None
    text = text.get("text") if isinstance(text, Mapping) else text
    return {"type": "text", "text": text} if isinstance(text, str) else None


def _data_url(mime: str | None, data: str | None) -> str | None:
    return f"data:{mime or 'application/octet-stream'};base64,{data}" if data else None


_TRANSLATORS = {
    "text-plain": _plain_text,
    "image": _image,
    "audio": _audio,
    "file": _file,
    "media": _media,
    "guard_content": _guarded,
    "json": _json,
}
