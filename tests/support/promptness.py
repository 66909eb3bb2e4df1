"""What must come soon, on machines that others use too."""

from __future__ import annotations

from collections.abc import Callable

from millstream.testing import Reply, StandInProvider

__all__ = ["closes_soon", "promptly"]

TRIES = 4


def closes_soon(leave: Callable[[StandInProvider], float], *script: Reply) -> None:
    """`leave` reads of a provider and tells when it left; the last connection is closed soon after."""

    def seconds() -> float:
        with StandInProvider(script) as provider:
            left = leave(provider)
            assert provider.wait_until(lambda it: it.connections[-1].closed_at is not None)
            closed = provider.connections[-1].closed_at
            assert closed is not None
            return closed - left

    promptly(seconds)


def promptly(seconds: Callable[[], float], *, within: float = 0.25) -> None:
    """Measure until it took no longer than that: a busy machine is late by chance, code that waits for something is so each time."""
    took: list[float] = []
    while not took or took[-1] > within:
        assert len(took) < TRIES, f"took {took} s each time, and not {within}"
        took.append(seconds())
