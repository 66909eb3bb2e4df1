"""Spans: what many checkpoints changed, in one piece, so that reading a long thread reads few rows.

Between two snapshots a thread may have thousands of rows. Every `SPAN` of them one row also has what changed since the row that has
the span before, made from the values as they are then: the items that were appended to a list, not the list, so bytes stay
linear. A row's span says which row it goes on from; where that one is gone (it was pruned) the rows between are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from ..channels import Op
from .codec import decode, encode

__all__ = ["SPAN", "KeyedOp", "Span", "Tail"]

SPAN: Final = 64
"""Rows that are read one by one at most, where nothing was forgotten."""

KeyedOp: TypeAlias = tuple[str, Op]


class _Changed(NamedTuple):
    """What became of one value: set as a whole, or so many items appended to it and these places of it put."""

    whole: bool = False
    appended: int = 0
    put: Mapping[Any, None] = {}


class Tail(NamedTuple):
    """What changed since the row `start`: enough to tell which parts of the values a span has."""

    start: str
    rows: int = 0
    changed: Mapping[str, _Changed] = {}
    # False where items were taken out of a value, so that places in it have moved: then there is no span.
    fits: bool = True

    def after(self, ops: Iterable[KeyedOp]) -> Tail:
        """The tail with one more row."""
        changed: dict[str, _Changed] | None = None
        fits = self.fits
        for key, (name, payload) in ops:
            if changed is None:
                changed = {**self.changed}
            before = changed.get(key)
            if name == "set" or name == "unset":
                changed[key] = _WHOLE
            elif before is _WHOLE:
                pass
            elif name == "append":
                before = before or _UNCHANGED
                changed[key] = _Changed(False, before.appended + len(payload), before.put)
            elif name == "put":
                before = before or _UNCHANGED
                changed[key] = _Changed(False, before.appended, {**before.put, payload[0]: None})
            else:
                fits = False
        return Tail(self.start, self.rows + 1, self.changed if changed is None else changed, fits)

    def span(self, values: Mapping[str, Any]) -> bytes:
        """The span, from the values as they are after the last of its rows."""
        ops: list[list[Any]] = []
        for key, (whole, appended, put) in self.changed.items():
            if key not in values:
                ops.append([key, "unset", None])
                continue
            value = values[key]
            if whole:
                ops.append([key, "set", value])
                continue
            kept = len(value) - appended
            ops += [[key, "put", [place, value[place]]] for place in put if not appended or place < kept]
            if appended:
                ops.append([key, "append", value[kept:]])
        return encode([self.start, ops])


_UNCHANGED: Final = _Changed()
_WHOLE: Final = _Changed(True)


class Span(NamedTuple):
    """A span read back: the row that it goes on from, and the ops that lead from there."""

    start: str
    ops: list[list[Any]]

    @classmethod
    def read(cls, data: bytes) -> Span:
        start, ops = decode(data)
        return cls(start, ops)
