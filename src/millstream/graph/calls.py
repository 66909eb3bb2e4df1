"""Calls of tasks: functions run beside the node that calls them, whose results are stored as they come.

A call is known by its place: the n-th call that a node (or a task) makes. When the node is run again, calls that had
ended give what they gave.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from ..errors import GraphBubbleUp, GraphInterrupt, OutsideRun
from ..flow.driver import ASYNC, SYNC, Driver
from ..flow.step import step
from ..flow.workers import workers
from ..spine.events import STREAM
from ..spine.scope import Scope, current_scope
from .constants import PUSH, RESUME, RETURN
from .heard import tell_returned
from .interrupts import own_answer
from .out import DEBUG, TASKS, UPDATES, started_payload
from .runtime import heard
from .task import Task, TaskScope, uuid_of

if TYPE_CHECKING:
    import asyncio

    from .functional import TaskFunction
    from .savers.log import Record
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["CallTask", "Calls", "begin_call"]

logger = logging.getLogger("millstream")

_making = threading.Lock()


class CallTask(Task):
    """One call of a task: a task of the step that another one started."""

    __slots__ = ("parent",)

    def __init__(self, parent: Task, function: TaskFunction[Any, Any], input: Any, index: int) -> None:
        super().__init__(parent.loop, function.node, input, index)
        self.parent = parent
        self.step = parent.step

    @property
    def id(self) -> str:
        """The same for the same call of the same task, however often that is run."""
        if self._id is None:
            self._id = uuid_of(self.parent.id, self.node.name, str(self.index))
        return self._id

    @property
    def ns(self) -> str:
        """The checkpoint namespace of what runs inside: below that of the task that called."""
        return f"{self.parent.ns}|{self.node.name}:{self.id}"

    @property
    def path(self) -> tuple[Any, ...]:
        """Where it stands: below the task that called."""
        return PUSH, self.parent.path, self.index, True

    def writer(self) -> Callable[[Any], None]:
        """What the function says with it is said below the task that called."""
        write = self.loop.writer(tuple(self.parent.ns.split("|")[len(self.loop.ns) :]))
        return write if self.watch is None else heard(write, self.watch)


class Calls:
    """The calls of one run: what those of an earlier attempt gave, and which are still going on."""

    __slots__ = ("_counts", "_lock", "_open", "_unstored", "given", "written")

    def __init__(
        self, written: Mapping[str, Sequence[tuple[str, Any]]] | None = None, given: Mapping[str, Any] | None = None
    ) -> None:
        self.written = written or {}
        self.given = given or {}
        self._counts: dict[Task, int] = {}
        self._open: list[Any] = []
        self._unstored: list[Record] = []
        self._lock = threading.Lock()

    def next_index(self, parent: Task) -> int:
        """The number of the parent's next call."""
        with self._lock:
            index = self._counts.get(parent, 0)
            self._counts[parent] = index + 1
        return index

    def forget(self, parent: Task) -> None:
        """The parent begins anew: its calls are counted from the first again."""
        self._counts.pop(parent, None)

    def add(self, future: Any) -> None:
        """Note a call that goes on."""
        with self._lock:
            self._open.append(future)

    async def finish(self, sync: bool, cancel: bool = False) -> None:
        """Wait for the calls that nobody waited for; `cancel` ends those that can be ended."""
        while self._open:
            with self._lock:
                futures, self._open = self._open, []
            for future in futures:
                if cancel:
                    future.cancel()
                await _ended(future, sync)

    async def store(self, d: Driver, call: CallTask, writes: list[tuple[str, Any]]) -> None:
        """Store something of a call: at once where the run's durability and the saver allow it, else with the step."""
        from .savers.log import Record

        loop, ledger = call.loop, call.loop.ledger
        if ledger is None:
            return
        record = Record(call.id, f"1:{call.index:010d}:{call.node.name}", writes)
        if ledger.durability == "exit" or (d is not loop.d and ledger.saver.awaitable and not ledger.saver.inline):
            with self._lock:
                self._unstored.append(record)
        elif d is loop.d:
            await ledger.record(loop, [record])
        else:  # a sync function in an async run: it has a thread to itself, which may block
            ledger.record_now([record])

    def left(self) -> list[Record]:
        """What is still to be stored."""
        with self._lock:
            records, self._unstored = self._unstored, []
        return records


