"""What a model accepts as its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.coercion import convert_to_messages
from ..data.messages import BaseMessage, HumanMessage
from ..data.prompt_values import ChatPromptValue, PromptValue
from ..errors import InvalidArgument

__all__ = ["as_messages", "as_text"]


def as_messages(input: Any) -> list[BaseMessage]:
    """A prompt value, a text (of the user), or a sequence of messages in any accepted form, as a list of messages.

    Raises:
        InvalidArgument: (a ValueError) it is none of these.
    """
    if isinstance(input, PromptValue):
        return input.to_messages()
    if isinstance(input, str):
        return [HumanMessage(input)]
    if isinstance(input, Sequence):
        return convert_to_messages(input)
    raise _refused(input, "a chat model")


def as_text(input: Any) -> str:
    """A text, a prompt value, or a sequence of messages in any accepted form, as one text.

    Raises:
        InvalidArgument: (a ValueError) it is none of these.
    """
    if isinstance(input, str):
        return input
    if isinstance(input, PromptValue):
        return input.to_string()
    if isinstance(input, Sequence):
        return ChatPromptValue(messages=convert_to_messages(input)).to_string()
    raise _refused(input, "a text model")


def _refused(input: Any, who: str) -> InvalidArgument:
    hint = " A dict is no input by itself: put a prompt template before the model." if isinstance(input, dict) else ""
    return InvalidArgument(
        f"{who} takes a text, a prompt value or a list of messages, not {type(input).__name__}.{hint}"
    )
