"""What Anthropic's models say, in the common form of content blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .block_parts import Block, arguments, beyond, told

__all__ = ["RESULT", "TRANSLATORS", "result"]

RESULT = "_tool_result"
"""How the kinds of blocks end that hold what a tool of Anthropic's answered."""

_CODE = "code_execution"


def _thinking(block: Block, piece: bool) -> list[dict[str, Any]]:
    made = {"type": "reasoning", "reasoning": block.get("thinking", "")}
    return [told(made, block, beyond(block, ["thinking"]))]


def _tool_use(block: Block, piece: bool) -> list[dict[str, Any]] | None:
    if not isinstance(block.get("name"), str):
        return None
    made = {"type": "tool_call", "name": block["name"], "args": _input(block), "id": block.get("id")}
    return [told(made, block, beyond(block, ["id", "name", "input", "partial_json"]))]


def _server_use(block: Block, piece: bool) -> list[dict[str, Any]]:
    name = block.get("name")
    made = {"name": "code_interpreter" if name == _CODE else name, "id": block.get("id")}
    return [_server_call(made, block, beyond(block, ["id", "name", "input", "partial_json"]), piece)]


def _mcp_use(block: Block, piece: bool) -> list[dict[str, Any]]:
    extras = {"tool_name": block.get("name"), **beyond(block, ["id", "name", "input", "partial_json"])}
    return [_server_call({"name": "remote_mcp", "id": block.get("id")}, block, extras, piece)]


def _server_call(made: dict[str, Any], block: Block, extras: Block, piece: bool) -> dict[str, Any]:
    """A call of a tool that Anthropic runs; at the begin of a stream its arguments are still to come, as text."""
    args = _input(block)
    if piece and not args and not block.get("partial_json"):
        return told({"type": "server_tool_call_chunk", **made, "args": ""}, block, extras)
    return told({"type": "server_tool_call", **made, "args": args}, block, extras)


def _input_piece(block: Block, piece: bool) -> list[dict[str, Any]]:
    return [told({"type": "server_tool_call_chunk", "args": block.get("partial_json", "")}, block)]


def result(block: Block) -> dict[str, Any]:
    """What a tool of Anthropic's answered."""
    content = block.get("content")
    inner = str(content.get("type") or "") if isinstance(content, Mapping) else ""
    failed = bool(block.get("is_error")) or inner.endswith("_error")
    made = {
        "type": "server_tool_result",
        "tool_call_id": block.get("tool_use_id"),
        "status": "error" if failed else "success",
        "output": content,
    }
    extras = {"block_type": block["type"], **beyond(block, ["content", "tool_use_id", "is_error"])}
    return told(made, block, extras)


def _input(block: Block) -> dict[str, Any]:
    """The arguments: whole, or in the pieces of a stream put together."""
    return arguments(block.get("input")) or arguments(block.get("partial_json"))


TRANSLATORS: dict[str, Callable[[Block, bool], list[dict[str, Any]] | None]] = {
    "input_json_delta": _input_piece,
    "mcp_tool_use": _mcp_use,
    "server_tool_use": _server_use,
    "thinking": _thinking,
    "tool_use": _tool_use,
}
