"""Stopping a run from outside between two of its steps, so that it can be continued."""

from __future__ import annotations

from ..errors import GraphBubbleUp

__all__ = ["GraphDrained", "RunControl"]


class GraphDrained(GraphBubbleUp):
    """A run stopped because a drain was requested; with a checkpointer it goes on when it is called with None."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "the run was asked to drain")
        self.reason = reason


class RunControl:
    """A handle on runs that were given it as `control=`; it may be used from any thread."""

    __slots__ = ("_reason", "_requested")

    def __init__(self) -> None:
        self._requested = False
        self._reason: str | None = None

    def request_drain(self, reason: str | None = None) -> None:
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
