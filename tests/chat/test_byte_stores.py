"""Byte stores, and one of a user whose async forms come by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from millstream import BaseByteStore, InMemoryByteStore


class OnThreads(InMemoryByteStore):
    """A store that works as one with sync forms alone, and tells where it was called."""

    threads: list[int] = []  # noqa: RUF012

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.threads.append(threading.get_ident())
        return super().mget(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        self.threads.append(threading.get_ident())
        yield from super().yield_keys(prefix=prefix)

    amget = BaseByteStore.amget
    amset = BaseByteStore.amset
    amdelete = BaseByteStore.amdelete
    ayield_keys = BaseByteStore.ayield_keys


def test_bytes_are_kept_replaced_listed_and_forgotten() -> None:
    store = InMemoryByteStore()
    store.mset([("a/1", b"x"), ("a/2", b"y"), ("b/1", b"z")])
    store.mset([("a/2", b"new")])
    assert store.mget(["a/2", "none", "a/1"]) == [b"new", None, b"x"]
    assert list(store.yield_keys()) == ["a/1", "a/2", "b/1"]
    for key in store.yield_keys(prefix="a/"):
        store.mdelete([key, "none"])
    assert list(store.yield_keys()) == ["b/1"]


@pytest.mark.parametrize("cls", [InMemoryByteStore, OnThreads])
def test_the_async_forms_do_the_same(cls: type[InMemoryByteStore]) -> None:
    async def run() -> None:
        store = cls()
        await store.amset([("a", b"x"), ("b", b"y")])
        assert await store.amget(["b", "c"]) == [b"y", None]
        await store.amdelete(["a"])
        assert [key async for key in store.ayield_keys(prefix="")] == ["b"]
        if isinstance(store, OnThreads):
            assert threading.get_ident() not in store.threads
            assert len(store.threads) == 2

    asyncio.run(run())
