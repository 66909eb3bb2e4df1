"""Ids: time-ordered uuids, and the spelling of the ids that a model run gives to its messages."""

from __future__ import annotations

import os
import random
import time

__all__ = ["generation_id", "is_generated", "new_id", "pick_id", "run_message_id"]

_random = random.Random(os.urandom(32))
_bits = _random.getrandbits
_now = time.time_ns

if hasattr(os, "register_at_fork"):  # a forked child must not repeat the ids of its parent
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """A new uuid (version 7): ids made later sort later, to a quarter of a microsecond.

    Safe to call from any thread, and after a fork.
    """
    # 48 bits of milliseconds and 12 bits of their fraction (RFC 9562, 6.2, method 3), then 62 random bits.
    stamp = f"{_now() * 4096 // 1_000_000:015x}"
    tail = f"{_bits(62) | 0x8000000000000000:x}"
    return f"{stamp[:8]}-{stamp[8:12]}-7{stamp[12:]}-{tail[:4]}-{tail[4:]}"


def run_message_id(run_id: str) -> str:
    """The id of the message that the run `run_id` streams, where the provider gave none."""
    return f"lc_run--{run_id}"


def generation_id(run_id: str, index: int) -> str:
    """The id of generation number `index` of the run `run_id`, where the provider gave none."""
    return f"lc_run--{run_id}-{index}"


def is_generated(id: str | None) -> bool:
    """Whether `id` was made here rather than by the provider; None counts as not made at all."""
    return id is not None and id.startswith("lc_")


def pick_id(left: str | None, right: str | None) -> str | None:
    """The id of a joined message: the first of a provider, else the first of a run, else the first at all."""
    if not right or left == right:
        return left or right
    if not left:
        return right
    return left if _rank(left) <= _rank(right) else right


def _rank(id: str) -> int:
    if not id.startswith("lc_"):
        return 0
    return 1 if id.startswith("lc_run-") else 2
