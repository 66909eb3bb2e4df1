"""Every store, in both colours: the conformance suite, and namespaces that are made up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from cluster import Cluster
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream import (
    AsyncPostgresStore,
    AsyncSqliteStore,
    BaseStore,
    InMemoryStore,
    InvalidArgument,
    PostgresStore,
    PutOp,
    SqliteStore,
)
from millstream.testing import STORE_INDEX, StoreCheck, store_checks

pytestmark = pytest.mark.usefixtures("postgres")

KINDS = ["memory", "sqlite", "postgres"]


def empty(dsn: str) -> None:
    """Make the tables, or empty them: quicker than a schema for each."""
    with PostgresStore.from_conn_string(dsn) as store:
        store.setup()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE ms_items, ms_vectors")


@contextlib.contextmanager
def store_of(kind: str, dsn: str, **options: Any) -> Iterator[BaseStore]:
    if kind == "memory":
        yield InMemoryStore(index=options.get("index"))
    elif kind == "sqlite":
        with SqliteStore.from_conn_string(":memory:", **options) as store:
            yield store
    else:
        empty(dsn)
        with PostgresStore.from_conn_string(dsn, **options) as store:
            yield store


@contextlib.asynccontextmanager
async def async_store_of(kind: str, dsn: str, **options: Any) -> AsyncIterator[BaseStore]:
    if kind == "memory":
        yield InMemoryStore(index=options.get("index"))
    elif kind == "sqlite":
        async with AsyncSqliteStore.from_conn_string(":memory:", **options) as store:
            yield store
    else:
        await asyncio.to_thread(empty, dsn)
        async with AsyncPostgresStore.from_conn_string(dsn, **options) as store:
            yield store


@pytest.fixture(scope="module")
def place(postgres: Cluster) -> Iterator[str]:
    with postgres.schema() as schema:
        yield postgres.dsn(schema)


CHECKS = [(kind, check) for kind in KINDS for check in store_checks(InMemoryStore)]
OF_TTL = [(kind, check) for kind in ("sqlite", "postgres") for check in store_checks(SqliteStore) if check.of_ttl]


@pytest.mark.parametrize(("kind", "check"), [*CHECKS, *OF_TTL], ids=str)
def test_a_store_conforms(kind: str, check: StoreCheck, place: str) -> None:
    with store_of(kind, place, index=STORE_INDEX) as store:
        check.run(store)


@pytest.mark.parametrize(("kind", "check"), CHECKS, ids=str)
def test_a_store_conforms_awaited(kind: str, check: StoreCheck, place: str, run_async: Any) -> None:
    async def main() -> None:
        async with async_store_of(kind, place, index=STORE_INDEX) as store:
            await check.arun(store)

    run_async(main())


@pytest.mark.parametrize(("kind", "check"), OF_TTL, ids=str)
def test_a_store_conforms_in_time_awaited(kind: str, check: StoreCheck, place: str) -> None:
    async def main() -> None:
        async with async_store_of(kind, place) as store:
            await check.arun(store)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_sync_store_may_be_awaited_too(kind: str, place: str) -> None:
    async def main() -> None:
        with store_of(kind, place) as store:
            await store.aput(("a",), "k", {"n": 1})
            found = await store.aget(("a",), "k")
            assert found is not None and found.value == {"n": 1}

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Python's SQLite:RuntimeWarning")
def test_an_aiosqlite_connection_of_the_users(tmp_path: Any) -> None:
    import aiosqlite

    async def main() -> None:
        async with aiosqlite.connect(tmp_path / "t.sqlite") as connection:
            store = AsyncSqliteStore(connection)
            await asyncio.gather(*[store.aput(("a",), str(n), {"n": n}) for n in range(5)])
            assert len(await store.asearch(("a",))) == 5
        with pytest.raises(TypeError, match="aiosqlite"):
            AsyncSqliteStore(None)

    asyncio.run(main())


# Labels that look like what separates labels, stands for any label, or sorts just before and after.
LABEL = st.text("ab/.-%_*'\\ é", min_size=0, max_size=3)
NAMESPACES = st.lists(
    st.tuples(LABEL) | st.tuples(LABEL, LABEL) | st.tuples(LABEL, LABEL, LABEL), min_size=1, max_size=12
)


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces_never_cross(kind: str, place: str) -> None:
    number = itertools.count()
    with store_of(kind, place) as store:

        @settings(max_examples=60, deadline=None)
        @given(NAMESPACES)
        def check(namespaces: Any) -> None:
            root = f"run{next(number)}"
            kept = set()
            for namespace in namespaces:
                with contextlib.suppress(ValueError):
                    store.put((root, *namespace), "k", {"of": namespace})
                    kept.add((root, *namespace))
            for namespace in {(), *namespaces}:
                asked = (root, *namespace)
                found = store.get(asked, "k")
                assert (found is not None) == (asked in kept)
                assert found is None or tuple(found.value["of"]) == namespace
                below = {each for each in kept if each[: len(asked)] == asked}
                assert {item.namespace for item in store.search(asked, limit=99)} == below
                assert set(store.list_namespaces(prefix=(root,), limit=99)) == kept

        check()


def test_a_crossing_would_be_seen(place: str) -> None:
    """The control: with `.` allowed in labels, ("a", "b.c") and ("a.b", "c") are one."""
    with store_of("sqlite", place) as store:
        store.check = lambda op: None  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("millstream.graph.store.sql._joined", lambda labels: "".join(f"{each}." for each in labels))
            store.put(("a", "b.c"), "k", {"n": 1})
            assert store.get(("a.b", "c"), "k") is not None


# -- what only the stores on databases have --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_items_outlive_the_store(kind: str, place: str, tmp_path: Any) -> None:
    empty(place)
    for n in range(3):
        one: Any = (
            SqliteStore.from_conn_string(str(tmp_path / "s.sqlite"))
            if kind == "sqlite"
            else PostgresStore.from_conn_string(place)
        )
        with one as store:
            assert len(store.search(("a",))) == n
            store.put(("a",), f"k{n}", {"n": n})


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_sweeper_deletes_what_is_due(kind: str, place: str) -> None:
    config = {"default_ttl": 0.001, "sweep_interval_minutes": 0.001, "omit_expired": False, "refresh_on_read": False}
    with store_of(kind, place, ttl=config) as store:
        any_store: Any = store
        store.put(("a",), "due", {})
        store.put(("a",), "kept", {}, ttl=None)
        future = any_store.start_ttl_sweeper()
        assert any_store.start_ttl_sweeper() is future
        until(lambda: [item.key for item in store.search(("a",))] == ["kept"])
        assert any_store.stop_ttl_sweeper(5) and future.done()
        store.put(("a",), "again", {})
        until(lambda: any_store.sweep_ttl() == 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_sweeper_as_a_task(kind: str, place: str) -> None:
    async def main() -> None:
        async with async_store_of(kind, place, ttl={"omit_expired": False, "refresh_on_read": False}) as store:
            any_store: Any = store
            await store.aput(("a",), "due", {}, ttl=0.001)
            task = await any_store.start_ttl_sweeper(0.001)
            async with asyncio.timeout(5):
                while await store.asearch(("a",)):  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(0.01)
            assert await any_store.stop_ttl_sweeper() and task.done()
            with pytest.raises(ValueError, match="two sweeps"):
                await any_store.start_ttl_sweeper(0)
            await any_store.start_ttl_sweeper()  # ended with the store

    asyncio.run(main())


def test_a_read_without_refresh_leaves_the_time(place: str) -> None:
    for kind in ("sqlite", "postgres"):
        with store_of(kind, place) as store:
            store.put(("a",), "k", {}, ttl=0.001)
            until(lambda store=store: store.get(("a",), "k", refresh_ttl=False) is None)  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_sync_call_on_the_stores_own_loop_says_what_to_write(kind: str, place: str) -> None:
    async def main() -> None:
        async with async_store_of(kind, place) as store:
            with pytest.raises(asyncio.InvalidStateError, match="await"):
                store.get(("a",), "k")
            await asyncio.to_thread(store.put, ("a",), "k", {"n": 1})
            found = await asyncio.to_thread(store.get, ("a",), "k")
            assert found is not None and found.value == {"n": 1}

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_vectors_of_another_length_are_an_error(kind: str, place: str, tmp_path: Any) -> None:
    def of(size: int) -> Any:
        index = {"dims": size, "embed": lambda texts: [[1.0] * size for _ in texts]}
        if kind == "sqlite":
            return SqliteStore.from_conn_string(str(tmp_path / "s.sqlite"), index=index)  # type: ignore[arg-type]
        return PostgresStore.from_conn_string(place, index=index)  # type: ignore[arg-type]

    empty(place)
    with of(3) as store:
        store.put(("a",), "k", {"t": "x"})
    with of(4) as store, pytest.raises(Exception, match="vectors of 3 numbers"):
        store.search(("a",), query="x")


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_costs_what_it_reads(kind: str, place: str) -> None:
    """Pages and filters over more items than are read at once."""
    with store_of(kind, place, index=STORE_INDEX) as store:
        store.batch([PutOp(("a",), f"{n:04}", {"n": n, "text": "a" if n == 1100 else "b"}) for n in range(1200)])
        found = store.search(("a",), filter={"n": {"$gte": 600}}, limit=3, offset=2)
        assert [item.value["n"] for item in found] == [602, 603, 604]
        assert store.search(("a",), query="a", limit=1)[0].value["n"] == 1100


def test_an_index_needs_something_to_embed_with() -> None:
    for make in (lambda: InMemoryStore(index={}), lambda: PostgresStore(None, index={})):
        with pytest.raises(InvalidArgument, match="embed"):
            make()


def until(holds: Any) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)
