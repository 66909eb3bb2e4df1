"""What a driver does inside the context that it copied for a leaf: call it, or read all that it yields.

Reading there costs less a token than one step in the context for each, as `iterate` makes them. So `take` must call no code of
users, which would find itself in the leaf's scope.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..spine.scope import Scope, set_current
from .line import Leaf

__all__ = ["ataken", "taken", "within"]


def within(scope: Scope, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a leaf; in the context that was copied for it."""
    set_current(scope)
    return fn(*args, **kwargs)


def taken(scope: Scope, leaf: Leaf, take: Callable[[Any], Any]) -> None:
    """Give `take` all that the sync form of a streaming leaf yields."""
    gates = scope.gates
    for gate in gates:
        if gate.strict:
            gate.level_blocking()
    items = iter(within(scope, leaf.fn, leaf.args, leaf.kwargs))
    try:
        for gate in gates:
            if gate.behind or gate.abandoned:
                gate.drain_blocking()
        for item in items:
            take(item)
            for gate in gates:
                if gate.behind or gate.abandoned:
                    gate.drain_blocking()
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


async def ataken(scope: Scope, leaf: Leaf, take: Callable[[Any], Any]) -> None:
    """Give `take` all that the async form of a streaming leaf yields."""
    gates = scope.gates
    for gate in gates:
        if gate.strict:
            await gate.level()
    items = within(scope, leaf.afn, leaf.args, leaf.kwargs)
    if inspect.iscoroutine(items):
        items = await items
    items = aiter(items)
    try:
        for gate in gates:
            if gate.behind:
                await gate.drain()
        async for item in items:
            take(item)
            for gate in gates:
                if gate.behind:
                    await gate.drain()
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
