"""Savers on the tests' Postgres, each time empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from cluster import Cluster

from millstream import AsyncPostgresSaver, PostgresSaver

__all__ = ["apostgres_saver", "emptied", "postgres_saver", "stored_bytes"]

SCHEMA = "savers"
_TABLES = ("ms_checkpoints", "ms_leases", "ms_threads", "ms_writes")


def emptied(cluster: Cluster) -> str:
    """How to connect to a schema with empty tables: emptying them is quicker than making them."""
    dsn = cluster.dsn(SCHEMA)
    with psycopg.connect(dsn, autocommit=True) as connection:
        if not connection.execute("SELECT to_regclass('ms_threads')").fetchall()[0][0]:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            with PostgresSaver.from_conn_string(dsn) as saver:
                saver.setup()
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")  # type: ignore[call-overload]
    return dsn


@contextmanager
def postgres_saver(cluster: Cluster, **options: Any) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(emptied(cluster), **options) as saver:
        yield saver


@asynccontextmanager
async def apostgres_saver(cluster: Cluster, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
    dsn = await asyncio.to_thread(emptied, cluster)
    async with AsyncPostgresSaver.from_conn_string(dsn, **options) as saver:
        yield saver


def stored_bytes(saver: Any) -> int:
    """The bytes of all checkpoints and writes of a saver on Postgres, as they were handed over."""
    with psycopg.connect(saver.links.source.conninfo) as connection:
        found = connection.execute(
            "SELECT (SELECT coalesce(sum(length(delta) + coalesce(length(snapshot), 0)), 0) FROM ms_checkpoints) "
            "+ (SELECT coalesce(sum(length(value)), 0) FROM ms_writes)"
        ).fetchall()
    return int(found[0][0])
