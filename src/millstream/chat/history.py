"""Chat histories: the messages of a conversation, kept somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import copy_context

from ..data.coercion import get_buffer_string
from ..data.messages import AIMessage, BaseMessage, HumanMessage
from ..errors import Unsupported
from ..flow.driver import in_worker

__all__ = ["BaseChatMessageHistory", "InMemoryChatMessageHistory"]


class BaseChatMessageHistory(ABC):
    """The messages of one conversation. A subclass has `messages`, writes `add_messages` (or `add_message`) and `clear`.

    The async forms run the sync ones on a worker thread; a history that is read over a network overrides them.
    """

    messages: list[BaseMessage]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Keep some messages; the order is theirs."""
        for message in messages:
            self.add_message(message)

    def add_message(self, message: BaseMessage) -> None:
        """Keep one message."""
        if type(self).add_messages is BaseChatMessageHistory.add_messages:
            raise Unsupported(f"{type(self).__name__} cannot keep messages: override `add_messages`.")
        self.add_messages([message])

    def add_user_message(self, message: HumanMessage | str) -> None:
        """Keep what the user said."""
        self.add_message(HumanMessage(message) if isinstance(message, str) else message)

    def add_ai_message(self, message: AIMessage | str) -> None:
        """Keep what the model said."""
        self.add_message(AIMessage(message) if isinstance(message, str) else message)

    @abstractmethod
    def clear(self) -> None:
        """Forget all messages."""

    async def aget_messages(self) -> list[BaseMessage]:
        """`messages` in async form."""
        messages: list[BaseMessage] = await in_worker(copy_context(), lambda: self.messages)
        return messages

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """`add_messages` in async form."""
        await in_worker(copy_context(), self.add_messages, messages)

    async def aclear(self) -> None:
        """`clear` in async form."""
        await in_worker(copy_context(), self.clear)

    def __str__(self) -> str:
        """The conversation as a transcript."""
        return get_buffer_string(self.messages)


class InMemoryChatMessageHistory(BaseChatMessageHistory):
    """Keeps the messages in a list.

    Example:
        >>> history = InMemoryChatMessageHistory()
        >>> history.add_user_message("Hello")
        >>> history.add_ai_message("Hi")
        >>> print(history)
        Human: Hello
        AI: Hi
    """

    def __init__(self, messages: Sequence[BaseMessage] = ()) -> None:
        self.messages = list(messages)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Keep some messages."""
        self.messages.extend(messages)

    def clear(self) -> None:
        """Forget all messages."""
        self.messages = []

    async def aget_messages(self) -> list[BaseMessage]:
        """The messages."""
        return self.messages

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Keep some messages."""
        self.add_messages(messages)

    async def aclear(self) -> None:
        """Forget all messages."""
        self.clear()
