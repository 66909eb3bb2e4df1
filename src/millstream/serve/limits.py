"""The limits of a served agent."""

from __future__ import annotations

from dataclasses import dataclass

from .log import VIEWER_BYTES

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one served agent may take; times in seconds.

    A viewer that lags by more than `viewer_bytes`, or takes nothing for `send_timeout`, is dropped. A
    stopped run is reported as ended after `cancel_grace` even if a tool in a thread is still at it. When the server
    shuts down, runs may go on for `grace` before they are stopped.
    """

    concurrent_runs: int = 1_000
    run_seconds: float | None = 600.0
    body_bytes: int = 1024 * 1024
    body_seconds: float = 15.0
    recursion_limit: int = 50
    max_concurrency: int = 64
    viewer_bytes: int = VIEWER_BYTES
    send_timeout: float = 30.0
    heartbeat: float = 15.0
    cancel_grace: float = 1.0
    grace: float = 8.0
