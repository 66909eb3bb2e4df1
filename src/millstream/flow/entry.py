"""Where users' calls enter the engine: their config as a scope, and sync calls that block an event loop."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..errors import BlockingCallWarning
from ..spine.config import DEFAULT_RECURSION_LIMIT
from ..spine.scope import Scope, enter
from ..spine.warn import warn_user
from .step import running_loop

__all__ = ["blocking_scope", "sync_scope", "warn_if_blocking", "with_default_limit"]


def sync_scope(config: Mapping[str, Any] | None, instead: str) -> Scope:
    """`enter` for a sync facade, which it warns under a running loop to use `instead`."""
    warn_if_blocking(instead)
    return blocking_scope(config)


def blocking_scope(config: Mapping[str, Any] | None) -> Scope:
    """`enter` for work that may block this thread: where that is a loop's, without gates, whose readers it would block."""
    scope = enter(config)
    return scope if running_loop() is None else scope.without_gates()


def warn_if_blocking(instead: str) -> None:
    """Warn the user's line that called us, once a place, when it blocks a running event loop (but not in a notebook)."""
    if running_loop() is not None and not _in_notebook():
        warn_user(f"a synchronous call blocks the running event loop; use `{instead}` here.", BlockingCallWarning)


def with_default_limit(scope: Scope) -> Scope:
    """`scope` with the runnable layer's recursion limit, for entries that do not leave the choice to a graph."""
    if scope.recursion_limit is not None:
        return scope
    scope = scope.copy()
    scope.recursion_limit = DEFAULT_RECURSION_LIMIT
    return scope


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None
