"""Stopping a run from outside between two of its steps, so that it can be continued."""

from __future__ import annotations

__all__ = ["RunControl"]


class RunControl:
    """A handle on runs that were given it as `control=`; it may be used from any thread."""

    __slots__ = ("_reason", "_requested")

    def __init__(self) -> None:
        self._requested = False
        self._reason: str | None = None

    def request_drain(self, reason: str = "shutdown") -> None:
        """Let the runs end at their next step's boundary, by `GraphDrained`."""
        self._reason = reason
        self._requested = True

    @property
    def drain_requested(self) -> bool:
        """Whether they are to end."""
        return self._requested

    @property
    def drain_reason(self) -> str | None:
        """Why, as it was told."""
        return self._reason
