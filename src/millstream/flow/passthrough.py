"""Runnables that pass a dict (or anything) on: as it is, or with some keys picked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from ..data.addable import AddableDict, fold_chunks
from ..spine.scope import Scope
from .assign import RunnableAssign, needs_dict
from .driver import Driver, aclose
from .function import filled, is_async, wanted
from .runnable import Kwargs, Runnable
from .schemas import fields_of

__all__ = ["RunnablePassthrough", "RunnablePick"]

T = TypeVar("T")


class RunnablePassthrough(Runnable[T, T], Generic[T]):
    """Gives its input as output. `func` is called with the (folded) input for its side effect.

    It is given `config` and `run_manager` when parameters have these names.
    """

    def __init__(
        self,
        func: Callable[[T], Any] | None = None,
        afunc: Callable[[T], Any] | None = None,
        *,
        input_type: type[T] | None = None,
    ) -> None:
        if func is not None and is_async(func):
            func, afunc = None, func
        self.func = func
        self.afunc = afunc
        self.input_type = input_type
        self._wants = () if func is None else wanted(func)
        self._awants = () if afunc is None else wanted(afunc)

    @classmethod
    def assign(cls, **mapping: Any) -> RunnableAssign:  # type: ignore[override]
        """A runnable that adds keys to a dict, each computed from that dict."""
        return RunnableAssign(mapping)

    def _input_shape(self) -> Any:
        return self.input_type or Any

    def _output_shape(self) -> Any:
        return self.input_type or Any

    def _output_shape_after(self, before: Any) -> Any:
        return before

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if self.func is not None or self.afunc is not None:
            await self._tell(d, input, scope, kwargs)
        return input

    async def _tell(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> None:
        second = self.func is None or (not d.sync and self.afunc is not None)
        if wants := self._awants if second else self._wants:
            kwargs = {**kwargs, **filled(wants, scope, second)}
        await d.call(scope, self.func, self.afunc, input, **kwargs)

    def _each_item(self) -> Callable[[Any], Any] | None:
        return _same if self.func is None and self.afunc is None else None

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        chunks: list[Any] | None = None if self.func is None and self.afunc is None else []
        try:
            async for chunk in inputs:
                if chunks is not None:
                    chunks.append(chunk)
                yield chunk
        finally:
            await aclose(inputs)
        if chunks:
            await self._tell(d, fold_chunks(chunks), scope, kwargs)

    def __repr__(self) -> str:
        return "RunnablePassthrough()"


class RunnablePick(Runnable[dict[str, Any], Any]):
    """One key of a dict (given a string), or a dict of those of some keys that are there (given a list)."""

    def __init__(self, keys: str | list[str]) -> None:
        self.keys = keys

    def _default_name(self) -> str:
        return f"RunnablePick<{','.join([self.keys] if isinstance(self.keys, str) else self.keys)}>"

    def _input_shape(self) -> Any:
        return dict[str, Any]

    def _output_shape_after(self, before: Any) -> Any:
        fields = fields_of(before) or {}
        if isinstance(self.keys, str):
            return fields[self.keys][0] if self.keys in fields else Any
        return {key: fields.get(key, (Any, ...)) for key in self.keys}

    def _picked(self, value: Any) -> Any:
        needs_dict(self, value)
        if isinstance(self.keys, str):
            return value.get(self.keys)
        found = {key: value[key] for key in self.keys if key in value}
        return AddableDict(found) if found else None

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return self._picked(input)

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        try:
            async for chunk in inputs:
                picked = self._picked(chunk)
                if picked is not None:
                    yield picked
        finally:
            await aclose(inputs)

    def __repr__(self) -> str:
        return f"RunnablePick(keys={self.keys!r})"


def _same(item: T) -> T:
    return item
