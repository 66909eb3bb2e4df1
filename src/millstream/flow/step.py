"""Stepping: run colourless coroutines and async generators to their end without an event loop."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from typing import Any, TypeVar

from ..data.lazy import running_loop

__all__ = ["running_loop", "step", "step_iter"]

T = TypeVar("T")


def step(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends and return its result.

    Async generators that it starts under a running loop would be adopted, and later closed, by that loop; so the
    loop's hooks are taken off meanwhile.
    """
    if running_loop() is None:
        try:
            coro.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
    else:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            coro.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            sys.set_asyncgen_hooks(*hooks)
    coro.close()
    raise RuntimeError("a coroutine suspended under the sync driver; only the driver may suspend")


def step_iter(items: AsyncIterator[T], begin: Callable[[], None] | None = None) -> Generator[T, None, None]:
    """Iterate a colourless async iterator from sync code; closing this closes it. `begin` is called at the first `next`."""
    if begin is not None:
        begin()
    following = items.__anext__
    try:
        while True:
            try:
                item: T = step(following())  # type: ignore[arg-type]
            except StopAsyncIteration:
                return
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            step(items.aclose())
