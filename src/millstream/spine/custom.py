"""Custom events: what users' code says about its own progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OutsideRun
from .events import CUSTOM
from .scope import Handed, current_scope, enter

__all__ = ["adispatch_custom_event", "dispatch_custom_event"]


class Custom(tuple[str, Any]):
    """The data of a custom event: `(name, value)`. `own_tags` are those of the place that it came from (a graph's node
    tells its function's events apart by them).
    """

    own_tags: tuple[str, ...]

    def __new__(cls, name: str, value: Any, own_tags: tuple[str, ...]) -> Custom:
        """The pair, with its tags."""
        made = super().__new__(cls, (name, value))
        made.own_tags = own_tags
        return made


def dispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """Emit a custom event of the surrounding run, or of the run that `config` was handed by.

    Raises:
        OutsideRun: (a RuntimeError) there is no run to which it could belong.
    """
    scope = current_scope()
    if config and (scope is not None or _handed(config)):
        scope = enter(config)
    if scope is None:
        raise OutsideRun(
            "dispatch_custom_event was called outside of a run; call it inside a runnable, or pass the `config` that "
            "the run was given."
        )
    run = scope.parent
    if run is not None and run.mask & CUSTOM:
        run.emit(CUSTOM, Custom(name, data, scope.own_tags))


def _handed(config: Mapping[str, Any]) -> bool:
    """Whether a run made this config. One that nobody hears hands on no callbacks, but says so."""
    return "callbacks" in config and (config["callbacks"] is None or isinstance(config["callbacks"], Handed))


async def adispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """`dispatch_custom_event`, awaitable for symmetry; it never suspends."""
    dispatch_custom_event(name, data, config=config)
