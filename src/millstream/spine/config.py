"""The public form of a run's configuration: a plain dictionary."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

__all__ = ["DEFAULT_RECURSION_LIMIT", "RunnableConfig"]

DEFAULT_RECURSION_LIMIT = 25


class RunnableConfig(TypedDict, total=False):
    """How a run is to be executed and shown; every key may be left out.

    A key that is not listed here is taken as an entry of `configurable`.
    """

    tags: list[str]
    """Labels of this run and all below it."""
    metadata: dict[str, Any]
    """Facts shown with this run and all below it."""
    callbacks: Any
    """Listeners of this run and all below it, or what a run handed on."""
    run_name: str
    """The name of this run only."""
    run_id: UUID | str
    """The id of this run only."""
    max_concurrency: int | None
    """How many parts of a batch or of a parallel step may run at once."""
    recursion_limit: int
    """How deep functions may return runnables (25), how many supersteps a graph may take."""
    configurable: dict[str, Any]
    """Values for configurable parts, such as `thread_id`."""
