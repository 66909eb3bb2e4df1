"""What a tool returned, as the message that answers the model's call."""

from __future__ import annotations

import json
from typing import Any, Literal

from ..data.messages import ToolMessage
from .marks import ToolOutput

__all__ = ["tool_content", "tool_message"]

# Blocks that providers accept in the content of a tool message.
_BLOCKS = frozenset(
    {
        "audio",
        "custom_tool_call_output",
        "document",
        "file",
        "image",
        "image_url",
        "json",
        "search_result",
        "text",
        "video",
    }
)


def tool_message(
    content: Any, artifact: Any, call_id: str | None, name: str, status: Literal["success", "error"]
) -> Any:
    """The `ToolMessage` for a result; the result itself where no call is to be answered or it is made to be passed on."""
    if call_id is None or _passes(content):
        return content
    return ToolMessage(tool_content(content), artifact=artifact, tool_call_id=call_id, name=name, status=status)


def tool_content(result: Any) -> str | list[Any]:
    """A result as message content: texts and content blocks as they are, else JSON, else `str`."""
    if isinstance(result, str):
        return result
    if isinstance(result, list) and all(map(_is_content, result)):
        return result
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(result)


def _passes(result: Any) -> bool:
    if isinstance(result, (ToolMessage, ToolOutput)):
        return True
    return isinstance(result, list) and bool(result) and all(isinstance(x, (ToolMessage, ToolOutput)) for x in result)


def _is_content(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and item.get("type") in _BLOCKS)
