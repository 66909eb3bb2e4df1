"""Byte stores: bytes kept under texts, several at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextvars import copy_context

from ..flow.driver import ASYNC, in_worker
from ..spine.scope import enter

__all__ = ["BaseByteStore", "InMemoryByteStore"]


class BaseByteStore(ABC):
    """Keeps bytes under texts. A subclass writes the sync forms; the async ones run them on a worker thread."""

    @abstractmethod
    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """For each key its value, None where there is none."""

    @abstractmethod
    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Keep values under their keys, in the place of what was there."""

    @abstractmethod
    def mdelete(self, keys: Sequence[str]) -> None:
        """Forget these keys; those that are not there do not matter."""

    @abstractmethod
    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """All keys, or those that begin with `prefix`."""

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """`mget` in async form."""
        found: list[bytes | None] = await in_worker(copy_context(), self.mget, keys)
        return found

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """`mset` in async form."""
        await in_worker(copy_context(), self.mset, key_value_pairs)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """`mdelete` in async form."""
        await in_worker(copy_context(), self.mdelete, keys)

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """`yield_keys` in async form."""
        keys = ASYNC.iterate(enter(None), lambda: self.yield_keys(prefix=prefix), None)
        try:
            async for key in keys:
                yield key
        finally:
            await keys.aclose()


class InMemoryByteStore(BaseByteStore):
    """Keeps everything in this process.

    Example:
        >>> store = InMemoryByteStore()
        >>> store.mset([("a/1", b"x"), ("b/1", b"y")])
        >>> store.mget(["a/1", "c"]), list(store.yield_keys(prefix="b/"))
        ([b'x', None], ['b/1'])
    """

    def __init__(self) -> None:
        self.store: dict[str, bytes] = {}

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """For each key its value, None where there is none."""
        return [self.store.get(key) for key in keys]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Keep values under their keys."""
        self.store.update(key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Forget these keys."""
        for key in keys:
            self.store.pop(key, None)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys in the order in which they came; safe against changes while it is read."""
        return iter([key for key in self.store if prefix is None or key.startswith(prefix)])

    # Nothing is waited for, so the async forms need no thread.

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """`mget` in async form."""
        return self.mget(keys)

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """`mset` in async form."""
        self.mset(key_value_pairs)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """`mdelete` in async form."""
        self.mdelete(keys)

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """`yield_keys` in async form."""
        for key in self.yield_keys(prefix=prefix):
            yield key
