"""Work that goes on beside the run that started it, and is waited for later: a task, or a worker thread."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Protocol

from ..data.lazy import Lazy
from .driver import Driver
from .outcome import Outcome, log_late
from .parts import Parts, Thunk, run_part

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["Beside", "beside"]


class Beside(Protocol):
    """Work under way. Whoever started it asks for its outcome, once."""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        ...

    async def outcome(self) -> Outcome:
        """Wait until it has ended. A cancellation does not end the waiting: it is passed on when the work is done."""
        ...


def beside(d: Driver, thunk: Thunk) -> Beside:
    """Start the work that `thunk()` makes. Where no thread is free, a sync run does it at once."""
    return _OnThread(thunk) if d.sync else _InTask(thunk)


class _InTask:
    __slots__ = ("task",)

    def __init__(self, thunk: Thunk) -> None:
        self.task = asyncio.get_running_loop().create_task(thunk())

    @property
    def over(self) -> bool:
        return self.task.done()

    async def outcome(self) -> Outcome:
        task = self.task
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
        outcome = Outcome(None, asyncio.CancelledError()) if task.cancelled() else Outcome(None, task.exception())
        if cancelled is not None:
            log_late(outcome.error)
            raise cancelled
        if outcome.error is None:
            outcome.value = task.result()
        return outcome


class _OnThread:
    __slots__ = ("done", "parts")

    def __init__(self, thunk: Thunk) -> None:
        self.parts = Parts()
        self.done = None if self.parts.try_start(0, thunk) else run_part(thunk, copy_context())

    @property
    def over(self) -> bool:
        return self.done is not None or self.parts.over

    async def outcome(self) -> Outcome:
        return self.done or self.parts.wait()[1]
