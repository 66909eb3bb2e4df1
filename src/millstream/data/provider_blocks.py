"""What providers' models say, in the common form of content blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import anthropic_blocks, openai_blocks
from .block_parts import Block, beyond, non_standard

__all__ = ["CALLS", "arriving_call", "said_block"]

CALLS = frozenset({"tool_use", "function_call", "custom_tool_call", "input_json_delta"})
"""The kinds of blocks that are calls of tools, or pieces of them."""

_TRANSLATORS = {**anthropic_blocks.TRANSLATORS, **openai_blocks.TRANSLATORS}
_CITED = {"url": "url", "title": "title", "document_title": "title", "filename": "title", "cited_text": "cited_text", "start_index": "start_index", "end_index": "end_index"}  # fmt: skip


def said_block(block: Block, known: frozenset[str], *, provider: Any, piece: bool) -> list[dict[str, Any]] | None:
    """The blocks that a block of a provider's stands for; None for one whose kind is `known`, or that people give.

    `piece` tells that the block is in a chunk, and more of it may come.
    """
    kind = block.get("type")
    if not isinstance(kind, str):
        return None
    made = _translated(kind, block, piece)
    if made is None and provider in ("anthropic", "openai") and kind not in known:
        made = [non_standard(block)]
    if provider != "openai" or "index" not in block:
        return made
    return openai_blocks.numbered(made if made is not None else [dict(block)], block)


def arriving_call(item: Block, pieces: list[dict[str, Any]], provider: Any) -> list[dict[str, Any]]:
    """The pieces of a call in place of the provider's block that shows it while it arrives."""
    if provider != "openai":
        extras = beyond(item, ["id", "name", "input", "partial_json", "arguments", "call_id"])
        return [{**piece, "extras": extras} for piece in pieces] if extras else pieces
    if item.get("id"):
        pieces = [{**piece, "extras": {"item_id": item["id"]}} for piece in pieces]
    return openai_blocks.numbered(pieces, item)


def _translated(kind: str, block: Block, piece: bool) -> list[dict[str, Any]] | None:
    if kind == "text":
        return _text(block)
    if kind.endswith(anthropic_blocks.RESULT) and kind != "server_tool_result":
        return [anthropic_blocks.result(block)]
    translate = _TRANSLATORS.get(kind)
    return translate(block, piece) if translate is not None else None


def _text(block: Block) -> list[dict[str, Any]] | None:
    given = [*(block.get("citations") or ()), *(block.get("annotations") or ())]
    if all(isinstance(item, Mapping) and item.get("type") in ("citation", "non_standard_annotation") for item in given):
        return None
    rest = {key: value for key, value in block.items() if key not in ("citations", "annotations")}
    rest.setdefault("text", "")  # a piece that only cites
    return [{**rest, "annotations": [_citation(item) for item in given]}]


def _citation(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"type": "non_standard_annotation", "value": item}
    kind = item.get("type")
    if kind == "citation":
        return dict(item)
    if not any(key in item for key in _CITED):
        return {"type": "non_standard_annotation", "value": dict(item)}
    made: dict[str, Any] = {"type": "citation"}
    extras: dict[str, Any] = {}
    for key, value in item.items():
        if key in _CITED and value is not None:
            made.setdefault(_CITED[key], value)
        elif key != "type" and value is not None:
            extras[key] = value
    return {**made, "extras": extras} if extras else made
