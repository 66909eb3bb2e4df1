"""Callback handlers that are told when a run waits for a person, and when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..data.lazy import Lazy
from ..spine.listening import HandlerListener, Once
from ..spine.run import report
from ..spine.views.handlers import BaseCallbackHandler
from .control import Interrupt

if TYPE_CHECKING:
    import asyncio

    from .loop import Loop
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["GraphCallbackHandler", "GraphInterruptEvent", "GraphResumeEvent"]

Status = Literal["pending", "interrupt_before", "interrupt_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInterruptEvent:
    """A run has stopped: at questions ("pending"), or before or after a node."""

    run_id: str | None
    status: Status
    checkpoint_id: str
    checkpoint_ns: str
    interrupts: tuple[Interrupt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphResumeEvent:
    """A run goes on from where it was stopped."""

    run_id: str | None
    status: Status
    checkpoint_id: str
    checkpoint_ns: str


class GraphCallbackHandler(BaseCallbackHandler):
    """A callback handler that also hears of interrupts. Its methods may be coroutine functions, as all of a handler's."""

    def on_interrupt(self, event: GraphInterruptEvent) -> Any:
        """A graph's run stopped to wait for a person."""

    def on_resume(self, event: GraphResumeEvent) -> Any:
        """A graph's run goes on."""


def tell_interrupt(loop: Loop, status: Status, interrupts: tuple[Interrupt, ...]) -> None:
    """Tell the handlers of a run that it stops."""
    _tell(loop, "on_interrupt", lambda facts: GraphInterruptEvent(status=status, interrupts=interrupts, **facts))


def tell_resume(loop: Loop) -> None:
    """Tell the handlers of a run that it goes on."""
    _tell(loop, "on_resume", lambda facts: GraphResumeEvent(status="pending", **facts))


def _tell(loop: Loop, method: str, event: Any) -> None:
    run = loop.scope.parent
    for listener in loop.scope.listeners:
        inner: Any = listener.listener if isinstance(listener, Once) else listener
        handler = inner.handler if isinstance(inner, HandlerListener) else None
        if run is None or not isinstance(handler, GraphCallbackHandler):
            continue
        inner.methods[method] = asyncio.iscoroutinefunction(getattr(handler, method))
        facts = {"run_id": run.id, "checkpoint_id": loop.origin, "checkpoint_ns": loop.ns_text}
        try:
            inner.tell((method, (event(facts),), {}), run)
        except Exception as error:
            report(inner, run, error)
