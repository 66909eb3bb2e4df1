"""Stores on SQLite: items in a file, which may be that of a saver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any

from ...errors import InvalidType
from ...flow.driver import in_worker
from ..savers import sql as savers_sql
from ..savers.sqlite import Aiosqlite
from ..savers.sqlite_files import Connection, given, opened
from . import sql
from .base import TTLConfig
from .indexing import IndexConfig
from .sql_store import AsyncSqlStore, Make, SyncSqlStore

__all__ = ["AsyncSqliteStore", "SqliteStore"]


class SqliteStore(SyncSqlStore):
    """Keeps items in a SQLite file. `conn` is a connection of yours; `from_conn_string(path)` opens one.

    ```python
    with SqliteStore.from_conn_string("memories.sqlite") as store:
        app = graph.compile(store=store)
    ```
    """

    def __init__(self, conn: Any, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None) -> None:
        super().__init__(index, ttl)
        self.connection = conn if isinstance(conn, Connection) else given(conn)
        self._ready = False

    @classmethod
    @contextmanager
    def from_conn_string(
        cls, conn_string: str, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None
    ) -> Generator[SqliteStore, None, None]:
        """Open a file (`":memory:"`: a database that ends with the block) for as long as the block lasts."""
        connection = opened(conn_string)
        try:
            store = cls(connection, index=index, ttl=ttl)
            try:
                yield store
            finally:
                store.stop_ttl_sweeper()
        finally:
            connection.close()

    def setup(self) -> None:
        """Make the tables; done by itself on first use."""
        self.connection.run(_schema())
        self._ready = True

    def _run(self, plan: Make, atomic: bool) -> Any:
        if not self._ready:
            self.setup()
        return self.connection.run(_flat(plan(), atomic))


class AsyncSqliteStore(AsyncSqlStore):
    """`SqliteStore` for async programs: its work is done on worker threads, or on the aiosqlite connection given.

    ```python
    async with AsyncSqliteStore.from_conn_string("memories.sqlite") as store:
        app = graph.compile(store=store)
    ```
    """

    def __init__(self, conn: Any, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None) -> None:
        super().__init__(index, ttl)
        self._aiosqlite: Any = None
        if isinstance(conn, Connection):
            self.connection = conn
        elif asyncio.iscoroutinefunction(getattr(conn, "commit", None)):
            self._aiosqlite = Aiosqlite(conn)
        else:
            raise InvalidType(f"AsyncSqliteStore takes an aiosqlite connection, not {conn!r}.")
        self._ready = False

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls, conn_string: str, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None
    ) -> AsyncGenerator[AsyncSqliteStore, None]:
        """Open a file for as long as the block lasts."""
        connection = await in_worker(copy_context(), opened, conn_string)
        try:
            store = cls(connection, index=index, ttl=ttl)
            try:
                yield store
            finally:
                await store.stop_ttl_sweeper()
        finally:
            await in_worker(copy_context(), connection.close)

    async def setup(self) -> None:
        """Make the tables; done by itself on first use."""
        await self._carry_out(_schema())
        self._ready = True

    async def _arun(self, plan: Make, atomic: bool) -> Any:
        if not self._ready:
            await self.setup()
        return await self._carry_out(_flat(plan(), atomic))

    async def _carry_out(self, plan: savers_sql.Plan) -> Any:
        if self._aiosqlite is not None:
            return await self._aiosqlite.run(plan)
        return await in_worker(copy_context(), self.connection.run, plan)


def _schema() -> savers_sql.Plan:
    for statement in sql.SQLITE.schema:
        yield statement, ()


def _flat(plan: sql.Plan, atomic: bool) -> savers_sql.Plan:
    """A plan as SQLite's connections run it: one statement at a time, its transaction among them."""
    if atomic:
        yield "BEGIN IMMEDIATE", ()
    answers: list[list[Any]] | None = None
    while True:
        try:
            statements = next(plan) if answers is None else plan.send(answers)
        except StopIteration as done:
            if atomic:
                yield "COMMIT", ()
            return done.value
        answers = []
        for statement in statements:
            answers.append((yield statement))
