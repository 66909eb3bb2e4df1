"""Where connections to Postgres come from: opened by us and kept for the next call, or the user's connection or pool."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from ...errors import InvalidArgument, InvalidType, StorageError
from .postgres_errors import driver
from .postgres_links import IDLE, Statement, placed

__all__ = ["AsyncOpened", "Opened", "asource_of", "source_of"]

DEFAULTS: Final[dict[str, str | int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
    "client_encoding": "UTF8",
}
"""What a connection of ours has unless its string says otherwise: it notices a server that went without a word."""


def _conninfo(text: str) -> str:
    psycopg = driver()
    try:
        given = psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.ProgrammingError as error:
        raise InvalidArgument(f"this is no connection string for Postgres: {str(error).strip()}") from error
    made: str = psycopg.conninfo.make_conninfo(
        text, **{name: value for name, value in DEFAULTS.items() if name not in given}
    )
    return made


def _is_usable(raw: Any) -> bool:
    return not raw.closed and raw.info.transaction_status == IDLE


def _closed(what: str) -> StorageError:
    return StorageError(f"the connection to Postgres was closed; use the {what} inside its `with` block.")


def _check(raw: Any) -> Any:
    if not raw.autocommit:
        raise InvalidArgument(
            "the connection must be one with autocommit=True (for a pool: kwargs={'autocommit': True}), else nothing that is stored "
            "is seen by others before you commit."
        )
    return raw


class _Sync:
    """Statements on psycopg's blocking connections."""

    async def send(self, raw: Any, statements: Sequence[Statement]) -> list[list[Any]]:
        if len(statements) == 1:
            return [_executed(raw, statements[0])]
        if not driver().Pipeline.is_supported():
            return [_executed(raw, statement) for statement in statements]
        with raw.pipeline():
            cursors = [_cursor(raw).execute(placed(sql), values, binary=True) for sql, values in statements]
        return [_rows(cursor) for cursor in cursors]

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this colour blocks


class _Async:
    """Statements on psycopg's asyncio connections."""

    async def send(self, raw: Any, statements: Sequence[Statement]) -> list[list[Any]]:
        if len(statements) == 1 or not driver().Pipeline.is_supported():
            return [await _aexecuted(raw, statement) for statement in statements]
        async with raw.pipeline():
            cursors = [await _cursor(raw).execute(placed(sql), values, binary=True) for sql, values in statements]
        return [await _arows(cursor) for cursor in cursors]

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _cursor(raw: Any) -> Any:
    return raw.cursor(row_factory=driver().rows.tuple_row)


def _executed(raw: Any, statement: Statement) -> list[Any]:
    return _rows(_cursor(raw).execute(placed(statement[0]), statement[1], binary=True))


async def _aexecuted(raw: Any, statement: Statement) -> list[Any]:
    return await _arows(await _cursor(raw).execute(placed(statement[0]), statement[1], binary=True))


def _rows(cursor: Any) -> list[Any]:
    return cursor.fetchall() if cursor.description else []


async def _arows(cursor: Any) -> list[Any]:
    return await cursor.fetchall() if cursor.description else []


class Opened(_Sync):
    """At most `size` connections of ours, made when they are needed."""

    def __init__(self, conninfo: str, size: int) -> None:
        self.conninfo = _conninfo(conninfo)
        self._idle: list[Any] = []
        self._free = threading.Semaphore(size)
        self._open = True

    async def take(self) -> Any:
        self._free.acquire()
        try:
            if not self._open:
                raise _closed("saver or store")
            while self._idle:
                if _is_usable(raw := self._idle.pop()):
                    return raw
            return driver().Connection.connect(self.conninfo, autocommit=True)
        except BaseException:
            self._free.release()
            raise

    async def give(self, raw: Any) -> None:
        if self._open and _is_usable(raw):
            self._idle.append(raw)
        else:
            raw.close()
        self._free.release()

    async def close(self) -> None:
        self._open = False
        while self._idle:
            self._idle.pop().close()


