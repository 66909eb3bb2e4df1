"""What a node may be given: bounds of time, a cache; and what its error handler is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from ..errors import InvalidArgument
from .callables import Call

__all__ = [
    "CachePolicy",
    "NodeError",
    "TimeoutPolicy",
    "TracePolicy",
    "check_timeout",
    "omit_payload",
    "seconds_of",
    "timeout_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """Bounds for each attempt of an async node: in all, and between two signs of life.

    With `refresh_on="auto"` everything that the node's inside tells (tokens, events, what it writes to its streams) is a
    sign of life, with `"heartbeat"` only `runtime.heartbeat()`.
    """

    run_timeout: float | timedelta | None = None
    idle_timeout: float | timedelta | None = None
    refresh_on: Literal["auto", "heartbeat"] = "auto"

    def __post_init__(self) -> None:
        for name in ("run_timeout", "idle_timeout"):
            seconds = seconds_of(getattr(self, name))
            if seconds is not None and seconds <= 0:
                raise InvalidArgument(
                    f"TimeoutPolicy({name}={getattr(self, name)!r}): a timeout is more than 0 seconds."
                )
        if self.refresh_on not in ("auto", "heartbeat"):
            raise InvalidArgument(f"refresh_on must be 'auto' or 'heartbeat', not {self.refresh_on!r}.")


def seconds_of(given: float | timedelta | None) -> float | None:
    """A duration in seconds."""
    return given.total_seconds() if isinstance(given, timedelta) else given


def timeout_of(given: float | timedelta | TimeoutPolicy | None) -> TimeoutPolicy | None:
    """What was given as `timeout`, as a policy; None where it bounds nothing."""
    policy = given if isinstance(given, TimeoutPolicy) or given is None else TimeoutPolicy(run_timeout=given)
    return None if policy is None or policy.run_timeout is policy.idle_timeout is None else policy


def check_timeout(name: str, call: Call) -> None:
    """Refuse a timeout for a function that cannot be stopped.

    Raises:
        InvalidArgument: (a ValueError) the function is sync.
    """
    if call.afn is None and call.runnable is None:
        raise InvalidArgument(
            f"node {name!r} has a timeout and is a sync function, which nothing can stop; make it `async def`."
        )


def omit_payload(payload: Any) -> dict[str, Any]:
    """For `TracePolicy`: show nothing of a payload."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePolicy:
    """What tracers (callback handlers and spans) are shown of a node's input and output: what these functions make of them.

    The node itself, streams and stored state are not changed. `TracePolicy(process_inputs=omit_payload)` hides the input.
    """

    process_inputs: Callable[[Any], Any] | None = None
    process_outputs: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class NodeError:
    """What an error handler is told: the node that failed, and its exception."""

    node: str
    error: BaseException


def _stored_form(*args: Any, **kwargs: Any) -> bytes:
    from .savers.codec import encode

    return encode([list(args), kwargs])


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Keep what a node wrote and write it again, instead of running it, when it gets the same input.

    `key_func(input)` gives the text or bytes by which inputs are the same (by default all that would be stored of them).
    After `ttl` seconds the node is run again; None: never. The graph needs a cache: `compile(cache=InMemoryCache())`.
    """

    key_func: Callable[..., str | bytes] = _stored_form
    ttl: int | None = None

    def __post_init__(self) -> None:
        if self.ttl is not None and self.ttl <= 0:
            raise InvalidArgument(f"CachePolicy(ttl={self.ttl}): it is more than 0 seconds, or None for no end.")

    def key_of(self, *args: Any, **kwargs: Any) -> str:
        """The key of an input, short whatever its size."""
        key = self.key_func(*args, **kwargs)
        return hashlib.blake2b(key.encode() if isinstance(key, str) else key, digest_size=16).hexdigest()
