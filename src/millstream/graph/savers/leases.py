"""Leases: one owner of a thread at a time, and nobody else stores anything on it.

A lease is a row beside the thread: who has it, and from when to when. Its epoch grows with each owner; every commit under a lease looks
at the row in the transaction that stores, so an owner that was paused for too long finds the row changed and stores nothing.
An owner whose time has run out keeps the thread until somebody else comes: another owner, or a run without a lease.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ...errors import InvalidArgument, LeaseHeld, LeaseLost

if TYPE_CHECKING:
    from .log_saver import LogSaver

__all__ = ["Grant", "Lease", "clock", "granted", "may_store", "same_owner"]


def clock() -> float:
    """Seconds that only go forward, the same in all processes of the machine."""
    return time.monotonic()


class Grant(NamedTuple):
    """The row of a thread's lease. `until` is 0 when it was given back."""

    epoch: int
    token: str
    since: float
    until: float

    def is_live(self, now: float) -> bool:
        """Whether its time runs. A clock that began anew with the machine makes old ones end."""
        return self.since <= now < self.until


@dataclass(slots=True)
class Lease:
    """The right to work on a thread, for as long as it is renewed. Made by `saver.acquire_lease(thread_id)`.

    Give it to runs in their config: `{"configurable": {"thread_id": ..., "lease": lease}}`. Used as a context manager it is released
    at the end.
    """

    thread_id: str
    epoch: int
    token: str
    seconds: float
    saver: LogSaver = field(repr=False, compare=False)

    def renew(self, seconds: float | None = None) -> None:
        """Let it last for `seconds` from now (as long as it was acquired for).

        Raises:
            LeaseLost: somebody else has worked on the thread since it ran out, or it was released.
        """
        self.saver.extend(self, self.seconds if seconds is None else seconds)

    def release(self) -> None:
        """Give the thread back. Does nothing when the lease is lost or released already."""
        self.saver.free(self)

    async def arenew(self, seconds: float | None = None) -> None:
        """`renew`, awaitable."""
        await self.saver.twin("extend", self, self.seconds if seconds is None else seconds)

    async def arelease(self) -> None:
        """`release`, awaitable."""
        await self.saver.twin("free", self)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.arelease()


def granted(thread: str, old: Grant | None, token: str, seconds: float, now: float) -> Grant:
    """The lease of a new owner.

    Raises:
        LeaseHeld: the last owner has it still.
    """
    if not seconds > 0:
        raise InvalidArgument(f"a lease lasts for more than 0 seconds, not {seconds!r}.")
    if old is not None and old.is_live(now):
        raise _held(thread, old, now)
    return Grant(1 if old is None else old.epoch + 1, token, now, now + seconds)


def same_owner(lease: Lease, found: Grant | None) -> None:
    """
    Raises:
        LeaseLost: the thread's lease is another one now, or was given back.
    """
    if found is None or found[:2] != (lease.epoch, lease.token) or not found.until:
        raise LeaseLost(
            f"the lease on thread {lease.thread_id!r} (epoch {lease.epoch}) is lost: it was released, or it ran out and somebody "
            "else worked on the thread, or the thread was erased. Nothing was stored; acquire a new lease and load the state again.",
            thread_id=lease.thread_id,
            epoch=lease.epoch,
        )


def may_store(thread: str, lease: Lease | None, found: Grant | None, now: float) -> Grant | None:
    """Judge a commit by the thread's lease; gives the row that must take its place, if any.

    Raises:
        LeaseLost: the commit is made under a lease that is not the thread's.
        LeaseHeld: it is made under none, and somebody has one.
    """
    if lease is not None:
        if lease.thread_id != thread:
            raise InvalidArgument(
                f"the lease is one on thread {lease.thread_id!r}, and the run is on thread {thread!r}."
            )
        same_owner(lease, found)
        return None
    if found is None or not found.until:
        return None
    if found.is_live(now):
        raise _held(thread, found, now)
    # It ran out. Whoever had it must not go on beside this one.
    return Grant(found.epoch + 1, "", 0, 0)


def _held(thread: str, grant: Grant, now: float) -> LeaseHeld:
    seconds = grant.until - now
    return LeaseHeld(
        f"another owner has a lease on thread {thread!r} (epoch {grant.epoch}, for {seconds:.1f} s unless it is renewed). Wait for it, or "
        'if the lease is yours pass it to the run: config={"configurable": {"thread_id": ..., "lease": lease}}.',
        thread_id=thread,
        seconds=seconds,
    )
