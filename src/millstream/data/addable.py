"""Adding up what was streamed: dictionaries that add, and folds that are linear in the size of their result."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain, dropwhile
from operator import add as plus
from typing import Any

from ..errors import InvalidType

__all__ = ["AddableDict", "aadd", "add", "fold_chunks"]


class AddableDict(dict[str, Any]):
    """A dict that adds: new keys are appended, the values of shared keys are added, None yields to the other."""

    __slots__ = ()

    def __add__(self, other: Any) -> AddableDict:
        """Add another dict.

        Raises:
            InvalidType: (TypeError) the two values of a key do not add; the message names it.
        """
        return _add_dicts((self, other)) if isinstance(other, Mapping) else NotImplemented

    def __radd__(self, other: Any) -> AddableDict:
        """Add to a plain dict."""
        return _add_dicts((other, self)) if isinstance(other, Mapping) else NotImplemented


def add(addables: Iterable[Any]) -> Any:
    """Add up the items; None when there are none. What comes before the first that is not None is not added.

    Raises:
        TypeError: two of them do not add.
    """
    items = list(dropwhile(_is_none, addables))
    return _add_all(items) if items else None


async def aadd(addables: AsyncIterable[Any]) -> Any:
    """`add` for an async iterable."""
    return add([item async for item in addables])


def _is_none(item: Any) -> bool:
    return item is None


def fold_chunks(chunks: Sequence[Any]) -> Any:
    """What a step that does not stream makes of a stream: the sum, where a chunk that does not add replaces it.

    So numbers are summed, texts and lists joined, message chunks merged, and of plain dicts the last one wins.
    None when there are no chunks.
    """
    if not chunks:
        return None
    try:
        return _add_all(chunks)
    except TypeError:
        pass
    whole, *rest = chunks
    for chunk in rest:
        try:
            whole = whole + chunk
        except TypeError:
            whole = chunk
    return whole


def _add_all(items: Sequence[Any]) -> Any:
    """The sum, left to right, in linear time for the kinds that grow."""
    first = items[0]
    if len(items) == 1:
        return first
    kind = type(first)
    if kind is str or kind is list or kind is AddableDict:
        if all(type(item) is kind for item in items):
            return "".join(items) if kind is str else list(chain(*items)) if kind is list else _add_dicts(items)
    elif getattr(kind, "adds_lists", False):
        return first + list(items[1:])
    return reduce(plus, items)


def _add_dicts(dicts: Iterable[Mapping[str, Any]]) -> AddableDict:
    values: dict[str, list[Any]] = {}
    for source in dicts:
        for key, value in source.items():
            found = values.setdefault(key, [])
            if value is not None:
                found.append(value)
    return AddableDict({key: _add_values(key, found) for key, found in values.items()})


def _add_values(key: str, values: list[Any]) -> Any:
    if not values:
        return None
    try:
        return _add_all(values)
    except TypeError as error:
        raise InvalidType(f"Cannot add the values of {key!r}: {error}") from error
