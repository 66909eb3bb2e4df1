"""Serialisers: typed bytes, encryption of what is stored, and savers of others that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from colours import Colour, colour
from graph_helpers import graph_of, run, thread

from millstream import (
    AIMessage,
    AsyncSqliteSaver,
    BaseCheckpointSaver,
    CheckpointTuple,
    Command,
    CorruptCheckpoint,
    EncryptedSerializer,
    InMemorySaver,
    JsonPlusSerializer,
    PostgresSaver,
    SqliteSaver,
    interrupt,
)

__all__ = ["colour"]

KEY = b"0123456789abcdef"
SECRET = "the secret of the mill"


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (b"raw", "bytes"), (bytearray(b"raw"), "bytearray"), ({"a": [1, {2}]}, "msgpack")],
)
def test_values_as_typed_bytes(value: Any, kind: str) -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(value)
    assert stored[0] == kind
    assert serde.loads_typed(stored) == value
    assert type(serde.loads_typed(stored)) is type(value)


def test_messages_and_times_come_back_and_errors_as_text() -> None:
    serde = JsonPlusSerializer()
    value = {"m": AIMessage("hi", id="1"), "at": datetime(2026, 1, 1, tzinfo=UTC), "e": ValueError("no")}
    assert serde.loads_typed(serde.dumps_typed(value)) == {**value, "e": "ValueError('no')"}
    with pytest.raises(NotImplementedError, match="pickle"):
        JsonPlusSerializer(pickle_fallback=True)
    with pytest.raises(CorruptCheckpoint, match="'pickle'"):
        serde.loads_typed(("pickle", b""))


def test_encrypted_bytes_need_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=KEY)
    kind, data = serde.dumps_typed({"text": SECRET})
    assert kind == "msgpack+aes"
    assert SECRET.encode() not in data
    assert data != serde.dumps_typed({"text": SECRET})[1]
    assert serde.loads_typed((kind, data)) == {"text": SECRET}
    assert serde.loads_typed(JsonPlusSerializer().dumps_typed([1])) == [1]
    with pytest.raises(CorruptCheckpoint, match="key"):
        EncryptedSerializer.from_pycryptodome_aes(key=b"x" * 32).loads_typed((kind, data))
    monkeypatch.setenv("LANGGRAPH_AES_KEY", KEY.decode())
    assert EncryptedSerializer.from_pycryptodome_aes().loads_typed((kind, data)) == {"text": SECRET}
    monkeypatch.delenv("LANGGRAPH_AES_KEY")
    with pytest.raises(ValueError, match="needs a key"):
        EncryptedSerializer.from_pycryptodome_aes()
    with pytest.raises(ValueError, match="16, 24 or 32"):
        EncryptedSerializer.from_pycryptodome_aes(key=b"short")


def _asking(saver: Any) -> Any:
    def ask(state: Any) -> Any:
        return {"log": [SECRET, interrupt(SECRET)]}

    return graph_of(ask=ask).compile(checkpointer=saver)


def _bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


@pytest.mark.parametrize(
    "serde", [None, EncryptedSerializer.from_pycryptodome_aes(key=KEY)], ids=["plain", "encrypted"]
)
def test_a_file_holds_what_was_said_only_where_it_is_not_encrypted(serde: Any, tmp_path: Path) -> None:
    path = tmp_path / "threads.sqlite"
    with SqliteSaver.from_conn_string(str(path), serde=serde) as saver:
        _asking(saver).invoke({"log": [SECRET]}, thread())
        saver.copy_thread("1", "2")
    assert (SECRET.encode() in _bytes_of(path)) is (serde is None)
    with SqliteSaver.from_conn_string(str(path), serde=serde) as saver:
        for name in ("1", "2"):
            assert _asking(saver).invoke(Command(resume=SECRET), thread(name)) == {"log": [SECRET] * 3}
            saver.prune([name], keep=1)
            assert saver.get(thread(name))["channel_values"] == {"log": [SECRET] * 3}  # type: ignore[index]
    assert (SECRET.encode() in _bytes_of(path)) is (serde is None)
    if serde is not None:
        other = EncryptedSerializer.from_pycryptodome_aes(key=b"x" * 16)
        for wrong in (None, other):
            with SqliteSaver.from_conn_string(str(path), serde=wrong) as saver, pytest.raises(CorruptCheckpoint):
                saver.get_tuple(thread())


def test_a_thread_goes_on_under_encryption(tmp_path: Path) -> None:
    path = tmp_path / "threads.sqlite"
    serde = EncryptedSerializer.from_pycryptodome_aes(key=KEY)

    async def go_on() -> Any:
        async with AsyncSqliteSaver.from_conn_string(str(path), serde=serde) as saver:
            return await _asking(saver).ainvoke(Command(resume="yes"), thread())

    with SqliteSaver.from_conn_string(str(path)) as saver:
        _asking(saver).invoke({"log": []}, thread())
    assert asyncio.run(go_on()) == {"log": [SECRET, "yes"]}


def test_a_serialiser_of_ones_own_is_for_savers_of_ones_own() -> None:
    class Mine:
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "x", b""

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return None

    with pytest.raises(TypeError, match="register_type"):
        InMemorySaver(serde=Mine())
    assert BaseCheckpointSaver(serde=(mine := Mine())).serde is mine
    assert isinstance(InMemorySaver().serde, JsonPlusSerializer)


class ByVersion(BaseCheckpointSaver):
    """As others write them: a value is stored once for each version, and found again by it."""

    def __init__(self, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.rows: dict[tuple[str, str, str], Any] = {}
        self.blobs: dict[tuple[str, str, str, Any], Any] = {}

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        found = config["configurable"]
        thread, ns = found["thread_id"], found["checkpoint_ns"]
        rest = {**checkpoint}
        values = rest.pop("channel_values")
        for key, version in new_versions.items():
            self.blobs[thread, ns, key, version] = self.serde.dumps_typed(values[key])
        stored = self.serde.dumps_typed(rest), metadata, found.get("checkpoint_id")
        self.rows[thread, ns, checkpoint["id"]] = stored
        return {"configurable": {**found, "checkpoint_id": checkpoint["id"]}}

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        raise AssertionError("nothing is cut here")

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        return next(iter(self.list(config)), None)

    def list(self, config: Any, **options: Any) -> Iterator[CheckpointTuple]:
        found = config["configurable"]
        for (name, ns, id), (data, metadata, parent) in sorted(self.rows.items(), reverse=True):
            if (name, ns) == (found["thread_id"], found.get("checkpoint_ns", "")) and id == found.get(
                "checkpoint_id", id
            ):
                checkpoint = self.serde.loads_typed(data)
                checkpoint["channel_values"] = {
                    key: self.serde.loads_typed(self.blobs[name, ns, key, version])
                    for key, version in checkpoint["channel_versions"].items()
                }
                at = {"thread_id": name, "checkpoint_ns": ns}
                before = None if parent is None else {"configurable": {**at, "checkpoint_id": parent}}
                yield CheckpointTuple({"configurable": {**at, "checkpoint_id": id}}, checkpoint, metadata, before, [])


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_saver_that_stores_each_version_of_a_value_once(durability: Any, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        saver = ByVersion(EncryptedSerializer.from_pycryptodome_aes(key=KEY))
        nodes = {"a": c.function(lambda s: {"log": ["a"]}), "b": c.function(lambda s: {"log": ["b"]})}
        app = graph_of(("a", "b"), **nodes).compile(checkpointer=saver)
        await run(c, app, {"n": 1, "log": []}, thread(), durability=durability)
        assert await run(c, app, {"log": ["in"]}, thread(), durability=durability) == {
            "n": 1,
            "log": ["a", "b", "in", "a", "b"],
        }
        app.update_state(thread(), {"log": ["x"]})
        assert app.get_state(thread()).values == {"n": 1, "log": ["a", "b", "in", "a", "b", "x"]}
        assert len({place for place in saver.blobs if place[2] == "n"}) == 1

    colour.run(body)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_versions_of_channels_grow_with_what_changes(kind: str) -> None:
    saver: Any
    with InMemorySaver() if kind == "memory" else SqliteSaver.from_conn_string(":memory:") as saver:
        _check_versions(saver)
    assert BaseCheckpointSaver().get_next_version(3, None) == 4


def _check_versions(saver: Any) -> None:
    app = graph_of(("a", "b"), a=lambda s: {"n": 2, "log": ["a"]}, b=lambda s: {"log": ["b"]}).compile(
        checkpointer=saver
    )
    app.invoke({"n": 1, "log": ["in"]}, thread())
    last, middle, first, _ = [found.checkpoint for found in saver.list(thread())]
    assert last["updated_channels"] == ["log"]
    assert last["channel_versions"]["n"] == middle["channel_versions"]["n"] > first["channel_versions"]["n"]
    assert last["channel_versions"]["log"] > middle["channel_versions"]["log"] > first["channel_versions"]["log"]
    version = last["channel_versions"]["log"]
    assert len(version.split(".")[0]) == 32
    assert saver.get_next_version(version, None) > version > saver.get_next_version(None, None)


def test_what_tasks_wrote_is_pending_at_the_checkpoint_that_they_started_from(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        saver = InMemorySaver()
        nodes = {"a": c.function(lambda s: {"n": 2, "log": ["a"]}), "b": c.function(lambda s: None)}
        await run(c, graph_of(("a", "b"), **nodes).compile(checkpointer=saver), {"log": []}, thread())
        found = [found async for found in saver.alist(thread())]
        pending = [[write[1:] for write in each.pending_writes or ()] for each in found]
        assert pending == [[], [("__no_writes__", None)], [("n", 2), ("log", ["a"])], [("log", [])]]
        assert (await saver.aget_tuple(found[2].config)) == found[2]

    colour.run(body)


class Kept(ByVersion):
    """Checkpoints and writes as a test gives them."""

    def __init__(self, *chain: tuple[dict[str, Any], list[Any]]) -> None:
        super().__init__()
        self.chain = chain

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        at = int(config["configurable"]["checkpoint_id"])
        values, writes = self.chain[at]
        parent = {"configurable": {"checkpoint_id": str(at - 1)}} if at else None
        return CheckpointTuple(config, {"channel_values": values}, {}, parent, writes)

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        return self.get_tuple(config)


def test_the_history_of_a_channel_whose_values_are_not_stored() -> None:
    saver = Kept(({"x": [0]}, [("t", "x", 1), ("t", "y", "a")]), ({}, [("u", "x", 2)]), ({"z": 5}, [("v", "x", 3)]))
    config = {"configurable": {"checkpoint_id": "2"}}
    expected = {
        "x": {"seed": [0], "writes": [("t", "x", 1), ("u", "x", 2)]},
        "y": {"writes": [("t", "y", "a")]},
        "z": {"seed": 5, "writes": []},
    }
    assert saver.get_delta_channel_history(config=config, channels=["x", "y", "z"]) == expected
    assert asyncio.run(saver.aget_delta_channel_history(config=config, channels=["x", "y", "z"])) == expected
    with pytest.raises(NotImplementedError):
        BaseCheckpointSaver().get_delta_channel_history(config=config, channels=["x"])


def test_a_database_holds_nothing_that_was_said(dsn: str) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=KEY)
    with PostgresSaver.from_conn_string(dsn, serde=serde) as saver:
        saver.setup()
        app = _asking(saver)
        app.invoke({"log": [SECRET]}, thread("enc"))
        app.invoke({"log": [SECRET]}, thread("enc"))
        saver.copy_thread("enc", "enc2")
        assert app.invoke(Command(resume="yes"), thread("enc2"))["log"][-1] == "yes"
        assert next(s.values for s in app.get_state_history(thread("enc2")))["log"][-1] == "yes"
        with psycopg.connect(dsn) as raw:
            rows = raw.execute("SELECT delta, snapshot FROM ms_checkpoints").fetchall()
            stored = [data for row in rows for data in row if data is not None]
            stored += [row[0] for row in raw.execute("SELECT value FROM ms_writes").fetchall()]
        assert stored
        assert not [data for data in stored if SECRET.encode() in bytes(data)]
        saver.delete_thread("enc")
        saver.delete_thread("enc2")
