"""How many tokens messages take, roughly and at once: no tokenizer is loaded, nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .coercion import convert_to_messages
from .messages import AIMessage, BaseMessage, ToolMessage
from .openai_format import openai_role

__all__ = ["count_tokens_approximately"]

_IMAGE_TOKENS = 85  # what OpenAI's models take for a small picture; its bytes say nothing about it
_IMAGES = ("image", "image_url")


def count_tokens_approximately(
    messages: Iterable[Any],
    *,
    chars_per_token: float = 4.0,
    extra_tokens_per_message: float = 3.0,
    count_name: bool = True,
    tools: Sequence[Any] | None = None,
) -> int:
    """Estimate the tokens of messages from their length; `tools`, as dicts, are counted as they are sent."""
    tokens = math.ceil(sum(len(repr(tool)) for tool in tools) / chars_per_token) if tools else 0.0
    for message in convert_to_messages(messages):
        characters, images = _content(message)
        characters += len(openai_role(message))
        if isinstance(message, AIMessage) and message.tool_calls and not isinstance(message.content, list):
            # In a list of blocks the calls are among the blocks.
            characters += len(repr(message.tool_calls))
        if isinstance(message, ToolMessage):
            characters += len(message.tool_call_id)
        if message.name and count_name:
            characters += len(message.name)
        tokens += math.ceil(characters / chars_per_token) + images * _IMAGE_TOKENS + extra_tokens_per_message
    return math.ceil(tokens)


def _content(message: BaseMessage) -> tuple[int, int]:
    """The characters and the pictures of the content."""
    content = message.content
    if isinstance(content, str):
        return len(content), 0
    characters = images = 0
    for block in content:
        if isinstance(block, str):
            characters += len(block)
        elif block.get("type") in _IMAGES:
            images += 1
        elif isinstance(block.get("text"), str):
            characters += len(block["text"])
        else:
            characters += len(repr(block))
    return characters, images
