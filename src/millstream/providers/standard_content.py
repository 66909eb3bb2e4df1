"""Content in the one form that all providers share (`output_version="v1"`): a list of standard blocks, also in chunks."""

from __future__ import annotations

from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import BaseMessage

__all__ = ["standard_chunk", "standard_message"]

# The numbers of blocks that a provider gives as plain text: by them the pieces of one block find together.
_NUMBERS = {"text": "lc_txt_0", "reasoning": "lc_rs_0"}


def standard_message(message: BaseMessage) -> None:
    """Put the content of a message into the form, in place."""
    _tell(message, message.content_blocks)


def standard_chunk(chunk: AIMessageChunk) -> AIMessageChunk:
    """The chunk with its content in the form."""
    blocks: list[Any] = (
        list(chunk.content_blocks) if chunk.content or chunk.additional_kwargs or chunk.tool_call_chunks else []
    )
    if chunk.tool_call_chunks and not any(block["type"] == "tool_call_chunk" for block in blocks):
        # Beside a text, or in one piece with the whole: as pieces, like all others of the stream.
        blocks = [block for block in blocks if block["type"] not in ("tool_call", "invalid_tool_call")]
        blocks += [dict(piece) for piece in chunk.tool_call_chunks]
    _tell(chunk, [{**block, "index": number} if (number := _number(block)) else block for block in blocks])
    return chunk


def _number(block: dict[str, Any]) -> str | None:
    return None if "index" in block else _NUMBERS.get(block["type"])


def _tell(message: BaseMessage, blocks: list[Any]) -> None:
    message.content = blocks
    message.response_metadata = {**message.response_metadata, "output_version": "v1"}
