"""Content blocks in the form that Anthropic's messages API takes; marks such as `cache_control` go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .standard_calls import anthropic_call, anthropic_citation, anthropic_result

__all__ = ["answer_block", "given_block"]

# Keys that only we have, or that only the stream had.
_OURS = frozenset({"index", "partial_json", "extras"})
_MARKS = ("cache_control", "citations", "title", "context")


def given_block(block: Any) -> dict[str, Any] | None:
    """A block of what is given to the model (by a person, a tool, the system); None for one that says nothing.

    A block of a kind that is not known is passed on, because the API may know it.
    """
    if isinstance(block, str):
        return {"type": "text", "text": block} if block else None
    kind = block.get("type")
    if kind == "text":
        return _marked({"type": "text", "text": block["text"]}, block) if block.get("text") else None
    if kind == "image_url":
        return _marked(_image(_image_url(block)), block)
    if kind in _DATA and "source" not in block:
        return _marked(_DATA[kind](block), block)
    return {key: value for key, value in block.items() if key not in _OURS}


def answer_block(block: Any) -> dict[str, Any] | None:
    """A block of what the model said, to be given back to it; None for one that it would not take.

    Tool calls are not among these: they are read from the message's `tool_calls`.
    """
    if isinstance(block, str):
        return {"type": "text", "text": block} if block.strip() else None
    kind = block.get("type")
    if kind == "text":
        return _text(block)
    if kind == "thinking":
        # Without its signature a thought is another model's, or one that was cut.
        signature = block.get("signature")
        return {"type": kind, "thinking": block.get("thinking") or "", "signature": signature} if signature else None
    if kind == "reasoning":
        signature = (block.get("extras") or {}).get("signature")
        thought = block.get("reasoning") or ""
        return {"type": "thinking", "thinking": thought, "signature": signature} if signature else None
    if kind == "non_standard":
        value = block.get("value")
        return answer_block(value) if isinstance(value, Mapping) and value.get("type") != kind else None
    if kind == "server_tool_call":
        return anthropic_call(block)
    if kind == "server_tool_result":
        return anthropic_result(block)
    if kind == "compaction" and "encrypted_content" in block:
        return None  # OpenAI has an item of that name too
    if kind in _OTHERS or str(kind).endswith(_ITEMS):
        return None
    return {key: value for key, value in block.items() if key not in _OURS}


# How the kinds of OpenAI's items end: calls of tools, and what came of them.
_ITEMS = ("_call", "_call_output", "_search_output")
# What other providers' models say, in their forms or in the common one.
_OTHERS = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call", "server_tool_call_chunk", "function_call", "refusal", "reasoning_content", "mcp_list_tools", "mcp_approval_request", "image", "audio", "video", "file", "image_url"})  # fmt: skip


def _text(block: Mapping[str, Any]) -> dict[str, Any] | None:
    text = block.get("text")
    if not text or not text.strip():
        return None
    made: dict[str, Any] = {"type": "text", "text": text}
    common = [cited for given in block.get("annotations") or () if (cited := anthropic_citation(given)) is not None]
    if citations := block.get("citations") or common:
        made["citations"] = citations
    if mark := block.get("cache_control"):
        made["cache_control"] = mark
    return made


def _marked(made: dict[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    extras = block.get("extras") or {}
    for key in _MARKS:
        if (mark := block.get(key, extras.get(key))) is not None:
            made.setdefault(key, mark)
    return made


def _image_url(block: Mapping[str, Any]) -> dict[str, Any]:
    given = block.get("image_url")
    return {"url": given.get("url") if isinstance(given, Mapping) else given}


def _image(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "image", "source": _source(block, "image/png")}


def _file(block: Mapping[str, Any]) -> dict[str, Any]:
    if block.get("source_type") == "text":
        return _plain_text(block)
    if isinstance(inner := block.get("file"), Mapping):  # OpenAI's form
        block = {**inner, "url": inner.get("file_data")}
    made: dict[str, Any] = {"type": "document", "source": _source(block, "application/pdf")}
    name = block.get("filename") or (block.get("extras") or {}).get("filename")
    return {**made, "title": name} if name else made


def _plain_text(block: Mapping[str, Any]) -> dict[str, Any]:
    text = block.get("text", block.get("data", ""))
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}


def _source(block: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    """Where data is: by a URL, which the API fetches (we never do), by the id of a file, or here."""
    url = block.get("url")
    data: Any
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        return {"type": "base64", "media_type": head[5:].partition(";")[0] or media_type, "data": data}
    if url:
        return {"type": "url", "url": url}
    if data := block.get("base64") or block.get("data"):
        return {"type": "base64", "media_type": block.get("mime_type") or media_type, "data": data}
    return {"type": "file", "file_id": block.get("file_id") or block.get("id")}


_DATA = {"image": _image, "file": _file, "text-plain": _plain_text}
