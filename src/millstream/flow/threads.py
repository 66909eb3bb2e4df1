"""Sync leaves under an event loop: called, or iterated, on a worker thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from .mailbox import Abandoned, Mailbox
from .workers import workers

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["in_worker", "iterate_in_worker"]


async def in_worker(context: Context, fn: Callable[..., Any], /, *args: Any) -> Any:
    """The result of `fn(*args)` run in `context` on a worker thread.

    Cancelling does not stop the thread: it finishes, and its result is dropped. What has not begun by then never does.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    workers.submit(partial(_answer, loop, future, context, fn, args))
    return await future


async def iterate_in_worker(
    gates: Iterable[Mailbox[Any]], fn: Callable[..., Iterable[Any]], /, *args: Any
) -> AsyncGenerator[Any, None]:
    """Yield what the iterable that `fn(*args)` gives yields, from one worker thread, which waits for `gates`.

    It may be ahead by a mailbox's mark. Closing this lets the iterator be closed when it next yields, and waits for that;
    cancelling does not wait.
    """
    for gate in gates:
        if gate.strict:
            await gate.level()
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    mailbox: Mailbox[Any] = Mailbox()
    workers.submit(partial(_pump, loop, ended, copy_context(), mailbox, gates, partial(fn, *args)))
    try:
        async for item in mailbox.read():
            yield item
    except GeneratorExit:
        mailbox.abandon()
        await ended
        raise
    finally:
        mailbox.abandon()


def _answer(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    context: Context,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    if future.cancelled():
        return
    try:
        value = context.run(fn, *args)
    except BaseException as error:
        _tell(loop, _fail, future, error)
    else:
        _tell(loop, _succeed, future, value)


def _pump(
    loop: asyncio.AbstractEventLoop,
    ended: asyncio.Future[None],
    context: Context,
    mailbox: Mailbox[Any],
    gates: Iterable[Mailbox[Any]],
    begin: Callable[[], Iterable[Any]],
) -> None:
    error: BaseException | None = None
    if not mailbox.abandoned:
        try:
            context.run(_fill, mailbox, gates, begin)
        except BaseException as caught:
            error = caught
    try:
        mailbox.close(error)
    finally:
        _tell(loop, _succeed, ended, None)


def _fill(mailbox: Mailbox[Any], gates: Iterable[Mailbox[Any]], begin: Callable[[], Iterable[Any]]) -> None:
    items: Iterator[Any] = iter(begin())
    try:
        for item in items:
            mailbox.put(item)
            for gate in (*gates, mailbox):
                try:
                    gate.drain_blocking()
                except Abandoned:
                    if mailbox.abandoned:  # else somebody still reads here, if not there
                        return
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _tell(loop: asyncio.AbstractEventLoop, fn: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(fn, *args)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _succeed(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):  # a future cannot carry it
        wrapped = RuntimeError("a leaf raised StopIteration")
        wrapped.__cause__ = error
        error = wrapped
    future.set_exception(error)
