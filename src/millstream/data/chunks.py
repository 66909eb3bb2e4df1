"""Chunks: the pieces in which a message arrives, and `+`, which joins them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Self

from ..errors import InvalidArgument, InvalidType
from .merging import merge_content, merge_dicts, merge_obj
from .messages import BaseMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage

__all__ = [
    "BaseMessageChunk",
    "ChatMessageChunk",
    "FunctionMessageChunk",
    "HumanMessageChunk",
    "SystemMessageChunk",
    "ToolMessageChunk",
    "merge_chunks",
    "message_chunk_to_message",
]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class BaseMessageChunk(BaseMessage):
    """A piece of a message. `chunk + chunk` and `chunk + [chunks]` join pieces; the result has the left one's class.

    Only a function's pieces keep their `name` in a sum.
    """

    __slots__ = ()
    adds_lists: ClassVar[bool] = True  # `chunk + [chunks]` joins them all at once (see `fold_chunks`)

    def __add__(self, other: Any) -> Any:
        """Join with another chunk, a message of the same role, or a list of them.

        Raises:
            InvalidType: (TypeError) `other` is neither, or two values under one key have different types.
        """
        if isinstance(other, (list, tuple)):
            return self._merge([self._piece(item) for item in other]) if other else self
        return self._merge([self._piece(other)])

    def _piece(self, other: Any) -> Any:
        """`other` as something that `_merge` takes."""
        if isinstance(other, BaseMessageChunk):
            return other
        if isinstance(other, self._continues):
            return _chunk_of(type(self), other)
        raise InvalidType(
            f"Cannot join {type(self).__name__} and {type(other).__name__}: only chunks, and messages of the same role, "
            "can be added to a chunk. To make a prompt, first turn the chunk into a message "
            "(`message_chunk_to_message`)."
        )

    def _follow(self, message: BaseMessage) -> Any:
        return _chunk_of(type(self), message) + self

    def _merge(self, others: Sequence[Any]) -> Self:
        """Join with chunks, left to right, in time linear in their sum."""
        pieces = (self, *others)
        changes: dict[str, Any] = {
            "content": merge_content(*(piece.content for piece in pieces)),
            "additional_kwargs": merge_dicts(*(piece.additional_kwargs for piece in pieces)),
            "response_metadata": merge_dicts(*(piece.response_metadata for piece in pieces)),
            "name": None,
        }
        changes.update(self._merge_own(others))
        return self.model_copy(update=changes)

    def _merge_own(self, others: Sequence[Any]) -> dict[str, Any]:
        """The joined values of fields that only this class has."""
        return {}

    def _finished(self) -> BaseMessage:
        """The message that this chunk amounts to."""
        cls = self._continues
        fields = {name: getattr(self, name) for name in cls._field_names() if name != "type"}
        message: BaseMessage = cls(**fields, **self._extras())
        return message

    def _same(self, field: str, others: Sequence[Any]) -> None:
        mine = getattr(self, field)
        for other in others:
            theirs = getattr(other, field, mine)
            if theirs != mine:
                raise InvalidArgument(
                    f"Cannot join two {type(self).__name__} with different `{field}`: {mine!r} and {theirs!r}."
                )


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class HumanMessageChunk(HumanMessage, BaseMessageChunk):
    """A piece of a HumanMessage."""

    __slots__ = ()
    _continues: ClassVar[Any] = HumanMessage

    type: str = "HumanMessageChunk"


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class SystemMessageChunk(SystemMessage, BaseMessageChunk):
    """A piece of a SystemMessage."""

    __slots__ = ()
    _continues: ClassVar[Any] = SystemMessage

    type: str = "SystemMessageChunk"


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ToolMessageChunk(ToolMessage, BaseMessageChunk):
    """A piece of a ToolMessage. Pieces must answer the same call; one error makes the whole an error."""

    __slots__ = ()
    _continues: ClassVar[Any] = ToolMessage

    type: str = "ToolMessageChunk"

    def _merge_own(self, others: Sequence[Any]) -> dict[str, Any]:
        self._same("tool_call_id", others)
        pieces = (self, *others)
        return {
            "artifact": reduce(merge_obj, (getattr(piece, "artifact", None) for piece in pieces)),
            "status": "error" if any(getattr(piece, "status", "") == "error" for piece in pieces) else "success",
        }


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class FunctionMessageChunk(FunctionMessage, BaseMessageChunk):
    """A piece of a FunctionMessage. Pieces must have the same name."""

    __slots__ = ()
    _continues: ClassVar[Any] = FunctionMessage

    type: str = "FunctionMessageChunk"

    def _merge_own(self, others: Sequence[Any]) -> dict[str, Any]:
        self._same("name", others)
        return {"name": self.name}


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatMessageChunk(ChatMessage, BaseMessageChunk):
    """A piece of a ChatMessage. Pieces must have the same role."""

    __slots__ = ()
    _continues: ClassVar[Any] = ChatMessage

    type: str = "ChatMessageChunk"

    def _merge_own(self, others: Sequence[Any]) -> dict[str, Any]:
        self._same("role", others)
        return {}


def merge_chunks(chunks: Iterable[Any]) -> Any:
    """Join chunks, left to right, in time linear in their sum. One alone is returned as it is.

    Raises:
        InvalidArgument: (ValueError) there are none.
        InvalidType: (TypeError) they cannot be joined.
    """
    first, *rest = chunks if isinstance(chunks, (list, tuple)) and chunks else _not_empty(chunks)
    return first + rest if rest else first


def message_chunk_to_message(chunk: BaseMessage) -> BaseMessage:
    """The message that a chunk amounts to: the plain class, without the fields of chunks. Others are returned as is."""
    if not isinstance(chunk, BaseMessageChunk):
        return chunk
    return chunk._finished()


def _chunk_of(cls: type[Any], message: BaseMessage) -> Any:
    """A chunk of class `cls` with the fields of `message`."""
    fields = {name: getattr(message, name) for name in message._field_names() if name != "type"}
    return cls(**fields, **message._extras())


def _not_empty(chunks: Iterable[Any]) -> list[Any]:
    found = list(chunks)
    if not found:
        raise InvalidArgument("There are no chunks to join.")
    return found
