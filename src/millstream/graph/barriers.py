"""Channels whose value is there only once something else has happened: all names seen, or the run out of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InvalidUpdateError
from .channels import BaseChannel, LastValue
from .constants import ABSENT

__all__ = ["LastValueAfterFinish", "NamedBarrierValue", "NamedBarrierValueAfterFinish"]


class LastValueAfterFinish(LastValue):
    """As `LastValue`, but the value is not seen before the run is out of work."""

    __slots__ = ()
    held = True

    def initial(self) -> Any:
        return ABSENT

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        return [super().fold(key, old, writes), False]

    def shown(self, kept: Any) -> Any:
        return kept[0] if kept is not ABSENT and kept[1] else ABSENT

    def finished(self, kept: Any) -> Any:
        return [kept[0], True]


class NamedBarrierValue(BaseChannel):
    """Collects names; there is a value (None) once all have been written."""

    __slots__ = ("names",)
    held = True

    def __init__(self, typ: Any, names: Iterable[str]) -> None:
        super().__init__(typ)
        self.names = set(names)

    def initial(self) -> Any:
        return ABSENT

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        for write in writes:
            if write not in self.names:
                raise InvalidUpdateError(f"At key {key!r}: {write!r} is none of the names {sorted(self.names)}.")
        seen = set() if old is ABSENT else set(old)
        return sorted(seen.union(writes))

    def idle(self, old: Any) -> Any:
        return old

    def shown(self, kept: Any) -> Any:
        return None if kept is not ABSENT and self.names == set(kept) else ABSENT

    def consume(self) -> bool:
        """Begin to collect anew, if all names have been seen."""
        if not self.is_available():
            return False
        self.value = ABSENT
        return True

    def same_rule(self, other: BaseChannel) -> bool:
        return type(self) is type(other) and self.names == getattr(other, "names", None)


class NamedBarrierValueAfterFinish(NamedBarrierValue):
    """As `NamedBarrierValue`, but there is a value only when the run is out of work as well."""

    __slots__ = ()

    def fold(self, key: str, old: Any, writes: Sequence[Any]) -> Any:
        return [super().fold(key, ABSENT if old is ABSENT else old[0], writes), False]

    def shown(self, kept: Any) -> Any:
        return super().shown(kept[0]) if kept is not ABSENT and kept[1] else ABSENT

    def finished(self, kept: Any) -> Any:
        return [kept[0], True]
