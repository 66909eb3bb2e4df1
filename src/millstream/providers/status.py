"""Errors that a provider reports, by status or in a body, as our errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import (
    AuthenticationError,
    BadRequestError,
    ContextOverflowError,
    ModelAPIError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ProviderStatusError,
    RateLimitError,
)
from .retry import retry_after
from .wire_json import loads

__all__ = ["error_in_body", "may_be_keys", "redacted", "status_error"]

_CLASSES: dict[int, type[ProviderStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}
_MENDS = {
    401: " Check the API key.",
    403: " Check that the API key may use this model.",
    404: " Check the model's name and `base_url`.",
    413: " Send less: the request is too large.",
}
# What some servers say in a body where others use a status.
_STATUS_OF_CODE = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "request_too_large": 413,
    "server_error": 500,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# What servers say, in words or as a code, of a conversation that is longer than their model reads.
_TOO_LONG = re.compile(
    r"context[_ ](length|window|size)|prompt is too long|input is too long|exceeds? the (maximum|available) (context|number of tokens)"
    r"|maximum (input|prompt) length|input length and `max_tokens` exceed",
    re.IGNORECASE,
)
_LONGEST_MESSAGE = 1000
_SHORTEST_KEY = 6


def status_error(
    status: int, body: bytes, headers: Mapping[str, str], *, provider: str, secrets: Iterable[str] = ()
) -> ProviderStatusError:
    """The error for an answer with an error status, or for an error body under a good one.

    `secrets` are taken out of whatever the provider says: some repeat the key that they refuse.
    """
    said, code = _read(body)
    message = f"{provider} answered {status}: {redacted(said, secrets)}"
    return _class(status, f"{code} {said}")(
        message.rstrip(".") + "." + (_MENDS.get(status) or _redirection(status, headers, secrets)),
        provider=provider,
        status=status,
        code=code,
        request_id=headers.get("x-request-id") or headers.get("request-id"),
        retry_after=retry_after(headers),
    )


def _class(status: int, said: str) -> type[ProviderStatusError]:
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        return ContextOverflowError
    return _CLASSES.get(status, ModelAPIError if status >= 500 else ProviderStatusError)


def _redirection(status: int, headers: Mapping[str, str], secrets: Iterable[str]) -> str:
    """Redirections are not followed: the key would go wherever they lead."""
    if not 300 <= status < 400:
        return ""
    # Without its query, which may hold a key.
    there = redacted(headers.get("location", "").partition("?")[0], secrets)
    return f" It sends requests on to {there or 'another address'}: give that as `base_url`."


def error_in_body(answer: Any, status: int) -> int | None:
    """The status that an answer's body means if it is an error body; None if it is none."""
    if not isinstance(answer, dict):
        return None
    error = answer.get("error") or (answer if answer.get("object") == "error" else None)
    if not error:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    kind = error.get("type") if isinstance(error, dict) else None
    return _STATUS_OF_CODE.get(str(code)) or _STATUS_OF_CODE.get(str(kind)) or status


def may_be_keys(given: Mapping[str, Any]) -> list[str]:
    """Values that may be keys. The API's version is none: errors may well speak of it."""
    return [text for name, value in given.items() if "version" not in name and len(text := str(value)) >= _SHORTEST_KEY]


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets. One of a few characters, such as a test's "x", is only seen where it is a word."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_KEY:
            text = text.replace(secret, "[key removed]")
        elif secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "[key removed]", text)
    return text


def _read(body: bytes) -> tuple[str, str | None]:
    """What an error body says, and its code."""
    try:
        answer = loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
        return " ".join(text.split())[:_LONGEST_MESSAGE] or "no reason given", None
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return str(error)[:_LONGEST_MESSAGE], None
    message = error.get("message") or error.get("detail") or error.get("msg") or "no reason given"
    code = error.get("code") or error.get("type")
    return str(message)[:_LONGEST_MESSAGE], None if code is None else str(code)
