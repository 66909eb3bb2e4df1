"""Attacks on stored data (A1 to A9): data stays data, other bytes are refused, and nothing is built, imported or run."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import ormsgpack
import pytest
from graph_helpers import graph_of, thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promising import count, record

from millstream import (
    AIMessage,
    AIMessageChunk,
    AsyncSqliteSaver,
    CachePolicy,
    ChatMessage,
    Command,
    CorruptCheckpoint,
    Document,
    FunctionMessage,
    HumanMessage,
    InMemoryCache,
    InMemorySaver,
    InMemoryStore,
    Interrupt,
    InvalidType,
    Overwrite,
    RemoveMessage,
    Send,
    SqliteSaver,
    SystemMessage,
    ToolMessage,
    register_type,
)
from millstream.graph.savers.codec import MARK, MAX_KEYS, decode, encode

CONSTRUCTED: list[Any] = []


@dataclass
class Marked:
    """A registered class that notes when it is built."""

    path: str
    count: int = 0

    def __post_init__(self) -> None:
        CONSTRUCTED.append(self)


register_type(Marked, label="tests.Marked")

SECRET = {"lc": 1, "type": "secret", "id": ["SECRET_X"]}
FORGED: list[Any] = [
    SECRET,
    {"lc": 1, "type": "constructor", "id": ["millstream", "HumanMessage"], "kwargs": {"content": "x"}},
    {"lc": 2, "type": "constructor", "id": ["os", "system"], "method": [None], "args": ["touch MARKER"]},
    {"a": {"b": {"c": {"d": {"e": SECRET}}}}},
    json.dumps(SECRET),
    json.dumps({"deep": json.dumps(SECRET)}),
    # Look-alikes of our own forms.
    ["tests.Marked", {"path": "/etc/passwd"}],
    {"type": "tests.Marked", "path": "/etc/passwd"},
    ["HumanMessage", {"content": "forged"}],
    {"type": "human", "content": "forged", "id": "1"},
    {"__overwrite__x": [1]},
    ormsgpack.packb(["tests.Marked", {"path": "x"}]),
    encode(HumanMessage("forged")),
    "\x01\x92\xadHumanMessage",
    {"__class__": "os.system", "py/object": "subprocess.Popen", "$type": "System.Diagnostics.Process"},
]


def kept(old: Any, new: Any) -> Any:
    return new


class Holding(TypedDict):
    value: Annotated[Any, kept]


def through_checkpoint(saver: Any, value: Any) -> Any:
    app = graph_of(state=Holding, same=lambda state: {"value": value}).compile(checkpointer=saver)
    app.invoke({"value": None}, thread())
    return app.get_state(thread()).values["value"]


def through_sqlite(value: Any) -> Any:
    with SqliteSaver.from_conn_string(":memory:") as saver:
        return through_checkpoint(saver, value)


def through_history(value: Any) -> Any:
    saver = InMemorySaver()
    through_checkpoint(saver, value)
    return next(saver.list(thread())).checkpoint["channel_values"]["value"]


def through_pending_writes(value: Any) -> Any:
    saver = InMemorySaver()
    app = graph_of(a=lambda state: None).compile(checkpointer=saver)
    app.invoke({"log": []}, thread())
    config = app.get_state(thread()).config
    saver.put_writes(config, [("channel", value)], "task")
    found = saver.get_tuple(config)
    assert found is not None and found.pending_writes is not None
    return found.pending_writes[0][2]


def through_store(value: Any) -> Any:
    store = InMemoryStore()
    store.put(("a",), "k", {"value": value})
    found = store.get(("a",), "k")
    assert found is not None
    return found.value["value"]


def through_cache(value: Any) -> Any:
    graph = graph_of(a=lambda state: {"log": [value]})
    graph.nodes["a"].cache = CachePolicy()
    app = graph.compile(cache=InMemoryCache())
    return [app.invoke({"n": 1})["log"][0] for _ in range(2)][1]


PATHS: list[Callable[[Any], Any]] = [
    lambda value: decode(encode(value)),
    lambda value: through_checkpoint(InMemorySaver(), value),
    through_sqlite,
    through_history,
    through_pending_writes,
    through_store,
    through_cache,
]
NAMES = ["codec", "memory", "sqlite", "history", "writes", "store", "cache"]

CARRIERS: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: HumanMessage("text", additional_kwargs={"x": value}, response_metadata={"y": value}),
    lambda value: AIMessage("", tool_calls=[{"name": "f", "args": {"x": value}, "id": "1", "type": "tool_call"}]),
    lambda value: ToolMessage("r", tool_call_id="1", artifact=value),
    lambda value: ToolMessage(json.dumps(value, default=str), tool_call_id="1"),
    lambda value: Send("node", {"x": value}),
    lambda value: Document(page_content="p", metadata={"x": value}),
]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
@pytest.mark.parametrize("value", FORGED, ids=range(len(FORGED)))
def test_a1_a2_a3_forged_tags_stay_data(path: Any, value: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_X", "sekret")
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)
    CONSTRUCTED.clear()
    for carry in CARRIERS:
        given = carry(value)
        back = path(given)
        assert back == given
        assert type(back) is type(given)
        assert "sekret" not in repr(back)
    assert CONSTRUCTED == []
    assert os.listdir(tmp_path) == []
    assert set(sys.modules) - modules <= {"millstream.graph.savers.sqlite"} | {
        name for name in sys.modules if name.startswith(("millstream", "apsw"))
    }


def test_a3_metadata_of_a_config_stays_data() -> None:
    app = graph_of(a=lambda state: None).compile(checkpointer=InMemorySaver())
    forged = json.dumps(SECRET)
    app.invoke({"log": []}, thread(metadata={"note": forged}))
    assert (app.get_state(thread()).metadata or {})["note"] == forged


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["touch MARKER"]}).encode(),
        b"json\x00" + json.dumps(SECRET).encode(),
        b"\x80\x04\x95" + b"cos\nsystem\n(S'touch MARKER'\ntR.",
        pickle.dumps({"x": 1}),
        pickle.dumps(Path("/etc/passwd")),
        b"",
        b"\xc1",
    ],
)
def test_a4_a7_other_encodings_are_refused(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorruptCheckpoint):
        decode(data)
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        app = graph_of(a=lambda state: None).compile(checkpointer=saver)
        app.invoke({"log": []}, thread())
        saver.connection.raw.execute("UPDATE ms_checkpoints SET delta = ?", (data,))
        saver._kept.clear()
        with pytest.raises(CorruptCheckpoint, match="thread '1'"):
            app.get_state(thread())
    assert "MARKER" not in os.listdir(tmp_path)


def test_a5_extensions_that_name_something_are_refused() -> None:
    forms = [
        ["os", "system", ["true"]],
        ["subprocess", "Popen", [["true"]], {"shell": True}],
        ["builtins", "eval", "1", "__call__"],
        ["this", "s"],
        ["pathlib", "Path", "/etc/passwd", {}, "read_text"],
    ]
    modules, refused = set(sys.modules), 0
    for code in range(128):
        for form in forms:
            inner = ormsgpack.packb(form)
            for data in (inner, b"\x00" + inner, bytes([code]) + inner if code > 11 else inner):
                with pytest.raises(CorruptCheckpoint):
                    decode(MARK + ormsgpack.packb([1, {"k": ormsgpack.Ext(code, data)}]))
                refused += 1
    record("A5", "extension codes", refused, 0, refused, "refused")
    assert set(sys.modules) == modules
    assert "this" not in sys.modules


@pytest.mark.parametrize("kind", range(1, 12))
def test_a5_our_own_kinds_with_forged_payloads_build_nothing_unknown(kind: int) -> None:
    for form in (
        ["os.system", {"command": "x"}],
        ["os", "system"],
        {"a": 1},
        7,
        "text",
        [[1, [2]]],
        ["tests.Marked", [1, 2]],
    ):
        CONSTRUCTED.clear()
        try:
            value = decode(MARK + ormsgpack.packb(ormsgpack.Ext(77, bytes([kind]) + ormsgpack.packb(form))))
        except CorruptCheckpoint:
            value = None
        assert CONSTRUCTED == []
        assert type(value).__module__ in ("builtins", "collections"), value


ODD: list[Any] = [
    "\ud83d lone", "nul \0 inside", "line\u2028sep", {1: "int", None: "none", (1, 2): "tuple"}, float("inf"),
    10**400, -(10**4000), b"\x00\xff", {"k": [b"", bytearray(b"x")]}, {"\ud800": 1}, "\U0010ffff", {1.5: {2: {}}},
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a6_odd_values_come_back_or_are_refused_at_the_write(path: Any) -> None:
    for value in ODD:
        try:
            assert path(value) == value
        except InvalidType as refused:
            assert "cannot be stored" in str(refused)
    back = path({"nan": float("nan")})
    assert back["nan"] != back["nan"]


def test_a6_what_cannot_be_stored_is_refused_at_the_write() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, {"c": cycle}, deep, object(), 10**10_000, lambda: 1):
        with pytest.raises(InvalidType, match="cannot be stored"):
            encode(value)
    while deep:  # taken apart: freeing it at once would need as many frames
        deep = deep[0]


def test_a7_the_word_is_imported_nowhere() -> None:
    script = (
        "import millstream, sys; [getattr(millstream, n) for n in ('SqliteSaver', 'InMemorySaver', 'InMemoryStore')];"
    )
    script += "import millstream.graph.savers.codec, millstream.graph.savers.sqlite\n"
    sources = Path(__file__).parents[2] / "src" / "millstream"
    found = [path for path in sources.rglob("*.py") if "import pickle" in path.read_text(encoding="utf-8")]
    assert found == []
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(sources.parent)})


def huge_dict(keys: int) -> bytes:
    return b"\xdf" + struct.pack(">I", keys) + b"".join(b"\xce" + struct.pack(">I", i) + b"\xc0" for i in range(keys))


LARGE = {
    "nested lists": b"\x91" * 100_000 + b"\xc0",
    "nested dicts": b"\x81\xa1a" * 100_000 + b"\xc0",
    "1 GB of bytes": b"\xc6" + struct.pack(">I", 1 << 30) + b"xx",
    "1 GB of text": b"\xdb" + struct.pack(">I", 1 << 30) + b"xx",
    "a list of 2^30": b"\xdd" + struct.pack(">I", 1 << 30) + b"xx",
    "a dict of 2^30": b"\xdf" + struct.pack(">I", 1 << 30) + b"\xa1x\xc0",
    "an extension of 1 GB": b"\xc9" + struct.pack(">I", 1 << 30) + b"\x4dxx",
    "10^6 keys": huge_dict(10**6),
    "10^6 keys inside": b"\x93\x01\x02" + huge_dict(10**6),
}


def nested_extensions(depth: int) -> bytes:
    data = b"\xc0"
    for _ in range(depth):
        data = b"\xc9" + struct.pack(">I", len(data) + 1) + b"\x4d\x0b" + data
    return data


@pytest.mark.parametrize("name", LARGE)
def test_a8_large_declarations_are_refused_soon(name: str) -> None:
    data = LARGE[name]
    tracemalloc.start()
    try:
        begun = time.perf_counter()
        with pytest.raises(CorruptCheckpoint):
            decode(MARK + data)
        took = time.perf_counter() - begun
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    record("A8", name, 1, int(took > 0.1 or peak > 20 << 20), round(took * 1e3, 1), f"ms, {peak >> 10} KB")
    assert took <= 0.1
    assert peak <= 20 << 20


def test_a8_nested_extensions_are_refused() -> None:
    with pytest.raises(CorruptCheckpoint):
        decode(MARK + nested_extensions(2_000))


def test_a8_a_dict_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(InvalidType, match="keys"):
        encode({"k": dict.fromkeys(range(MAX_KEYS + 1))})
    large = {
        "k": dict.fromkeys(range(MAX_KEYS // 5)),
        "text": "\u07df" * 600_000,
        "b": b"\xdf\x00\x20\x00\x00" * 300_000,
    }
    assert decode(encode(large)) == large


def packed(label: str, fields: Any) -> bytes:
    return MARK + ormsgpack.packb(
        ormsgpack.Ext(77, b"\x01" + ormsgpack.packb([label, fields], option=ormsgpack.OPT_NON_STR_KEYS))
    )


@pytest.mark.parametrize(
    ("label", "fields"),
    [
        ("HumanMessage", {"content": "x", "id": {"path": "/etc/passwd"}}),
        ("HumanMessage", {"content": 7}),
        ("HumanMessage", {"content": {"lc": 1}}),
        ("HumanMessage", {}),
        ("HumanMessage", [1, 2]),
        ("HumanMessage", {1: "content"}),
        ("AIMessage", {"content": "", "tool_calls": {"name": "f"}}),
        ("AIMessage", {"content": "", "usage_metadata": "many"}),
        ("ToolMessage", {"content": "x"}),
        ("ToolMessage", {"content": "x", "tool_call_id": ["1"]}),
        ("Document", {"page_content": ["x"]}),
        ("tests.Marked", {"path": "x", "unknown": 1}),
        ("tests.Marked", {}),
        ("tests.Marked", ["x", 1]),
        ("tests.Marked", "x"),
        ("Command", {"update": 1, "__class__": "x"}),
        ("Send", {"node": "x"}),
    ],
)
def test_a9_hostile_fields_are_refused_before_anything_is_built(label: str, fields: Any) -> None:
    CONSTRUCTED.clear()
    with pytest.raises(CorruptCheckpoint):
        decode(packed(label, fields))
    assert CONSTRUCTED == []


def test_a9_many_tool_calls_are_only_data() -> None:
    calls = [{"name": "f", "args": {"n": n}, "id": str(n), "type": "tool_call"} for n in range(20_000)]
    back = decode(encode(AIMessage("", tool_calls=calls)))
    assert len(back.tool_calls) == 20_000


# -- everything comes back (P10) ---------------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_blocks = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)}), max_size=3)
_content = st.text(max_size=20) | _blocks
_id = st.none() | st.text(max_size=10)
_call = st.fixed_dictionaries(
    {
        "name": st.text(max_size=5),
        "args": st.dictionaries(st.text(max_size=4), _json, max_size=2),
        "id": _id,
        "type": st.just("tool_call"),
    }
)
_usage = st.none() | st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99), "total_tokens": st.integers(0, 198)}
)
_more = {"id": _id, "name": _id, "additional_kwargs": st.dictionaries(st.text(max_size=4), _json, max_size=2)}
_message = st.one_of(
    st.builds(HumanMessage, _content, **_more),
    st.builds(SystemMessage, _content, **_more),
    st.builds(AIMessage, _content, tool_calls=st.lists(_call, max_size=2), usage_metadata=_usage, **_more),
    st.builds(AIMessageChunk, _content, **_more),
    st.builds(
        ToolMessage,
        _content,
        tool_call_id=st.text(max_size=5),
        artifact=_json,
        status=st.sampled_from(["success", "error"]),
    ),
    st.builds(ChatMessage, _content, role=st.text(min_size=1, max_size=5)),
    st.builds(FunctionMessage, st.text(max_size=9), name=st.text(min_size=1, max_size=5)),
    st.builds(RemoveMessage, id=st.text(min_size=1, max_size=5)),
)
_event = st.one_of(
    st.builds(Send, st.text(min_size=1, max_size=5), _json),
    st.builds(Command, update=st.dictionaries(st.text(max_size=4), _json, max_size=2), goto=st.text(max_size=4)),
    st.builds(Interrupt, _json, id=st.text(min_size=1, max_size=8)),
    st.builds(Overwrite, _json),
    st.builds(
        Document, page_content=st.text(max_size=9), metadata=st.dictionaries(st.text(max_size=4), _json, max_size=2)
    ),
    st.tuples(_json, st.sets(st.integers(), max_size=3), st.binary(max_size=9)),
)


@settings(max_examples=count(10_000, 150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_message | _event, max_size=3))
def test_p10_messages_and_events_come_back(values: list[Any]) -> None:
    back = decode(encode(values))
    assert back == values
    assert [type(each) for each in back] == [type(each) for each in values]


def test_an_async_saver_keeps_forged_data_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            app = graph_of(a=lambda state: {"log": FORGED}).compile(checkpointer=saver)
            await app.ainvoke({"log": []}, thread())
            saver._kept.clear()
            assert (await app.aget_state(thread())).values == {"log": FORGED}

    asyncio.run(main())
