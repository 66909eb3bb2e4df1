"""Parts of a sync run on worker threads: started, waited for, and ended whatever interrupts the thread that waits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.lazy import Lazy
from .outcome import Outcome, log_late
from .step import step
from .workers import workers

if TYPE_CHECKING:
    import queue
else:
    queue = Lazy("queue", globals())

__all__ = ["Parts", "Thunk", "run_part"]

Thunk: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


class Parts:
    """Concurrent parts of one run, each stepped in a copy of the context that it was started in.

    They note themselves that they begin and end. An interrupt (Ctrl-C) may strike between any two steps of the thread that
    started them: what that had counted could be wrong, and it would wait for ever for what never began.
    """

    __slots__ = ("_begun", "_ended", "_read", "_signal", "_started", "_stopped")

    def __init__(self) -> None:
        self._started = 0
        self._begun: list[int] = []
        self._ended: list[tuple[int, Outcome] | None] = []  # None: it has been read
        self._read = 0
        self._stopped = False
        self._signal: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for each that has ended

    def try_start(self, index: int, thunk: Thunk) -> bool:
        """Start a part on a worker; return False when none is free."""
        started = workers.try_submit(partial(self._run, index, copy_context(), thunk))
        self._started += started
        return started

    def start(self, thunk: Thunk) -> None:
        """Start the only part on a worker, however many are busy."""
        workers.start(partial(self._run, 0, copy_context(), thunk))
        self._started = 1

    def wait(self) -> tuple[int, Outcome]:
        """Block until another part has ended, and return which and how. Only for as many as were started."""
        with workers.resting():
            self._signal.get()
        item = self._ended[self._read]
        assert item is not None
        self._ended[self._read] = None
        self._read += 1
        return item

    @property
    def over(self) -> bool:
        """Whether all that were started have ended."""
        return len(self._ended) >= self._started

    def stop(self) -> None:
        """The thread that waits was interrupted: parts that have not begun never will."""
        self._stopped = True

    def end(self) -> None:
        """Block until all parts have ended; after `stop`, all that have begun. Errors that nobody has read are logged."""
        with workers.resting():
            while len(self._ended) < (len(self._begun) if self._stopped else self._started):
                self._signal.get()
        for item in self._ended[self._read :]:
            if item is not None:
                log_late(item[1].error)

    def _run(self, index: int, context: Context, thunk: Thunk) -> None:
        self._begun.append(index)  # before it looks: `stop` is said before `end` looks
        outcome = Outcome(None, None) if self._stopped else run_part(thunk, context)
        self._ended.append((index, outcome))
        self._signal.put(None)


def run_part(thunk: Thunk, context: Context) -> Outcome:
    """Run a part in this thread."""
    try:
        return Outcome(context.run(_stepped, thunk), None)
    except BaseException as error:
        return Outcome(None, error)


def _stepped(thunk: Thunk) -> Any:
    return step(thunk())
