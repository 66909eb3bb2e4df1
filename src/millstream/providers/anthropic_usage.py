"""Token counts of Anthropic's answers, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.types import UsageMetadata

__all__ = ["later_usage", "usage_metadata"]


def later_usage(usage: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two tellings of one message's usage as one. The counts are totals so far, so the later telling replaces."""
    return {**usage, **{key: value for key, value in later.items() if value is not None}}


def usage_metadata(usage: Mapping[str, Any]) -> UsageMetadata:
    """Read `usage` as a server sent it. What was read from a cache or written to one is input too, and told apart."""
    read = _count(usage, "cache_read_input_tokens")
    created = _count(usage, "cache_creation_input_tokens")
    given = (_count(usage, "input_tokens") or 0) + (read or 0) + (created or 0)
    made = _count(usage, "output_tokens") or 0
    counted: UsageMetadata = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    inputs = {name: count for name, count in (("cache_read", read), ("cache_creation", created)) if count is not None}
    if inputs:
        counted["input_token_details"] = inputs  # type: ignore[typeddict-item]
    details = usage.get("output_tokens_details")
    thought = _count(details, "thinking_tokens") if isinstance(details, Mapping) else None
    if thought is not None:
        counted["output_token_details"] = {"reasoning": thought}
    return counted


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    count = usage.get(name)
    return count if isinstance(count, int) else None
