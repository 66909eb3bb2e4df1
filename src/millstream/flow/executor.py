"""A blocking function called from a coroutine of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from .threads import in_worker

__all__ = ["run_in_executor"]

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_executor(
    executor_or_config: Executor | Mapping[str, Any] | None, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return `func(*args, **kwargs)`, called in a worker thread with a copy of the caller's context.

    With an `Executor` it is called there; with a config, or None, by a worker thread of ours.
    """
    call = partial(func, *args, **kwargs)
    if isinstance(executor_or_config, Executor):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor_or_config, copy_context().run, call)
    return await in_worker(copy_context(), call)  # type: ignore[no-any-return]
