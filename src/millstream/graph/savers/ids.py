"""Checkpoint ids: uuids (version 6) whose order as text is the order in which they were made; and versions of channels, which sort too."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

__all__ = ["checkpoint_id", "made_at", "next_version", "version_of"]

_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
_OFFSET = 0x01B21DD213814000  # 100 ns intervals from there to 1970
_lock = threading.Lock()
_random = random.Random(os.urandom(16))
_last = 0

if hasattr(os, "register_at_fork"):  # a forked child must not repeat the ids of its parent
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(16)))


def checkpoint_id(after: str | None = None) -> str:
    """A new id, later in order than every one that this process made before, and than `after`.

    Give the thread's newest one: another process may have made it, with a clock that is ahead of this one's, or this one's was set back.
    """
    global _last
    with _lock:
        _last = ticks = max(time.time_ns() // 100 + _OFFSET, _last + 1)
        id = _id_at(ticks)
        if after is not None and id <= after and (made := _ticks(after)) is not None:
            _last = ticks = made + 1
            id = _id_at(ticks)
    return id


def _id_at(ticks: int) -> str:
    high, low = divmod(ticks, 0x1000)
    text = f"{high:012x}"
    tail = f"{_random.getrandbits(62) | 0x8000000000000000:016x}"
    return f"{text[:8]}-{text[8:]}-6{low:03x}-{tail[:4]}-{tail[4:]}"


def _ticks(id: str) -> int | None:
    parts = id.split("-")
    if len(parts) != 5 or parts[2][:1] != "6":
        return None
    try:
        return int(parts[0] + parts[1] + parts[2][1:], 16)
    except ValueError:
        return None


def made_at(id: str) -> str | None:
    """When an id was made, as ISO text in UTC; None for an id of another kind."""
    ticks = _ticks(id)
    return None if ticks is None else (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat()


def version_of(number: int, salt: str) -> str:
    """A channel's version as text that sorts in order; the same for the same number and salt."""
    return f"{number:032}.{crc32(salt.encode('utf-8', 'surrogatepass')) / 0x1_0000_0000:.16f}"


def next_version(current: Any) -> str:
    """The version after `current`, which may be a number, such a text, or None."""
    number = 0 if current is None else int(current.split(".")[0]) if isinstance(current, str) else int(current)
    return f"{number + 1:032}.{_random.random():.16f}"
