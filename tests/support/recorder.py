"""A listener that wants everything, and notes it."""

from __future__ import annotations

from millstream.spine.events import CUSTOM, END, ERROR, EVERYTHING, START, STREAM, Event
from millstream.spine.run import Run

_KINDS = {START: "start", STREAM: "stream", END: "end", ERROR: "error", CUSTOM: "custom"}


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def interest(self, run: Run) -> int:
        return EVERYTHING

    def feed(self, event: Event) -> None:
        self.events.append(event)

    def told(self, *, tags: bool = False) -> list[str]:
        """`name kind` of each event; with `tags` those of its run are there, too."""
        return [f"{e.run.name}{list(e.run.tags) if tags else ''} {_KINDS[e.kind]}" for e in self.events]
