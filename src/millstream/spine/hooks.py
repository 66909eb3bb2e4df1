"""Hooks: handlers that every run gets which is started while a context variable, or the environment, says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeAlias

from ..errors import InvalidArgument

__all__ = ["Hook", "hooks", "register_configure_hook"]

Hook: TypeAlias = Callable[[Iterable[Any]], Iterable[Any]]

hooks: list[Hook] = []
"""Each is told of the listeners that a call has, and answers with handlers for it to have, too."""


def register_configure_hook(
    context_var: ContextVar[Any],
    inheritable: bool,
    handle_class: type[Any] | None = None,
    env_var: str | None = None,
) -> None:
    """Give the handler in `context_var` to every call that is made while it is set there.

    With `env_var`, a call made while that environment variable is set gets a `handle_class()` where `context_var` holds
    none. Every run below asks again, so `inheritable` makes no difference.

    Raises:
        InvalidArgument: (a ValueError) `env_var` without `handle_class`.
    """
    if env_var is not None and handle_class is None:
        raise InvalidArgument(f"register_configure_hook got env_var={env_var!r}; give the `handle_class` to make, too.")

    def hook(listeners: Iterable[Any]) -> Iterable[Any]:
        try:
            handler = context_var.get()  # its own default counts
        except LookupError:
            handler = None
        if handler is None and env_var is not None and handle_class is not None and _is_set(env_var):
            if any(isinstance(getattr(each, "handler", None), handle_class) for each in listeners):
                return ()  # of the call around this one
            handler = handle_class()
        return () if handler is None else (handler,)

    hooks.append(hook)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() not in ("", "0", "false")
