"""Modules that an import of ours should not pay for: asyncio would be a fifth of `import ChatOpenAI`, logging a fiftieth.

Most programs load them anyway, but not all of them, and not all at the start.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    import logging

__all__ = ["Lazy", "logger_of", "running_loop"]


class Lazy:
    """A module that is imported when something of it is first used, and then takes this object's place in `into`.

    `if TYPE_CHECKING: import asyncio`, `else: asyncio = Lazy("asyncio", globals())`. A neighbour in the same package is
    named with a dot: `Lazy(".asking", globals())` takes its place as `asking`.
    """

    __slots__ = ("_into", "_name")

    def __init__(self, name: str, into: dict[str, Any]) -> None:
        self._name = name
        self._into = into

    def __getattr__(self, attribute: str) -> Any:
        module = self._into[self._name.lstrip(".")] = import_module(self._name, self._into["__package__"])
        return getattr(module, attribute)


class _Logger:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        import logging

        return getattr(logging.getLogger(self._name), attribute)


def logger_of(name: str) -> logging.Logger:
    """The logger of that name; logging is imported when something is logged."""
    return _Logger(name)  # type: ignore[return-value]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread. Where nobody has loaded asyncio, there is none."""
    # asyncio may be half loaded, by another thread.
    get = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if get is None else get()
