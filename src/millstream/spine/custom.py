"""Custom events: what users' code says about its own progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OutsideRun
from .events import CUSTOM
from .scope import Scope, current_scope, enter

__all__ = ["adispatch_custom_event", "dispatch_custom_event"]


def dispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """Emit a custom event of the surrounding run, or of the run that `config` was handed by.

    Raises:
        OutsideRun: (a RuntimeError) there is no run to which it could belong.
    """
    scope: Scope | None = enter(config) if config else current_scope()
    if scope is None:
        raise OutsideRun(
            "dispatch_custom_event was called outside of a run; call it inside a runnable, or pass `config`."
        )
    run = scope.parent
    if run is not None and run.mask & CUSTOM:
        run.emit(CUSTOM, (name, data))


async def adispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """`dispatch_custom_event`, awaitable for symmetry; it never suspends."""
    dispatch_custom_event(name, data, config=config)
