"""What may stand where a runnable is expected: functions, generator functions, dicts."""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import InvalidType
from .runnable import Runnable

__all__ = ["coerce", "coerce_to_runnable"]


def coerce(thing: Any) -> Runnable[Any, Any]:
    """Return `thing` as a Runnable.

    Raises:
        InvalidType: (a TypeError) it is neither a Runnable, nor callable, nor a dict of such.
    """
    if isinstance(thing, Runnable):
        return thing
    if inspect.isgeneratorfunction(thing) or inspect.isasyncgenfunction(thing):
        from .generator import RunnableGenerator

        return RunnableGenerator(thing)
    if callable(thing):
        from .function import RunnableLambda

        return RunnableLambda(thing)
    if isinstance(thing, dict):
        from .parallel import RunnableParallel

        return RunnableParallel(thing)
    raise InvalidType(
        f"{thing!r} cannot be a step: expected a Runnable, a function, a generator function or a dict of such."
    )


coerce_to_runnable = coerce  # the name that users know
