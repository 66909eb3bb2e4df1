"""The ids of long conversations, carried along from turn to turn, so that adding a message does not look at every earlier one.

What is remembered of a conversation is a copy of its list and the ids in it. It is used only where the list at hand has the same
messages, so whatever was changed behind the reducer's back is seen; comparing two lists of the same objects takes some nanoseconds
an item, asking each for its id ten times that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ..data.messages import BaseMessage

__all__ = ["only_new"]

LONG: Final = 48
"""Shorter conversations are looked through."""

REMEMBERED: Final = 64
"""How many conversations are remembered, those that went on last."""


class _Known:
    __slots__ = ("ids", "messages", "objects")

    def __init__(self, messages: list[BaseMessage]) -> None:
        self.messages = messages.copy()
        self.ids = {message.id for message in messages}
        self.objects = set(map(id, messages))

    def has_any_of(self, messages: Sequence[BaseMessage], ids: set[str | None]) -> bool:
        # A message that is there may have been given another id since: then it is known as an object.
        return not ids.isdisjoint(self.ids) or not self.objects.isdisjoint(map(id, messages))

    def add(self, messages: Sequence[BaseMessage], ids: set[str | None]) -> None:
        self.messages += messages
        self.ids |= ids
        self.objects.update(map(id, messages))


# By the identity of the last message. Whoever works with an entry takes it out, so two threads never share one.
_known: OrderedDict[int, _Known] = OrderedDict()


def only_new(left: list[BaseMessage], right: Sequence[BaseMessage]) -> bool:
    """Whether no message of `left` has the id of one in `right`. True: the caller goes on with `left + right`."""
    ids = {message.id for message in right}
    if len(left) < LONG:
        return ids.isdisjoint([message.id for message in left])
    known = _known.pop(id(left[-1]), None)
    if known is None or known.messages != left:
        known = _Known(left)
    fresh = not known.has_any_of(right, ids)
    if fresh:
        known.add(right, ids)
    _remember(known)
    return fresh


def _remember(known: _Known) -> None:
    _known[id(known.messages[-1])] = known
    while len(_known) > REMEMBERED:
        try:
            _known.popitem(last=False)
        except KeyError:  # another thread was faster
            return
