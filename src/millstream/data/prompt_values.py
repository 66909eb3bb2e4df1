"""Prompt values: what a prompt makes and a model takes, readable as text or as messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ValidationError
from .coercion import get_buffer_string
from .messages import BaseMessage, HumanMessage
from .record import Record
from .schemas import tagged_schema

__all__ = ["ChatPromptValue", "PromptValue", "StringPromptValue"]


class PromptValue(Record):
    """A prompt that was filled in. Subclasses say how it reads as text and as messages."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        if cls is not PromptValue:
            return super().__get_pydantic_core_schema__(source, handler)
        return tagged_schema(cls, [sub for sub in cls.__subclasses__() if hasattr(sub, "type")], handler)

    def to_string(self) -> str:
        """The prompt as text."""
        raise NotImplementedError

    def to_messages(self) -> list[BaseMessage]:
        """The prompt as messages."""
        raise NotImplementedError


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class StringPromptValue(PromptValue):
    """A prompt of plain text; as messages it is one HumanMessage."""

    __slots__ = ("text",)
    _required: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    type: str = "StringPromptValue"

    def __init__(self, text: str, *, type: str = "StringPromptValue") -> None:
        if not isinstance(text, str):
            raise ValidationError(f"`text` must be a str, not {text.__class__.__name__}.", field="text")
        self.text = text

    def to_string(self) -> str:
        """The text."""
        return self.text

    def to_messages(self) -> list[BaseMessage]:
        """One HumanMessage."""
        return [HumanMessage(self.text)]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatPromptValue(PromptValue):
    """A prompt of messages; as text it is their transcript (`get_buffer_string`)."""

    __slots__ = ("messages",)
    _required: ClassVar[frozenset[str]] = frozenset({"messages"})

    messages: list[BaseMessage]
    type: str = "ChatPromptValue"

    def __init__(self, messages: Sequence[BaseMessage], *, type: str = "ChatPromptValue") -> None:
        self.messages = [BaseMessage.model_validate(message) for message in messages]

    def to_string(self) -> str:
        """The messages as a transcript."""
        return get_buffer_string(self.messages)

    def to_messages(self) -> list[BaseMessage]:
        """The messages, in a list of your own."""
        return list(self.messages)
