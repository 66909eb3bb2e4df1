from __future__ import annotations

import pytest

from millstream import (
    AuthenticationError,
    BadRequestError,
    ProviderConnectionError,
    ProviderInterrupted,
    ProviderStatusError,
    ProviderTimeout,
    RateLimitError,
)
from millstream.providers.retry import LONGEST_WAIT, retry_after, wait_before_retry
from millstream.providers.status import error_in_body, redacted, status_error

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "999999999999"}, LONGEST_WAIT),
        ({"retry-after": "1e400"}, LONGEST_WAIT),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2033 22:00:00 GMT"}, LONGEST_WAIT),
        ({"retry-after": "Tue, 99 Nov 2033 22:00:00 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=lambda: NOW) == seconds


def status(code: int, wait: float | None = None) -> ProviderStatusError:
    return ProviderStatusError("x", status=code, retry_after=wait)


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 529])
def test_what_is_worth_another_attempt(code: int) -> None:
    assert wait_before_retry(status(code), 1, retries=2) is not None
    assert wait_before_retry(status(code), 2, retries=2) is None
    assert wait_before_retry(ProviderConnectionError("x"), 0, retries=1) is not None


@pytest.mark.parametrize(
    "error", [*map(status, (400, 401, 403, 404, 413, 422)), ProviderTimeout("x"), ProviderInterrupted("x")]
)
def test_what_is_not(error: ProviderStatusError) -> None:
    assert wait_before_retry(error, 0, retries=2) is None


def test_waits_double_and_are_spread_and_the_servers_word_counts() -> None:
    waits = [wait_before_retry(status(500), n, retries=9, spread=lambda: 1.0) for n in range(6)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert wait_before_retry(status(500), 0, retries=9, spread=lambda: 0.0) == 0.25
    assert wait_before_retry(status(429, 10.0), 0, retries=9, spread=lambda: 0.0) == 10.0
    assert wait_before_retry(status(429, 60.0), 0, retries=9, spread=lambda: 1.0) == LONGEST_WAIT


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, BadRequestError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ProviderStatusError),
        (302, ProviderStatusError),
    ],
)
def test_a_status_is_a_typed_error(code: int, kind: type[ProviderStatusError]) -> None:
    headers = {"x-request-id": "req_1", "retry-after": "3"}
    body = b'{"error":{"message":"because of sk-1","type":"t","code":"c"}}'
    error = status_error(code, body, headers, provider="openai", secrets=["sk-1"])
    assert isinstance(error, kind)
    assert (error.status, error.code, error.request_id, error.retry_after, error.provider) == (
        code,
        "c",
        "req_1",
        3.0,
        "openai",
    )
    assert str(error).startswith(f"openai answered {code}: because of [key removed].")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>  Bad\n gateway</html>", "<html> Bad gateway</html>"),
        (b"", "no reason given"),
        (b'{"detail":"no"}', "no"),
        (b'{"error":"no"}', "no"),
        (b'["no"]', "['no']"),
        (b'"no"', "no"),
        (b'{"error":{"message":null}}', "no reason given"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_error_bodies_in_other_forms(body: bytes, said: str) -> None:
    assert str(status_error(502, body, {}, provider="p")) == f"p answered 502: {said}."


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ({"choices": []}, None),
        ({"error": None}, None),
        ([], None),
        ({"error": {"code": 502, "message": "x"}}, 502),
        ({"error": {"code": "429"}}, 429),
        ({"error": {"code": "invalid_api_key"}}, 401),
        ({"error": {"type": "overloaded_error"}}, 529),
        ({"error": {"code": 7}}, 200),
        ({"error": "x"}, 200),
        ({"object": "error", "code": 400, "message": "x"}, 400),
    ],
)
def test_an_error_body_under_a_good_status(answer: object, meant: int | None) -> None:
    assert error_in_body(answer, 200) == meant


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("sk-12345", "wrong key (sk-12345x)", "wrong key ([key removed]x)"),
        ("x", "no fixture matched key x.", "no fixture matched key [key removed]."),
        ("", "wrong key", "wrong key"),
    ],
)
def test_secrets_are_taken_out_of_what_a_provider_says(secret: str, said: str, shown: str) -> None:
    assert redacted(said, [secret]) == shown
