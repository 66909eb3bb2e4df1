"""Many inputs at once: `batch`, and results as they complete.

Work of one batch is bounded by `max_concurrency` of the (first) config. Inputs are read as they start.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence, Sized
from functools import partial
from typing import Any, TypeAlias

from ..errors import InvalidArgument, InvalidType
from ..spine.config_tools import warn_of_one_id
from ..spine.scope import Scope, enter
from .attend import attended, attended_each, waiting
from .driver import Driver, Outcome, aclose
from .entry import blocking_scope, with_default_limit
from .many import Many
from .overrides import Kwargs, exec_of

__all__ = ["as_completed", "batch", "each_by_itself", "limit_of", "value_or_exception"]

# Where nothing else is said an async batch is bounded as well: a finite default keeps memory in bounds.
ASYNC_LIMIT = 1000
SYNC_LIMIT = min(32, (os.cpu_count() or 1) + 4)

ScopeAt: TypeAlias = Callable[[int], Scope]


def limit_of(d: Driver, scope: Scope) -> int:
    """How many parts of a batch may run at once.

    Raises:
        InvalidArgument: (a ValueError) the config says fewer than one.
    """
    limit = scope.max_concurrency
    if limit is None:
        return SYNC_LIMIT if d.sync else ASYNC_LIMIT
    if limit < 1:
        raise InvalidArgument(f"config['max_concurrency'] must be at least 1, not {limit}; leave it out for no bound.")
    return limit


async def batch(
    runnable: Any, d: Driver, inputs: Iterable[Any], config: Any, return_exceptions: bool, kwargs: Kwargs
) -> list[Any]:
    """The outputs in input order. Every input is run; then the first error is raised, by input order, or in async runs by time.

    With `return_exceptions` errors take the place of outputs, all but those that are no `Exception`.
    """
    inputs, scope_at, limit = _resolved(d, inputs, config)
    outcomes = await attended_each(
        d, scope_at, lambda heard_at: runnable._outcomes(d, Many(inputs, heard_at, limit, return_exceptions, kwargs))
    )
    if not return_exceptions:
        return [outcome.get() for outcome in outcomes]
    return [value_or_exception(outcome) for outcome in outcomes]


async def as_completed(
    runnable: Any, d: Driver, inputs: Iterable[Any], config: Any, return_exceptions: bool, kwargs: Kwargs
) -> AsyncGenerator[tuple[int, Any], None]:
    """`(index, output)` as they complete; an error is raised where its input completes."""
    inputs, scope_at, limit = _resolved(d, inputs, config)
    running = d.run_all(_parts(runnable, d, inputs, scope_at, kwargs), limit)
    try:
        async for index, outcome in running:
            yield index, (value_or_exception(outcome) if return_exceptions else outcome.get())
    finally:
        await aclose(running)


async def each_by_itself(runnable: Any, d: Driver, many: Many) -> list[Outcome]:
    """How each input ended, in input order. Where one error ends an async batch, all that failed end with the one that came first."""
    outcomes: dict[int, Outcome] = {}
    first: Outcome | None = None
    running = d.run_all(_parts(runnable, d, many.inputs, many.scope_at, many.kwargs), many.limit)
    try:
        async for index, outcome in running:
            if outcome.is_final:
                outcome.get()
            if outcome.error is not None and not (d.sync or many.keep_going):
                outcome = first = first or outcome
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
    if not hasattr(inputs, "__iter__") and not hasattr(inputs, "__getitem__"):
        raise InvalidType(f"a batch takes an iterable of inputs such as [{inputs!r}], not {inputs!r}.")
    if isinstance(config, Sequence):
        inputs = list(inputs)
        if inputs and len(config) != len(inputs):
            raise InvalidArgument(f"config is a list of {len(config)} for {len(inputs)} inputs; give one for each.")
        scopes = [_entered(d, each) for each in config or ({},)]
        return inputs, scopes.__getitem__, _limit(d, inputs, scopes[0])
    scope = _entered(d, config)
    if scope.run_id is None:
        return inputs, lambda _: scope, _limit(d, inputs, scope)
    if isinstance(inputs, Sized) and len(inputs) > 1:
        warn_of_one_id()
    unnamed = scope.copy()  # an id is given to one run, the first
    unnamed.run_id = None
    return inputs, lambda index: unnamed if index else scope, _limit(d, inputs, scope)


def _entered(d: Driver, config: Mapping[str, Any] | None) -> Scope:
    return with_default_limit(blocking_scope(config) if d.sync else enter(config))


def _limit(d: Driver, inputs: Iterable[Any], scope: Scope) -> int:
    # A single input needs no other thread.
    return 1 if isinstance(inputs, Sized) and len(inputs) == 1 else limit_of(d, scope)


def value_or_exception(outcome: Outcome) -> Any:
    """What `return_exceptions=True` puts into the place of an output."""
    return outcome.error if isinstance(outcome.error, Exception) else outcome.get()
