"""Token counts of OpenAI-like answers, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.types import UsageMetadata

__all__ = ["usage_metadata"]

_INPUT_DETAILS = {
    "audio_tokens": "audio",
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
}
_OUTPUT_DETAILS = {"audio_tokens": "audio", "reasoning_tokens": "reasoning"}


def usage_metadata(usage: Mapping[str, Any]) -> UsageMetadata:
    """Read `usage` as a server sent it; what is missing or null counts as 0, and details stay absent."""
    given = _count(usage, "prompt_tokens", "input_tokens")
    made = _count(usage, "completion_tokens", "output_tokens")
    read: UsageMetadata = {
        "input_tokens": given,
        "output_tokens": made,
        "total_tokens": _count(usage, "total_tokens") or given + made,
    }
    inputs = _details(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"), _INPUT_DETAILS)
    if "cache_read" not in inputs and isinstance(usage.get("prompt_cache_hit_tokens"), int):
        inputs["cache_read"] = usage["prompt_cache_hit_tokens"]
    outputs = _details(usage.get("completion_tokens_details") or usage.get("output_tokens_details"), _OUTPUT_DETAILS)
    if inputs:
        read["input_token_details"] = inputs  # type: ignore[typeddict-item]
    if outputs:
        read["output_token_details"] = outputs  # type: ignore[typeddict-item]
    return read


def _count(usage: Mapping[str, Any], *names: str) -> int:
    return next((usage[name] for name in names if isinstance(usage.get(name), int)), 0)


def _details(details: Any, names: Mapping[str, str]) -> dict[str, int]:
    if not isinstance(details, Mapping):
        return {}
    return {ours: details[theirs] for theirs, ours in names.items() if isinstance(details.get(theirs), int)}
