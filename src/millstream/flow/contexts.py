"""Awaiting with each step inside a copied context, so that what a leaf sets in context variables stays with it."""

from __future__ import annotations

import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextvars import Context, copy_context
from typing import Any

__all__ = ["drive", "here", "isolated", "resume"]


def isolated(items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """`items`, each fetched in a copy of the context of this call, whatever context asks for it."""
    return _fetched_in(copy_context(), items)


async def _fetched_in(context: Context, items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    while True:
        try:
            item = await drive(context.run, items.__anext__())
        except StopAsyncIteration:
            return
        yield item


def here(fn: Callable[..., Any], *args: Any) -> Any:
    """In place of a context's `run`, for what is no leaf."""
    return fn(*args)


@types.coroutine
def drive(run: Callable[..., Any], awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await something with each of its steps made by `run`, as that of a context."""
    pending: Any = _iterator_of(awaitable)
    try:
        waited_for = run(pending.send, None)
    except StopIteration as stop:
        return stop.value
    resumed: Any = resume(run, pending, waited_for)  # a generator, whatever its decorator makes checkers believe
    return (yield from resumed)


@types.coroutine
def resume(run: Callable[..., Any], pending: Any, waited_for: Any) -> Generator[Any, Any, Any]:
    """Go on with something that waits for `waited_for`."""
    while True:
        try:
            value = yield waited_for
        except GeneratorExit:
            run(pending.close)
            raise
        except BaseException as error:
            move, argument = pending.throw, error
        else:
            move, argument = pending.send, value
        try:
            waited_for = run(move, argument)
        except StopIteration as stop:
            return stop.value


def _iterator_of(awaitable: Any) -> Any:
    return awaitable if hasattr(awaitable, "send") else awaitable.__await__()
