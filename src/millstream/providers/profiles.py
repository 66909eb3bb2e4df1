"""What is known of models by their names: how much they read and say at most, and what they can do."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["profile_of"]

_DATE = r"(-\d{4}-?\d\d-?\d\d|-latest)?$"
# The name; tokens in and out; whether it holds answers to a schema, and whether it reasons.
_OPENAI = (
    (r"gpt-3\.5-turbo", 16_385, 4_096, False, False),
    (r"gpt-4", 8_192, 8_192, False, False),
    (r"gpt-4-turbo", 128_000, 4_096, False, False),
    (r"gpt-4o(-mini)?", 128_000, 16_384, True, False),
    (r"gpt-4\.1(-mini|-nano)?", 1_047_576, 32_768, True, False),
    (r"o1(-pro)?|o3(-mini|-pro)?|o4-mini", 200_000, 100_000, True, True),
    (r"gpt-5(\.1|\.2)?(-mini|-nano)?", 272_000, 128_000, True, True),
    (r"gpt-5-pro", 272_000, 272_000, True, True),
    (r"gpt-5\.4", 1_050_000, 128_000, True, True),
)
_ANTHROPIC = (
    (r"claude-(sonnet|haiku|opus)-4-5", 200_000, 64_000, True, True),
    (r"claude-(opus-4-[678]|sonnet-4-6|(opus|sonnet|fable)-5)", 1_000_000, 128_000, True, True),
)


def profile_of(provider: str, model: str) -> dict[str, Any] | None:
    """What is known of that model; None for one that nothing is known of."""
    for name, given, made, held, thinks in _ANTHROPIC if provider == "anthropic" else _OPENAI:
        if re.match(f"({name}){_DATE}", model):
            return {
                "max_input_tokens": given,
                "max_output_tokens": made,
                "tool_calling": True,
                "structured_output": held,
                "reasoning_output": thinks,
            }
    return None
