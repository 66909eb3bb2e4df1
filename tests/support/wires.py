"""The three wires side by side: for each its decoder, its model, and streams and errors of our own to play to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import pytest

from millstream import AIMessageChunk, ChatAnthropic, ChatOpenAI
from millstream.providers.anthropic_stream import AnthropicDecoder
from millstream.providers.clients import close_clients
from millstream.providers.frame_decoder import FrameDecoder
from millstream.providers.openai_chat import OpenAIChatDecoder
from millstream.providers.responses_stream import ResponsesDecoder
from millstream.testing import StandInProvider, chat_error, chat_stream, message_error, message_stream, response_stream


class Wire(NamedTuple):
    name: str
    """As the recordings name it."""
    decoder: Callable[[], FrameDecoder]
    model: Callable[..., Any]
    """Makes a model for `url=`; other keywords are its settings."""
    stream: Callable[..., bytes]
    """A stream of ours, from text, `reasoning` and `tool_calls`."""
    error: Callable[..., bytes]
    """The JSON body of an error, from a message and `type`."""

    def __str__(self) -> str:
        return self.name


def _chat(url: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "m", "base_url": url, "api_key": "any", **settings})


def _responses(url: str, **settings: Any) -> ChatOpenAI:
    return _chat(url, use_responses_api=True, **settings)


def _anthropic(url: str, **settings: Any) -> ChatAnthropic:
    # The wire adds its own /v1.
    return ChatAnthropic(**{"model": "m", "base_url": url.removesuffix("/v1"), "api_key": "any", **settings})


def _message_stream(
    text: str | Iterable[str] = (), *, reasoning: str | Iterable[str] = (), tool_calls: Sequence[Any] = ()
) -> bytes:
    return message_stream(text, thinking=reasoning, tool_calls=tool_calls)


WIRES = [
    Wire("openai-chat", OpenAIChatDecoder, _chat, chat_stream, chat_error),
    Wire("openai-responses", ResponsesDecoder, _responses, response_stream, chat_error),
    Wire("anthropic", AnthropicDecoder, _anthropic, _message_stream, message_error),
]
BY_NAME = {wire.name: wire for wire in WIRES}

# Recordings that break off, or that carry an error.
END_BADLY = {
    *("connection-cut-midframe", "error-midstream", "error", "error-overloaded-midstream"),
}


def own_streams(wire: Wire) -> dict[str, bytes]:
    """Streams of ours that hold what is hard to cut: characters of several bytes, arguments, thoughts, several calls."""
    free = [{"name": "sql", "input": 'ask "ž"\\ 🐎\ud83d'}, {"name": "add", "args": {"a": 1}}]
    return {
        **({"free text": wire.stream(tool_calls=free)} if wire.name == "openai-chat" else {}),
        "text": wire.stream("The mill 🐎 grinds slowly, žluťoučký kůň."),
        "tool": wire.stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": 'žluť\\"{}[]'}}]),
        "parallel": wire.stream("Both.", tool_calls=[{"name": "add", "args": {"a": 1}}, {"name": "now", "args": {}}]),
        "reasoning": wire.stream("Four.", reasoning="two and two"),
        "halved characters": wire.stream(["a\ud83d", "\udc4b b", "c\ud83d", "d"]),
    }


def joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    """The sum of the chunks."""
    return reduce(lambda a, b: a + b, chunks)


def url_of(provider: StandInProvider) -> str:
    """What `Wire.model` wants for `url`."""
    return provider.base_url


@pytest.fixture(autouse=True)
def closed_clients(no_leaks: None) -> Iterator[None]:
    """Idle connections of synchronous calls are kept for the process; here they would count as left behind."""
    yield
    close_clients()
