"""Savers on SQLite: a file that outlives the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any

from ...errors import InvalidType, Unsupported, UsageError
from ...flow.driver import in_worker
from . import sql
from .base import CheckpointTuple, Config, LogSaver, coordinates, entry_of, named, shown
from .log import Chain, Entry, Loaded, Record
from .sqlite_files import Connection, given, opened

__all__ = ["AsyncSqliteSaver", "LoopBlocked", "SqliteSaver"]


class LoopBlocked(UsageError, asyncio.InvalidStateError):
    """A synchronous method of an async saver was called on the event loop's own thread; `await` its `a...` twin."""


class _Sqlite(LogSaver):
    """What both savers share: plans, and whoever runs them."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def _run(self, plan: sql.Plan) -> Any:
        return self.connection.run(plan)

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return self._run(sql.load(thread, ns, id, _nothing_kept if anew else self.kept))  # type: ignore[no-any-return]

    def commit(self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None) -> Chain:
        return self._run(sql.commit(thread, ns, entries, chain, self.connection.keys))  # type: ignore[no-any-return]

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record]) -> None:
        self._run(sql.record(thread, ns, id, records, self.connection.keys))

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        return self._run(sql.ids_of(thread, ns))  # type: ignore[no-any-return]

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        return self._run(sql.writes_after(thread, ns, id))  # type: ignore[no-any-return]

    # -- the public methods ------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Make the tables; done by itself on first use."""

    def get_tuple(self, config: Config) -> CheckpointTuple | None:
        thread, ns, id = coordinates(config)
        loaded = self._run(sql.load(thread, ns, id, _nothing_kept))
        return None if loaded is None else shown(thread, ns, loaded)

    def list(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        found = self._run(sql.ids(config, before))
        read = ((thread, ns, self._run(sql.read(key, id))) for key, thread, ns, id in found)
        return sql.selected(read, filter, limit)

    def put(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        thread, ns, _ = coordinates(config)
        self.commit(thread, ns, [entry_of(config, checkpoint, metadata)], None)
        return named(thread, ns, checkpoint["id"])

    def put_writes(self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        thread, ns, id = coordinates(config)
        if id is not None:
            self.record(thread, ns, id, [Record(task_id, task_path, writes)])

    def delete_thread(self, thread_id: str) -> None:
        self.forget(thread_id)
        self._run(sql.delete(str(thread_id)))


class SqliteSaver(_Sqlite):
    """Keeps threads in a SQLite file. `conn` is a connection of yours; `from_conn_string(path)` opens one.

    ```python
    with SqliteSaver.from_conn_string("threads.sqlite") as saver:
        app = graph.compile(checkpointer=saver)
    ```
    """

    def __init__(self, conn: Any) -> None:
        super().__init__(conn if isinstance(conn, Connection) else given(conn))

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str) -> Generator[SqliteSaver, None, None]:
        """Open a file (`":memory:"`: a database that ends with the block) for as long as the block lasts."""
        connection = opened(conn_string)
        try:
            yield cls(connection)
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

    def __init__(self, conn: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self._aiosqlite: Any = None
        if isinstance(conn, Connection):
            super().__init__(conn)
        elif hasattr(conn, "execute") and asyncio.iscoroutinefunction(getattr(conn, "commit", None)):
            self._aiosqlite = _Aiosqlite(conn)
            super().__init__(Connection(None, "", owned=False))
        else:
            raise InvalidType(f"AsyncSqliteSaver takes an aiosqlite connection, not {conn!r}.")

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str) -> AsyncGenerator[AsyncSqliteSaver, None]:
        """Open a file for as long as the block lasts."""
        connection = await in_worker(copy_context(), opened, conn_string)
        try:
            yield cls(connection)
        finally:
            await in_worker(copy_context(), connection.close)

    def _run(self, plan: sql.Plan) -> Any:
        """From another thread than the loop's: there it would block what it waits for."""
        if asyncio._get_running_loop() is self.loop:
            plan.close()
            raise LoopBlocked(
                "a synchronous call of AsyncSqliteSaver blocks its event loop; use the async form, e.g. "
                "`await saver.aget_tuple(...)` or `await graph.ainvoke(...)`."
            )
        if self._aiosqlite is None:
            return self.connection.run(plan)
        return asyncio.run_coroutine_threadsafe(self._aiosqlite.run(plan), self.loop).result()

    async def aload(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return await self._plan(sql.load(thread, ns, id, _nothing_kept if anew else self.kept))  # type: ignore[no-any-return]

    async def acommit(self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None) -> Chain:
        return await self._plan(sql.commit(thread, ns, entries, chain, self.connection.keys))  # type: ignore[no-any-return]

    async def arecord(self, thread: str, ns: str, id: str, records: Sequence[Record]) -> None:
        await self._plan(sql.record(thread, ns, id, records, self.connection.keys))

    async def aids(self, thread: str, ns: str) -> Sequence[str]:
        return await self._plan(sql.ids_of(thread, ns))  # type: ignore[no-any-return]

    async def awrites_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        return await self._plan(sql.writes_after(thread, ns, id))  # type: ignore[no-any-return]

    async def _plan(self, plan: sql.Plan) -> Any:
        if self._aiosqlite is not None:
            return await self._aiosqlite.run(plan)
        return await in_worker(copy_context(), self.connection.run, plan)

    async def aget_tuple(self, config: Config) -> CheckpointTuple | None:
        thread, ns, id = coordinates(config)
        loaded = await self._plan(sql.load(thread, ns, id, _nothing_kept))
        return None if loaded is None else shown(thread, ns, loaded)

    async def alist(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        for key, thread, ns, id in await self._plan(sql.ids(config, before)):
            loaded = await self._plan(sql.read(key, id))
            for found in sql.selected(iter([(thread, ns, loaded)]), filter, limit):
                limit = None if limit is None else limit - 1
                yield found

    async def aput(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        thread, ns, _ = coordinates(config)
        await self.acommit(thread, ns, [entry_of(config, checkpoint, metadata)], None)
        return named(thread, ns, checkpoint["id"])

    async def aput_writes(
        self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        thread, ns, id = coordinates(config)
        if id is not None:
            await self.arecord(thread, ns, id, [Record(task_id, task_path, writes)])

    async def adelete_thread(self, thread_id: str) -> None:
        self.forget(thread_id)
        await self._plan(sql.delete(str(thread_id)))


class _Aiosqlite:
    """Runs plans on an aiosqlite connection of the user's."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._lock = asyncio.Lock()
        self._ready = False

    async def run(self, plan: sql.Plan) -> Any:
        async with self._lock:
            if not self._ready:
                for statement in sql.SCHEMA:
                    await self._raw.execute(statement)
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
                began = text == "BEGIN IMMEDIATE" or (began and text != "COMMIT")
                rows = list(await self._raw.execute_fetchall(text, values))
        except BaseException:
            if began:
                await self._raw.execute("ROLLBACK")
            raise


def _nothing_kept(thread: str, ns: str, newest: str) -> None:
    return None
