"""What the translations of providers' blocks have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .lazy import Lazy

if TYPE_CHECKING:
    import json

    from . import partial_json
else:
    json = Lazy("json", globals())
    partial_json = Lazy(".partial_json", globals())

__all__ = ["Block", "arguments", "beyond", "non_standard", "told"]

Block = Mapping[str, Any]


def told(made: dict[str, Any], block: Block, extras: Block | None = None) -> dict[str, Any]:
    """`made`, with the index of the provider's block and what else it says."""
    if extras:
        made["extras"] = dict(extras)
    if "index" in block:
        made["index"] = block["index"]
    return made


def beyond(block: Block, known: Iterable[str]) -> dict[str, Any]:
    """What a block says beyond its kind, its index and the `known` keys."""
    skipped = {"type", "index", "extras", *known}
    return {key: value for key, value in block.items() if key not in skipped and value is not None}


def non_standard(block: Block) -> dict[str, Any]:
    """A block that has no common form, whole; its index stands where that of other blocks does."""
    value = {key: each for key, each in block.items() if key != "index"}
    return told({"type": "non_standard", "value": value}, block)


def arguments(given: Any) -> dict[str, Any]:
    """The arguments of a call: a dict, or JSON text, of which a part may be missing."""
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, str) or not given:
        return {}
    try:
        value = json.loads(given, strict=False)
    except (ValueError, RecursionError):
        try:
            value = partial_json.parse_partial_json(given)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
