"""Messages in the form that OpenAI's responses API takes: a list of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from ..data.openai_format import openai_block
from ..errors import InvalidType
from .free_text import free_calls, free_text
from .openai_messages import is_text_file
from .standard_calls import openai_call, tell_result
from .wire_json import dumps

__all__ = ["after_last_response", "to_responses"]

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
# Items that only this API makes, and takes back as they came.
_OWN = frozenset({"web_search_call", "file_search_call", "code_interpreter_call", "computer_call", "image_generation_call", "mcp_call", "mcp_list_tools", "mcp_approval_request", "local_shell_call", "shell_call", "shell_call_output", "apply_patch_call", "tool_search_call", "tool_search_output", "compaction"})  # fmt: skip
# What a thought has in this API's own form, beside its id.
_THOUGHT = ("summary", "content", "encrypted_content")
_GIVEN = frozenset({"input_text", "input_image", "input_file", "computer_screenshot"})
# Items that a person's message may hold beside content.
_ITEMS_OF_USERS = frozenset({"mcp_approval_response", "item_reference", "function_call_output", "computer_call_output"})


def to_responses(messages: Sequence[BaseMessage], *, stored: bool = True) -> list[dict[str, Any]]:
    """The `input` of a request. Where answers are not `stored`, items do not go by their ids, which nobody would know.

    Raises:
        InvalidType: (TypeError) a message of a kind that has no role there.
    """
    free = free_calls(messages)
    items: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, AIMessage):
            items += _answer(message, stored, free)
        elif isinstance(message, ToolMessage):
            items.append(_result(message, message.tool_call_id in free))
        else:
            items += _said(message)
    return items


def after_last_response(messages: list[BaseMessage]) -> tuple[list[BaseMessage], str | None]:
    """What came after the last answer that the server has kept, and that answer's id; else all, and None."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        id = message.response_metadata.get("id") if isinstance(message, AIMessage) else None
        if isinstance(id, str) and id.startswith("resp_"):
            return messages[at + 1 :], id
    return messages, None


def _role(message: BaseMessage) -> str:
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    if isinstance(message, ChatMessage):
        return message.role
    raise InvalidType(f"A {type(message).__name__} cannot be sent to a model: it has no role in a conversation.")


def _said(message: BaseMessage) -> list[dict[str, Any]]:
    role, content = _role(message), message.content
    if isinstance(content, str):
        return [{"type": "message", "role": role, "content": content}]
    kind = "output_text" if role == "assistant" else "input_text"
    items = [block for block in content if isinstance(block, dict) and block.get("type") in _ITEMS_OF_USERS]
    blocks = [_given(block, kind) for block in content if block not in items]
    return ([{"type": "message", "role": role, "content": blocks}] if blocks else []) + items


def _given(block: Any, text: str = "input_text") -> dict[str, Any]:
    """A block of what is given to the model. One of a kind that is not known is passed on."""
    if isinstance(block, str):
        return {"type": text, "text": block}
    if is_text_file(block):
        return {"type": text, "text": block["text"]}
    made = openai_block(block) or block
    kind = made.get("type")
    if kind == "text":
        return {"type": text, "text": made.get("text") or ""}
    if kind == "image_url":
        given = made.get("image_url")
        image = given if isinstance(given, Mapping) else {"url": given}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "image" and (file_id := block.get("file_id") or block.get("id")):
        return {"type": "input_image", "file_id": file_id, "detail": block.get("detail") or "auto"}
    if kind == "file":
        return {"type": "input_file", **(made["file"] if isinstance(made.get("file"), Mapping) else _linked(block))}
    return dict(made)


def _linked(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"file_url": block["url"]} if block.get("url") else {}


def _result(message: ToolMessage, free: bool) -> dict[str, Any]:
    output = _output(message.content)
    if message.additional_kwargs.get("type") == "computer_call_output":
        return {
            "type": "computer_call_output",
            "call_id": message.tool_call_id,
            "output": output[0] if output else None,
        }
    kind = "custom_tool_call_output" if free else "function_call_output"
    return {"type": kind, "call_id": message.tool_call_id, "output": output}


