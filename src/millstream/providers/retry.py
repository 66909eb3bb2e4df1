"""When a request that failed before its first token is made again, and how long to wait before."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping

from ..errors import ProviderConnectionError, ProviderError, ProviderStatusError

__all__ = ["LONGEST_WAIT", "retry_after", "wait_before_retry"]

LONGEST_WAIT = 60.0
"""Seconds that we wait at most, whatever the server asks for."""

_FIRST_WAIT = 0.5
_LONGEST_OWN_WAIT = 8.0
_WORTH_RETRYING = frozenset({408, 409, 429})


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """The seconds that a server asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date).

    Never negative and never more than `LONGEST_WAIT`; None where it asks for nothing that can be understood.
    """
    asked = _number(headers.get("retry-after-ms"), 0.001)
    given = headers.get("retry-after")
    if asked is None:
        asked = _number(given, 1.0)
    if asked is None and given:
        from email.utils import parsedate_to_datetime  # 5 ms at import, for an answer that few servers give

        try:
            asked = parsedate_to_datetime(given).timestamp() - now()
        except (ValueError, OverflowError):
            return None
    return None if asked is None else min(max(asked, 0.0), LONGEST_WAIT)


def wait_before_retry(
    error: ProviderError, attempt: int, *, retries: int, spread: Callable[[], float] = random.random
) -> float | None:
    """Seconds to wait before attempt number `attempt + 2`; None when there must be none.

    What the server asked for is obeyed; else the wait doubles from half a second. Both are spread by chance, so that
    many clients that failed together do not come back together.
    """
    if attempt >= retries:
        return None
    if isinstance(error, ProviderStatusError):
        if error.status not in _WORTH_RETRYING and error.status < 500:
            return None
        if error.retry_after is not None:
            return min(error.retry_after * (1 + 0.1 * spread()), LONGEST_WAIT)
    elif not isinstance(error, ProviderConnectionError):
        return None
    return float(min(_FIRST_WAIT * 2**attempt, _LONGEST_OWN_WAIT) * (0.5 + 0.5 * spread()))


def _number(text: str | None, scale: float) -> float | None:
    try:
        number = float(text or "") * scale
    except ValueError:
        return None
    return None if math.isnan(number) else number
