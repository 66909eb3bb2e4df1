"""P10: files that were written once are read for ever; a format that is not known is refused and left alone."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from promising import record

from millstream import AsyncSqliteSaver, Command, CorruptCheckpoint, SqliteSaver, UnsupportedFormat
from millstream.graph.savers.sql import FORMAT

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.sqlite"))


def maker() -> Any:
    """The script that wrote the newest of them."""
    if "golden_make" not in sys.modules:
        spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["golden_make"] = module
        spec.loader.exec_module(module)
    return sys.modules["golden_make"]


def test_p10_there_is_a_file_of_the_present_format() -> None:
    assert GOLDEN / f"v{FORMAT}.sqlite" in FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_p10_a_golden_file_is_read_and_gone_on_with(file: Path, tmp_path: Path) -> None:
    make = maker()
    path = tmp_path / file.name
    shutil.copy(file, path)
    with SqliteSaver.from_conn_string(str(path)) as saver:
        assert json.loads(json.dumps(make.summary(saver))) == json.loads(file.with_suffix(".json").read_text())
        app = make.app_on(saver)
        config: Any = {"configurable": {"thread_id": "asking"}}
        state = app.get_state(config, subgraphs=True)
        assert state.values["plain"] == make.values()
        assert [question.value for question in state.interrupts] == ["name?"]
        assert app.invoke(Command(resume="bob"), config)["log"][-1] == "bob"
        assert saver.acquire_lease("leased").epoch == 2
    record("P10", f"golden/{file.stem}", 1, 0, "1/1", "files")


@pytest.mark.parametrize("version", [FORMAT + 1, 99])
def test_p10_a_newer_format_is_refused_and_left_alone(version: int, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    shutil.copy(FILES[-1], path)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE ms_format SET version = ?, said = ?", (version, f"millstream {version}"))
    connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    connection.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest(), sorted(each.name for each in tmp_path.iterdir())
    refused = pytest.raises(UnsupportedFormat, match=rf"format {version}.*Nothing in it was changed")
    with refused, SqliteSaver.from_conn_string(str(path)):
        pass
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), sorted(each.name for each in tmp_path.iterdir())) == before


def test_p10_a_file_that_does_not_say_its_format_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    for change in ("DROP TABLE ms_format", "UPDATE ms_format SET version = 3"):
        shutil.copy(FILES[-1], path)
        connection = apsw.Connection(str(path))
        connection.execute(change)
        connection.close()
        with pytest.raises(CorruptCheckpoint, match="format"), SqliteSaver.from_conn_string(str(path)):
            pass


@pytest.mark.filterwarnings("ignore:Python's SQLite:RuntimeWarning")
def test_p10_connections_of_users_are_checked_too(tmp_path: Path) -> None:
    import asyncio
    import sqlite3

    import aiosqlite

    path = tmp_path / "t.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE ms_format (version INTEGER, said TEXT)")
    connection.execute("INSERT INTO ms_format VALUES (9, 'millstream 9')")
    connection.commit()
    with pytest.raises(UnsupportedFormat):
        SqliteSaver(connection).get_tuple({"configurable": {"thread_id": "1"}})
    connection.close()

    async def main() -> None:
        async with aiosqlite.connect(path) as other:
            with pytest.raises(UnsupportedFormat):
                await AsyncSqliteSaver(other).aget_tuple({"configurable": {"thread_id": "1"}})

    asyncio.run(main())
