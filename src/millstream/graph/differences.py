"""What a reducer that cannot say it has changed: found by comparing the items of a list or dict with those stored before.

Items are compared by identity, which is cheap, and enough where an item cannot change by itself: a number, a text, a message, or a
dict of such (whose values are compared too). Where there is any other item, nothing can be told, and the value is stored whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from operator import is_
from typing import Any, Final, TypeAlias
from uuid import UUID

from ..data.documents import Document
from ..data.messages import BaseMessage

__all__ = ["Print", "changes", "print_of"]

Op: TypeAlias = tuple[str, Any]

_FIXED: Final = frozenset({str, int, float, bool, bytes, type(None), date, datetime, Decimal, UUID})


class _Fields:
    """A dict that is an item, and what it held."""

    __slots__ = ("held", "owner")

    def __init__(self, owner: dict[Any, Any]) -> None:
        self.owner = owner
        self.held = (*owner, *owner.values())

    def same(self, item: Any) -> bool:
        return (
            item is self.owner
            and 2 * len(item) == len(self.held)
            and all(map(is_, self.held, chain(item, item.values())))
        )


class Print:
    """What a list or dict held when it was stored. `keys` is None for a list."""

    __slots__ = ("items", "keys", "plain")

    def __init__(self, items: list[Any], keys: list[Any] | None) -> None:
        self.items = items
        self.keys = keys
        self.plain = not any(type(item) is _Fields for item in items)

    def changed(self, items: Sequence[Any]) -> list[int]:
        """The places, as far as both go, that hold something else than before."""
        if self.plain and all(map(is_, self.items, items)):
            return []
        pairs = enumerate(zip(self.items, items, strict=False))
        return [i for i, (old, new) in pairs if not (old.same(new) if type(old) is _Fields else old is new)]


def print_of(value: Any) -> Print | None:
    """The print of a list or dict; None for anything whose changes could not be seen."""
    if type(value) is list:
        items = _prints(value)
        return None if items is None else Print(items, None)
    if type(value) is dict and all(type(key) in (str, int) for key in value):
        items = _prints(value.values())
        return None if items is None else Print(items, list(value))
    return None


def changes(old: Print | None, value: Any) -> tuple[list[Op], Print | None]:
    """What makes `value` of what was stored, and its own print."""
    new = print_of(value)
    if old is None or new is None or (old.keys is None) != (new.keys is None):
        return [("set", value)], new
    ops = _in_list(old, value) if new.keys is None else _in_dict(old, value)
    return ([("set", value)] if ops is None else ops), new


def _prints(items: Iterable[Any]) -> list[Any] | None:
    prints: list[Any] = []
    for item in items:
        kind = type(item)
        if kind in _FIXED or isinstance(item, (BaseMessage, Document)):
            prints.append(item)
        elif kind is dict and all(type(each) in _FIXED for each in item.values()):
            prints.append(_Fields(item))
        elif kind is tuple and all(type(each) in _FIXED for each in item):
            prints.append(item)
        else:
            return None
    return prints


def _in_list(old: Print, value: list[Any]) -> list[Op] | None:
    count = len(old.items)
    if len(value) < count:
        return None
    changed = old.changed(value)
    if 2 * len(changed) > count:
        return None
    ops: list[Op] = [("put", (i, value[i])) for i in changed]
    if len(value) > count:
        ops.append(("append", value[count:]))
    return ops


def _in_dict(old: Print, value: dict[Any, Any]) -> list[Op] | None:
    assert old.keys is not None
    count = len(old.keys)
    if list(value)[:count] != old.keys:  # keys went, or stand in another order
        return None
    changed = old.changed(list(value.values()))
    if 2 * len(changed) > count:
        return None
    names = list(value)
    return [("put", (name, value[name])) for name in (*(names[i] for i in changed), *names[count:])]