def _output(content: str | list[Any]) -> Any:
    """What a tool gave: text, or blocks where all are of kinds that a model can be given; anything else is data, told as JSON."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and isinstance(content[0], dict) and content[0].get("type") == "custom_tool_call_output":
        return content[0].get("output") or ""
    made = [_given(block) for block in content]
    return made if all(block.get("type") in _GIVEN for block in made) else dumps(content).decode()


def _answer(message: AIMessage, stored: bool, free: set[str | None]) -> list[dict[str, Any]]:
    """What the model said, item by item in its order; calls that the content does not show come last."""
    calls: dict[str | None, Mapping[str, Any]] = {call["id"]: call for call in message.tool_calls}
    calls.update({call["id"]: call for call in message.invalid_tool_calls})
    items: list[dict[str, Any]] = []
    for block in [message.content] if isinstance(message.content, str) else _whole_thoughts(message.content):
        if isinstance(block, dict) and block.get("type") in _CALLS:
            calls.pop(block.get("call_id"), None)
        if isinstance(block, dict) and block.get("type") == "server_tool_result":
            tell_result(items, block)
            continue
        made = _answer_item(block, stored)
        if made is None:
            continue
        last = items[-1] if items else {}
        if made["type"] == last.get("type") == "message" and _are_one(last, made):
            last["content"] += made["content"]
        else:
            items.append(made)
    for call in calls.values():
        if call["id"] in free:
            told = {"call_id": call["id"], "name": call["name"] or "", "input": free_text(call["args"])}
            items.append({"type": "custom_tool_call", **told})
            continue
        args = call["args"] if isinstance(call["args"], str) else dumps(call["args"]).decode()
        items.append({"type": "function_call", "call_id": call["id"], "name": call["name"] or "", "arguments": args})
    return items


def _answer_item(block: Any, stored: bool) -> dict[str, Any] | None:
    """The item of a block; None for one that is another provider's, or that says nothing."""
    if isinstance(block, str):
        return _spoken({"type": "output_text", "text": block, "annotations": []}, {}) if block else None
    kind = block.get("type")
    if kind == "text":
        if not block.get("text"):
            return None
        said = {"type": "output_text", "text": block["text"], "annotations": _annotations(block)}
        return _spoken(said, block if stored else {"phase": block.get("phase")})
    if kind == "refusal":
        return _spoken({"type": "refusal", "refusal": block.get("refusal") or ""}, block if stored else {})
    if kind == "reasoning":
        return _reasoning(block, stored)
    if kind == "server_tool_call":
        return openai_call(block)
    if kind == "non_standard":
        value = block.get("value")
        return _answer_item(value, stored) if isinstance(value, Mapping) and value.get("type") != kind else None
    if kind == "image" and stored and str(block.get("id") or "").startswith("ig_"):
        return {"type": "image_generation_call", "id": block["id"]}
    if kind == "compaction" and "encrypted_content" not in block:
        return None  # Anthropic has a block of that name too
    if kind in _CALLS or kind in _OWN:
        unsent = {"index"} if stored or kind in _OWN else {"index", "id"}
        item = {key: value for key, value in block.items() if key not in unsent}
        if kind in _CALLS:
            item.setdefault(_CALLS[kind], "")
        return item
    return None


def _are_one(last: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Two texts are of one message: by its id, or, where ids are not told, by the phase that it belongs to."""
    return last.get("id") == made.get("id") and ("id" in made or last.get("phase") == made.get("phase"))


def _spoken(content: dict[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "message", "role": "assistant", "content": [content]}
    if str(block.get("id") or "").startswith("msg_"):
        item["id"] = block["id"]
    if block.get("phase"):
        item["phase"] = block["phase"]
    return item


def _annotations(block: Mapping[str, Any]) -> list[Any]:
    return [made for a in block.get("annotations") or () if isinstance(a, Mapping) and (made := _annotation(a))]


def _annotation(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """An annotation as this API makes them; None for one of another provider's, which it would refuse."""
    kind, extras = given.get("type"), given.get("extras") or {}
    if kind == "non_standard_annotation":
        return _annotation(given["value"]) if isinstance(given.get("value"), Mapping) else None
    if kind != "citation":
        return {"index" if key == "file_index" else key: value for key, value in given.items() if key != "extras"}
    if given.get("url"):
        told = {key: given[key] for key in ("url", "title", "start_index", "end_index") if key in given}
        return {"type": "url_citation", **told}
    if not extras.get("file_id") or "document_index" in extras:
        return None
    if "container_id" in extras:
        told = {key: given[key] for key in ("start_index", "end_index") if key in given}
        file = {"container_id": extras["container_id"], "file_id": extras["file_id"], "filename": given.get("title")}
        return {"type": "container_file_citation", **file, **told}
    told = {"file_id": extras["file_id"], "filename": given.get("title"), "index": extras.get("file_index")}
    return {"type": "file_citation", **{key: value for key, value in told.items() if value is not None}}


def _is_common(thought: Mapping[str, Any]) -> bool:
    return "reasoning" in thought or "extras" in thought or not any(key in thought for key in _THOUGHT)


def _whole_thoughts(content: Sequence[Any]) -> list[Any]:
    """The blocks of the content, a thought as one block: the form that all providers share has one for each summary."""
    blocks: list[Any] = []
    for block in content:
        if isinstance(block, dict) and block.get("type") == "reasoning" and _is_common(block):
            thought = {key: value for key, value in block.items() if key not in ("reasoning", "extras", "index")}
            thought.update(block.get("extras") or {})
            thought["summary"] = [{"type": "summary_text", "text": text}] if (text := block.get("reasoning")) else []
            last = blocks[-1] if blocks and isinstance(blocks[-1], dict) else {}
            if last.get("type") == "reasoning" and last.get("id") and last["id"] == thought.get("id"):
                blocks[-1] = {**last, **thought, "summary": [*last.get("summary", ()), *thought["summary"]]}
                continue
            block = thought
        blocks.append(block)
    return blocks


def _reasoning(block: Mapping[str, Any], stored: bool) -> dict[str, Any] | None:
    """A thought goes back by its id where it is stored, else by its encrypted content; without both it cannot."""
    secret = block.get("encrypted_content")
    if "summary" not in block and "content" not in block and not secret:
        return None
    if not secret and not (stored and block.get("id")):
        return None
    item: dict[str, Any] = {"type": "reasoning", "summary": _unnumbered(block.get("summary"))}
    if block.get("content"):
        item["content"] = _unnumbered(block["content"])
    if block.get("id"):
        item["id"] = block["id"]
    if secret:
        item["encrypted_content"] = secret
    return item


def _unnumbered(texts: Any) -> list[Any]:
    return [{key: value for key, value in text.items() if key != "index"} for text in texts or ()]
