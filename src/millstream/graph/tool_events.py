"""What tools say while they run: the `tools` mode, and the progress of generator tools on `custom`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..data.ids import new_id
from ..data.messages import ToolMessage
from ..errors import GraphBubbleUp
from ..spine.events import CUSTOM, END, ERROR, START, Event
from ..spine.run import Run
from .constants import TAG_NOSTREAM
from .heard import graph_around
from .out import Item

__all__ = ["ToolsTap"]

PROGRESS = "tool_progress"
"""The name under which a tool's run tells what a generator tool yielded."""


class ToolsTap:
    """The listener of one stream in `tools` or `custom` mode, or both."""

    __slots__ = ("_base", "_custom", "_live", "_put", "_subgraphs", "_tools")
    types = frozenset({"tool"})

    def __init__(
        self,
        put: Callable[[Item], Any],
        base: tuple[str, ...],
        subgraphs: bool,
        *,
        custom: bool,
        tools: bool,
        live: bool,
    ) -> None:
        self._put = put
        self._base = base
        self._subgraphs = subgraphs
        self._custom = custom
        self._tools = tools
        self._live = live

    @property
    def alone(self) -> bool:
        """Whether it hears one graph and no other."""
        return not self._subgraphs

    def interest(self, run: Run) -> int:
        """Tools that are not silenced, in the graphs that are heard."""
        if run.type != "tool" or TAG_NOSTREAM in run.tags:
            return 0
        if not self._subgraphs and _ns(run) != self._base:
            return 0
        return START | END | ERROR | CUSTOM if self._tools else CUSTOM

    def feed(self, event: Event) -> None:
        """Put what the event says on the stream."""
        run, data = event.run, event.data
        if event.kind == CUSTOM:
            name, value = data
            if name != PROGRESS:
                return
            if self._custom:
                self._put((_ns(run), "custom", value))
            if self._tools:
                self._say(run, {"event": "tool-output-delta", "delta": value})
        elif event.kind == START:
            self._say(run, {"event": "tool-started", "tool_name": run.name, "input": data})
        elif event.kind == END:
            self._say(run, {"event": "tool-finished", "output": self._finished(data)})
        elif not isinstance(data, GraphBubbleUp):
            self._say(run, {"event": "tool-error", "message": str(data)})

    def _finished(self, output: Any) -> Any:
        """What a tool gave, which does not change once it is told: its message gets an id when the state takes it.

        A stream that also shows what happens meanwhile tells the message as it came, others as the state will hold it.
        """
        if not isinstance(output, ToolMessage) or output.id is not None:
            return output
        if self._live:
            return output.model_copy()
        output.id = new_id()
        return output

    def _say(self, run: Run, payload: dict[str, Any]) -> None:
        payload["tool_call_id"] = run.extra.get("tool_call_id") or run.id
        self._put((_ns(run), "tools", payload))


def _ns(run: Run) -> tuple[str, ...]:
    return graph_around(run.metadata)
