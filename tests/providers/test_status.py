"""Which error an answer with an error status is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millstream import (
    AIMessage,
    AuthenticationError,
    BadRequestError,
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
    OutputParserException,
    ProviderConnectionError,
    ProviderError,
    ProviderStatusError,
    ProviderTimeout,
    RateLimitError,
)
from millstream.providers.json_answers import answer_parser
from millstream.providers.status import status_error


def error(status: int, message: str = "no", code: str | None = None) -> ProviderStatusError:
    body = {"error": {"message": message, "code": code}}
    return status_error(status, json.dumps(body).encode(), {}, provider="openai")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, ModelPermissionDeniedError),
        (404, ModelNotFoundError),
        (413, BadRequestError),
        (418, ProviderStatusError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ModelAPIError),
        (529, ModelAPIError),
    ],
)
def test_the_status_says_which(status: int, cls: type[ProviderStatusError]) -> None:
    it = error(status)
    assert type(it) is cls
    assert it.status == it.status_code == status
    assert isinstance(it, ModelError)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("This model's maximum context length is 8192 tokens.", None),
        ("too much", "context_length_exceeded"),
        ("Your input exceeds the context window of this model.", None),
        ("prompt is too long: 201000 tokens > 200000 maximum", None),
        ("input length and `max_tokens` exceed context limit: 199000 + 2000 > 200000", None),
    ],
)
def test_too_long_in_whatever_words(said: str, code: str | None) -> None:
    assert type(error(400, said, code)) is ContextOverflowError
    assert isinstance(error(400, said, code), BadRequestError)
    assert type(error(429, said, code)) is RateLimitError
    assert type(error(400, "max_tokens is too large")) is BadRequestError


def test_second_names() -> None:
    assert (ModelError, ModelAuthenticationError, ModelRateLimitError) == (
        ProviderError,
        AuthenticationError,
        RateLimitError,
    )
    assert (ModelInvalidRequestError, ModelConnectionError, ModelTimeoutError) == (
        BadRequestError,
        ProviderConnectionError,
        ProviderTimeout,
    )


def test_an_answer_that_a_filter_stopped_is_no_json() -> None:

    message: Any = AIMessage("", response_metadata={"finish_reason": "content_filter"})
    with pytest.raises(OutputParserException, match="content filter"):
        answer_parser({"type": "object"}).invoke(message)


def test_a_redirection_names_the_address() -> None:
    there = {"location": "https://b.example/sk-secret/v1/chat/completions?key=sk-secret"}
    it = status_error(307, b"", there, provider="openai", secrets=["sk-secret"])
    assert "https://b.example/[key removed]/v1/chat/completions: give that as `base_url`" in str(it)
    assert "sk-secret" not in str(it) and "base_url" in str(status_error(301, b"", {}, provider="openai"))
