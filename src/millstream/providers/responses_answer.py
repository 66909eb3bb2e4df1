"""A response of OpenAI's responses API that came whole, as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.chunks import merge_chunks, message_chunk_to_message
from ..data.outputs import ChatGeneration, ChatResult
from ..errors import ProviderError
from .responses_stream import whole_response

__all__ = ["read_response", "response_chunk"]


def read_response(response: Any, *, provider: str = "openai") -> ChatResult:
    """The message of a response.

    Raises:
        ProviderError: it is no response.
    """
    message = message_chunk_to_message(response_chunk(response, provider=provider))
    items = {item.get("id"): item for item in response["output"]}
    blocks: list[Any] = list(message.content)
    message.content = [_whole(block, items.get(block.get("id"), {})) for block in blocks]
    told = message.response_metadata
    output: dict[str, Any] = {key: told[key] for key in ("id", "model_name", "token_usage", "status") if key in told}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


def _whole(block: Any, item: Mapping[str, Any]) -> dict[str, Any]:
    """A block that did not come in pieces: without a number to put them together by, and with all that its item says."""
    made = {key: value for key, value in block.items() if key != "index"}
    if made["type"] == "text":
        made.setdefault("annotations", [])
    elif item.get("type") == made["type"] and item.get("status"):
        made.setdefault("status", item["status"])
    return made


def response_chunk(response: Any, *, provider: str = "openai") -> AIMessageChunk:
    """A whole response as one chunk, for whoever asked for a stream; the same as the sum of its stream."""
    try:
        if not isinstance(response["output"], list):
            raise TypeError
        chunk: AIMessageChunk = merge_chunks(whole_response(response, provider=provider))
        return chunk
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProviderError(
            f"{provider} sent an answer of another shape than responses have.", provider=provider
        ) from error