def begin_call(parent: Task, function: TaskFunction[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Start a call, and return the future of its result: one to be awaited where an event loop runs, else one to wait for.

    Raises:
        OutsideRun: (a RuntimeError) an async task, called where nothing can be awaited.
    """
    loop = parent.loop
    with _making:
        calls = loop.calls
        if calls is None:
            calls = loop.calls = Calls()
    awaited = not loop.d.sync and _on_a_loop()
    call = CallTask(parent, function, (args, kwargs), calls.next_index(parent))
    future: Any
    stored = call.id in calls.written
    if not stored and function.call.fn is None and not awaited:
        raise OutsideRun(
            f"the task {call.node.name!r} is async and was called from a sync function; make the caller `async def` and "
            "run the graph with `ainvoke` or `astream`."
        )
    if loop.wants & (TASKS | DEBUG):
        for out in loop.outs:
            out.task(loop.step, started_payload(call), "task")
    if stored:
        future = asyncio.get_running_loop().create_future() if awaited else _Future()
        future.set_result(next(value for channel, value in calls.written[call.id] if channel == RETURN))
        return future
    work = _perform(ASYNC if awaited else SYNC, calls, call, function, current_scope())
    if awaited:
        future = asyncio.get_running_loop().create_task(work)
        calls.add(future)
        return future
    future = _Future()
    calls.add(future)
    future.set_running_or_notify_cancel()
    context = copy_context()

    def job() -> None:
        context.run(_work, work, future)

    if not workers.try_submit(job):
        job()
    return future


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Future(concurrent.futures.Future[Any]):
    """The result of a call on a worker thread. Who waits for it leaves its own place to others."""

    heard = False
    """Whether anybody asked how it ended."""

    def result(self, timeout: float | None = None) -> Any:
        """What the task returned; raises what it raised."""
        self.heard = True
        if self.done():
            return super().result()
        with workers.resting():
            return super().result(timeout)


def _work(work: Coroutine[Any, Any, Any], future: _Future) -> None:
    try:
        value = step(work)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)


async def _perform(
    d: Driver, calls: Calls, call: CallTask, function: TaskFunction[Any, Any], around: Scope | None
) -> Any:
    """Run one call, tell of it and store what it gave."""
    loop = call.loop
    if loop.answers or calls.given:
        given = list(calls.given.get(call.id, ()))
        taken = own_answer(call, loop.answers, given)
        call.answers = given if taken is None else taken
        if taken is not None:
            await calls.store(d, call, [(RESUME, taken)])
    scope = TaskScope(call)
    run = None
    if scope.heard("chain"):
        if around is not None:
            scope.parent = around.parent  # the run that called
        scope.own_tags = ("seq:step:1",)
        run = scope.begin(call.node.name, "chain", function.named(*call.input))
    try:
        value, cached = await function.result(d, call, scope if run is None else run.scope)
    except BaseException as error:
        if isinstance(error, GraphInterrupt):
            raise  # it goes on when the answer is there
        if run is not None:
            run.fail(error)
        _told(call, {}, error)
        raise
    if run is not None:
        if run.mask & STREAM:
            run.emit(STREAM, value)
        run.end(value)
    if scope.listeners:
        tell_returned(call, value)
    if loop.wants & UPDATES:
        payload: dict[str, Any] = {call.node.name: value}
        if cached:
            payload["__metadata__"] = {"cached": True}
        for out in loop.outs:
            if out.mask & UPDATES:
                out.put((out.ns, "updates", payload))
    _told(call, {RETURN: value}, None)
    await calls.store(d, call, [(RETURN, value)])
    return value


def _told(call: CallTask, result: dict[str, Any], error: BaseException | None) -> None:
    """Say on the `tasks` stream how a call ended."""
    loop = call.loop
    if loop.wants & (TASKS | DEBUG):
        payload: dict[str, Any] = {
            "id": call.id,
            "name": call.node.name,
            "error": error,
            "result": result,
            "interrupts": [],
        }
        for out in loop.outs:
            out.task(loop.step, payload, "task_result")


async def _ended(future: Any, sync: bool) -> None:
    """Wait until a call has ended, however it does."""
    if isinstance(future, asyncio.Future):
        if not future.done():
            await asyncio.wait([future])
        # asyncio notes whether anybody was given the exception; what nobody heard of is told here.
        unheard = getattr(future, "_log_traceback", True)
        if not future.cancelled() and (error := future.exception()) is not None and unheard:
            _unheard(error)
        return
    if not future.done():
        if sync:
            with workers.resting():
                concurrent.futures.wait([future])
        else:
            await asyncio.wait([asyncio.wrap_future(future)])
    if not future.heard and not future.cancelled() and (error := future.exception()) is not None:
        _unheard(error)


def _unheard(error: BaseException) -> None:
    """A call that nobody waited for has failed: the run goes on, and the error is not lost."""
    if isinstance(error, Exception) and not isinstance(error, GraphBubbleUp):
        logger.warning("a task that nobody waited for has failed: %r", error, exc_info=error)
