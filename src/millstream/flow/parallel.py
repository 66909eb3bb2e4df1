"""RunnableParallel: one input to several runnables at once, a dict of their outputs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..data.addable import AddableDict
from ..data.lazy import Lazy
from ..errors import InvalidType
from ..spine.scope import Scope
from .coerce import coerce
from .described import hanging
from .driver import Driver, Outcome, aclose
from .mailbox import Abandoned, Mailbox
from .overrides import hearer_of
from .runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of
from .schemas import fields_of
from .stream import push

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["RunnableMap", "RunnableParallel"]

In = TypeVar("In", contravariant=True)


class RunnableParallel(Runnable[In, dict[str, Any]], Generic[In]):
    """Runnables (or functions, or dicts of such) by key; all get the same input and run at once.

    `invoke` gives a dict in the order of declaration. `stream` gives one-key AddableDicts as the branches produce them;
    their sum is the whole. The first branch to fail decides: by declaration order in sync runs, in which the others end
    first; by time in async ones, in which the others are cancelled. `max_concurrency` bounds sync branches.
    """

    def __init__(self, steps: Mapping[str, Any] | None = None, /, **kwargs: Any) -> None:
        if steps is not None and not isinstance(steps, Mapping):
            raise InvalidType(f"RunnableParallel needs a dict of branches, not {steps!r}.")
        if steps is None and isinstance(
            given := kwargs.get("steps__"), Mapping
        ):  # by the name of the argument elsewhere
            steps = given
            kwargs = {key: value for key, value in kwargs.items() if key != "steps__"}
        self.steps = {key: coerce(value) for key, value in {**(steps or {}), **kwargs}.items()}
        self._parts = [
            (key, exec_of(part), flow_of(part), (f"map:key:{key}", hearer_of(part))) for key, part in self.steps.items()
        ]

    @property
    def steps__(self) -> dict[str, Runnable[Any, Any]]:
        """`steps` by another name."""
        return self.steps

    def _default_name(self) -> str:
        return f"RunnableParallel<{','.join(self.steps)}>"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> dict[str, Any]:
        if len(self._parts) == 1:
            key, run_branch, _, tag = self._parts[0]
            return {key: await run_branch(d, input, scope.child(*tag), NO_KWARGS)}

        def thunk(run_branch: Any, tag: tuple[str, Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
            return lambda: run_branch(d, input, scope.child(*tag), NO_KWARGS)

        outputs = await self._run_all(d, scope, [thunk(run_branch, tag) for _, run_branch, _, tag in self._parts])
        return dict(zip(self.steps, outputs, strict=True))

    async def _run_all(
        self, d: Driver, scope: Scope, thunks: Iterable[Callable[[], Coroutine[Any, Any, Any]]]
    ) -> list[Any]:
        """The results of all branches; or the error that decides, with notes on the others."""
        outcomes: dict[int, Outcome] = {}
        running = d.run_all(thunks, scope.max_concurrency if d.sync else None)
        try:
            async for index, outcome in running:
                outcomes[index] = outcome
                if outcome.is_final or (outcome.error is not None and not d.sync):
                    break
        finally:
            await running.aclose()
        keys = list(self.steps)
        failed = [(keys[index], error) for index in sorted(outcomes) if (error := outcomes[index].error) is not None]
        if failed:
            (_, first), *others = sorted(failed, key=_rank)
            for key, error in others:
                first.add_note(f"the branch {key!r} failed, too: {error!r}")
            raise first
        return [outcomes[index].value for index in range(len(outcomes))]

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        if len(self._parts) == 1:
            key, _, flow_branch, tag = self._parts[0]
            items = flow_branch(d, inputs, scope.child(*tag), NO_KWARGS)
        else:
            key = None
            items = self._push_branches(d, inputs, scope)
        try:
            async for item in items:
                yield item if key is None else AddableDict({key: item})
        finally:
            await items.aclose()
            await aclose(inputs)

    def _input_shape(self) -> Any:
        merged: dict[str, Any] = {}
        for part in self.steps.values():
            fields = fields_of(part._input_shape())
            if fields is None:  # one that takes no dict: what is known of the input is what a branch says of it
                shapes = (each._input_shape() for each in self.steps.values())
                return next((shape for shape in shapes if fields_of(shape) is None and shape is not Any), Any)
            merged |= fields
        return merged or Any

    def _output_shape(self) -> Any:
        from .schemas import schema_of

        shapes = {key: part._output_shape() for key, part in self.steps.items()}
        return {key: (schema_of(key, s) if isinstance(s, dict) else s, ...) for key, s in shapes.items()}

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return list(self.steps.values())

    def _push_branches(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope) -> AsyncGenerator[Any, None]:
        mailbox: Mailbox[Any] = Mailbox()
        tee = _Tee(d, inputs, len(self._parts), mailbox)
        inner = scope.copy()
        inner.gates = (*scope.gates, mailbox)
        turns = [asyncio.Event() for _ in self._parts] if scope.listeners and not d.sync else None

        async def branch(index: int, key: str, flow_branch: Any, tag: tuple[str, Any]) -> None:
            items = flow_branch(d, tee.branch(index), inner.child(*tag), NO_KWARGS)
            try:
                async for chunk in items:
                    if turns is None:
                        mailbox.put(AddableDict({key: chunk}))
                    else:
                        mailbox.put((turns[index], AddableDict({key: chunk})))
                        await turns[index].wait()
                        turns[index].clear()
            finally:
                await items.aclose()

        async def produce() -> None:
            parts = [
                lambda i=i, key=key, flow_branch=flow_branch, tag=tag: branch(i, key, flow_branch, tag)
                for i, (key, _, flow_branch, tag) in enumerate(self._parts)
            ]
            await self._run_all(d, scope, parts)

        items = push(d, mailbox, produce)
        return items if turns is None else _in_turn(items)

    def __repr__(self) -> str:
        rows = ",\n".join(hanging(f"  {key}: ", part) for key, part in self.steps.items())
        return f"{{\n{rows}\n}}"


RunnableMap = RunnableParallel


def _rank(failed: tuple[str, BaseException]) -> int:
    """An interrupt comes before an error, and an error before the news that the reader has gone."""
    error = failed[1]
    return 1 if isinstance(error, Exception) else 2 if isinstance(error, Abandoned) else 0


async def _in_turn(items: AsyncGenerator[tuple[asyncio.Event, Any], None]) -> AsyncGenerator[Any, None]:
    """The second of each pair. The first lets its writer go on, when the reader has come back.

    So what is told of each branch comes in the order in which one branch alone would tell it: that a chunk was passed on
    before that its branch has ended. Where nobody listens the branches may run ahead, which is faster.
    """
    try:
        async for turn, item in items:
            yield item
            turn.set()
    finally:
        await items.aclose()


class _Tee:
    """One stream for several readers in tasks or threads: whoever runs out first fetches for all.

    It waits for `gate`, and what the stream raises is raised to each reader: none takes a cut input for a whole one.
    """

    def __init__(self, d: Driver, inputs: AsyncIterator[Any], readers: int, gate: Mailbox[Any]) -> None:
        self._d = d
        self._inputs = inputs
        self._gate = gate
        self._buffers: dict[int, deque[Any]] = {index: deque() for index in range(readers)}
        self._ended = False
        self._error: BaseException | None = None
        self._lock: Any = threading.Lock() if d.sync else asyncio.Lock()

    async def branch(self, index: int) -> AsyncGenerator[Any, None]:
        buffer = self._buffers[index]
        try:
            while True:
                if not buffer:
                    await self._fetch(buffer)
                    if not buffer:
                        return
                yield buffer.popleft()
        finally:
            del self._buffers[index]

    async def _fetch(self, buffer: deque[Any]) -> None:
        if self._d.sync:
            self._lock.acquire()
        else:
            await self._lock.acquire()
        try:
            if buffer:
                return
            if self._error is not None:
                raise self._error
            if not self._ended:
                await self._d.wait_for(self._gate)
                await self._fetch_for_all()
        finally:
            self._lock.release()

    async def _fetch_for_all(self) -> None:
        try:
            item = await anext(self._inputs)
        except StopAsyncIteration:
            self._ended = True
        except asyncio.CancelledError as error:
            self._error = RuntimeError(
                "the input was cut: it was being fetched by another branch, which was cancelled."
            )
            self._error.__cause__ = error
            raise
        except BaseException as error:
            self._error = error
            raise
        else:
            for each in list(self._buffers.values()):  # a copy: a branch that ends in another thread takes its own out
                each.append(item)
