"""Keeping the bounds of time of a node, and of a superstep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..data.lazy import Lazy
from ..errors import InvalidArgument, NodeTimeoutError
from ..spine.events import EVERYTHING, Event
from ..spine.run import Run
from ..spine.scope import Scope
from .policies import TimeoutPolicy, seconds_of
from .running import run_task

if TYPE_CHECKING:
    import asyncio

    from .loop import Loop
    from .task import Task
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["Deadline", "Watch", "timed"]

Attempt: TypeAlias = "Callable[[Loop, Task, Scope], Coroutine[Any, Any, Any]]"


class Watch:
    """The timer of one attempt: it stops the node once a bound is passed, and is told of signs of life."""

    __slots__ = ("_begun", "_idle", "_loop", "_run", "_seen", "_timeout", "_timer", "auto", "broken")

    def __init__(self, policy: TimeoutPolicy, timeout: asyncio.Timeout) -> None:
        self._run = seconds_of(policy.run_timeout)
        self._idle = seconds_of(policy.idle_timeout)
        self.auto = policy.refresh_on == "auto"
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._begun = self._seen = self._loop.time()
        self.broken: tuple[float, Literal["run", "idle"], float] | None = None
        self._timer = self._loop.call_at(self._due(), self._check)

    def beat(self) -> None:
        """A sign of life. Only noted: the timer looks at it when it is due."""
        self._seen = self._loop.time()

    def heard(self) -> None:
        """Something that is a sign of life unless only heartbeats are."""
        if self.auto:
            self.beat()

    def end(self) -> None:
        """The attempt is over."""
        self._timer.cancel()

    def _due(self) -> float:
        bounds = []
        if self._run is not None:
            bounds.append(self._begun + self._run)
        if self._idle is not None:
            bounds.append(self._seen + self._idle)
        return min(bounds)

    def _check(self) -> None:
        now = self._loop.time()
        if now < self._due():
            self._timer = self._loop.call_at(self._due(), self._check)
            return
        if self._run is not None and now >= self._begun + self._run:
            self.broken = self._run, "run", now - self._begun
        else:
            assert self._idle is not None
            self.broken = self._idle, "idle", now - self._seen
        self._timeout.reschedule(now)

    # A listener of all that goes on inside the node: each event is a sign of life.

    def interest(self, run: Run) -> int:
        return EVERYTHING

    def feed(self, event: Event) -> None:
        self.beat()


def timed(attempt: Attempt, policy: TimeoutPolicy) -> Attempt:
    """`attempt`, stopped when it takes longer than `policy` allows."""
    listens: Final = policy.idle_timeout is not None and policy.refresh_on == "auto"

    async def bounded(loop: Loop, task: Task, scope: Scope) -> Any:
        if loop.d.sync:
            raise InvalidArgument(
                f"node {task.node.name!r} has a timeout, which a sync run cannot keep; use `ainvoke` or `astream`."
            )
        bound = asyncio.timeout(None)
        watch = task.watch = Watch(policy, bound)
        try:
            async with bound:
                return await attempt(loop, task, scope.with_listener(watch) if listens else scope)
        except TimeoutError as error:
            if watch.broken is None or not bound.expired():
                raise
            raise NodeTimeoutError(task.node.name, *watch.broken) from error
        finally:
            watch.end()
            task.watch = None

    return bounded


class Deadline:
    """The end of a superstep's time. Async tasks are stopped then; threads cannot be, so a sync step is late when it ends."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return monotonic() > self._at

    async def run_task(self, loop: Loop, task: Task) -> None:
        """Run a task, but not beyond the deadline."""
        if loop.d.sync:
            await run_task(loop, task)
            return
        async with asyncio.timeout(self._at - monotonic()):
            await run_task(loop, task)
