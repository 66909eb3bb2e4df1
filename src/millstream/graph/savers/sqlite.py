"""Savers on SQLite: a file that outlives the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any

from ...errors import InvalidType, Unsupported
from ...flow.driver import in_worker
from . import sql
from .serde import SerializerProtocol
from .sql_saver import SqlSaver, loop_blocked
from .sqlite_files import Connection, given, opened
from .sqlite_format import meaning, prepare

__all__ = ["AsyncSqliteSaver", "SqliteSaver"]


class _Sqlite(SqlSaver):
    """What both savers share: a connection."""

    def __init__(self, connection: Connection, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self.connection = connection

    def run(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        return self.connection.run(self.planned(plan, *args))

    def setup(self) -> None:
        """Make the tables; done by itself on first use."""

    def give_back(self) -> None:
        self.run(_give_back)


class SqliteSaver(_Sqlite):
    """Keeps threads in a SQLite file. `conn` is a connection of yours; `from_conn_string(path)` opens one.

    ```python
    with SqliteSaver.from_conn_string("threads.sqlite") as saver:
        app = graph.compile(checkpointer=saver)
    ```
    """

    def __init__(self, conn: Any, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(conn if isinstance(conn, Connection) else given(conn), serde)

    @classmethod
    @contextmanager
    def from_conn_string(
        cls, conn_string: str, *, serde: SerializerProtocol | None = None
    ) -> Generator[SqliteSaver, None, None]:
        """Open a file (`":memory:"`: a database that ends with the block) for as long as the block lasts."""
        connection = opened(conn_string)
        try:
            yield cls(connection, serde=serde)
        finally:
            connection.close()

    def _unsupported(self, method: str) -> Unsupported:
        return Unsupported(
            f"SqliteSaver is synchronous and has no `{method}`; use `async with AsyncSqliteSaver.from_conn_string(...)`."
        )


class AsyncSqliteSaver(_Sqlite):
    """`SqliteSaver` for async programs: its work is done on worker threads, or on the aiosqlite connection given.

    ```python
    async with AsyncSqliteSaver.from_conn_string("threads.sqlite") as saver:
        app = graph.compile(checkpointer=saver)
    ```
    """

    awaitable = True

    def __init__(self, conn: Any, *, serde: SerializerProtocol | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._aiosqlite: Any = None
        if isinstance(conn, Connection):
            super().__init__(conn, serde)
        elif hasattr(conn, "execute") and asyncio.iscoroutinefunction(getattr(conn, "commit", None)):
            self._aiosqlite = Aiosqlite(conn)
            super().__init__(Connection(None, "", owned=False), serde)
        else:
            raise InvalidType(f"AsyncSqliteSaver takes an aiosqlite connection, not {conn!r}.")

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls, conn_string: str, *, serde: SerializerProtocol | None = None
    ) -> AsyncGenerator[AsyncSqliteSaver, None]:
        """Open a file for as long as the block lasts."""
        connection = await in_worker(copy_context(), opened, conn_string)
        try:
            yield cls(connection, serde=serde)
        finally:
            await in_worker(copy_context(), connection.close)

    def run(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        """From another thread than the loop's: there it would block what it waits for."""
        if asyncio._get_running_loop() is self.loop:
            raise loop_blocked(self, "`await saver.aget_tuple(...)` or `await graph.ainvoke(...)`")
        if self._aiosqlite is None:
            return self.connection.run(self.planned(plan, *args))
        return asyncio.run_coroutine_threadsafe(self._aiosqlite.run(self.planned(plan, *args)), self.loop).result()

    async def arun(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        if self._aiosqlite is not None:
            return await self._aiosqlite.run(self.planned(plan, *args))
        return await in_worker(copy_context(), self.connection.run, self.planned(plan, *args))

    async def agive_back(self) -> None:
        await self.arun(_give_back)


class Aiosqlite:
    """Runs plans on an aiosqlite connection of the user's."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._lock = asyncio.Lock()
        self._ready = False

    async def run(self, plan: sql.Plan) -> Any:
        async with self._lock:
            if not self._ready:
                await self._step(prepare(""))
                await self._raw.commit()
                self._ready = True
            return await self._step(plan)

    async def _step(self, plan: sql.Plan) -> Any:
        began = False
        rows: Any = None
        try:
            while True:
                try:
                    text, values = next(plan) if rows is None else plan.send(rows)
                except StopIteration as done:
                    return done.value
                try:
                    rows = list(await self._raw.execute_fetchall(text, values))
                except Exception as error:
                    plan.throw(meaning(error, ""))
                    raise
                began = text == sql.BEGIN[0] or (began and text != sql.COMMIT[0])
        except BaseException:
            if began and self._raw.in_transaction:
                await self._raw.execute("ROLLBACK")
            raise


def _give_back() -> sql.Plan:
    """Pages that hold nothing go back to the system, where the file was made by us."""
    yield "PRAGMA incremental_vacuum", ()
    yield "PRAGMA wal_checkpoint(TRUNCATE)", ()
