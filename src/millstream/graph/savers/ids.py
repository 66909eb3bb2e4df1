"""Checkpoint ids: uuids (version 6) whose order as text is the order in which they were made."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta

__all__ = ["checkpoint_id", "made_at"]

_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
_OFFSET = 0x01B21DD213814000  # 100 ns intervals from there to 1970
_lock = threading.Lock()
_random = random.Random(os.urandom(16))
_last = 0


def checkpoint_id() -> str:
    """A new id, later in order than every one that this process made before."""
    global _last
    with _lock:
        _last = ticks = max(time.time_ns() // 100 + _OFFSET, _last + 1)
    high, low = divmod(ticks, 0x1000)
    text = f"{high:012x}"
    tail = f"{_random.getrandbits(62) | 0x8000000000000000:016x}"
    return f"{text[:8]}-{text[8:]}-6{low:03x}-{tail[:4]}-{tail[4:]}"


def made_at(id: str) -> str | None:
    """When an id was made, as ISO text in UTC; None for an id of another kind."""
    parts = id.split("-")
    if len(parts) != 5 or parts[2][:1] != "6":
        return None
    ticks = int(parts[0] + parts[1] + parts[2][1:], 16)
    return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat()
