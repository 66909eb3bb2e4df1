"""How long a call of a model may take, in all its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import InvalidArgument

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds for one call of a model; None: no limit.

    `connect` is for reaching the server (each attempt), `first_token` from the start of an attempt to its first token
    (of a call that is not streamed: to the whole answer), `idle` for silence between tokens, `total` for all of it. Bytes
    that are no token, such as comments that keep a connection open, end a silence too. Synchronous calls count in whole
    seconds, rounded up.
    """

    connect: float | None = 10.0
    first_token: float | None = 600.0
    idle: float | None = 300.0
    total: float | None = None

    @classmethod
    def of(cls, value: Any) -> Timeouts:
        """Read what a user may give: `Timeouts`, seconds for each, `(connect, read)`, or an httpx `Timeout`.

        Raises:
            InvalidArgument: (ValueError) it is none of these, or not positive.
        """
        if value is None:
            return cls()
        if isinstance(value, Timeouts):
            return value
        connect: Any
        read: Any
        if isinstance(value, (tuple, list)) and len(value) == 2:
            connect, read = value
        elif hasattr(value, "connect") and hasattr(value, "read"):
            connect, read = getattr(value, "connect"), getattr(value, "read")  # noqa: B009 - an httpx.Timeout, or one like it
        else:
            connect = read = value
        for seconds in (connect, read):
            if seconds is not None and (
                isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0
            ):
                raise InvalidArgument(
                    f"timeout={value!r}: give seconds greater than 0, (connect, read), or millstream's Timeouts."
                )
        return cls(connect=connect, first_token=read, idle=read)
