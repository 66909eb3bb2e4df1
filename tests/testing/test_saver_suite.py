"""The checks of savers, run on all of ours, on one of somebody else's, and on wrong ones, which they find out."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from plain_saver import PlainSaver
from savers import apostgres_saver, postgres_saver

from millstream import AsyncPostgresSaver, AsyncSqliteSaver, InMemorySaver, PostgresSaver, SqliteSaver
from millstream.testing import SaverCheck, saver_checks


def ids(check: Any) -> str:
    return str(check)


@pytest.mark.parametrize("check", saver_checks(InMemorySaver), ids=ids)
def test_in_memory(check: SaverCheck) -> None:
    check.run(InMemorySaver())
    asyncio.run(check.arun(InMemorySaver()))


@pytest.mark.parametrize("check", saver_checks(SqliteSaver), ids=ids)
def test_on_sqlite(check: SaverCheck, tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        check.run(saver)


@pytest.mark.parametrize("check", saver_checks(AsyncSqliteSaver), ids=ids)
def test_on_sqlite_async(check: SaverCheck, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            await check.arun(saver)

    asyncio.run(main())


@pytest.mark.parametrize("check", saver_checks(AsyncSqliteSaver), ids=ids)
def test_on_a_connection_of_aiosqlite(check: SaverCheck, tmp_path: Path) -> None:
    import aiosqlite

    async def main() -> None:
        async with aiosqlite.connect(tmp_path / "t.sqlite") as connection:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                saver = AsyncSqliteSaver(connection)
            await check.arun(saver)

    asyncio.run(main())


@pytest.fixture(scope="module")
def on_postgres(postgres: Any) -> Iterator[Any]:
    with postgres_saver(postgres) as saver:
        yield saver


@pytest.mark.parametrize("check", saver_checks(PostgresSaver), ids=ids)
def test_on_postgres(check: SaverCheck, on_postgres: Any) -> None:
    check.run(on_postgres)


def test_on_postgres_async(postgres: Any) -> None:
    async def main() -> None:
        async with apostgres_saver(postgres) as saver:
            for check in saver_checks(AsyncPostgresSaver):
                await check.arun(saver)

    asyncio.run(main())


@pytest.mark.parametrize("check", saver_checks(PlainSaver), ids=ids)
def test_a_saver_of_somebody_else(check: SaverCheck) -> None:
    check.run(PlainSaver())


def test_checks_of_methods_that_a_saver_lacks_are_left_out() -> None:
    needed = {check.needs for check in saver_checks()} - {None}
    assert needed == {"copy_thread", "prune", "delete_for_runs", "acquire_lease"}
    assert {check.needs for check in saver_checks(PlainSaver)} == {None}


class Forgetful(PlainSaver):
    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        pass


class Mixing(PlainSaver):
    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        config = deepcopy(config)
        config["configurable"]["thread_id"] = config["configurable"]["thread_id"].lower().strip()
        return super().put(config, checkpoint, metadata, new_versions)


class Sharing(PlainSaver):
    copied = staticmethod(lambda value: value)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (Forgetful, "ordinary writes are final and special ones replaced"),
        (Mixing, "threads and namespaces do not meet"),
        (Sharing, "what is changed later does not reach what is stored"),
    ],
)
def test_a_wrong_saver_is_found_out(wrong: Any, name: str) -> None:
    (check,) = [check for check in saver_checks() if check.name == name]
    with pytest.raises(Exception):  # noqa: B017 - whichever way it shows
        check.run(wrong())
