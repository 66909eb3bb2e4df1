"""Parsers that read the whole answer so far, each time that more of it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from ..data.chunks import BaseMessageChunk
from ..data.outputs import ChatGenerationChunk, GenerationChunk
from ..errors import Unsupported
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .parsers import BaseTransformOutputParser, generation_of

__all__ = ["BaseCumulativeTransformOutputParser"]

T = TypeVar("T")


class BaseCumulativeTransformOutputParser(BaseTransformOutputParser[T]):
    """A parser of the answer so far. A subclass writes `parse_result`, which gives None for too little with `partial`.

    In a stream it gives what `parse_result` made each time that this is not None and differs from what was given last;
    with `diff` it gives what `_diff` says of the two instead.
    """

    diff: bool = False

    def _diff(self, prev: Any, next: T) -> Any:
        """What has changed from one value to the next."""
        raise Unsupported(f"{type(self).__name__} cannot tell differences; override `_diff`, or leave `diff` off.")

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        so_far: Any = None
        shown: Any = None
        try:
            async for item in inputs:
                so_far = _more(so_far, item)
                value = await self._parsed(d, scope, [so_far], partial=True)
                if value is not None and value != shown:
                    yield self._diff(shown, value) if self.diff else value
                    shown = value
        finally:
            await aclose(inputs)


def _more(so_far: Any, item: Any) -> Any:
    """The generation so far with one more piece; a whole message stands for all that came before it."""
    piece: Any
    if isinstance(item, str):
        piece = GenerationChunk(text=item)
    elif isinstance(item, BaseMessageChunk):
        piece = ChatGenerationChunk(message=item)
    else:
        return generation_of(item)
    try:
        return piece if so_far is None else so_far + piece
    except TypeError:
        return piece
