"""Callback handlers in async runs: their calls wait in a queue, one task serves it, and the call that brought the
handlers ends only when the queue is empty. So a handler never blocks the event loop, and never misses an event.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from ..data.lazy import Lazy, logger_of
from ..spine.events import Listener
from ..spine.listening import HandlerListener, Once
from ..spine.run import Run, report
from ..spine.scope import Scope
from ..spine.views.handler_calls import Call
from .driver import Driver
from .mailbox import PATIENCE, Mailbox, Waiter, wake_all
from .step import running_loop
from .workers import workers

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["Attendance", "attended", "attended_items"]

logger = logger_of("millstream")

T = TypeVar("T")


def waiting(d: Driver, scope: Scope) -> bool:
    """Whether `scope` has handlers that nobody serves yet, in an async run."""
    return not d.sync and any(getattr(each, "waits", False) for each in scope.listeners)


async def attended(d: Driver, scope: Scope, work: Callable[[Scope], Awaitable[T]]) -> T:
    """The result of `work`, run with a scope whose handlers are served meanwhile, and all served before this returns."""
    if not waiting(d, scope):
        return await (_within(d, scope, work) if _is_strict(scope) else work(scope))
    attendance = Attendance()
    try:
        return await work(attendance.heard(scope))
    finally:
        await attendance.end()


def _is_strict(scope: Scope) -> bool:
    return any(gate.strict for gate in scope.gates)


async def _within(d: Driver, scope: Scope, work: Callable[[Scope], Awaitable[T]]) -> T:
    """The result of `work` inside a call that serves the handlers, which know of its end when this returns."""
    try:
        result = await work(scope)
    except Exception:
        await _served(d, scope)
        raise
    await _served(d, scope)
    return result


async def _served(d: Driver, scope: Scope) -> None:
    for gate in scope.gates:
        if not gate.strict:
            continue
        if d.sync:
            gate.level_blocking()
        else:
            await gate.level()


async def _items_within(
    d: Driver, scope: Scope, work: Callable[[Scope], AsyncGenerator[T, None]]
) -> AsyncGenerator[T, None]:
    items = work(scope)
    try:
        async for item in items:
            yield item
    except Exception:
        await _served(d, scope)
        raise
    finally:
        await items.aclose()
    await _served(d, scope)


async def attended_each(
    d: Driver, scope_at: Callable[[int], Scope], work: Callable[[Callable[[int], Scope]], Awaitable[T]]
) -> T:
    """`attended` for work with one scope for each of many inputs."""
    attendance: Attendance | None = None

    def heard_at(index: int) -> Scope:
        nonlocal attendance
        scope = scope_at(index)
        if not waiting(d, scope):
            return scope
        if attendance is None:
            attendance = Attendance()
        return attendance.heard(scope)

    try:
        return await work(heard_at)
    finally:
        if attendance is not None:
            await attendance.end()


def attended_items(
    d: Driver, scope: Scope, work: Callable[[Scope], AsyncGenerator[T, None]]
) -> AsyncGenerator[T, None]:
    """`attended` for a stream: all handlers are served before it ends, or its `aclose` returns."""
    if waiting(d, scope):
        return _attended_items(scope, work)
    return _items_within(d, scope, work) if _is_strict(scope) else work(scope)


async def _attended_items(scope: Scope, work: Callable[[Scope], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    attendance = Attendance()
    try:
        items = work(attendance.heard(scope))
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
    finally:
        await attendance.end()


class Attendance:
    """Serves the handlers of one call, on the running event loop. Whoever makes it awaits `end`, whatever happened."""

    __slots__ = ("_queue", "_task")

    def __init__(self) -> None:
        self._queue = _Queue()
        self._task = asyncio.get_running_loop().create_task(self._queue.serve())

    def heard(self, scope: Scope) -> Scope:
        """`scope`, with those of its handlers that wait served by this."""
        if any(getattr(each, "waits", False) and getattr(each, "raise_error", False) for each in scope.listeners):
            self._queue.mark = 1
        scope = scope.copy()
        # Of each event those that are `run_inline` are told first.
        scope.listeners = tuple(_attending(each, self._queue) for each in sorted(scope.listeners, key=_is_late))
        scope.gates = (*scope.gates, self._queue)
        return scope

    async def end(self) -> None:
        """Wait until every event so far has been told.

        A cancellation of the waiter is passed on afterwards; a second one ends the handlers.

        Raises:
            Exception: what a handler with `raise_error` raised, where it has not failed the run yet.
        """
        self._queue.close()
        cancelled = 0
        while not self._task.done():
            try:
                await asyncio.wait((self._task,))
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > 1:
                    self._task.cancel()
        if cancelled or self._task.cancelled():
            raise asyncio.CancelledError
        self._task.result()
        self._queue.raise_failure()


def _is_late(listener: Listener) -> bool:
    handler = getattr(listener.listener if isinstance(listener, Once) else listener, "handler", None)
    return not getattr(handler, "run_inline", False)


def _attending(listener: Listener, queue: _Queue) -> Listener:
    if not getattr(listener, "waits", False):
        return listener
    if isinstance(listener, Once):
        return Once(_attending(listener.listener, queue))
    return _Attended(listener.handler, queue) if isinstance(listener, HandlerListener) else listener


class _Attended(HandlerListener):
    """A handler whose calls go to a queue; those of `run_inline` that need no await are made at once."""

    __slots__ = ("_queue",)

    def __init__(self, handler: Any, queue: _Queue) -> None:
        super().__init__(handler)
        self._queue = queue

    @property
    def waits(self) -> bool:
        """Only once nobody serves the queue any more, in a task that has outlived the call."""
        return self._queue.over

    def tell(self, call: Call, run: Run) -> None:
        queue = self._queue
        if queue.failure is not None and self.raise_error:
            queue.raise_failure()
        if self.handler.run_inline and not self.methods[call[0]]:
            self.make(call)
        elif not queue.over:
            queue.put((self, call, run))
        elif self.methods[call[0]] and running_loop() is not None:
            logger.warning(
                "handler %s missed `%s` of run %r: the call that it was given to has ended",
                self.label,
                call[0],
                run.name,
            )
        else:
            super().tell(call, run)


_Item = tuple[_Attended, Call, Run]


class _Queue(Mailbox[_Item]):
    """Calls on their way to handlers. An item leaves only when it has been served, so that a full queue means handlers
    that are behind. A leaf begins when all calls so far have been made: its handlers know of its start by then. Between
    tokens nobody waits, unless the queue is full; with a mark of 1, where a handler may fail the run, for each.
    """

    __slots__ = ("_beginning", "failure", "over")

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.over = False
        self._beginning: list[Waiter] = []  # leaves that wait to begin

    @property
    def strict(self) -> bool:
        """See `Mailbox`."""
        return True

    async def level(self) -> None:
        """Wait until all calls so far have been made."""
        while self.items and not self.over:
            loop = asyncio.get_running_loop()
            begun: asyncio.Future[None] = loop.create_future()
            if self._waits((loop, begun)):
                await begun
        self.raise_failure()

    def level_blocking(self) -> None:
        """`level` in a thread."""
        while self.items and not self.over:
            begun = threading.Lock()
            begun.acquire()
            if self._waits(begun):
                with workers.resting():
                    begun.acquire(timeout=PATIENCE)
        self.raise_failure()

    def _waits(self, leaf: Waiter) -> bool:
        """Whether there is something to wait for, and `leaf` will be woken."""
        self._beginning.append(leaf)
        if self.items and not self.over:
            return True
        wake_all(self._beginning)
        return False

    def take(self) -> _Item:
        """See `Mailbox`."""
        item = super().take()
        if self._beginning and not self.items:
            wake_all(self._beginning)
        return item

    def put(self, item: _Item) -> None:
        super().put(item)
        if self.over:
            self.items.clear()  # it came too late to be served, and nobody must wait for it
            wake_all(self._beginning)

    def raise_failure(self) -> None:
        """Raise what a handler raised to fail the run, once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    async def drain(self) -> None:
        await super().drain()
        self.raise_failure()

    def drain_blocking(self) -> None:
        super().drain_blocking()
        self.raise_failure()

    async def serve(self) -> None:
        """Make the calls in order until closed and empty: coroutine methods here, bursts of others on a worker thread."""
        items = self.items
        try:
            while not self.ended:
                something = self.expect()
                if something is not None:
                    await something
                count = 0
                while count < len(items) and not self._awaited(items[count]):
                    count += 1
                if count:
                    await self._burst([items[index] for index in range(count)])
                elif items:
                    count = 1
                    await self._await(items[0])
                for _ in range(count):
                    self.take()
        finally:
            self.over = True
            items.clear()
            self._make_room()
            wake_all(self._beginning)

    @staticmethod
    def _awaited(item: _Item) -> bool:
        listener, call, _ = item
        return listener.methods[call[0]]

    async def _await(self, item: _Item) -> None:
        listener, call, run = item
        try:
            awaitable = listener.make(call)
            if awaitable is not None:
                await awaitable
        except Exception as error:
            self._failed(listener, run, error)

    async def _burst(self, burst: list[_Item]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        context = copy_context()
        left: list[tuple[_Attended, Run, Awaitable[Any]]] = []

        def calls() -> None:
            for listener, call, run in burst:
                try:
                    awaitable = listener.make(call)
                    if awaitable is not None:
                        left.append((listener, run, awaitable))
                except Exception as error:
                    self._failed(listener, run, error)

        def job() -> None:
            error: BaseException | None = None
            try:
                context.run(calls)
            except BaseException as caught:  # a handler that exits: not ours to swallow
                error = caught
            try:
                loop.call_soon_threadsafe(_settle, done, error)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        # Every worker may be waiting for this very queue, so none of them is waited for.
        if not workers.try_submit(job):
            threading.Thread(target=job, name="millstream-handlers", daemon=True).start()
        await done
        for listener, run, awaitable in left:  # plain functions that returned coroutines
            try:
                await awaitable
            except Exception as error:
                self._failed(listener, run, error)

    def _failed(self, listener: _Attended, run: Run, error: Exception) -> None:
        try:
            report(listener, run, error)
        except Exception as failure:
            self.failure = self.failure or failure


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
