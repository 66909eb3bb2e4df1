"""Adding up streams: AddableDict, add, and the folding rule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import reduce
from operator import add as plus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import AddableDict, AIMessageChunk, aadd, add
from millstream.data.addable import fold_chunks

VALUES = st.one_of(st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
CHUNKS = st.one_of(
    st.lists(st.text(max_size=3), min_size=1),
    st.lists(st.integers(), min_size=1),
    st.lists(st.lists(st.integers(), max_size=2), min_size=1),
    st.lists(st.dictionaries(st.sampled_from("abc"), VALUES).map(AddableDict), min_size=1),
    st.lists(st.text(max_size=3).map(AIMessageChunk), min_size=1),
    st.lists(st.one_of(st.text(), st.integers(), st.builds(dict)), min_size=1),
)


def folded_plainly(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        try:
            whole = whole + chunk
        except TypeError:
            whole = chunk
    return whole


@given(CHUNKS)
def test_fold_is_the_plain_loop(chunks: list[Any]) -> None:
    assert fold_chunks(chunks) == folded_plainly(chunks)


@pytest.mark.parametrize(
    ("chunks", "whole"),
    [
        (["a", "b"], "ab"),
        ([[1], [2, 3]], [1, 2, 3]),
        ([1, 2, 3], 6),
        ([{"a": 1}, {"b": 2}], {"b": 2}),
        ([AddableDict(a="x"), AddableDict(a="y", b=None), AddableDict(b=1)], {"a": "xy", "b": 1}),
        ([AddableDict(a="x"), AddableDict(a=1)], {"a": 1}),
        ([AddableDict(a={"k": 1}), AddableDict(a={"k": 2})], {"a": {"k": 2}}),
        ([AIMessageChunk("a"), AIMessageChunk("b")], AIMessageChunk("ab")),
        (["a", 1, "b"], "b"),
        ([None], None),
        ([], None),
    ],
)
def test_folding_rules(chunks: list[Any], whole: Any) -> None:
    assert fold_chunks(chunks) == whole


def test_fold_changes_no_chunk() -> None:
    chunks = [[1], [2]]
    assert fold_chunks(chunks) == [1, 2]
    assert chunks == [[1], [2]]


def test_a_shared_key_that_does_not_add_is_named() -> None:
    with pytest.raises(TypeError, match="'size'"):
        AddableDict(size="a") + AddableDict(size=1)


def test_adding_with_a_plain_dict() -> None:
    assert AddableDict(a="x") + {"a": "y"} == AddableDict(a="xy")
    assert {"a": "x"} + AddableDict(a="y") == AddableDict(a="xy")  # type: ignore[operator]
    assert type(AddableDict(a="x") + {"a": "y"}) is AddableDict
    with pytest.raises(TypeError):
        _ = AddableDict(a="x") + 1


def test_add_is_strict() -> None:
    assert add([]) is None
    assert add(iter("abc")) == "abc"
    with pytest.raises(TypeError):
        add([{"a": 1}, {"b": 2}])


def test_what_comes_first_as_none_is_not_added() -> None:
    assert (add([None, None]), add([None, "a", "b"]), add([None])) == (None, "ab", None)
    with pytest.raises(TypeError):
        add(["a", None])


def test_aadd() -> None:
    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert asyncio.run(aadd(source())) == "ab"


@pytest.mark.usefixtures("no_garbage_collection")
def test_folding_long_streams_is_linear() -> None:
    def seconds(count: int) -> float:
        chunks = [
            AddableDict(answer=AIMessageChunk([{"type": "text", "text": "token", "index": 0}]), log="x" * 50)
        ] * count
        start = time.process_time()
        whole = fold_chunks(chunks)
        taken = time.process_time() - start
        assert len(whole["answer"].content[0]["text"]) == 5 * count
        return taken

    seconds(100)
    small, large = min(seconds(500) for _ in range(3)), seconds(8_000)
    assert large < small * 16 * 4, "16 times the chunks took more than 64 times as long"


def test_plain_sum_equals_fold_for_message_chunks() -> None:
    chunks = [AIMessageChunk(text, id="1") for text in "abc"]
    assert fold_chunks(chunks) == reduce(plus, chunks)
