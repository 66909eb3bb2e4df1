"""When a failed node is run again, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import InvalidArgument, NodeTimeoutError, ProviderStatusError

__all__ = ["RetryPolicy", "pause_after", "policies_of"]

RetryOn: TypeAlias = type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool]

# Mistakes of a program, which come again however often it is run.
_MISTAKES = (
    ValueError,
    TypeError,
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    RuntimeError,
    ReferenceError,
    StopIteration,
    StopAsyncIteration,
    OSError,
)


def _is_passing(error: Exception) -> bool:
    """The errors that are worth another try: broken connections, servers at fault, and whatever is no known mistake."""
    if isinstance(error, (ConnectionError, NodeTimeoutError)):
        return True
    status = error.status if isinstance(error, ProviderStatusError) else None
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status >= 500
    return not isinstance(error, _MISTAKES)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a failed node is run again. `max_attempts` counts the first try.

    `retry_on` is an exception class, several, or a function of the exception. Without it broken connections and server
    errors are tried again, and mistakes such as ValueError are not. The pause grows by `backoff_factor` with each
    attempt; `jitter` adds up to a second, so that many do not come back at once.
    """

    initial_interval: float = 0.5
    backoff_factor: float = 2.0
    max_interval: float = 128.0
    max_attempts: int = 3
    jitter: bool = True
    retry_on: RetryOn = _is_passing

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InvalidArgument(f"RetryPolicy(max_attempts={self.max_attempts}): at least 1 try is needed.")

    def covers(self, error: Exception) -> bool:
        """Whether the policy is about this error."""
        wanted: Any = self.retry_on
        if isinstance(wanted, type):
            return isinstance(error, wanted)
        if isinstance(wanted, Sequence):
            return isinstance(error, tuple(wanted))
        return bool(wanted(error))

    def pause(self, attempt: int) -> float:
        """How long to wait after the failed attempt number `attempt`."""
        interval = min(self.max_interval, self.initial_interval * self.backoff_factor ** (attempt - 1))
        return interval + (random.random() if self.jitter else 0.0)


def policies_of(given: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[RetryPolicy, ...]:
    """One policy, several or none, as several."""
    return (given,) if isinstance(given, RetryPolicy) else tuple(given or ())


def pause_after(error: Exception, policies: Sequence[RetryPolicy], attempt: int) -> float | None:
    """The pause before another attempt, by the first policy that is about the error; None: no other attempt."""
    policy = next((policy for policy in policies if policy.covers(error)), None)
    return None if policy is None or attempt >= policy.max_attempts else policy.pause(attempt)
