"""What stores on databases share: a batch is a plan, and a subclass says how plans are run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeAlias

from ...flow.driver import in_worker
from ..savers.sql_saver import loop_blocked
from . import sql
from .base import BaseStore, Op, TTLConfig
from .indexing import IndexConfig, Indexing, Vector
from .sweeping import AsyncSweeper, Sweeper, interval_of

__all__ = ["AsyncSqlStore", "SqlStore", "SyncSqlStore"]

Make: TypeAlias = Callable[[], sql.Plan]


class SqlStore(BaseStore):
    """A store on a database. A subclass names its `dialect`, and writes how a plan is run in its colour."""

    supports_ttl = True
    dialect = sql.SQLITE

    def __init__(self, index: IndexConfig | None, ttl: TTLConfig | None) -> None:
        self.index = index
        self.ttl_config = ttl
        self._indexing = Indexing(index, type(self).__name__)

    def _checked(self, ops: Iterable[Op]) -> list[Op]:
        ops = list(ops)
        for op in ops:
            self.check(op)
        return ops

    def _batch(self, ops: list[Op], vectors: dict[str, Vector]) -> Make:
        omit = (self.ttl_config or {}).get("omit_expired", True)
        return lambda: sql.batch(self.dialect, ops, vectors, self._indexing, omit)

    def _sweep(self) -> sql.Plan:
        return sql.sweep(self.dialect)

    def _interval(self, given: float | None) -> float:
        return interval_of(given, (self.ttl_config or {}).get("sweep_interval_minutes"))


class SyncSqlStore(SqlStore):
    """A store whose work blocks; its async forms do it on worker threads."""

    def __init__(self, index: IndexConfig | None, ttl: TTLConfig | None) -> None:
        super().__init__(index, ttl)
        self._sweeper = Sweeper()

    def _run(self, plan: Make, atomic: bool) -> Any:
        raise self._lacks("batch")

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        ops = self._checked(ops)
        return self._run(self._batch(ops, self._indexing.vectors(ops)), not sql.only_reads(ops))  # type: ignore[no-any-return]

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        ops = self._checked(ops)
        plan = self._batch(ops, await self._indexing.avectors(ops))
        return await in_worker(copy_context(), self._run, plan, not sql.only_reads(ops))  # type: ignore[no-any-return]

    def sweep_ttl(self) -> int:
        """Delete what is due; how many items that were."""
        return self._run(self._sweep, True)  # type: ignore[no-any-return]

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Delete what is due every so many minutes (`TTLConfig`, else 5), on a thread, until `stop_ttl_sweeper`."""
        return self._sweeper.start(self.sweep_ttl, self._interval(sweep_interval_minutes))

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop the sweeper and wait for it; whether it ended within `timeout` seconds."""
        return self._sweeper.stop(timeout)


class AsyncSqlStore(SqlStore):
    """A store of one event loop. Its sync methods may be called from other threads."""

    def __init__(self, index: IndexConfig | None, ttl: TTLConfig | None) -> None:
        super().__init__(index, ttl)
        self.loop = asyncio.get_running_loop()
        self._sweeper = AsyncSweeper()

    async def _arun(self, plan: Make, atomic: bool) -> Any:
        raise self._lacks("abatch")

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        if asyncio._get_running_loop() is self.loop:
            raise loop_blocked(self, "`await store.aget(...)`")
        return self._from_outside(self.abatch(ops))  # type: ignore[no-any-return]

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        ops = self._checked(ops)
        plan = self._batch(ops, await self._indexing.avectors(ops))
        return await self._arun(plan, not sql.only_reads(ops))  # type: ignore[no-any-return]

    def _from_outside(self, work: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()  # type: ignore[arg-type]

    async def sweep_ttl(self) -> int:
        """Delete what is due; how many items that were."""
        return await self._arun(self._sweep, True)  # type: ignore[no-any-return]

    async def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> asyncio.Task[None]:
        """Delete what is due every so many minutes (`TTLConfig`, else 5), until `stop_ttl_sweeper`."""
        return self._sweeper.start(self.sweep_ttl, self._interval(sweep_interval_minutes))

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - it may go on afterwards
        """Stop the sweeper and wait for it; whether it ended within `timeout` seconds."""
        return await self._sweeper.stop(timeout)
