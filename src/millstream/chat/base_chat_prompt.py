"""What prompts that make messages share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ..data.coercion import get_buffer_string
from ..data.messages import BaseMessage
from ..data.prompt_values import ChatPromptValue
from ..errors import Unsupported
from ..flow.driver import Driver
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .component import is_ours
from .prompts import BasePromptTemplate

__all__ = ["BaseChatPromptTemplate"]


class BaseChatPromptTemplate(BasePromptTemplate):
    """Makes messages from variables. A subclass writes `format_messages`, and the async form where it waits for something."""

    # Whether no method was overridden by a user, in which case the messages are made without colour.
    _native: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._native = is_ours(cls.format_messages) and is_ours(cls.aformat_messages)

    @abstractmethod
    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The messages for these variables."""

    async def aformat_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The same in async form."""
        return self.format_messages(**kwargs)

    def format_prompt(self, **kwargs: Any) -> ChatPromptValue:
        """The same as a prompt value."""
        return ChatPromptValue(messages=self.format_messages(**kwargs))

    def format(self, **kwargs: Any) -> str:
        """The conversation as one text, a line a message."""
        return get_buffer_string(self.format_messages(**kwargs))

    async def aformat_prompt(self, **kwargs: Any) -> ChatPromptValue:
        """`format_prompt` in async form."""
        return ChatPromptValue(messages=await self.aformat_messages(**kwargs))

    async def aformat(self, **kwargs: Any) -> str:
        """`format` in async form."""
        return get_buffer_string(await self.aformat_messages(**kwargs))

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> ChatPromptValue:
        return ChatPromptValue(messages=await self._messages_in(d, scope, self._variables(input)))

    async def _messages_in(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> list[BaseMessage]:
        """The messages, made as part of a run: without colour, or by the user's own method."""
        if self._native:
            return await self._made(d, scope, values)
        if d.sync or is_ours(type(self).aformat_messages):
            return self.format_messages(**values)
        return await self.aformat_messages(**values)

    async def _made(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> list[BaseMessage]:
        """What our own classes write."""
        raise Unsupported(f"{type(self).__name__} makes no messages; override `format_messages`.")
