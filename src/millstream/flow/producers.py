"""Producers: the task or the worker thread that fills a mailbox, and belongs to the stream that reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from .mailbox import Mailbox
from .parts import Parts

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["TaskProducer", "ThreadProducer", "end_tasks"]


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for all; a cancellation of the waiter is passed on only after they have ended."""
    pending = {task for task in tasks if not task.done()}
    for task in pending:
        task.cancel()
    cancelled = False
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
            pending = {task for task in pending if not task.done()}
    if cancelled:
        raise asyncio.CancelledError


class TaskProducer:
    """A producer task; `end` cancels it and waits."""

    __slots__ = ("mailbox", "task")

    def __init__(self, produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> None:
        self.mailbox = mailbox
        self.task = asyncio.get_running_loop().create_task(_fill(produce, mailbox))
        self.task.add_done_callback(self._close)

    def _close(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not self.mailbox.closed:  # it was cancelled before it began
            self.mailbox.close(error)

    async def end(self) -> None:
        if not self.task.done():
            await end_tasks((self.task,))


class ThreadProducer:
    """A producer on a worker thread; `end` waits until it notices that the reader has gone."""

    __slots__ = ("parts",)

    def __init__(self, produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> None:
        self.parts = Parts()
        # However many workers are busy: without a thread of its own nothing would come live, and an endless one never end.
        self.parts.start(lambda: _produce(produce, mailbox))

    async def end(self) -> None:
        self.parts.end()


async def _fill(produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> None:
    # The mailbox is closed here, not when the task has ended: that would cost the reader another turn of the loop.
    try:
        await produce()
    except BaseException as error:
        mailbox.close(error)
        raise
    mailbox.close()


async def _produce(produce: Callable[[], Coroutine[Any, Any, None]], mailbox: Mailbox[Any]) -> None:
    try:
        await produce()
    except BaseException as error:
        mailbox.close(error)
    else:
        mailbox.close()
