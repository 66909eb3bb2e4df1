"""P4, P5: a damaged file opens as an earlier commit or says so, never as another state; a full disk is an error, not a loss."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of, thread
from promising import count, record

from millstream import CorruptCheckpoint, SqliteSaver, StorageError, StorageFull
from millstream.graph.savers import sealing

TURNS = 12


def app_on(saver: Any) -> Any:
    return graph_of(a=lambda state: {"log": [f"{len(state['log'])} " + "long " * 150]}).compile(checkpointer=saver)


def fill(saver: Any, turns: int = TURNS) -> None:
    app = app_on(saver)
    for turn in range(turns):
        for name in ("1", "2"):
            app.invoke({"log": [f"in {turn}"], "n": turn}, thread(name))


@dataclass
class Whole:
    """A file as it should be: its bytes, and what each checkpoint holds."""

    folder: Path
    truth: dict[str, dict[str, Any]]
    latest: dict[str, str]

    def copy(self, to: Path) -> Path:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.folder, to)
        return to / "t.sqlite"


def truth_of(saver: Any) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    truth: dict[str, dict[str, Any]] = {}
    latest: dict[str, str] = {}
    for found in saver.list(None):
        where = found.config["configurable"]
        truth[where["checkpoint_id"]] = found.checkpoint["channel_values"]
        latest.setdefault(where["thread_id"], where["checkpoint_id"])
    return truth, latest


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A file that was closed: all is in the main file."""
    folder = tmp_path_factory.mktemp("closed")
    with SqliteSaver.from_conn_string(str(folder / "t.sqlite")) as saver:
        fill(saver)
        truth, latest = truth_of(saver)
    return Whole(folder, truth, latest)


