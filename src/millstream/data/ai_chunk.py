"""AIMessageChunk: the piece of a model's message that a provider sends per token.

Reading the whole is what costs, not adding: a sum of chunks keeps the list of its pieces and joins them when someone
asks. Sums made from one another share that list. Each knows how many pieces are its own, and only the one that owns
the last may append; any other copies its part first. So a sum never changes, and adding costs the same at any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..errors import ValidationError
from . import blocks
from .calls import (
    Calls,
    calls_of_chunks,
    check_calls,
    check_chunks,
    check_invalid_calls,
    chunks_of_calls,
    legacy_chunks,
    merge_tool_chunks,
)
from .chunks import BaseMessageChunk
from .ids import pick_id
from .merging import add_usage, merge_content, merge_dicts
from .messages import AIMessage, check_content, check_dict, check_id, check_str, check_usage
from .types import ToolCallChunk

__all__ = ["AIMessageChunk"]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class AIMessageChunk(AIMessage, BaseMessageChunk):
    """A piece of an AIMessage. `chunk_position="last"` marks the end.

    `tool_calls` and `invalid_tool_calls` are what `tool_call_chunks` amount to so far; they are parsed when read. At the
    end a call whose arguments are no whole JSON object is invalid.
    When only whole calls are given, the chunks are made from them. `name` and attributes beyond the fields are lost
    in sums.
    """

    # `_content` is None while the content is the first `_size` of `_parts`, not joined yet; `_tool_chunks` is None
    # while the tool call chunks are the first `_count` of `_log`, not merged yet (or while there are none).
    __slots__ = (
        "_calls",
        "_content",
        "_count",
        "_log",
        "_parts",
        "_size",
        "_tool_chunks",
        "chunk_position",
    )
    _continues: ClassVar[Any] = AIMessage

    type: str = "AIMessageChunk"
    tool_call_chunks: list[ToolCallChunk]
    chunk_position: Literal["last"] | None

    if TYPE_CHECKING:
        _calls: Calls | None
        _content: Any
        _count: int
        _log: list[Sequence[ToolCallChunk]] | None
        _parts: list[str] | None
        _size: int
        _tool_chunks: list[ToolCallChunk] | None

    def __init__(
        self,
        content: Any = None,
        *,
        additional_kwargs: dict[str, Any] | None = None,
        response_metadata: dict[str, Any] | None = None,
        name: str | None = None,
        id: str | int | float | None = None,
        tool_calls: Sequence[Any] | None = None,
        invalid_tool_calls: Sequence[Any] | None = None,
        usage_metadata: Any = None,
        tool_call_chunks: Sequence[Any] | None = None,
        chunk_position: Literal["last"] | None = None,
        content_blocks: Sequence[Any] | None = None,
        **extra: Any,
    ) -> None:
        if content.__class__ is not str or content_blocks is not None:
            content = check_content(self, content, content_blocks)
            if content_blocks is not None:
                tool_calls = tool_calls or _blocks(content, "tool_call")
                tool_call_chunks = tool_call_chunks or _blocks(content, "tool_call_chunk")
        self._content = content
        self.additional_kwargs = {} if additional_kwargs is None else check_dict("additional_kwargs", additional_kwargs)
        self.response_metadata = {} if response_metadata is None else check_dict("response_metadata", response_metadata)
        self.name = name if name is None else check_str("name", name)
        self.id = id if id is None or id.__class__ is str else check_id("id", id)  # pyright: ignore[reportAttributeAccessIssue]
        self.usage_metadata = usage_metadata if usage_metadata is None else check_usage(usage_metadata)
        self.chunk_position = chunk_position if chunk_position is None else _check_position(chunk_position)
        self._parts = self._log = self._calls = self._tool_chunks = None
        if tool_call_chunks:
            self._tool_chunks = check_chunks(tool_call_chunks)
        elif tool_calls or invalid_tool_calls:
            self._calls = check_calls(tool_calls or ()), check_invalid_calls(invalid_tool_calls or ())
            self._tool_chunks = chunks_of_calls(*self._calls)
        elif additional_kwargs and "tool_calls" in additional_kwargs:
            self._tool_chunks = legacy_chunks(additional_kwargs["tool_calls"])
        if extra:
            self._keep(extra)

    def __add__(self, other: Any) -> AIMessageChunk:
        """Join with another chunk, an AIMessage, or a list of them.

        Raises:
            InvalidType: (TypeError) `other` is neither, or two values under one key have different types.
        """
        if other.__class__ is not AIMessageChunk or self.__class__ is not AIMessageChunk:
            return BaseMessageChunk.__add__(self, other)  # type: ignore[no-any-return]
        made = _new(AIMessageChunk)
        self._add_content(other, made)
        a, b = self.additional_kwargs, other.additional_kwargs
        made.additional_kwargs = merge_dicts(a, b) if b else a.copy()
        a, b = self.response_metadata, other.response_metadata
        made.response_metadata = merge_dicts(a, b) if b else a.copy()
        made.name = made._calls = None
        mine, theirs = self.id, other.id
        made.id = mine if theirs is None or mine == theirs else pick_id(mine, theirs)
        usage = self.usage_metadata
        if other.usage_metadata is not None:
            made.usage_metadata = add_usage(usage, other.usage_metadata)
        else:
            made.usage_metadata = None if usage is None else usage.copy()
        made.chunk_position = self.chunk_position or other.chunk_position
        if self._tool_chunks or other._tool_chunks or self._log is not None or other._log is not None:
            self._add_tool_chunks(other, made)
        else:
            made._tool_chunks = made._log = None
        if made.chunk_position is not None:
            made._end()
        return made

    def _add_content(self, other: AIMessageChunk, made: AIMessageChunk) -> None:
        right: Any = other._content
        if right is None:
            right = other.content
        parts = self._parts
        if right == "":
            made._content, made._parts = self._content, parts
            if parts is not None:
                made._size = self._size
            elif made._content.__class__ is list:
                made._content = made._content.copy()
            return
        if right.__class__ is not str or (parts is None and self._content.__class__ is not str):
            made._content, made._parts = merge_content(self.content, right), None
            return
        if parts is None:
            size, parts = 1, [self._content]
        else:
            size = self._size
            if len(parts) != size:
                parts = parts[:size]
        parts.append(right)
        if parts[size] is not right:  # another thread appended between the two lines above
            parts = [*parts[:size], right]
        made._content, made._parts, made._size = None, parts, size + 1

    def _add_tool_chunks(self, other: AIMessageChunk, made: AIMessageChunk) -> None:
        made._tool_chunks = None
        right = other._tool_chunks if other._log is None else other.tool_call_chunks
        # Copies, because the dicts of an operand may be changed before the sum is read.
        added = tuple([chunk.copy() for chunk in right or ()])
        log = self._log
        if log is None:
            made._log, made._count = [[chunk.copy() for chunk in self._tool_chunks or ()], added], 2
            return
        count = self._count
        if len(log) != count:
            log = log[:count]
        log.append(added)
        if log[count] is not added:  # another thread appended between the two lines above
            log = [*log[:count], added]
        made._log, made._count = log, count + 1

    def _merge(self, others: Sequence[Any]) -> Self:
        pieces = (self, *others)
        made = _new(self.__class__)
        made._content = merge_content(*[piece.content for piece in pieces])
        made.additional_kwargs = merge_dicts(*[piece.additional_kwargs for piece in pieces])
        made.response_metadata = merge_dicts(*[piece.response_metadata for piece in pieces])
        made.name = made._calls = made._parts = made._log = None
        made.id = reduce(pick_id, [piece.id for piece in pieces])
        own = [piece for piece in pieces if isinstance(piece, AIMessageChunk)]
        made.usage_metadata = add_usage(*[piece.usage_metadata for piece in own])
        made.chunk_position = next((piece.chunk_position for piece in own if piece.chunk_position), None)
        made._tool_chunks = merge_tool_chunks(
            [piece.tool_call_chunks for piece in own if piece is self or piece._has_tools()]
        )
        if made.chunk_position is not None:
            made._end()
        return made

    def _end(self) -> None:
        """Where the content is standard blocks, those that were pieces of calls become the calls."""
        content = self._content
        if content.__class__ is list and self.response_metadata.get("output_version") == "v1":
            self._content = blocks.with_whole_calls(content, *self._read_calls())

    def _finished(self) -> AIMessage:
        # Written out: this ends every answer that is streamed.
        calls, invalid = self._read_calls()
        return AIMessage(
            self.content,
            additional_kwargs=self.additional_kwargs,
            response_metadata=self.response_metadata,
            name=self.name,
            id=self.id,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=self.usage_metadata,
            **self._extras(),
        )

    def _has_tools(self) -> bool:
        """Whether there are tool call chunks, without merging them."""
        return bool(self._tool_chunks) or self._log is not None

    def _read_content(self) -> Any:
        content = self._content
        if content is None:
            # In this order: another thread that sees no parts must see the content.
            content = self._content = "".join(self._parts[: self._size])  # type: ignore[index]
            self._parts = None
        return content

    def _write_content(self, content: Any) -> None:
        self._content = content
        self._parts = None

    def _read_tool_chunks(self) -> list[ToolCallChunk]:
        chunks = self._tool_chunks
        if chunks is None:
            log = self._log
            chunks = self._tool_chunks = [] if log is None else merge_tool_chunks(log[: self._count])
            self._log = None
        return chunks

    def _write_tool_chunks(self, chunks: Sequence[Any]) -> None:
        self._tool_chunks = check_chunks(chunks)
        self._log = self._calls = None

    def _read_calls(self) -> Calls:
        calls = self._calls
        if calls is None:
            whole = self.chunk_position == "last"
            calls = calls_of_chunks(self._read_tool_chunks(), whole=whole) if self._has_tools() else ([], [])
            self._calls = calls
        return calls

    def _write_tool_calls(self, calls: Sequence[Any]) -> None:
        self._calls = check_calls(calls), self._read_calls()[1]

    def _write_invalid_tool_calls(self, calls: Sequence[Any]) -> None:
        self._calls = self._read_calls()[0], check_invalid_calls(calls)

    def _restore(self, state: dict[str, Any]) -> None:
        self._parts = self._log = self._calls = self._tool_chunks = None
        calls = state.pop("tool_calls"), state.pop("invalid_tool_calls")
        super()._restore(state)
        self._calls = calls

    if not TYPE_CHECKING:
        content = property(_read_content, _write_content)
        tool_call_chunks = property(_read_tool_chunks, _write_tool_chunks)
        tool_calls = property(lambda self: self._read_calls()[0], _write_tool_calls)
        invalid_tool_calls = property(lambda self: self._read_calls()[1], _write_invalid_tool_calls)


_new = object.__new__


def _blocks(content: Sequence[Any], kind: str) -> list[Any]:
    return [block for block in content if isinstance(block, dict) and block.get("type") == kind]


def _check_position(position: Any) -> Literal["last"]:
    if position != "last":
        raise ValidationError(f"`chunk_position` must be None or 'last', not {position!r}.", field="chunk_position")
    return "last"
