"""Stores on Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from ...flow.step import step
from ..savers.postgres_links import Links, Statement
from ..savers.postgres_sources import AsyncOpened, Opened, asource_of, source_of
from . import sql
from .base import TTLConfig
from .indexing import IndexConfig
from .sql_store import AsyncSqlStore, Make, SyncSqlStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]

# Two that make the tables at once would be in each other's way.
_SETUP: Final[list[Statement]] = [
    ("SELECT pg_advisory_xact_lock(hashtext('millstream.store'))", ()),
    *((statement, ()) for statement in sql.POSTGRES.schema),
]


class PostgresStore(SyncSqlStore):
    """Keeps items in Postgres. `conn` is a connection or a pool of yours, with autocommit; `from_conn_string(dsn)` opens its own.

    ```python
    with PostgresStore.from_conn_string("postgresql://localhost/app") as store:
        store.setup()  # once
        app = graph.compile(store=store)
    ```
    """

    dialect = sql.POSTGRES

    def __init__(self, conn: Any, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None) -> None:
        super().__init__(index, ttl)
        self._links = Links(source_of(conn))

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        connections: int = 8,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> Generator[PostgresStore, None, None]:
        """Connect, with at most so many `connections`, for as long as the block lasts."""
        store = cls(Opened(conn_string, connections), index=index, ttl=ttl)
        try:
            step(store._links.greet())
            yield store
        finally:
            store.stop_ttl_sweeper()
            step(store._links.close())

    def setup(self) -> None:
        """Make the tables. To be called once, by somebody who may."""
        self._run(_schema, True)

    def _run(self, plan: Make, atomic: bool) -> Any:
        return step(self._links.run(lambda _: plan(), atomic=atomic))


class AsyncPostgresStore(AsyncSqlStore):
    """`PostgresStore` for async programs.

    ```python
    async with AsyncPostgresStore.from_conn_string("postgresql://localhost/app") as store:
        await store.setup()  # once
        app = graph.compile(store=store)
    ```
    """

    dialect = sql.POSTGRES

    def __init__(self, conn: Any, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None) -> None:
        super().__init__(index, ttl)
        self._links = Links(asource_of(conn))

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        connections: int = 8,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> AsyncGenerator[AsyncPostgresStore, None]:
        """Connect, with at most so many `connections`, for as long as the block lasts."""
        store = cls(AsyncOpened(conn_string, connections), index=index, ttl=ttl)
        try:
            await store._links.greet()
            yield store
        finally:
            await store.stop_ttl_sweeper()
            await store._links.close()

    async def setup(self) -> None:
        """Make the tables. To be called once, by somebody who may."""
        await self._arun(_schema, True)

    async def _arun(self, plan: Make, atomic: bool) -> Any:
        return await self._links.run(lambda _: plan(), atomic=atomic)


def _schema() -> sql.Plan:
    yield _SETUP
