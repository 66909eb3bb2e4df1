"""Many: the inputs of a batch, and how they are to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..spine.scope import Scope

__all__ = ["Many"]


@dataclass(slots=True, repr=False, eq=False)
class Many:
    """Inputs, each with a scope of its own; at most `limit` run at once. Without `keep_going` one failure may stop the rest."""

    inputs: Iterable[Any]
    scope_at: Callable[[int], Scope]
    limit: int
    keep_going: bool
    kwargs: dict[str, Any]
