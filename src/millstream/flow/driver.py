"""The two drivers: the only place where the engine suspends, blocks, or chooses the form of a leaf.

Leaves (users' functions, models, tools, savers) run in a copy of the caller's context with their scope current, so what
they set in context variables stays with them.
"""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..data.lazy import Lazy
from ..errors import AsyncOnly
from ..spine.run import Run, name_run
from ..spine.scope import Scope
from .contexts import drive, here, isolated, resume
from .leaves import ataken, taken, within
from .line import Leaf, Opened, broken_off, close_inputs, end, rest
from .mailbox import Mailbox
from .outcome import Outcome, log_late
from .parts import Parts, Thunk, run_part
from .producers import TaskProducer, ThreadProducer, end_tasks
from .step import step, step_iter
from .threads import in_worker, iterate_in_worker

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = [
    "ASYNC",
    "SYNC",
    "AsyncDriver",
    "Driver",
    "Outcome",
    "SyncDriver",
    "aclose",
    "as_async",
    "in_worker",
    "isolated",
]


class SyncDriver:
    """Never suspends: leaves run on the caller's thread, parts of a concurrent step on worker threads."""

    __slots__ = ()
    sync: Final = True

    async def call(self, scope: Scope, fn: Any, afn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The result of the leaf's sync form.

        Raises:
            AsyncOnly: it has none.
        """
        if fn is None:
            raise AsyncOnly(_described(afn), "ainvoke")
        for gate in scope.gates:
            if gate.strict:
                gate.level_blocking()
        try:
            return copy_context().run(within, scope, fn, args, kwargs)
        except Exception as error:
            name_run(error, scope.parent)
            raise

    async def iterate(self, scope: Scope, fn: Any, afn: Any, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """What the iterator that the leaf's sync form returns yields; closing this closes it."""
        items = _pulled(Opened(Leaf(scope, fn, afn, args, kwargs)))
        try:
            for item in items:
                yield item
        finally:
            items.close()

    async def exhaust(self, leaf: Leaf, take: Callable[[Any], Any]) -> None:
        """Give `take` all that a streaming leaf yields, in the leaf's context."""
        if leaf.fn is None:
            raise AsyncOnly(_described(leaf.afn), "astream")
        scope = leaf.scope
        try:
            copy_context().run(taken, scope, leaf, take)
        except Exception as error:
            name_run(error, scope.parent)
            raise

    def line(self, opens: Callable[[], Coroutine[Any, Any, Opened]]) -> AsyncGenerator[Any, None]:
        """What a line yields."""
        return as_async(self.pulled(opens))

    def pulled(
        self, opens: Callable[[], Coroutine[Any, Any, Opened]], begin: Callable[[], None] | None = None
    ) -> Generator[Any, None, None]:
        """`line` for a `for`: nothing asynchronous is left of it. `begin` is called at the first `next`."""
        if begin is not None:
            begin()
        yield from _pulled(step(opens()))

    async def run_all(
        self, thunks: Iterable[Thunk], limit: int | None = None
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """Run parts on worker threads and yield `(index, outcome)` as they end.

        At most `limit` run at once; `thunks` is read as they start. Where no worker is free this thread runs the
        part itself, so nesting cannot deadlock. Closing waits for the parts that have begun and starts no more.
        """
        parts = Parts()
        waiting = enumerate(thunks)
        running = 0
        exhausted = False
        try:
            while True:
                item = None
                while item is None and not exhausted and (limit is None or running < limit):
                    index, thunk = next(waiting, (-1, None))
                    if thunk is None:
                        exhausted = True
                    elif limit != 1 and parts.try_start(index, thunk):
                        running += 1
                    else:
                        item = index, run_part(thunk, copy_context())
                if item is None:
                    if not running:
                        return
                    item = parts.wait()
                    running -= 1
                yield item
        except GeneratorExit:
            raise  # what has been started goes on to its end: it may be worth keeping
        except BaseException:
            parts.stop()
            raise
        finally:
            parts.end()

    async def wait_for(self, gate: Mailbox[Any]) -> None:
        """Block until the reader has caught up.

        Raises:
            Abandoned: it has gone.
        """
        if gate.behind or gate.abandoned:
            gate.drain_blocking()

    def spawn(self, produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> Any:
        """Start a producer that fills `mailbox` and closes it when it ends. `await producer.end()` makes it end."""
        return ThreadProducer(produce, mailbox)

    async def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this driver does


class AsyncDriver:
    """On the running event loop: async leaves are awaited, sync-only ones run on worker threads."""

    __slots__ = ()
    sync: Final = False

    async def call(self, scope: Scope, fn: Any, afn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The result of the leaf: its async form awaited, else its sync form from a worker thread."""
        for gate in scope.gates:
            if gate.strict:
                await gate.level()
        context = copy_context()
        try:
            if afn is not None:
                return await drive(context.run, context.run(within, scope, afn, args, kwargs))
            return await in_worker(context, within, scope, fn, args, kwargs)
        except Exception as error:
            name_run(error, scope.parent)
            raise

    def iterate(self, scope: Scope, fn: Any, afn: Any, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """What the leaf yields; a sync iterator runs on a worker thread and may be ahead by the mailbox's mark.

        Closing this closes the leaf's iterator: at once an async one, a sync one when it next yields.
        """
        if afn is None:
            return iterate_in_worker(scope.gates, within, scope, fn, args, kwargs)
        return self._line(Opened(Leaf(scope, fn, afn, args, kwargs)), None)

    async def exhaust(self, leaf: Leaf, take: Callable[[Any], Any]) -> None:
        """Give `take` all that a streaming leaf yields, in the leaf's context."""
        scope = leaf.scope
        try:
            if leaf.afn is not None:
                await drive(copy_context().run, ataken(scope, leaf, take))
                return
            items = iterate_in_worker(scope.gates, within, scope, leaf.fn, leaf.args, leaf.kwargs)
            try:
                async for item in items:
                    take(item)
            finally:
                await items.aclose()
        except Exception as error:
            name_run(error, scope.parent)
            raise

    def line(self, opens: Callable[[], Coroutine[Any, Any, Opened]]) -> AsyncGenerator[Any, None]:
        """What a line yields."""
        return self._line(None, opens)

    async def _line(
        self, opened: Opened | None, opens: Callable[[], Coroutine[Any, Any, Opened]] | None
    ) -> AsyncGenerator[Any, None]:
        if opened is None:
            assert opens is not None
            opened = await opens()
        stages, source = opened.stages, opened.source
        takes = [stage.take for stage in stages]
        left = iter(takes)
        place = -1  # of the stage that an error comes from, once that is known; 0 is also the source
        parent: Run | None = None
        gates: tuple[Any, ...] = ()
        run: Callable[..., Any] = here
        items: Any = source
        try:
            try:
                if isinstance(source, Leaf):
                    place = 0
                    parent, gates = source.scope.parent, source.scope.gates
                    if source.afn is None:
                        items = iterate_in_worker(gates, within, source.scope, source.fn, source.args, source.kwargs)
                        gates = ()
                    else:
                        for gate in gates:
                            if gate.strict:
                                await gate.level()
                        run = copy_context().run
                        items = run(within, source.scope, source.afn, source.args, source.kwargs)
                        if inspect.iscoroutine(items):
                            items = await drive(run, items)
                    items = aiter(items)
                    place = -1
                following = items.__anext__
                while True:
                    try:
                        for gate in gates:
                            if gate.behind:
                                await gate.drain()
                        pending = following()
                        if not hasattr(pending, "send"):
                            pending = pending.__await__()
                        waited_for = run(pending.send, None)
                    except StopIteration as stop_iteration:  # it did not suspend: no need for the machinery
                        item = stop_iteration.value
                    except StopAsyncIteration:
                        break
                    except BaseException as error:
                        place = 0
                        name_run(error, parent)
                        raise
                    else:
                        try:
                            item = await resume(run, pending, waited_for)
                        except StopAsyncIteration:
                            break
                        except BaseException as error:
                            place = 0
                            name_run(error, parent)
                            raise
                    left = iter(takes)
                    for take in left:
                        item = take(item)
                    yield item
            finally:
                close = getattr(items, "aclose", None)
                if close is not None:
                    await drive(run, close())
            if opened.inputs:
                await close_inputs(opened.inputs, None)
            for item in rest(stages):
                yield item
        except BaseException as error:
            leaving = isinstance(error, GeneratorExit)
            if leaving:
                await close_inputs(opened.inputs, error)
            try:
                broken_off(stages, takes, left, place, error)
            finally:
                if not leaving:
                    await close_inputs(opened.inputs, error)
            raise
        if stages:
            end(stages)

    async def run_all(
        self, thunks: Iterable[Thunk], limit: int | None = None
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """Run parts as tasks and yield `(index, outcome)` as they end; at most `limit` at once.

        Closing cancels what still runs and waits for it. A part's cancellation by itself is its outcome's error.
        """
        loop = asyncio.get_running_loop()
        ended: deque[tuple[int, asyncio.Task[Any]]] = deque()
        awake: asyncio.Future[None] | None = None
        running: set[asyncio.Task[Any]] = set()
        waiting = enumerate(thunks)
        exhausted = False
        told: BaseException | None = None

        def on_end(index: int, task: asyncio.Task[Any]) -> None:
            ended.append((index, task))
            if awake is not None and not awake.done():
                awake.set_result(None)

        try:
            while True:
                while not exhausted and (limit is None or len(running) < limit):
                    index, thunk = next(waiting, (-1, None))
                    if thunk is None:
                        exhausted = True
                        break
                    task = loop.create_task(thunk())
                    running.add(task)
                    task.add_done_callback(lambda task, index=index: on_end(index, task))  # type: ignore[misc]
                if not running:
                    return
                if not ended:
                    awake = loop.create_future()
                    await awake
                    awake = None
                while ended:
                    index, task = ended.popleft()
                    running.discard(task)
                    outcome = _outcome(task)
                    told = outcome.error
                    yield index, outcome
        finally:
            try:
                await end_tasks(running)
            finally:
                for task in running:
                    # Parts that read one input fail with one error.
                    if not task.cancelled() and (late := task.exception()) is not told:
                        log_late(late)

    async def wait_for(self, gate: Mailbox[Any]) -> None:
        """Wait until the reader has caught up, or has gone."""
        if gate.behind:
            await gate.drain()

    def spawn(self, produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> Any:
        """Start a producer that fills `mailbox` and closes it when it ends. `await producer.end()` makes it end."""
        return TaskProducer(produce, mailbox)

    async def sleep(self, seconds: float) -> None:
        """Suspend for so many seconds."""
        await asyncio.sleep(seconds)


Driver: TypeAlias = SyncDriver | AsyncDriver
SYNC: Final = SyncDriver()
ASYNC: Final = AsyncDriver()


async def aclose(items: AsyncIterator[Any]) -> None:
    """Close an async iterator, if it can be closed."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


async def as_async(items: Iterable[Any]) -> AsyncGenerator[Any, None]:
    """A sync iterable in the engine's own form; closing it closes an iterator that can be closed."""
    iterator = iter(items)
    try:
        for item in iterator:
            yield item
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def _described(leaf: Any) -> str:
    name = getattr(leaf, "__qualname__", None) or type(leaf).__name__
    return f"`{name.replace('<locals>.', '')}`"


def _pulled(opened: Opened) -> Generator[Any, None, None]:
    stages, source = opened.stages, opened.source
    takes = [stage.take for stage in stages]
    left = iter(takes)
    place = -1  # of the stage that an error comes from, once that is known; 0 is also the source
    parent: Run | None = None
    gates: tuple[Any, ...] = ()
    run: Callable[..., Any] = here
    items: Any = None
    try:
        try:
            place = 0
            if isinstance(source, Leaf):
                if source.fn is None:
                    raise AsyncOnly(_described(source.afn), "astream")
                parent, gates, run = source.scope.parent, source.scope.gates, copy_context().run
                for gate in gates:
                    if gate.strict:
                        gate.level_blocking()
                items = iter(run(within, source.scope, source.fn, source.args, source.kwargs))
            else:
                items = step_iter(source)
            place = -1
            following = items.__next__
            while True:
                try:
                    for gate in gates:
                        if gate.behind or gate.abandoned:
                            gate.drain_blocking()
                    item = run(following)
                except StopIteration:
                    break
                except BaseException as error:
                    place = 0
                    name_run(error, parent)
                    raise
                left = iter(takes)
                for take in left:
                    item = take(item)
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                run(close)
        if opened.inputs:
            step(close_inputs(opened.inputs, None))
        yield from rest(stages)
    except BaseException as error:
        leaving = isinstance(error, GeneratorExit)
        if leaving:
            step(close_inputs(opened.inputs, error))
        try:
            broken_off(stages, takes, left, place, error)
        finally:
            if not leaving:
                step(close_inputs(opened.inputs, error))
        raise
    if stages:
        end(stages)


def _outcome(task: asyncio.Task[Any]) -> Outcome:
    try:
        error = task.exception()
    except asyncio.CancelledError as cancelled:
        return Outcome(None, cancelled)
    return Outcome(None, error) if error is not None else Outcome(task.result(), None)
