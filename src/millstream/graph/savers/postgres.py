"""Savers on Postgres: threads that outlive the process and its machine, and can be worked on from many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from ...errors import Unsupported
from ...flow.step import step
from . import postgres_sql, sql
from .ciphering import ciphered
from .leases import Lease
from .postgres_errors import EndTaken
from .postgres_links import Links
from .postgres_sources import AsyncOpened, Opened, asource_of, source_of
from .serde import SerializerProtocol
from .sql_saver import SqlSaver, loop_blocked

__all__ = ["AsyncPostgresSaver", "PostgresSaver"]

_READS: Final = (sql.ids_of, sql.writes_after, sql.find)


class _Postgres(SqlSaver):
    """What both savers share: how a plan is carried out, without colour."""

    now = staticmethod(postgres_sql.now)

    def __init__(self, source: Any, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self.links = Links(source)
        self._known = False

    async def _carry_out(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        run = self._run
        if not self._known:
            await run(lambda _: postgres_sql.check(), atomic=False)
            self._known = True
        if plan is sql.load:
            thread, ns, id, kept = args
            left = None if kept is None else self._kept.get((thread, ns))
            known = "" if left is None else left.id
            return await run(lambda _: postgres_sql.load(thread, ns, id, kept, known), atomic=False)
        if plan in _READS:
            return await run(lambda _: postgres_sql.one_by_one((), plan(*args)), atomic=False)
        if plan is sql.commit:
            with suppress(EndTaken):
                after = await run(lambda doubt: postgres_sql.commit(doubt, *args), atomic=False)
                if after is not None:
                    return after
        elif plan is sql.record and await run(lambda _: postgres_sql.record(*args), atomic=False):
            return None
        threads = [each.thread_id if isinstance(each, Lease) else each for each in args[: 2 if plan is sql.copy else 1]]
        return await run(lambda _: postgres_sql.one_by_one(threads, plan(*args)), atomic=True)

    async def _run(self, plan: Callable[[bool], Any], *, atomic: bool) -> Any:
        cipher = self.cipher
        if cipher is None:
            return await self.links.run(plan, atomic=atomic)
        return await self.links.run(lambda doubt: ciphered(plan(doubt), cipher), atomic=atomic)

    async def _set_up(self) -> None:
        await self.links.run(lambda _: postgres_sql.setup(), atomic=True)
        self._known = True


class PostgresSaver(_Postgres):
    """Keeps threads in Postgres. `conn` is a connection or a pool of yours, with autocommit; `from_conn_string(dsn)` opens its own.

    ```python
    with PostgresSaver.from_conn_string("postgresql://localhost/app") as saver:
        saver.setup()  # once
        app = graph.compile(checkpointer=saver)
    ```

    Of yours, a pool is tried again when the server was away; a connection that broke cannot be mended here.
    """

    def __init__(self, conn: Any, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(source_of(conn), serde)

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        connections: int = 8,
        serde: SerializerProtocol | None = None,
    ) -> Generator[PostgresSaver, None, None]:
        """Connect, with at most so many `connections`, for as long as the block lasts.

        `pipeline` makes no difference: what can share a round trip always does.
        """
        saver = cls(Opened(conn_string, connections), serde=serde)
        try:
            step(saver.links.greet())
            yield saver
        finally:
            step(saver.links.close())

    def setup(self) -> None:
        """Make the tables. To be called once, by somebody who may.

        Raises:
            UnsupportedFormat: there are some that a later version made. Nothing is touched.
        """
        step(self._set_up())

    def run(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        return step(self._carry_out(plan, *args))

    def _unsupported(self, method: str) -> Unsupported:
        return Unsupported(
            f"PostgresSaver is synchronous and has no `{method}`; use `async with AsyncPostgresSaver.from_conn_string(...)`."
        )


class AsyncPostgresSaver(_Postgres):
    """`PostgresSaver` for async programs: of one event loop. Its sync methods may be called from other threads.

    ```python
    async with AsyncPostgresSaver.from_conn_string("postgresql://localhost/app") as saver:
        await saver.setup()  # once
        app = graph.compile(checkpointer=saver)
    ```
    """

    awaitable = True

    def __init__(self, conn: Any, *, serde: SerializerProtocol | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(asource_of(conn), serde)

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        connections: int = 8,
        serde: SerializerProtocol | None = None,
    ) -> AsyncGenerator[AsyncPostgresSaver, None]:
        """Connect, with at most so many `connections`, for as long as the block lasts.

        `pipeline` makes no difference: what can share a round trip always does.
        """
        saver = cls(AsyncOpened(conn_string, connections), serde=serde)
        try:
            await saver.links.greet()
            yield saver
        finally:
            await saver.links.close()

    async def setup(self) -> None:
        """Make the tables. To be called once, by somebody who may.

        Raises:
            UnsupportedFormat: there are some that a later version made. Nothing is touched.
        """
        await self._set_up()

    def run(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        if asyncio._get_running_loop() is self.loop:
            raise loop_blocked(self, "`await saver.aget_tuple(...)` or `await graph.ainvoke(...)`")
        return asyncio.run_coroutine_threadsafe(self._carry_out(plan, *args), self.loop).result()

    async def arun(self, plan: Callable[..., sql.Plan], *args: Any) -> Any:
        return await self._carry_out(plan, *args)
