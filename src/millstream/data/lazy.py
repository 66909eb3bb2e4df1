"""Modules of the standard library that an import of ours should not pay for: asyncio is a fifth of `import ChatOpenAI`.

Most programs load it anyway, but not all of them, and not all at the start.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Lazy", "running_loop"]


class Lazy:
    """A module that is imported when something of it is first used, and then takes this object's place in `into`.

    `if TYPE_CHECKING: import asyncio`, `else: asyncio = Lazy("asyncio", globals())`.
    """

    __slots__ = ("_into", "_name")

    def __init__(self, name: str, into: dict[str, Any]) -> None:
        self._name = name
        self._into = into

    def __getattr__(self, attribute: str) -> Any:
        module = self._into[self._name] = import_module(self._name)
        return getattr(module, attribute)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread. Where nobody has loaded asyncio, there is none."""
    # asyncio may be half loaded, by another thread.
    get = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if get is None else get()
