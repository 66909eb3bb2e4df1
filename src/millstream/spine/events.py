"""The events of a run: what the engine tells its listeners.

Kinds are bits, so that what a listener wants of a run is one small integer.
"""

from __future__ import annotations

import enum
from time import time as now
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .run import Run

__all__ = [
    "CUSTOM",
    "END",
    "ERROR",
    "EVERYTHING",
    "MISSING",
    "START",
    "STREAM",
    "TOKENS",
    "TOLD",
    "TOOL_CALL",
    "Event",
    "Listener",
    "Missing",
    "Tap",
]

START: Final = 1
STREAM: Final = 2
END: Final = 4
ERROR: Final = 8
CUSTOM: Final = 16
TOOL_CALL: Final = 32
# Not a kind: a listener adds it to its answer to make a watched `model.invoke` stream inside.
TOKENS: Final = 64
# What a run tells of itself; a run of whose listeners none wants any of it is not watched.
TOLD: Final = START | STREAM | END | ERROR
EVERYTHING: Final = START | STREAM | END | ERROR | CUSTOM


class Missing(enum.Enum):
    """The type of MISSING: a value that is not known, where None is a value."""

    MISSING = enum.auto()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Missing.MISSING


class Event:
    """One thing that happened in a run.

    `kind` is one of the bits above, `data` what docs/design.md says for that kind, `time` seconds since the epoch.
    """

    __slots__ = ("data", "kind", "run", "time")

    def __init__(self, kind: int, run: Run, data: Any) -> None:
        self.kind = kind
        self.run = run
        self.data = data
        self.time = now()

    def __repr__(self) -> str:
        names = {START: "START", STREAM: "STREAM", END: "END", ERROR: "ERROR", CUSTOM: "CUSTOM", TOOL_CALL: "TOOL_CALL"}
        return f"Event({names.get(self.kind, self.kind)}, {self.run.name!r}, {self.data!r})"


@runtime_checkable
class Listener(Protocol):
    """Whoever wants to know what happens in a run and below it.

    Two attributes are optional. `types` holds the types of run that it wants anything of; it says so where the runs between
    cost more than what it is told (they are not even begun where all listeners say so).
    `telling(run)` gives a function that tells it the next chunk of a run: `feed` without an event, for a run of which it
    wants chunks, and nobody else anything. That function must call no code of users.
    """

    def interest(self, run: Run) -> int:
        """Return the kinds wanted of `run` as a mask; asked once, when the run starts."""
        ...

    def feed(self, event: Event) -> None:
        """Take one event. May be called from any thread; must not block."""
        ...


class Tap:
    """A listener made of two functions: `interest(run) -> mask` and `put(event)`."""

    __slots__ = ("feed", "interest")

    def __init__(self, interest: Any, put: Any) -> None:
        self.interest = interest
        self.feed = put