class AsyncOpened(_Async):
    """`Opened`, of asyncio connections."""

    def __init__(self, conninfo: str, size: int) -> None:
        self.conninfo = _conninfo(conninfo)
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)
        self._open = True

    async def take(self) -> Any:
        await self._free.acquire()
        try:
            if not self._open:
                raise _closed("saver or store")
            while self._idle:
                if _is_usable(raw := self._idle.pop()):
                    return raw
            return await driver().AsyncConnection.connect(self.conninfo, autocommit=True)
        except BaseException:
            self._free.release()
            raise

    async def give(self, raw: Any) -> None:
        self._free.release()
        if self._open and _is_usable(raw):
            self._idle.append(raw)
        else:
            await raw.close()

    async def close(self) -> None:
        self._open = False
        while self._idle:
            await self._idle.pop().close()


class _Given(_Sync):
    """The user's one connection: one caller at a time."""

    def __init__(self, raw: Any) -> None:
        self.raw = _check(raw)
        self._free = threading.Lock()

    async def take(self) -> Any:
        self._free.acquire()
        if self.raw.closed:
            self._free.release()
            raise StorageError(
                "the connection given is closed; give a pool, or use `from_conn_string`, which connect again."
            )
        return self.raw

    async def give(self, raw: Any) -> None:
        self._free.release()

    async def close(self) -> None:
        pass


class _AsyncGiven(_Async):
    """`_Given`, of an asyncio connection."""

    def __init__(self, raw: Any) -> None:
        self.raw = _check(raw)
        self._free = asyncio.Lock()

    async def take(self) -> Any:
        await self._free.acquire()
        if self.raw.closed:
            self._free.release()
            raise StorageError(
                "the connection given is closed; give a pool, or use `from_conn_string`, which connect again."
            )
        return self.raw

    async def give(self, raw: Any) -> None:
        self._free.release()

    async def close(self) -> None:
        pass


class _Pooled(_Sync):
    """The connections of the user's pool."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    async def take(self) -> Any:
        if self.pool.closed:
            raise StorageError("the pool given is closed.")
        raw = self.pool.getconn()
        try:
            return _check(raw)
        except BaseException:
            self.pool.putconn(raw)
            raise

    async def give(self, raw: Any) -> None:
        self.pool.putconn(raw)

    async def close(self) -> None:
        pass


class _AsyncPooled(_Async):
    """`_Pooled`, of an asyncio pool."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    async def take(self) -> Any:
        if self.pool.closed:
            raise StorageError("the pool given is closed.")
        raw = await self.pool.getconn()
        try:
            return _check(raw)
        except BaseException:
            await self.pool.putconn(raw)
            raise

    async def give(self, raw: Any) -> None:
        await self.pool.putconn(raw)

    async def close(self) -> None:
        pass


def source_of(conn: Any) -> Any:
    """The source of what a user gives to a sync saver or store."""
    if isinstance(conn, _Sync):
        return conn
    if isinstance(conn, driver().Connection):
        return _Given(conn)
    if hasattr(conn, "getconn") and not asyncio.iscoroutinefunction(conn.getconn):
        return _Pooled(conn)
    raise InvalidType(f"here a psycopg.Connection or a psycopg_pool.ConnectionPool is needed, not {conn!r}.")


def asource_of(conn: Any) -> Any:
    """The source of what a user gives to an async saver or store."""
    if isinstance(conn, _Async):
        return conn
    if isinstance(conn, driver().AsyncConnection):
        return _AsyncGiven(conn)
    if hasattr(conn, "getconn") and asyncio.iscoroutinefunction(conn.getconn):
        return _AsyncPooled(conn)
    raise InvalidType(f"here a psycopg.AsyncConnection or a psycopg_pool.AsyncConnectionPool is needed, not {conn!r}.")
