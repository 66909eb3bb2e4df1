"""Chat models without a model, for tests and examples."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import AIMessage, BaseMessage
from ..data.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from ..errors import MillstreamError, UsageError
from ..flow.driver import Driver, Outcome
from ..flow.many import Many
from .models import BaseChatModel, SimpleChatModel

__all__ = [
    "FakeChatModel",
    "FakeListChatModel",
    "FakeListChatModelError",
    "FakeMessagesListChatModel",
    "GenericFakeChatModel",
    "ParrotFakeChatModel",
]


class FakeListChatModelError(MillstreamError):
    """What a `FakeListChatModel` raises where it was told to fail."""


class FakeListChatModel(SimpleChatModel):
    """Gives its responses one after another, over and over; streams them a character a chunk.

    `sleep` seconds pass before each response and each chunk. Before chunk number `error_on_chunk_number` it raises
    `FakeListChatModelError`. A batch is answered in order.
    """

    responses: list[str]
    sleep: float | None = None
    i: int = 0
    error_on_chunk_number: int | None = None

    @property
    def _llm_type(self) -> str:
        return "fake-list-chat-model"

    def _next(self) -> str:
        response = self.responses[self.i]
        self.i = (self.i + 1) % len(self.responses)
        return response

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> str:
        if self.sleep is not None:
            time.sleep(self.sleep)
        return self._next()

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        for chunk in self._chunks():
            if self.sleep is not None:
                time.sleep(self.sleep)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        for chunk in self._chunks():
            if self.sleep is not None:
                await asyncio.sleep(self.sleep)
            yield chunk

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        response = self._next()
        for number, character in enumerate(response):
            if number == self.error_on_chunk_number:
                raise FakeListChatModelError
            position: Any = "last" if number == len(response) - 1 else None
            yield ChatGenerationChunk(message=AIMessageChunk(character, chunk_position=position))

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        # One after another, so that responses line up with inputs.
        return await super()._outcomes(d, replace(many, limit=1))


class FakeMessagesListChatModel(BaseChatModel):
    """Gives its messages one after another, over and over. Does not stream."""

    responses: list[Any]
    sleep: float | None = None
    i: int = 0

    @property
    def _llm_type(self) -> str:
        return "fake-messages-list-chat-model"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.sleep is not None:
            time.sleep(self.sleep)
        response = self.responses[self.i]
        self.i = (self.i + 1) % len(self.responses)
        return ChatResult(generations=[ChatGeneration(message=response)])


class FakeChatModel(SimpleChatModel):
    """Always answers "fake response"."""

    @property
    def _llm_type(self) -> str:
        return "fake-chat-model"

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> str:
        return "fake response"


class GenericFakeChatModel(BaseChatModel):
    """Gives the items of an iterator, messages or texts; streams their words and the blanks between them."""

    messages: Any

    @property
    def _llm_type(self) -> str:
        return "generic-fake-chat-model"

    def _next(self) -> AIMessage:
        item: Any = next(self.messages, None)
        if item is None:
            # A StopIteration would turn into a RuntimeError on its way through coroutines.
            raise UsageError(f"{type(self).__name__} has no messages left; give it more.")
        return AIMessage(item) if isinstance(item, str) else item

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next())])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        message = self._next()
        content = message.content
        text = content if isinstance(content, str) else message.text
        words = re.split(r"(\s)", text) if text else []
        for number, word in enumerate(words):
            last = number == len(words) - 1 and not message.additional_kwargs
            yield _chunk(AIMessageChunk(word, id=message.id, chunk_position="last" if last else None))
        for key, value in message.additional_kwargs.items():
            for piece in _pieces(key, value):
                yield _chunk(AIMessageChunk("", id=message.id, additional_kwargs=piece))


class ParrotFakeChatModel(BaseChatModel):
    """Says what was said to it last."""

    @property
    def _llm_type(self) -> str:
        return "parrot-fake-chat-model"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=messages[-1])])


def _pieces(key: str, value: Any) -> Iterator[dict[str, Any]]:
    """Additional keyword arguments as a provider streams them: a function's arguments in parts."""
    if key != "function_call" or not isinstance(value, dict):
        yield {key: value}
        return
    for name, part in value.items():
        parts = re.split(r"(,)", part) if isinstance(part, str) else [part]
        for piece in parts:
            yield {key: {name: piece}}


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)
