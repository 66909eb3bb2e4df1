"""What Anthropic's and OpenAI's models say, in the common form of content blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .lazy import Lazy

if TYPE_CHECKING:
    import json

    from . import partial_json
else:
    json = Lazy("json", globals())
    partial_json = Lazy(".partial_json", globals())

__all__ = ["CALLS", "said_block"]

Block = Mapping[str, Any]

CALLS = frozenset({"tool_use", "function_call", "custom_tool_call", "input_json_delta"})
"""The kinds of blocks that are calls of tools, or pieces of them."""

_RESULT = "_tool_result"
# Tools that OpenAI runs: the item's kind, the tool's name, where the arguments are and where what came of them is.
_SERVER_CALLS = {
    "web_search_call": ("web_search", "action", None),
    "file_search_call": ("file_search", "queries", "results"),
    "code_interpreter_call": ("code_interpreter", "code", "outputs"),
    "mcp_call": ("mcp", "arguments", "output"),
    "computer_call": ("computer", "action", None),
    "shell_call": ("shell", "action", None),
    "local_shell_call": ("local_shell", "action", None),
}


def said_block(block: Block) -> list[dict[str, Any]] | None:
    """The blocks that a block of a provider's stands for; None for one that has no common form, or has it already."""
    kind = block.get("type")
    if not isinstance(kind, str):
        return None
    if kind in _SERVER_CALLS:
        return _openai_server_call(block)
    if kind.endswith(_RESULT) and kind != "server_tool_result":
        return [_result(block)]
    translate = _TRANSLATORS.get(kind)
    return translate(block) if translate is not None else None


def _text(block: Block) -> list[dict[str, Any]] | None:
    given = [*(block.get("citations") or ()), *(block.get("annotations") or ())]
    if all(isinstance(item, Mapping) and item.get("type") in ("citation", "non_standard_annotation") for item in given):
        return None
    rest = {key: value for key, value in block.items() if key not in ("citations", "annotations", "phase")}
    return [{**rest, "annotations": [_citation(item) for item in given]}]


def _citation(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"type": "non_standard_annotation", "value": item}
    kind = item.get("type")
    if kind == "citation":
        return dict(item)
    known = {"url": "url", "title": "title", "document_title": "title", "filename": "title", "cited_text": "cited_text", "start_index": "start_index", "end_index": "end_index"}  # fmt: skip
    if not any(key in item for key in known):
        return {"type": "non_standard_annotation", "value": dict(item)}
    made: dict[str, Any] = {"type": "citation"}
    extras: dict[str, Any] = {}
    for key, value in item.items():
        if key in known and value is not None:
            made.setdefault(known[key], value)
        elif key != "type" and value is not None:
            extras[key] = value
    return {**made, "extras": extras} if extras else made


def _thinking(block: Block) -> list[dict[str, Any]]:
    rest = {key: value for key, value in block.items() if key not in ("type", "thinking", "index")}
    return [_with({"type": "reasoning", "reasoning": block.get("thinking", "")}, block, rest)]


def _reasoning(block: Block) -> list[dict[str, Any]] | None:
    """OpenAI's: a summary, or the thought itself, in several texts."""
    if "reasoning" in block or not any(key in block for key in ("summary", "content", "encrypted_content")):
        return None
    texts = [*(block.get("summary") or ()), *(block.get("content") or ())]
    thought = "\n\n".join(text.get("text") or "" for text in texts if isinstance(text, Mapping))
    rest = {key: block[key] for key in ("encrypted_content", "status") if block.get(key)}
    made: dict[str, Any] = {"type": "reasoning", "reasoning": thought}
    if block.get("id"):
        made["id"] = block["id"]
    return [_with(made, block, rest)]


def _tool_use(block: Block) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("name"), str):
        return None
    return [{"type": "tool_call", "name": block["name"], "args": _input(block), "id": block.get("id")}]


def _function_call(block: Block) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("name"), str):
        return None
    args = _parsed(block.get("arguments"))
    return [{"type": "tool_call", "name": block["name"], "args": args, "id": block.get("call_id")}]


def _custom_call(block: Block) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("name"), str):
        return None
    args = {"__arg1": block.get("input") or ""}
    return [{"type": "tool_call", "name": block["name"], "args": args, "id": block.get("call_id")}]


def _server_use(block: Block) -> list[dict[str, Any]]:
    made = {"type": "server_tool_call", "id": block.get("id"), "name": block.get("name"), "args": _input(block)}
    rest = {
        key: value
        for key, value in block.items()
        if key not in ("type", "id", "name", "input", "partial_json", "index")
    }
    return [_with(made, block, rest)]


def _input_piece(block: Block) -> list[dict[str, Any]]:
    return [_with({"type": "server_tool_call_chunk", "args": block.get("partial_json", "")}, block, {})]


def _result(block: Block) -> dict[str, Any]:
    content = block.get("content")
    inner = str(content.get("type") or "") if isinstance(content, Mapping) else ""
    failed = bool(block.get("is_error")) or inner.endswith("_error")
    made = {
        "type": "server_tool_result",
        "tool_call_id": block.get("tool_use_id"),
        "status": "error" if failed else "success",
    }
    return _with({**made, "output": content}, block, {"block_type": block["type"]})


def _openai_server_call(block: Block) -> list[dict[str, Any]]:
    name, given, came = _SERVER_CALLS[block["type"]]
    value = block.get(given)
    args = value if isinstance(value, Mapping) else _parsed(value) if given == "arguments" else {given: value}
    call = {"type": "server_tool_call", "id": block.get("id"), "name": block.get("name") or name, "args": dict(args)}
    rest = {key: block[key] for key in ("server_label", "container_id", "call_id") if block.get(key)}
    made = [_with(call, block, rest)]
    output = block.get(came) if came else None
    if block.get("status") in ("completed", "failed", "incomplete") or output is not None or block.get("error"):
        status = "error" if block.get("error") or block.get("status") in ("failed", "incomplete") else "success"
        result: dict[str, Any] = {"type": "server_tool_result", "tool_call_id": block.get("id"), "status": status}
        if output is not None or block.get("error"):
            result["output"] = output if output is not None else block["error"]
        made.append(result)
    return made


def _image_call(block: Block) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("result"), str):
        return None
    return [_with({"type": "image", "id": block.get("id"), "base64": block["result"]}, block, {})]


def _with(made: dict[str, Any], block: Block, extras: Mapping[str, Any]) -> dict[str, Any]:
    if "index" in block:
        made["index"] = block["index"]
    if extras:
        made["extras"] = dict(extras)
    return made


def _input(block: Block) -> dict[str, Any]:
    """The arguments of a call of Anthropic's: whole, or in the pieces of a stream put together."""
    return _parsed(block.get("partial_json")) or _parsed(block.get("input"))


def _parsed(args: Any) -> dict[str, Any]:
    if isinstance(args, Mapping):
        return dict(args)
    if not isinstance(args, str) or not args:
        return {}
    try:
        value = json.loads(args, strict=False)
    except (ValueError, RecursionError):
        try:
            value = partial_json.parse_partial_json(args)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


_TRANSLATORS: dict[str, Callable[[Block], list[dict[str, Any]] | None]] = {
    "custom_tool_call": _custom_call,
    "function_call": _function_call,
    "image_generation_call": _image_call,
    "input_json_delta": _input_piece,
    "mcp_tool_use": _server_use,
    "reasoning": _reasoning,
    "server_tool_use": _server_use,
    "text": _text,
    "thinking": _thinking,
    "tool_use": _tool_use,
}
