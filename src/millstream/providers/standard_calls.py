"""Tools that providers run, from the common form of content blocks back into the forms that each of them made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .wire_json import dumps

__all__ = ["anthropic_call", "anthropic_citation", "anthropic_result", "openai_call", "tell_result"]

Block = Mapping[str, Any]

_OF_ANTHROPIC = ("srvtoolu_", "mcptoolu_")
# Names of tools: the kind of OpenAI's item, and where it has what came of the call.
_OF_OPENAI = {
    "web_search": ("web_search_call", None),
    "file_search": ("file_search_call", "results"),
    "code_interpreter": ("code_interpreter_call", "outputs"),
    "remote_mcp": ("mcp_call", "output"),
    "mcp_list_tools": ("mcp_list_tools", "tools"),
}
# Citations of Anthropic's, by a key that only they have; and what their title is called.
_LOCATIONS = (
    ("encrypted_index", "web_search_result_location", "title"),
    ("search_result_index", "search_result_location", "title"),
    ("start_char_index", "char_location", "document_title"),
    ("start_page_number", "page_location", "document_title"),
    ("start_block_index", "content_block_location", "document_title"),
)


def openai_call(block: Block) -> dict[str, Any] | None:
    """The item of OpenAI's that a `server_tool_call` was; None for a call of another provider."""
    id, args, extras = str(block.get("id") or ""), block.get("args") or {}, block.get("extras") or {}
    name = str(block.get("name"))
    if name not in _OF_OPENAI or not id or id.startswith(_OF_ANTHROPIC):
        return None
    made: dict[str, Any] = {"type": _OF_OPENAI[name][0], "id": id}
    if name == "web_search":
        return {**made, "action": dict(args), "status": "completed"}
    if name in ("file_search", "code_interpreter"):
        told = {key: extras[key] for key in ("container_id",) if key in extras}
        return {**made, **args, **told, "status": "completed"}
    made["server_label"] = extras.get("server_label")
    if name == "remote_mcp":
        made |= {"name": extras.get("tool_name"), "arguments": dumps(args).decode()}
    return made


def tell_result(items: list[dict[str, Any]], block: Block) -> None:
    """Put a `server_tool_result` into the item of the call that it belongs to, which was made by `openai_call`."""
    item = next((item for item in items if item.get("id") == block.get("tool_call_id")), None)
    place = next((place for kind, place in _OF_OPENAI.values() if item is not None and kind == item["type"]), None)
    if item is None:
        return
    if block.get("status") == "error" and "status" in item:
        item["status"] = "failed"
    if place is not None and "output" in block:
        item[place] = block["output"]
    if error := (block.get("extras") or {}).get("error"):
        item["error"] = error


def anthropic_call(block: Block) -> dict[str, Any] | None:
    """The block of Anthropic's that a `server_tool_call` was; None for a call of another provider."""
    id, extras = str(block.get("id") or ""), dict(block.get("extras") or {})
    if not id.startswith(_OF_ANTHROPIC):
        return None
    name, kind = block.get("name"), "server_tool_use"
    if name == "remote_mcp":
        name, kind = extras.pop("tool_name", name), "mcp_tool_use"
    elif name == "code_interpreter":
        name = "code_execution"
    return {"type": kind, "id": id, "name": name, "input": block.get("args") or {}, **extras}


def anthropic_result(block: Block) -> dict[str, Any] | None:
    """The block of Anthropic's that a `server_tool_result` was; None for a result of another provider's tool."""
    extras = dict(block.get("extras") or {})
    kind = extras.pop("block_type", None)
    if kind is None:
        return None
    made = {"type": kind, "tool_use_id": block.get("tool_call_id"), "content": block.get("output"), **extras}
    if kind == "mcp_tool_result":
        made["is_error"] = block.get("status") == "error"
    return made


def anthropic_citation(citation: Any) -> dict[str, Any] | None:
    """The citation of Anthropic's that one in the common form was; None for one of another provider."""
    if not isinstance(citation, Mapping) or citation.get("type") != "citation":
        return None
    extras = citation.get("extras") or {}
    for key, kind, title in _LOCATIONS:
        if key in extras:
            told = {name: citation[name] for name in ("cited_text", "url") if name in citation}
            return {"type": kind, **told, title: citation.get("title"), **extras}
    return None
