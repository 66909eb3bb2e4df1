"""Many inputs at once: `batch`, and results as they complete.

Work of one batch is bounded by `max_concurrency` of the (first) config. Inputs are read as they start.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

from ..errors import InvalidArgument
from ..spine.config import DEFAULT_RECURSION_LIMIT
from ..spine.scope import ROOT, Scope, enter
from .attend import attended, attended_each, waiting
from .driver import Driver, Outcome, aclose
from .overrides import Kwargs, exec_of

__all__ = ["as_completed", "batch", "each_by_itself", "limit_of", "with_default_limit"]

# Where nothing else is said an async batch is bounded as well: a finite default keeps memory in bounds.
ASYNC_LIMIT = 1000
SYNC_LIMIT = min(32, (os.cpu_count() or 1) + 4)

ScopeAt: TypeAlias = Callable[[int], Scope]


def with_default_limit(scope: Scope) -> Scope:
    """`scope` with the runnable layer's recursion limit, for entries that do not leave the choice to a graph."""
    if scope.recursion_limit is not None:
        return scope
    scope = scope.copy()
    scope.recursion_limit = DEFAULT_RECURSION_LIMIT
    return scope


def limit_of(d: Driver, scope: Scope) -> int:
    """How many parts of a batch may run at once."""
    return scope.max_concurrency or (SYNC_LIMIT if d.sync else ASYNC_LIMIT)


async def batch(
    runnable: Any, d: Driver, inputs: Iterable[Any], config: Any, return_exceptions: bool, kwargs: Kwargs
) -> list[Any]:
    """The outputs in input order. Every input is run; then the first error by input order is raised.

    With `return_exceptions` errors take the place of outputs, all but those that are no `Exception`.
    """
    inputs, scope_at, limit = _resolved(d, inputs, config)
    outcomes = await attended_each(
        d, scope_at, lambda heard_at: runnable._outcomes(d, inputs, heard_at, limit, return_exceptions, kwargs)
    )
    if not return_exceptions:
        return [outcome.get() for outcome in outcomes]
    return [_value_or_exception(outcome) for outcome in outcomes]


async def as_completed(
    runnable: Any, d: Driver, inputs: Iterable[Any], config: Any, return_exceptions: bool, kwargs: Kwargs
) -> AsyncGenerator[tuple[int, Any], None]:
    """`(index, output)` as they complete; an error is raised where its input completes."""
    inputs, scope_at, limit = _resolved(d, inputs, config)
    running = d.run_all(_parts(runnable, d, inputs, scope_at, kwargs), limit)
    try:
        async for index, outcome in running:
            yield index, (_value_or_exception(outcome) if return_exceptions else outcome.get())
    finally:
        await aclose(running)


async def each_by_itself(
    runnable: Any, d: Driver, inputs: Iterable[Any], scope_at: ScopeAt, limit: int, kwargs: Kwargs
) -> list[Outcome]:
    """How each input ended, in input order."""
    outcomes: dict[int, Outcome] = {}
    running = d.run_all(_parts(runnable, d, inputs, scope_at, kwargs), limit)
    try:
        async for index, outcome in running:
            outcomes[index] = outcome
    finally:
        await aclose(running)
    return [outcomes[index] for index in range(len(outcomes))]


def _parts(
    runnable: Any, d: Driver, inputs: Iterable[Any], scope_at: ScopeAt, kwargs: Kwargs
) -> Iterable[Callable[[], Coroutine[Any, Any, Any]]]:
    run_one: Any = exec_of(runnable)
    for index, item in enumerate(inputs):
        scope = scope_at(index)
        if waiting(d, scope):
            yield partial(attended, d, scope, lambda scope, item=item: run_one(d, item, scope, kwargs))  # type: ignore[misc]
        else:
            yield partial(run_one, d, item, scope, kwargs)


def _resolved(d: Driver, inputs: Iterable[Any], config: Any) -> tuple[Iterable[Any], ScopeAt, int]:
    if isinstance(config, Sequence):
        inputs = list(inputs)
        if len(config) != len(inputs):
            raise InvalidArgument(f"config is a list of {len(config)} for {len(inputs)} inputs; give one for each.")
        scopes = [with_default_limit(enter(each)) for each in config]
        return inputs, scopes.__getitem__, limit_of(d, scopes[0] if scopes else ROOT)
    scope = with_default_limit(enter(config))
    if scope.run_id is None:
        return inputs, lambda _: scope, limit_of(d, scope)
    unnamed = scope.copy()  # an id is given to one run, the first
    unnamed.run_id = None
    return inputs, lambda index: unnamed if index else scope, limit_of(d, scope)


def _value_or_exception(outcome: Outcome) -> Any:
    return outcome.error if isinstance(outcome.error, Exception) else outcome.get()
