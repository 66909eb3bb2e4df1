"""Content in the one form that all models share (`output_version="v1"`): a list of standard blocks, also in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import BaseMessage
from ..data.outputs import ChatGeneration, ChatResult
from ..flow.driver import aclose

__all__ = ["generating", "streaming"]

# The numbers of blocks that a provider gives as plain text: by them the pieces of one block find together.
_NUMBERS = {"text": "lc_txt_0", "reasoning": "lc_rs_0"}


def generating(fn: Any, afn: Any) -> tuple[Any, Any]:
    """The two forms of a model's `_generate`, with answers in the form."""

    def generate(*args: Any, **kwargs: Any) -> Any:
        return _whole(fn(*args, **kwargs))

    async def agenerate(*args: Any, **kwargs: Any) -> Any:
        return _whole(await afn(*args, **kwargs))

    return _where_given(fn, generate), _where_given(afn, agenerate)


def streaming(fn: Any, afn: Any) -> tuple[Any, Any]:
    """The two forms of a model's `_stream`, with pieces in the form."""

    def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        pieces = fn(*args, **kwargs)
        try:
            for piece in pieces:
                yield _piece(piece)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    async def astream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        pieces = afn(*args, **kwargs)
        try:
            async for piece in pieces:
                yield _piece(piece)
        finally:
            await aclose(pieces)

    return _where_given(fn, stream), _where_given(afn, astream)


def _where_given(form: Any, made: Callable[..., Any]) -> Callable[..., Any] | None:
    return None if form is None else made


def _whole(result: Any) -> Any:
    if not isinstance(result, ChatResult):  # the caller says what is wrong with it
        return result
    made = [
        ChatGeneration(message=_message(generation.message), generation_info=generation.generation_info)
        for generation in result.generations
    ]
    return ChatResult(generations=made, llm_output=result.llm_output)


def _piece(piece: Any) -> Any:
    message = getattr(piece, "message", piece)
    if isinstance(message, AIMessageChunk):
        _tell(message, _pieces_of(message))
    return piece


def _message(message: BaseMessage) -> BaseMessage:
    # A copy: a scripted model may give the same object again.
    told = message.model_copy()
    _tell(told, message.content_blocks)
    return told


def _pieces_of(chunk: AIMessageChunk) -> list[Any]:
    blocks: list[Any] = (
        list(chunk.content_blocks) if chunk.content or chunk.additional_kwargs or chunk.tool_call_chunks else []
    )
    if chunk.tool_call_chunks and not any(block["type"] == "tool_call_chunk" for block in blocks):
        # Beside a text, or in one piece with the whole: as pieces, like all others of the stream.
        blocks = [block for block in blocks if block["type"] not in ("tool_call", "invalid_tool_call")]
        blocks += [dict(piece) for piece in chunk.tool_call_chunks]
    return [{**block, "index": number} if (number := _number(block)) else block for block in blocks]


def _number(block: dict[str, Any]) -> str | None:
    return None if "index" in block else _NUMBERS.get(block["type"])


def _tell(message: BaseMessage, blocks: list[Any]) -> None:
    message.content = blocks
    message.response_metadata = {**message.response_metadata, "output_version": "v1"}
