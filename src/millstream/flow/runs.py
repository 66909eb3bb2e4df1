"""Runs around work that somebody watches: around a stream, told chunk by chunk, and around each input of a batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.addable import fold_chunks
from ..spine.events import END, MISSING, STREAM
from ..spine.run import Run
from ..spine.scope import Scope
from .driver import Driver, Outcome, aclose
from .mailbox import Abandoned
from .many import Many
from .overrides import Kwargs, folded, once

if TYPE_CHECKING:
    from .runnable import Runnable

__all__ = ["watched", "watched_each", "watched_whole"]


async def watched(
    runnable: Runnable[Any, Any],
    d: Driver,
    inputs: AsyncIterator[Any],
    run: Run,
    kwargs: Kwargs,
    given: Any = MISSING,
) -> AsyncGenerator[Any, None]:
    """`_pour` in its run: STREAM before each chunk, and START when the first chunk of the input is there.

    Such a run has no input at its start, only at its end. `given` is for runs that are made on a whole value: they say it
    at their start, and tell of their chunks only at the root.
    """
    items: AsyncGenerator[Any, None] | None = None
    wants_end = run.mask & END
    wants_chunks = run.mask & STREAM and (given is MISSING or run.parent is None)
    taken: list[Any] = []
    chunks: list[Any] = []
    begun = False
    try:
        try:
            first = await anext(inputs, MISSING) if given is MISSING else MISSING
            begun = True
            run.start(given)
            pouring = _taking(first, inputs, taken if wants_end else None) if given is MISSING else inputs
            items = runnable._pour(d, pouring, run.scope, kwargs)
            async for chunk in items:
                if wants_end:
                    chunks.append(chunk)
                if wants_chunks:
                    run.emit(STREAM, chunk)
                yield chunk
        finally:
            # Before this run's end, so that the runs inside and upstream have ended by then.
            if items is not None:
                await items.aclose()
            await aclose(inputs)
    except BaseException as error:
        if begun:
            # An early close counts as a normal end where the consumer is sync, as an error where it is async.
            if d.sync and isinstance(error, (GeneratorExit, Abandoned)):
                run.end(_whole(chunks, None), _whole(taken, MISSING))
            else:
                run.fail(error)
        raise
    run.end(_whole(chunks, None), _whole(taken, MISSING))


async def watched_whole(
    runnable: Runnable[Any, Any], d: Driver, inputs: AsyncIterator[Any], run: Run, kwargs: Kwargs
) -> AsyncGenerator[Any, None]:
    """`watched` for runnables that need the whole input before their run begins."""
    whole = await folded(inputs)
    if whole is MISSING:
        return
    items = watched(runnable, d, once(whole), run, kwargs, whole)
    try:
        async for item in items:
            yield item
    finally:
        await items.aclose()


async def watched_each(
    runnable: Runnable[Any, Any],
    many: Many,
    work: Callable[[list[Any], list[Scope]], Awaitable[list[Outcome]]],
) -> list[Outcome]:
    """What `work` makes of the inputs and the scopes inside their runs: each input has its own, where somebody listens."""
    values = list(many.inputs)
    scopes = [many.scope_at(index) for index in range(len(values))]
    runs: dict[int, Run] = {}
    try:
        for index, scope in enumerate(scopes):
            if scope.listeners:
                run = runs[index] = scope.begin(runnable.get_name(), runnable.run_type, values[index])
                scopes[index] = run.scope
            else:
                scopes[index] = scope.inner()
        outcomes = await work(values, scopes)
    except BaseException as error:
        for run in runs.values():
            run.fail(error)
        raise
    for index, run in runs.items():
        outcome = outcomes[index]
        run.end(outcome.value) if outcome.error is None else run.fail(outcome.error)
    return outcomes


async def _taking(first: Any, rest: AsyncIterator[Any], taken: list[Any] | None) -> AsyncGenerator[Any, None]:
    """`first` and `rest` as one stream, each item noted in `taken` as it passes."""
    try:
        if first is not MISSING:
            if taken is not None:
                taken.append(first)
            yield first
        async for item in rest:
            if taken is not None:
                taken.append(item)
            yield item
    finally:
        await aclose(rest)


def _whole(chunks: Sequence[Any], none: Any) -> Any:
    """Chunks as one value, for listeners: what cannot be added up is told by its last chunk, and fails nothing."""
    if not chunks:
        return none
    try:
        return fold_chunks(chunks)
    except Exception:
        return chunks[-1]
