"""The codec: what goes in comes out; bytes can choose no code."""

from __future__ import annotations

import enum
import math
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from millstream import (
    AIMessage,
    AIMessageChunk,
    Command,
    CorruptCheckpoint,
    Document,
    HumanMessage,
    InvalidType,
    Overwrite,
    Send,
    ToolMessage,
    register_type,
)
from millstream.graph.savers import registry
from millstream.graph.savers.codec import MARK, decode, encode
from millstream.graph.savers.registry import register_all


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: Any = None


class Model(BaseModel):
    name: str
    inner: Point | None = None


class Pair(NamedTuple):
    left: int
    right: str


VALUES = [
    None,
    True,
    1.5,
    2**80,
    -(2**70),
    "text",
    "half a pair: \ud83d",
    b"bytes",
    (1, (2, [3])),
    {1, 2},
    frozenset({"a"}),
    deque([1, 2], maxlen=3),
    {1: "int", None: "none", 2.5: "float", "s": "text"},
    {(1, 2): "tuple key"},
    {"\ud800": "a key with half a pair"},
    datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    datetime(2024, 1, 2),
    date(2024, 1, 2),
    time(1, 2, 3),
    timedelta(days=-1, seconds=5),
    UUID(int=7),
    Decimal("1.10"),
    complex(1, 2),
    range(1, 9, 2),
    re.compile("a+", re.I),
    Path("/tmp/x"),
    Colour.RED,
    Point(1, Point(2)),
    Model(name="n", inner=Point(1)),
    Pair(1, "r"),
    HumanMessage("hi", id="1", name="bob"),
    HumanMessage([{"type": "text", "text": "x"}], extra_key="kept"),
    AIMessage("", id="2", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
    AIMessage("x", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    AIMessageChunk("part", id="3"),
    ToolMessage("r", tool_call_id="c", artifact={"k": (1, 2)}, status="error"),
    Send("n", {"k": [HumanMessage("in")]}),
    Command(update={"k": 1}, goto="n"),
    Overwrite([1]),
    [{"nested": ({"deep": {HumanMessage: 1}.__len__()},)}],
]

for _cls in (Colour, Point, Model, Pair):
    register_type(_cls)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_a_document_comes_back() -> None:
    register_type(Document)
    back = decode(encode(Document(page_content="p", metadata={"n": 1})))
    assert (back.page_content, back.metadata) == ("p", {"n": 1})


_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=st.characters()), inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


@given(_plain)
def test_plain_data_comes_back(value: Any) -> None:
    assert decode(encode(value)) == value


def test_not_a_number_comes_back() -> None:
    assert math.isnan(decode(encode(math.nan)))


def test_subclasses_of_builtins_are_stored_as_what_they_extend() -> None:
    class Mine(dict[str, int]):
        pass

    back = decode(encode([Mine(a=1)]))
    assert back == [{"a": 1}]
    assert type(back[0]) is dict


def test_an_error_is_stored_as_its_text() -> None:
    assert decode(encode(ValueError("no"))) == "ValueError('no')"


@pytest.mark.parametrize("value", [object(), lambda: None, open], ids=["object", "function", "builtin"])
def test_what_cannot_be_stored_is_named_with_the_mend(value: Any) -> None:
    with pytest.raises(InvalidType, match=r"cannot be stored.*UntrackedValue.*register_type"):
        encode({"k": [value]})


def test_an_unknown_type_is_an_error_that_names_it() -> None:
    @dataclass
    class Gone:
        x: int

    register_type(Gone, label="app.Gone")
    data = encode([Gone(1)])
    del registry._types["app.Gone"]
    with pytest.raises(CorruptCheckpoint, match=r"'app.Gone'.*register_type"):
        decode(data)


def test_bytes_choose_no_code() -> None:
    """Labels are looked up among registered classes only: the name of something importable means nothing."""
    for label in ("subprocess.Popen", "os.system", "builtins.eval"):
        data = MARK + ormsgpack.packb(ormsgpack.Ext(77, b"\x01" + ormsgpack.packb([label, ["echo"]])))
        with pytest.raises(CorruptCheckpoint, match=re.escape(label)):
            decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except CorruptCheckpoint:
        pass


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    data = bytearray(encode([AIMessage("text", id="1"), {"k": (1, {2})}, Point(1)]))
    data[place % len(data)] = byte
    try:
        decode(bytes(data))
    except CorruptCheckpoint:
        pass


def test_schemas_register_what_they_name() -> None:
    @dataclass
    class Leaf:
        x: int

    @dataclass
    class Tree:
        leaves: list[Leaf] | None

    Tree.__annotations__["leaves"] = list[Leaf] | None
    register_all([dict[str, Tree]])
    assert {Tree, Leaf} <= registry._labels.keys()
