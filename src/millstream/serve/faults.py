"""What a person may be told of a run that failed: a code and a sentence, never a trace, path or key."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import uuid4

from ..errors import (
    AuthenticationError,
    BadRequestError,
    GraphRecursionError,
    ProviderConnectionError,
    ProviderError,
    ProviderInterrupted,
    ProviderStatusError,
    ProviderTimeout,
    RateLimitError,
    StorageError,
)

__all__ = ["Fault", "fault_of", "reported"]

logger = logging.getLogger("millstream.serve")


@dataclass(frozen=True, slots=True)
class Fault:
    """The public side of an error. `retryable`: the same request may work in a while."""

    code: str
    message: str
    retryable: bool


# The first class that fits.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (
        RateLimitError,
        Fault("provider_rate_limited", "The model's provider is limiting requests. Try again in a moment.", True),
    ),
    (
        AuthenticationError,
        Fault("provider_refused_key", "The model's provider refused this server's credentials.", False),
    ),
    (BadRequestError, Fault("provider_refused", "The model's provider refused the request.", False)),
    (ProviderStatusError, Fault("provider_failed", "The model's provider failed. Try again in a moment.", True)),
    (ProviderInterrupted, Fault("provider_interrupted", "The model's answer was cut off. Try again.", True)),
    (ProviderTimeout, Fault("provider_timeout", "The model's provider did not answer in time. Try again.", True)),
    (ProviderConnectionError, Fault("provider_unreachable", "The model's provider could not be reached.", True)),
    (ProviderError, Fault("provider_failed", "The model's provider failed. Try again in a moment.", True)),
    (GraphRecursionError, Fault("step_limit", "The run took more steps than it is allowed.", False)),
    (StorageError, Fault("storage", "The conversation could not be read or saved. Try again.", True)),
)
_INTERNAL = Fault("internal", "Something went wrong on the server.", False)


def fault_of(error: BaseException) -> Fault:
    """The public side of `error`; what it says itself is for the server's log only."""
    for kind, fault in _FAULTS:
        if isinstance(error, kind):
            return fault
    return _INTERNAL


def reported(error: BaseException, what: str) -> str:
    """Write an error to the server's log; the id under which it is found there."""
    error_id = str(uuid4())
    logger.error("%s (error id %s)", what, error_id, exc_info=error)
    return error_id
