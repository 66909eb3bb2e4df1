"""Runs around work that somebody watches: around a stream, told chunk by chunk, and around each input of a batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.addable import add, fold_chunks
from ..spine.events import END, MISSING, STREAM
from ..spine.run import Run
from ..spine.scope import Scope
from .driver import Driver, Outcome, aclose
from .line import Enough, Line, Opened, Stage, line_of, nothing, stop
from .mailbox import Abandoned
from .many import Many
from .overrides import Kwargs, folded
from .single import Single, once

if TYPE_CHECKING:
    from .runnable import Runnable

__all__ = ["Told", "watched", "watched_each", "watched_whole"]


def watched(
    runnable: Runnable[Any, Any],
    d: Driver,
    inputs: AsyncIterator[Any],
    run: Run,
    kwargs: Kwargs,
    given: Any = MISSING,
    *,
    pour: Callable[..., AsyncGenerator[Any, None]] | None = None,
    told: Told | None = None,
) -> Line:
    """`_pour` in its run: STREAM before each chunk, and START when the first chunk of the input is there.

    Such a run has no input at its start, only at its end. `given` is for runs that are made on a whole value: they say it
    at their start, and tell of their chunks only at the root. `pour` is in place of the runnable's own; who gives `told` may
    begin the run before.
    """
    if told is None:
        told = Told(d, run, wants_chunks=given is MISSING or run.parent is None, must_add=runnable._must_add)
    each = runnable._each_item()
    if each is not None and given is MISSING:
        told.each = each
        return line_of(d, inputs).then(told)
    return Line(d, partial(_open, pour or runnable._pour, d, inputs, told, kwargs, given))


async def _open(
    pour: Callable[..., AsyncGenerator[Any, None]],
    d: Driver,
    inputs: AsyncIterator[Any],
    told: Told,
    kwargs: Kwargs,
    given: Any,
) -> Opened:
    pouring: AsyncIterator[Any] = inputs
    try:
        first = await anext(inputs, MISSING) if given is MISSING else MISSING
        if not told.begun:
            told.begin(given)
        if given is MISSING:
            told.first = first
            single = isinstance(inputs, Single)
            pouring = once(first, told.taken) if single else _taking(first, inputs, told.taken)
        told.taken = None
        items = pour(d, pouring, told.run.scope, kwargs)
        opened = await items.opened() if isinstance(items, Line) else Opened(items)
    except BaseException as error:
        await aclose(pouring)
        await aclose(inputs)
        stop((told,), 0, error)
        raise
    opened.stages = (*opened.stages, told)
    opened.inputs = (*opened.inputs, pouring, inputs)
    return opened


def watched_whole(
    runnable: Runnable[Any, Any], d: Driver, inputs: AsyncIterator[Any], run: Run, kwargs: Kwargs
) -> Line:
    """`watched` for runnables that need the whole input before their run begins."""

    async def opens() -> Opened:
        whole = await folded(inputs)
        if whole is MISSING:
            return Opened(nothing())
        return await watched(runnable, d, once(whole), run, kwargs, whole).opened()

    return Line(d, opens)


class Told(Stage):
    """The stage of a run that somebody watches; `each` is done to every item inside it, `_taking` notes its inputs else."""

    __slots__ = ("all_taken", "begun", "chunks", "d", "each", "first", "must_add", "run", "taken", "tell")

    def __init__(self, d: Driver, run: Run, *, wants_chunks: bool = True, must_add: bool = False) -> None:
        self.d = d
        self.run = run
        self.must_add = must_add
        self.each: Callable[[Any], Any] | None = None
        self.begun = False
        self.tell: Callable[[Any], None] | None = None
        if wants_chunks and run.mask & STREAM:
            self.tell = run.telling() or partial(run.emit, STREAM)
        wants_end = run.mask & END
        self.chunks: list[Any] | None = [] if wants_end else None
        self.taken: list[Any] | None = [] if wants_end else None
        self.all_taken = self.taken
        self.first: Any = MISSING  # what was there when the run began, taken or not

    def begin(self, input: Any) -> None:
        self.begun = True
        self.run.start(input)

    def take(self, item: Any) -> Any:
        if not self.begun:
            self.begin(MISSING)
        if self.taken is not None:
            self.taken.append(item)
        if self.each is not None:
            item = self.each(item)
        if self.chunks is not None:
            self.chunks.append(item)
        if self.tell is not None:
            self.tell(item)
        return item

    def ended(self) -> None:
        if not self.begun:
            self.begin(MISSING)
        # A step that read nothing of its input has had one all the same.
        self.run.end(_whole(self.chunks, None, self.must_add), _whole(self.all_taken, self.first))

    def stopped(self, error: BaseException, left: bool) -> None:
        if not self.begun:
            return
        # An early close counts as a normal end where the consumer is sync, as an error where it is async.
        # Where what reads it has all that it wants, that is the end in both.
        if isinstance(error, Enough) or (self.d.sync and (left or isinstance(error, (GeneratorExit, Abandoned)))):
            self.ended()
        else:
            first = self.all_taken[0] if self.all_taken else self.first
            if first is not MISSING:
                self.run.input, self.run.input_late = first, True
            self.run.fail(error)


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
            if scope.heard(runnable.run_type):
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
    """`first` and `rest` as one stream, each item noted in `taken` as it passes. The line closes `rest`."""
    if first is not MISSING:
        if taken is not None:
            taken.append(first)
        yield first
    async for item in rest:
        if taken is not None:
            taken.append(item)
        yield item


def _whole(chunks: Sequence[Any] | None, none: Any, must_add: bool = False) -> Any:
    """Chunks as one value, for listeners: what cannot be added up is told by its last chunk (or not), and fails nothing."""
    if not chunks:
        return none
    try:
        return add(chunks) if must_add else fold_chunks(chunks)
    except Exception:
        return None if must_add else chunks[-1]
