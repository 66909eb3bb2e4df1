"""What a chat model accepts as its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.coercion import convert_to_messages
from ..data.messages import BaseMessage, HumanMessage
from ..data.prompt_values import PromptValue
from ..errors import InvalidArgument

__all__ = ["as_messages"]


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
    hint = " A dict is no input by itself: put a prompt template before the model." if isinstance(input, dict) else ""
    raise InvalidArgument(
        f"a chat model takes a text, a prompt value or a list of messages, not {type(input).__name__}.{hint}"
    )
