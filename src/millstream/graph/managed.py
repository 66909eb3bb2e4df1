"""State keys whose value is computed, not stored: how many supersteps a run may still take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

__all__ = ["IsLastStep", "ManagedValue", "RemainingSteps"]


class ManagedValue:
    """The rule of a computed state key: what a node that starts in `step` sees when the run stops after `stop`."""

    __slots__ = ("name", "read")

    def __init__(self, name: str, read: Callable[[int, int], Any]) -> None:
        self.name = name
        self.read = read

    def __repr__(self) -> str:
        return self.name


RemainingSteps = Annotated[int, ManagedValue("RemainingSteps", lambda step, stop: stop - step)]
"""How many supersteps are left after this one."""

IsLastStep = Annotated[bool, ManagedValue("IsLastStep", lambda step, stop: step >= stop - 1)]
"""Whether a further superstep would reach the recursion limit."""
