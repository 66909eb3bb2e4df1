"""What OpenAI's models say, in the common form of content blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .block_parts import Block, arguments, beyond, told

__all__ = ["TRANSLATORS", "numbered"]

# What the numbers of blocks are called, by the kind of the item: pieces of a stream find together by them, and an item
# that stands for two blocks needs two.
_NUMBERS = {
    "text": ("txt",),
    "function_call": ("tc",),
    "custom_tool_call": ("tc",),
    "tool_call_chunk": ("tc",),
    "web_search_call": ("wsc", "wsr"),
    "file_search_call": ("fsc", "fsr"),
    "code_interpreter_call": ("cic", "cir"),
    "mcp_call": ("mcp", "mcpr"),
    "mcp_list_tools": ("mlt", "mltr"),
    "image_generation_call": ("img",),
}


def numbered(blocks: list[dict[str, Any]], item: Block) -> list[dict[str, Any]]:
    """The blocks of an item with the numbers that they have in a stream; without an index they need none."""
    index = item.get("index")
    if not isinstance(index, int):
        return blocks
    kind = item.get("type")
    if kind == "reasoning":
        return [{**block, "index": _number_of_thought(index, item, at)} for at, block in enumerate(blocks)]
    names = _NUMBERS.get(kind, ()) if isinstance(kind, str) else ()
    return [
        {**block, "index": f"lc_{names[at] if at < len(names) else 'ns'}_{index + at}"}
        for at, block in enumerate(blocks)
    ]


def _number_of_thought(index: int, item: Block, at: int) -> str:
    summary = item.get("summary") or ()
    part = summary[at] if at < len(summary) else None
    place = part.get("index", at) if isinstance(part, Mapping) else at
    return f"lc_rs_{f'{index}_{place}'.encode().hex()}"


def _reasoning(block: Block, piece: bool) -> list[dict[str, Any]] | None:
    """A block for each text of the summary. What else there is, such as the encrypted thought, goes with the first."""
    if "reasoning" in block or not any(key in block for key in ("summary", "content", "encrypted_content")):
        return None
    head = {"id": block["id"]} if block.get("id") else {}
    rest = beyond(block, ["id", "summary"])
    texts = [text.get("text") or "" for text in block.get("summary") or () if isinstance(text, Mapping)]
    if not texts:
        return [told({"type": "reasoning", **head}, block, rest)]
    made = [told({"type": "reasoning", **head, "reasoning": text}, block) for text in texts]
    made[0].update(rest)
    return made


def _function_call(block: Block, piece: bool) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("name"), str):
        return None
    return [_call(block, arguments(block.get("arguments")))]


def _custom_call(block: Block, piece: bool) -> list[dict[str, Any]] | None:
    """A tool that takes free text has one argument."""
    if not isinstance(block.get("name"), str):
        return None
    return [_call(block, {"__arg1": block.get("input") or ""})]


def _call(block: Block, args: dict[str, Any]) -> dict[str, Any]:
    made = {"type": "tool_call", "name": block["name"], "args": args, "id": block.get("call_id")}
    extras = {"item_id": block["id"]} if block.get("id") else {}
    return told(made, block, {**extras, **beyond(block, ["id", "call_id", "name", "arguments", "input"])})


def _image(block: Block, piece: bool) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("result"), str):
        return None
    made = {"type": "image", "id": block.get("id"), "base64": block["result"]}
    if block.get("output_format"):
        made["mime_type"] = f"image/{block['output_format']}"
    return [told(made, block, beyond(block, ["id", "result"]))]


# -- tools that OpenAI runs: a call, and what came of it -------------------------------------------------------------


def _web_search(block: Block, piece: bool) -> list[dict[str, Any]]:
    action = block.get("action") or {}
    args = {key: value for key, value in action.items() if key != "sources"}
    output = {"output": {"sources": action["sources"]}} if action.get("sources") else {}
    return _served("web_search", args, block, output)


def _file_search(block: Block, piece: bool) -> list[dict[str, Any]]:
    output = {"output": block["results"]} if block.get("results") is not None else {}
    return _served("file_search", {"queries": block.get("queries")}, block, output)


def _code(block: Block, piece: bool) -> list[dict[str, Any]]:
    output = {"output": block["outputs"]} if "outputs" in block else {}
    return _served("code_interpreter", {"code": block.get("code")}, block, output, ["container_id"])


def _mcp(block: Block, piece: bool) -> list[dict[str, Any]]:
    args = arguments(block.get("arguments"))
    output = {"output": block["output"]} if block.get("output") is not None else {}
    told_too = ["tool_name", "server_label", "approval_request_id"]
    return _served("remote_mcp", args, {**block, "tool_name": block.get("name")}, output, told_too)


def _mcp_tools(block: Block, piece: bool) -> list[dict[str, Any]]:
    output = {} if block.get("error") else {"output": block.get("tools")}
    return _served("mcp_list_tools", {}, block, output, ["server_label"])


def _served(
    name: str, args: dict[str, Any], block: Block, output: dict[str, Any], extras: list[str] | None = None
) -> list[dict[str, Any]]:
    call = {"type": "server_tool_call", "name": name, "args": args, "id": block.get("id")}
    came: dict[str, Any] = {"type": "server_tool_result", "tool_call_id": block.get("id"), **output}
    status, error = block.get("status"), block.get("error")
    if error or status in ("failed", "incomplete"):
        came["status"] = "error"
    elif status == "completed" or block["type"] in ("mcp_call", "mcp_list_tools"):
        came["status"] = "success"
    unfinished = {"status": status} if status and "status" not in came else {}
    return [
        told(call, block, {key: block[key] for key in extras or () if block.get(key) is not None}),
        told(came, block, {"error": error} if error else unfinished),
    ]


TRANSLATORS: dict[str, Callable[[Block, bool], list[dict[str, Any]] | None]] = {
    "code_interpreter_call": _code,
    "custom_tool_call": _custom_call,
    "file_search_call": _file_search,
    "function_call": _function_call,
    "image_generation_call": _image,
    "mcp_call": _mcp,
    "mcp_list_tools": _mcp_tools,
    "reasoning": _reasoning,
    "web_search_call": _web_search,
}
