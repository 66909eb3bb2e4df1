"""RunnableAssign: a dict in, the same dict with keys added out."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.addable import AddableDict
from ..data.lazy import Lazy
from ..errors import InvalidArgument
from ..spine.events import MISSING, TOLD
from ..spine.scope import Scope
from .driver import Driver, aclose
from .line import Stage
from .mailbox import Mailbox
from .parallel import RunnableParallel
from .runnable import NO_KWARGS, Kwargs, Runnable
from .runs import Told, watched
from .schemas import fields_of

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["RunnableAssign", "needs_dict"]


class RunnableAssign(Runnable[dict[str, Any], dict[str, Any]]):
    """A dict in, the same dict with keys added out. Streams the old keys first, then the new ones as they come.

    Raises (when run):
        InvalidArgument: (a ValueError) the input is not a dict.
    """

    def __init__(self, mapper: Mapping[str, Any] | RunnableParallel[Any]) -> None:
        self.mapper = mapper if isinstance(mapper, RunnableParallel) else RunnableParallel(mapper)

    def _input_shape(self) -> Any:
        shape = self.mapper._input_shape()
        return dict[str, Any] if fields_of(shape) is None else shape

    def _output_shape(self) -> Any:
        return self._output_shape_after(self._input_shape())

    def _output_shape_after(self, before: Any) -> Any:
        return {**(fields_of(before) or {}), **self.mapper._output_shape()}

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.mapper]

    def __repr__(self) -> str:
        return f"RunnableAssign(mapper={self.mapper!r})"

    def _default_name(self) -> str:
        return f"RunnableAssign<{','.join(self.mapper.steps)}>"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> dict[str, Any]:
        needs_dict(self, input)
        return {**input, **await self.mapper._exec(d, input, scope, kwargs)}

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        if not scope.listeners:
            return self._pour(d, inputs, scope.inner(), kwargs)
        run = scope.open(self.get_name(), self.run_type)
        if not run.mask & TOLD:
            return self._pour(d, inputs, run.scope, kwargs)
        mapping = _Mapping(d, self.mapper)
        return watched(self, d, inputs, run, kwargs, pour=partial(self._pour, mapping=mapping)).then(mapping)

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, mapping: _Mapping | None = None
    ) -> AsyncGenerator[Any, None]:
        mapping = mapping or _Mapping(d, self.mapper)
        mapping.prepare(scope)
        try:
            async for chunk in inputs:
                needs_dict(self, chunk)
                mapping.put(chunk)
                kept = AddableDict({key: value for key, value in chunk.items() if key not in self.mapper.steps})
                if kept:
                    yield kept
                await mapping.work()
            mapping.end()
            async for chunk in mapping.results():
                yield chunk
        except BaseException as error:
            await mapping.stop(error)
            raise
        finally:
            await aclose(inputs)


class _Mapping(Stage):
    """The mapper's part of one stream: its run begins behind the first chunk that passes through.

    In async runs it works beside the rest of the input until its first result is there, which waits until all has passed; from
    then on it is pulled. In sync runs it begins to work when all has passed.
    """

    __slots__ = (
        "_begun",
        "_box",
        "_d",
        "_ended",
        "_error",
        "_inputs",
        "_items",
        "_mapper",
        "_more",
        "_producer",
        "_told",
    )

    def __init__(self, d: Driver, mapper: RunnableParallel[Any]) -> None:
        self._d = d
        self._mapper = mapper
        self._inputs: deque[Any] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._more: asyncio.Event | None = None  # while it waits for input
        self._begun = False  # whether anything was asked of `_items`
        self._producer: Any = None
        self._box: Mailbox[Any] = Mailbox()
        self._told: Told | None = None

    def prepare(self, scope: Scope) -> None:
        """Take the scope to work in."""
        run = scope.open(self._mapper.get_name(), self._mapper.run_type) if scope.listeners else None
        if run is None or not run.mask & TOLD:
            inner = scope if run is None else run.scope
            self._items: AsyncGenerator[Any, None] = self._mapper._pour(self._d, self._chunks(), inner, NO_KWARGS)
        else:
            self._told = Told(self._d, run)
            self._items = watched(self._mapper, self._d, self._chunks(), run, NO_KWARGS, told=self._told)

    def take(self, item: Any) -> Any:
        """Behind what is told of the first chunk, and before the next step hears of it."""
        if self._told is not None and not self._told.begun:
            self._told.begin(MISSING)
        return item

    def put(self, chunk: Any) -> None:
        self._inputs.append(chunk)
        if self._more is not None:
            self._more.set()

    def end(self, error: BaseException | None = None) -> None:
        self._ended, self._error = True, error
        if self._more is not None:
            self._more.set()

    async def work(self) -> None:
        """Begin to work, where that can go on beside."""
        if self._begun or self._d.sync:
            return
        self.take(None)
        self._begun = True
        self._producer = self._d.spawn(self._first, self._box)
        await self._d.sleep(0)  # it begins before the next chunk is fetched

    async def results(self) -> AsyncGenerator[Any, None]:
        self._begun = True
        if self._producer is not None:
            async for chunk in self._box.read():
                if chunk is MISSING:
                    return
                yield chunk
        async for chunk in self._items:
            yield chunk

    async def stop(self, error: BaseException) -> None:
        """The stream broke off."""
        if not self._begun:
            if self._told is not None and self._told.begun:
                self._told.stopped(error, isinstance(error, GeneratorExit))
            return
        if self._producer is not None:
            if isinstance(error, Exception) and not self._ended:
                self.end(error)  # it ends by itself, with the error of its input
                with suppress(Exception):
                    async for _ in self._box.read():
                        pass
            await self._producer.end()
        await self._items.aclose()

    async def _first(self) -> None:
        self._box.put(await anext(self._items, MISSING))

    async def _chunks(self) -> AsyncGenerator[Any, None]:
        while True:
            while self._inputs:
                yield self._inputs.popleft()
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._more = asyncio.Event()
            await self._more.wait()


def needs_dict(runnable: Runnable[Any, Any], value: Any) -> None:
    """Raise the error that says that `runnable` needs a dict, unless `value` is one."""
    if not isinstance(value, dict):
        raise InvalidArgument(
            f"{runnable.get_name()} needs a dict as its input, got {type(value).__name__}: {value!r}."
        )
