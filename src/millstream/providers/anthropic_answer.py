"""A message of Anthropic's API that came whole, as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import AIMessage
from ..data.outputs import ChatGeneration, ChatResult
from ..data.types import InvalidToolCall, ToolCall, ToolCallChunk, invalid_tool_call, tool_call
from ..errors import ProviderError
from .anthropic_stream import stop_metadata
from .anthropic_usage import usage_metadata
from .wire_json import dumps

__all__ = ["answer_chunk", "read_answer"]


def read_answer(answer: Any, *, provider: str = "anthropic") -> ChatResult:
    """The message of an answer. One that is nothing but text has it as its content, any other its blocks.

    Raises:
        ProviderError: it is no message.
    """
    try:
        message = _message(answer, provider)
    except (AttributeError, KeyError, TypeError) as error:
        raise ProviderError(
            f"{provider} sent an answer of another shape than messages have.", provider=provider
        ) from error
    metadata = message.response_metadata
    told: dict[str, Any] = {key: metadata[key] for key in ("id", "model_name", "usage") if key in metadata}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=told)


def answer_chunk(answer: Any, *, provider: str = "anthropic", blocks: bool = False) -> AIMessageChunk:
    """A whole answer as one chunk, for whoever asked for a stream."""
    message = read_answer(answer, provider=provider).generations[0].message
    assert isinstance(message, AIMessage)
    content: Any = message.content
    if blocks or not isinstance(content, str):
        content = [{**block, "index": index} for index, block in enumerate(answer["content"])]
    calls: list[ToolCall | InvalidToolCall] = [*message.tool_calls, *message.invalid_tool_calls]
    return AIMessageChunk(
        content,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        tool_call_chunks=[_piece(call, content) for call in calls],
        chunk_position="last",
    )


def _message(answer: Mapping[str, Any], provider: str) -> AIMessage:
    blocks = answer["content"]
    metadata: dict[str, Any] = {"model_provider": provider}
    for name, key in (("id", "id"), ("model", "model_name"), ("usage", "usage")):
        if answer.get(name):
            metadata[key] = answer[name]
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for block in blocks:
        if block["type"] != "tool_use":
            continue
        args = block.get("input") or {}
        if isinstance(args, dict):
            calls.append(tool_call(name=block["name"], args=args, id=block["id"]))
        else:
            text = args if isinstance(args, str) else dumps(args).decode()
            why = "the arguments are no JSON object"
            invalid.append(invalid_tool_call(name=block["name"], args=text, id=block["id"], error=why))
    only_text = not blocks or (len(blocks) == 1 and blocks[0]["type"] == "text" and not blocks[0].get("citations"))
    return AIMessage(
        (blocks[0]["text"] if blocks else "") if only_text else blocks,
        response_metadata={**metadata, **stop_metadata(answer)},
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage_metadata(answer["usage"]) if answer.get("usage") else None,
    )


def _piece(call: ToolCall | InvalidToolCall, content: Any) -> ToolCallChunk:
    args = call["args"]
    text = args if isinstance(args, str) else dumps(args or {}).decode()
    index = next((block["index"] for block in content if block.get("id") == call["id"]), None)
    return {"name": call["name"], "args": text, "id": call["id"], "index": index, "type": "tool_call_chunk"}
