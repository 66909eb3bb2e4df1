"""Content in the one form that all models share (`output_version="v1"`): a list of standard blocks, also in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.merging import merge_lists
from ..data.messages import BaseMessage
from ..data.outputs import ChatGeneration, ChatResult
from ..flow.driver import aclose

__all__ = ["generating", "streaming"]

# What OpenAI's models say piece by piece. All else is told when it is whole: a refusal, and items of tools that OpenAI runs.
_SAID_IN_PIECES = frozenset({"text", "reasoning", "function_call", "custom_tool_call"})
_ENDED = ("completed", "failed", "incomplete")


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
        pieces, told = fn(*args, **kwargs), _Pieces()
        try:
            for piece in pieces:
                yield told.piece(piece)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    async def astream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        pieces, told = afn(*args, **kwargs), _Pieces()
        try:
            async for piece in pieces:
                yield told.piece(piece)
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


def _message(message: BaseMessage) -> BaseMessage:
    # A copy: a scripted model may give the same object again.
    told = message.model_copy()
    _tell(told, message.content_blocks)
    return told


class _Pieces:
    """The pieces of one stream, in the form.

    What only a whole block can tell is told when it is whole: an item of a tool that OpenAI runs stands for a call and its
    result, and comes in pieces that are neither.
    """

    __slots__ = ("_held", "_numbers", "_thoughts")

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._held: dict[str, Any] | None = None
        # The ids of thoughts that come in several texts, by their places; each text is a block that has the id.
        self._thoughts: dict[int, str] = {}

    def piece(self, piece: Any) -> Any:
        message = getattr(piece, "message", piece)
        if isinstance(message, AIMessageChunk):
            if isinstance(message.content, list) and message.response_metadata.get("model_provider") == "openai":
                message.content = self._put_together(message.content, last=message.chunk_position is not None)
            _tell(message, [self._numbers.given(block) for block in _pieces_of(message)])
        return piece

    def _put_together(self, content: list[Any], *, last: bool) -> list[Any]:
        made: list[Any] = []
        for item in content:
            index = item.get("index") if isinstance(item, dict) else None
            held = self._held
            if held is not None and held["index"] != index:
                made.append(held)
                self._held = held = None
            if not isinstance(index, int) or item.get("type") in _SAID_IN_PIECES:
                made.append(self._named(item, index))
                continue
            whole: dict[str, Any] = item if held is None else (merge_lists([held], [item]) or [item])[0]
            self._held = None if whole.get("status") in _ENDED else whole
            made += [whole] if self._held is None else []
        if last and self._held is not None:
            made.append(self._held)
            self._held = None
        return made

    def _named(self, item: Any, index: Any) -> Any:
        if not isinstance(index, int) or item.get("type") != "reasoning":
            return item
        if item.get("id"):
            self._thoughts[index] = item["id"]
            return item
        begins = any(isinstance(text, dict) and text.get("index") for text in item.get("summary") or ())
        return {**item, "id": self._thoughts[index]} if begins and index in self._thoughts else item


def _pieces_of(chunk: AIMessageChunk) -> list[Any]:
    blocks: list[Any] = (
        list(chunk.content_blocks) if chunk.content or chunk.additional_kwargs or chunk.tool_call_chunks else []
    )
    if chunk.tool_call_chunks and not any(block["type"] == "tool_call_chunk" for block in blocks):
        # Beside a text, or in one piece with the whole: as pieces, like all others of the stream.
        blocks = [block for block in blocks if block["type"] not in ("tool_call", "invalid_tool_call")]
        blocks += [dict(piece) for piece in chunk.tool_call_chunks]
    if isinstance(chunk.content, list) and chunk.response_metadata.get("model_provider") == "openai":
        return [_like_its_call(block) for block in blocks]
    return blocks


def _like_its_call(block: dict[str, Any]) -> dict[str, Any]:
    """A piece of a call with a number of the form that the blocks of OpenAI's calls have."""
    if block["type"] == "tool_call_chunk" and isinstance(block.get("index"), int):
        return {**block, "index": f"lc_tc_{block['index']}"}
    return block


class _Numbers:
    """The numbers of blocks that come without, as plain text does: by them the pieces of one block find together.

    A new block begins where the kind changes. Calls of tools count by themselves; where one would have the number of
    another block, and both grow into one, it is told apart.
    """

    __slots__ = ("_calls", "_kind", "_last", "_others")

    def __init__(self) -> None:
        self._kind: Any = None
        self._last = -1
        self._calls: set[Any] = set()
        self._others: set[Any] = set()

    def given(self, block: dict[str, Any]) -> dict[str, Any]:
        """The block with its number."""
        kind, index = block["type"], block.get("index")
        if kind != self._kind:
            self._kind = kind
            self._last += 1
        if kind == "tool_call_chunk":
            if index in self._others:
                return {**block, "index": f"lc_tc_{index}"}
            self._calls.add(index)
            return block
        if index is None:
            index = self._last if self._last not in self._calls else f"lc_{kind}_{self._last}"
            block = {**block, "index": index}
        self._others.add(index)
        return block


def _tell(message: BaseMessage, blocks: list[Any]) -> None:
    message.content = blocks
    message.response_metadata = {**message.response_metadata, "output_version": "v1"}
