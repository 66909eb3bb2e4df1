"""Messages in the form that Anthropic's messages API takes: the system's words apart, then turns of user and model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..data.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from ..data.partial_json import parse_partial_json
from ..errors import InvalidArgument, InvalidType
from .anthropic_content import answer_block, given_block

__all__ = ["last_container", "to_anthropic"]

_ODD_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


def to_anthropic(messages: Sequence[BaseMessage]) -> tuple[Any, list[dict[str, Any]]]:
    """The `system` of a request (None when there is none) and its `messages`.

    Turns of one side that follow one another become one: results of tools must stand together, right after their calls.

    Raises:
        InvalidArgument: (ValueError) system messages stand in two places.
        InvalidType: (TypeError) a message of a kind that has no role there.
    """
    system: list[BaseMessage] = []
    turns: list[dict[str, Any]] = []
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            if system and not isinstance(messages[number - 1], SystemMessage):
                raise InvalidArgument(
                    "Anthropic takes the system's words in one place; they stand in several, and again as message "
                    f"{number}. Put them together at the beginning, or make that one a HumanMessage."
                )
            system.append(message)
            continue
        role, content = _turn(message, answered)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = _joined(turns[-1]["content"], content)
        elif content:
            turns.append({"role": role, "content": content})
    if turns and turns[-1]["role"] == "assistant":
        turns[-1]["content"] = _stripped(turns[-1]["content"])
        if not turns[-1]["content"]:
            turns.pop()
    return _system(system), turns


def last_container(messages: Sequence[BaseMessage]) -> str | None:
    """The id of the container in which the last answer that had one ran its code."""
    for message in reversed(messages):
        container = message.response_metadata.get("container") if isinstance(message, AIMessage) else None
        if isinstance(container, Mapping) and isinstance(container.get("id"), str):
            return str(container["id"])
    return None


def _system(messages: Sequence[BaseMessage]) -> Any:
    if len(messages) == 1 and isinstance(messages[0].content, str):
        return messages[0].content or None
    return _given([block for message in messages for block in _list(message.content)]) or None


def _turn(message: BaseMessage, answered: set[str]) -> tuple[str, Any]:
    if isinstance(message, AIMessage):
        return "assistant", _answer(message, answered)
    if isinstance(message, ToolMessage):
        return "user", _result(message)
    if isinstance(message, HumanMessage):
        return "user", _given(message.content)
    if isinstance(message, ChatMessage) and message.role in ("user", "assistant"):
        return message.role, _given(message.content)
    raise InvalidType(
        f"A {type(message).__name__} cannot be sent to Anthropic's API: it has no role in a conversation there."
    )


def _given(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [made for block in content if (made := given_block(block)) is not None]


def _result(message: ToolMessage) -> list[dict[str, Any]]:
    """What a tool gave. Blocks that already have the API's form are passed on."""
    content = message.content
    if isinstance(content, list) and content and all(_is_result(block) for block in content):
        return [dict(block) for block in content if isinstance(block, dict)]
    made: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id)}
    mark = message.additional_kwargs.get("cache_control")
    if said := _given(content):
        if isinstance(said, list):
            # A mark in a result is one of the whole result.
            mark = next((block["cache_control"] for block in said if block.get("cache_control")), mark)
            said = [{key: value for key, value in block.items() if key != "cache_control"} for block in said]
        made["content"] = said
    if message.status == "error":
        made["is_error"] = True
    if mark:
        made["cache_control"] = mark
    return [made]


def _is_result(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _answer(message: AIMessage, answered: set[str]) -> Any:
    """What the model said. Calls that never became whole are left out, unless somebody has answered them."""
    calls = {call["id"]: call["args"] for call in message.tool_calls}
    # Their arguments are no JSON object, but the answer needs a call to stand behind.
    broken = [call for call in message.invalid_tool_calls if call["id"] in answered]
    if isinstance(message.content, str) and not calls and not broken:
        return message.content
    blocks: list[dict[str, Any]] = []
    shown = set()
    for block in _list(message.content):
        if isinstance(block, Mapping) and block.get("type") in _CALLS:
            id = block.get("id")
            shown.add(id)
            if block["type"] != "tool_use" or id in calls or id in answered:
                blocks.append(_call(block, calls.get(id)))
        elif (made := answer_block(block)) is not None:
            blocks.append(made)
    for call in message.tool_calls:
        if call["id"] not in shown:
            blocks.append({"type": "tool_use", "id": _id(call["id"]), "name": call["name"], "input": call["args"]})
    for invalid in broken:
        if invalid["id"] not in shown:
            blocks.append({"type": "tool_use", "id": _id(invalid["id"]), "name": invalid["name"] or "", "input": {}})
    return blocks


def _call(block: Mapping[str, Any], args: Mapping[str, Any] | None) -> dict[str, Any]:
    """A call as it came; of one whose arguments came in pieces, these put together."""
    made = {key: value for key, value in block.items() if key not in ("index", "partial_json")}
    if made["type"] == "tool_use":
        made["id"] = _id(made.get("id"))
    if args is not None:
        made["input"] = args
    elif text := block.get("partial_json"):
        try:
            made["input"] = parse_partial_json(text)
        except ValueError:
            made["input"] = {}
    if not isinstance(made.get("input"), Mapping):
        made["input"] = {}
    return made


def _id(id: Any) -> str:
    """An id in the letters that the API takes: a conversation may have begun with another provider."""
    return _ODD_IN_IDS.sub("_", str(id or "")) or "none"


def _list(content: Any) -> list[Any]:
    return [content] if isinstance(content, str) else list(content)


def _joined(first: Any, second: Any) -> Any:
    return [*_given(_list(first)), *_given(_list(second))]


def _stripped(content: Any) -> Any:
    """The beginning of the model's answer, put into its mouth: it must not end in white space."""
    if isinstance(content, str):
        return content.rstrip()
    *rest, last = content
    if last["type"] != "text":
        return content
    text = last["text"].rstrip()
    return [*rest, {**last, "text": text}] if text else rest
