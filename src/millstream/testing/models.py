"""A chat model that says what it was told to, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from copy import copy
from typing import Any

from pydantic import Field

from ..chat.fake_llms import FakeListLLM, FakeStreamingListLLM
from ..chat.fakes import (
    FakeChatModel,
    FakeListChatModel,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
    ParrotFakeChatModel,
)
from ..chat.models import BaseChatModel
from ..data.ai_chunk import AIMessageChunk
from ..data.chunks import merge_chunks, message_chunk_to_message
from ..data.messages import AIMessage, BaseMessage
from ..data.outputs import ChatGeneration, ChatResult
from ..errors import InvalidArgument

__all__ = [
    "FakeChatModel",
    "FakeListChatModel",
    "FakeListLLM",
    "FakeMessagesListChatModel",
    "FakeStreamingListLLM",
    "GenericFakeChatModel",
    "ParrotFakeChatModel",
    "ScriptedChatModel",
]


class ScriptedChatModel(BaseChatModel):
    """Answers call after call with the next of its `turns`, starting over at the end.

    A turn is a text (streamed word by word), a message (streamed in one chunk), a list of chunks, texts and
    exceptions (streamed one by one; an exception is raised at its place), or an exception. `pause` seconds pass before
    each chunk, without blocking the loop in async use.

    `calls` notes each call: the messages, what it was called with, and whether it was to "stream" or to "generate".
    `bind_tools` binds nothing and notes the tools.

    Example:
        >>> model = ScriptedChatModel(turns=["hello there"])
        >>> [chunk.content for chunk in model.stream("hi")]
        ['hello', ' there', '']
    """

    turns: list[Any]
    pause: float = 0.0
    at: int = 0
    calls: list[dict[str, Any]] = Field(default_factory=list)
    tools: list[Any] = Field(default_factory=list)

    def __init__(self, turns: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "turns": list(turns)})

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        """Note the tools and return the model itself."""
        self.tools.extend(tools)
        return self

    def _next(self, how: str, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any]) -> list[Any]:
        self.calls.append({"how": how, "messages": list(messages), "stop": stop, "kwargs": kwargs})
        if not self.turns:
            raise InvalidArgument("this ScriptedChatModel has no turns; give it `turns=[...]`.")
        turn = self.turns[self.at % len(self.turns)]
        self.at += 1
        return _pieces(turn)

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        pieces = self._next("generate", messages, stop, kwargs)
        if self.pause:
            time.sleep(self.pause)
        return _whole(pieces)

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        pieces = self._next("generate", messages, stop, kwargs)
        await asyncio.sleep(self.pause)
        return _whole(pieces)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        for piece in self._next("stream", messages, stop, kwargs):
            if self.pause:
                time.sleep(self.pause)
            yield _fresh(piece)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        for piece in self._next("stream", messages, stop, kwargs):
            if self.pause:
                await asyncio.sleep(self.pause)
            yield _fresh(piece)


def _pieces(turn: Any) -> list[Any]:
    if isinstance(turn, str):
        words = turn.split(" ")
        return [AIMessageChunk(word if not n else " " + word) for n, word in enumerate(words)]
    if isinstance(turn, (AIMessage, BaseException)):
        return [turn]
    return [AIMessageChunk(piece) if isinstance(piece, str) else piece for piece in turn]


def _fresh(piece: Any) -> AIMessageChunk:
    """A chunk of the call's own: the same script may be played again under another id."""
    if isinstance(piece, BaseException):
        raise piece
    if not isinstance(piece, AIMessageChunk):
        return AIMessageChunk(
            piece.content,
            id=piece.id,
            tool_calls=piece.tool_calls,
            usage_metadata=piece.usage_metadata,
            additional_kwargs=piece.additional_kwargs,
            response_metadata=piece.response_metadata,
        )
    return copy(piece)


def _whole(pieces: list[Any]) -> ChatResult:
    for piece in pieces:
        if isinstance(piece, BaseException):
            raise piece
    first = pieces[0]
    if isinstance(first, AIMessageChunk):
        first = message_chunk_to_message(merge_chunks(pieces))
    return ChatResult(generations=[ChatGeneration(message=first)])