@pytest.fixture(scope="module")
def open_one(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A file that was in use: the last turns are in its write-ahead log."""
    folder, copy = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("copy")
    with SqliteSaver.from_conn_string(str(folder / "t.sqlite")) as saver:
        fill(saver, 4)
        saver.connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        fill(saver)
        truth, latest = truth_of(saver)
        for name in ("t.sqlite", "t.sqlite-wal"):
            shutil.copy(folder / name, copy / name)
    return Whole(copy, truth, latest)


def judged(path: Path, whole: Whole) -> str:
    """`same`, `earlier`, `refused`, or `wrong` with what was found."""
    found = Counter[str]()
    try:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            for name, latest in whole.latest.items():
                try:
                    loaded = saver.get_tuple(thread(name))
                except CorruptCheckpoint as error:
                    assert error.thread_id == name
                    found["refused"] += 1
                else:
                    if loaded is None:
                        found["earlier"] += 1
                    else:
                        id = loaded.checkpoint["id"]
                        if whole.truth.get(id) != loaded.checkpoint["channel_values"]:
                            return f"wrong: {id} {loaded.checkpoint['channel_values']}"
                        found["same" if id == latest else "earlier"] += 1
            for id, values in whole.truth.items():
                for name in whole.latest:
                    try:
                        old = saver.get_tuple({"configurable": {"thread_id": name, "checkpoint_id": id}})
                    except CorruptCheckpoint:
                        continue
                    if old is not None and old.checkpoint["channel_values"] != values:
                        return f"wrong: {id}"
    except CorruptCheckpoint:
        return "refused"
    return "refused" if found["refused"] else "earlier" if found["earlier"] else "same"


def flipped(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


def tell(name: str, seen: Counter[str]) -> None:
    wrong = sum(n for verdict, n in seen.items() if verdict.startswith("wrong"))
    record("P4", name, sum(seen.values()), wrong, dict(seen), "files")
    assert wrong == 0, seen


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_p4_a_cut_log_opens_as_an_earlier_commit(open_one: Whole, tmp_path: Path, chance: random.Random) -> None:
    size = (open_one.folder / "t.sqlite-wal").stat().st_size
    frames = range(32, size, 4096 + 24)
    places = [chance.randrange(size) for _ in range(count(500, 15))]
    places += list(frames) if len(places) == 500 else chance.sample(list(frames), 15)
    seen = Counter[str]()
    for place in places:
        path = open_one.copy(tmp_path / "x")
        with path.with_name("t.sqlite-wal").open("r+b") as file:
            file.truncate(place)
        seen[judged(path, open_one)] += 1
    tell("log cut", seen)
    assert not seen["refused"]


@pytest.mark.parametrize("name", ["t.sqlite-wal", "t.sqlite"])
def test_p4_a_turned_bit_is_never_believed(
    name: str, closed: Whole, open_one: Whole, tmp_path: Path, chance: random.Random
) -> None:
    whole = open_one if name.endswith("wal") else closed
    size = (whole.folder / name).stat().st_size
    seen = Counter[str]()
    for _ in range(count(500, 25)):
        path = whole.copy(tmp_path / "x")
        place, bit = chance.randrange(size), chance.randrange(8)
        flipped(path.with_name(name), place, bit)
        verdict = judged(path, whole)
        if verdict.startswith("wrong"):
            verdict += f" byte {place} bit {bit}"
        seen[verdict] += 1
    tell(f"bits of {name}", seen)


def test_p4_missing_side_files_lose_commits_and_no_more(open_one: Whole, tmp_path: Path) -> None:
    seen = Counter[str]()
    for names in (["t.sqlite-wal"], ["t.sqlite-shm"], ["t.sqlite-wal", "t.sqlite-shm"]):
        path = open_one.copy(tmp_path / "x")
        for name in names:
            path.with_name(name).unlink(missing_ok=True)
        seen[judged(path, open_one)] += 1
    tell("side files deleted", seen)
    assert seen == {"earlier": 2, "same": 1}


def blobs_of(saver: Any) -> Iterator[tuple[str, str, str, bytes]]:
    for column in ("delta", "snapshot"):
        rows = saver.connection.raw.execute(
            f"SELECT t.thread, c.id, c.{column} FROM ms_checkpoints c JOIN ms_threads t ON t.k = c.k "
            f"WHERE c.{column} IS NOT NULL"
        ).fetchall()
        for name, id, data in rows:
            yield name, id, column, data


def test_p4_damage_in_blobs_is_found_and_what_is_older_can_be_read(
    closed: Whole, tmp_path: Path, chance: random.Random
) -> None:
    attempts = count(500, 40)
    missed = unreadable = older = 0
    path = closed.copy(tmp_path / "x")
    with SqliteSaver.from_conn_string(str(path)) as saver:
        execute = saver.connection.raw.execute
        blobs = list(blobs_of(saver))
        assert {column for _, _, column, _ in blobs} == {"delta", "snapshot"}
        for _ in range(attempts):
            name, id, column, data = chance.choice(blobs)
            place, bit = chance.randrange(len(data)), chance.randrange(8)
            bad = data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]
            execute(f"UPDATE ms_checkpoints SET {column} = ? WHERE id = ?", (bad, id))
            config = {"configurable": {"thread_id": name, "checkpoint_id": id}}
            try:
                saver.get_tuple(config)
                missed += 1
            except CorruptCheckpoint as error:
                assert (error.thread_id, error.checkpoint_id) == (name, id)
                assert isinstance(error.step, int)
                assert f"thread {name!r}" in str(error) and f"step {error.step}" in str(error)
            before = [other for each, other, kind, _ in blobs if each == name and other < id and kind == "delta"]
            for other in chance.sample(before, min(3, len(before))):
                older += 1
                found = saver.get_tuple({"configurable": {"thread_id": name, "checkpoint_id": other}})
                unreadable += found is None or found.checkpoint["channel_values"] != closed.truth[other]
            execute(f"UPDATE ms_checkpoints SET {column} = ? WHERE id = ?", (data, id))
    record(
        "P4", "bits of blobs", attempts, missed + unreadable, f"{missed} missed, {unreadable} of {older} older lost", ""
    )
    assert missed == unreadable == 0


def test_p4_rows_in_the_wrong_place_are_found(closed: Whole, tmp_path: Path) -> None:
    path = closed.copy(tmp_path / "x")
    with SqliteSaver.from_conn_string(str(path)) as saver:
        execute = saver.connection.raw.execute
        execute("UPDATE ms_threads SET thread = 'x' WHERE thread = '1'")
        with pytest.raises(CorruptCheckpoint, match="thread 'x'"):
            saver.get_tuple(thread("x"))
        first, last = (
            execute(f"SELECT id FROM ms_checkpoints WHERE k = 2 ORDER BY id {way} LIMIT 1").fetchall()[0][0]
            for way in ("ASC", "DESC")
        )
        execute(
            "UPDATE ms_checkpoints SET delta = (SELECT delta FROM ms_checkpoints WHERE id = ?) WHERE id = ?",
            (first, last),
        )
        with pytest.raises(CorruptCheckpoint, match="checksum"):
            saver.get_tuple(thread("2"))
        for base in ("f", "0", b"f", 7, ""):
            execute("UPDATE ms_checkpoints SET base = ? WHERE id = ?", (base, last))
            with pytest.raises(CorruptCheckpoint, match="thread '2'"):
                saver.get_tuple(thread("2"))


def test_p4_control_without_checksums_a_wrong_state_is_read(
    closed: Whole, tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "crc32", lambda data, start=0: 0)
    path = tmp_path / "t.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        fill(saver)
        truth, latest = truth_of(saver)
    whole = Whole(tmp_path, truth, latest)
    data = path.read_bytes()
    verdicts = []
    for place in [at for at in range(len(data)) if data[at : at + 5] == b"long "][:2000:100]:
        copy = tmp_path / "x" / "t.sqlite"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(data)
        flipped(copy, place, 0)
        verdicts.append(judged(copy, whole)[:5])
    assert "wrong" in verdicts


# -- a full disk -----------------------------------------------------------------------------------------------------


def test_p5_a_full_file_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    runs = 20
    lost = wrong = 0
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app, execute = app_on(saver), saver.connection.raw.execute
        fill(saver)
        pages = execute("PRAGMA page_count").fetchall()[0][0]
        execute(f"PRAGMA max_page_count = {pages + 3}").fetchall()
        failed = 0
        for _ in range(runs):
            before = app.get_state(thread("1")).values["log"]
            try:
                app.invoke({"log": ["more " * 3000]}, thread("1"), durability="sync")
            except StorageFull as error:
                failed += 1
                assert "free space" in str(error)
            except Exception:
                wrong += 1
            after = app.get_state(thread("1")).values["log"]
            lost += after[: len(before)] != before
        assert failed >= runs - 3
        execute("PRAGMA max_page_count = 1000000").fetchall()
        done = sum(app.invoke({"log": ["again"]}, thread("1"))["log"][-2] == "again" for _ in range(runs))
        assert execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    record("P5", "max_page_count", 2 * runs, lost + wrong + runs - done, f"{done}/{runs} after freeing", "runs")
    assert (lost, wrong, done) == (0, 0, runs)


def test_p5_errors_of_storage_are_of_one_family() -> None:
    assert issubclass(StorageFull, StorageError)
