"""Merging of content, dictionaries, lists and usage, rule by rule."""

from __future__ import annotations

import copy
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    InvalidArgument,
    InvalidType,
    add_usage,
    merge_content,
    merge_dicts,
    merge_lists,
    merge_obj,
    subtract_usage,
)

INDEX = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["lc_txt_0", "other"]))
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "reasoning"])},
    optional={
        "index": INDEX,
        "id": st.sampled_from([None, "", "a", "b"]),
        "text": st.text("xy", max_size=2),
        "n": st.integers(0, 3),
    },
)
LISTS = st.lists(st.lists(st.one_of(st.text("xy", max_size=2), BLOCK), max_size=3), min_size=1, max_size=5)
DICTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "a": st.one_of(st.none(), st.text("xy", max_size=2)),
            "id": st.sampled_from([None, "i", "j"]),
            "index": st.integers(0, 3),
            "created": st.integers(0, 3),
            "model_provider": st.sampled_from(["p", "q"]),
            "n": st.integers(0, 3),
            "same": st.just(1.5),
            "nested": st.dictionaries(st.sampled_from("kl"), st.text("xy", max_size=2)),
            "list": st.lists(BLOCK, max_size=2),
        },
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize(
    ("left", "right", "merged"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": None}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": 1}),
        ({"a": None}, {"a": None}, {"a": None}),
        ({}, {"a": None}, {"a": None}),
        ({"a": "x"}, {"a": "y"}, {"a": "xy"}),
        ({"a": "x"}, {"a": "x"}, {"a": "xx"}),
        ({"id": "x"}, {"id": "x"}, {"id": "x"}),
        ({"id": "x"}, {"id": "y"}, {"id": "xy"}),
        ({"output_version": "v1"}, {"output_version": "v1"}, {"output_version": "v1"}),
        ({"model_provider": "p"}, {"model_provider": "p"}, {"model_provider": "p"}),
        ({"index": "lc_1"}, {"index": "lc_1"}, {"index": "lc_1"}),
        ({"index": "lc_1"}, {"index": "lc_2"}, {"index": "lc_1"}),
        ({"index": "1"}, {"index": "1"}, {"index": "11"}),
        ({"a": {"k": "x"}}, {"a": {"k": "y", "l": 1}}, {"a": {"k": "xy", "l": 1}}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 3}),
        ({"index": 1}, {"index": 2}, {"index": 2}),
        ({"created": 1}, {"created": 2}, {"created": 2}),
        ({"timestamp": 1}, {"timestamp": 2}, {"timestamp": 2}),
        ({"a": True}, {"a": True}, {"a": True}),
        ({"a": 1.5}, {"a": 1.5}, {"a": 1.5}),
        ({"a": "x"}, {"a": 1}, InvalidType),
        ({"a": 1}, {"a": 1.0}, InvalidType),
        ({"a": True}, {"a": False}, InvalidType),
        ({"a": 1.5}, {"a": 2.5}, InvalidType),
    ],
)
def test_dicts(left: Any, right: Any, merged: Any) -> None:
    if merged is InvalidType:
        with pytest.raises(TypeError, match="`a`"):
            merge_dicts(left, right)
    else:
        assert merge_dicts(left, right) == merged


def text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


@pytest.mark.parametrize(
    ("left", "right", "merged"),
    [
        (None, None, None),
        (None, [1], [1]),
        ([1], None, [1]),
        ([], [], []),
        ([text("a")], [text("b")], [text("a"), text("b")]),
        ([text("a", index=0)], [text("b", index=0)], [text("ab", index=0)]),
        ([text("a", index=0)], [text("b", index=1)], [text("a", index=0), text("b", index=1)]),
        ([text("a", index="lc_0")], [text("b", index="lc_0")], [text("ab", index="lc_0")]),
        ([text("a", index="0")], [text("b", index="0")], [text("a", index="0"), text("b", index="0")]),
        ([text("a", index=0, id="1")], [text("b", index=0, id="")], [text("ab", index=0, id="1")]),
        ([text("a", index=0, id=None)], [text("b", index=0, id="1")], [text("ab", index=0, id="1")]),
        ([text("a", index=0, id="1")], [text("b", index=0, id="1")], [text("ab", index=0, id="1")]),
        (
            [text("a", index=0, id="1")],
            [text("b", index=0, id="2")],
            [text("a", index=0, id="1"), text("b", index=0, id="2")],
        ),
        ([text("a", index=0)], [text("b", index=0), text("c", index=0)], [text("abc", index=0)]),
        (
            [text("a", index=0), text("b", index=0)],
            [text("c", index=0)],
            [text("ac", index=0), text("b", index=0)],
        ),
        (
            [text("a", index=0)],
            [{"type": "non_standard", "value": {"type": "own", "k": 1}, "index": 0}],
            [text("a", index=0, extras={"k": 1})],
        ),
        (
            [{"type": "non_standard", "value": {"k": "x"}, "index": 0}],
            [{"type": "non_standard", "value": {"k": "y"}, "index": 0}],
            [{"type": "non_standard", "value": {"k": "xy"}, "index": 0}],
        ),
        ([{"type": "a", "index": 0}], [{"type": "b", "index": 0}], [{"type": "a", "index": 0}]),
    ],
)
def test_lists(left: Any, right: Any, merged: Any) -> None:
    assert merge_lists(left, right) == merged


@pytest.mark.parametrize(
    ("contents", "merged"),
    [
        (["a", "b"], "ab"),
        (["", ""], ""),
        (["a", ["b"]], ["a", "b"]),
        (["", ["b"]], ["", "b"]),
        ([["a"], "b"], ["ab"]),
        ([["a"], "b", "c", ["d"], "e"], ["abc", "de"]),
        ([[text("a")], "b"], [text("a"), "b"]),
        ([[text("a")], ""], [text("a")]),
        ([[text("a", index=0)], [text("b", index=0)], "c"], [text("ab", index=0), "c"]),
        ([[text("a", index=0), "x"], [text("b", index=0)], "y"], [text("ab", index=0), "xy"]),
        ([[], "b"], ["b"]),
        (["a"], "a"),
    ],
)
def test_content(contents: Any, merged: Any) -> None:
    assert merge_content(*contents) == merged


def test_obj() -> None:
    assert merge_obj(None, 1) == 1
    assert merge_obj(1, None) == 1
    assert merge_obj("a", "b") == "ab"
    assert merge_obj({"a": "x"}, {"a": "y"}) == {"a": "xy"}
    assert merge_obj([1], [2]) == [1, 2]
    assert merge_obj(1, 1) == 1
    with pytest.raises(InvalidType):
        merge_obj(1, "a")
    with pytest.raises(InvalidArgument):
        merge_obj(1, 2)


def test_usage() -> None:
    left = {"input_tokens": 1, "output_tokens": 0, "total_tokens": 1, "input_token_details": {"cache_read": 1}}
    right = {
        "input_tokens": 0,
        "output_tokens": 2,
        "total_tokens": 2,
        "output_token_details": {"reasoning": 1, "own": 4},
    }
    kept = copy.deepcopy((left, right))
    total = add_usage(left, None, right, right)
    assert total == {
        "input_tokens": 1,
        "output_tokens": 4,
        "total_tokens": 5,
        "input_token_details": {"cache_read": 1},
        "output_token_details": {"reasoning": 2, "own": 8},
    }
    assert (left, right) == kept
    assert add_usage(None, None) is None
    assert add_usage(None, left) == left
    assert add_usage(left) is not left


def each(function: Any, values: list[Any]) -> Any:
    """The outcome of a left fold in steps of two."""
    try:
        return reduce(function, values)
    except TypeError:
        return TypeError


def at_once(function: Any, values: list[Any]) -> Any:
    try:
        return function(*values)
    except TypeError:
        return TypeError


@given(DICTS)
def test_dicts_at_once_is_one_after_the_other(values: list[Any]) -> None:
    kept = copy.deepcopy(values)
    assert at_once(merge_dicts, values) == each(merge_dicts, values)
    assert values == kept


@given(LISTS)
def test_lists_at_once_is_one_after_the_other(values: list[Any]) -> None:
    kept = copy.deepcopy(values)
    assert at_once(merge_lists, values) == each(merge_lists, values)
    assert values == kept


@given(st.lists(st.one_of(st.text("ab", max_size=2), *[LISTS.map(lambda lists: lists[0])]), min_size=1, max_size=5))
def test_content_at_once_is_one_after_the_other(values: list[Any]) -> None:
    kept = copy.deepcopy(values)
    assert at_once(merge_content, values) == each(merge_content, values)
    assert values == kept


def test_usage_is_taken_off_key_by_key_and_never_below_nothing() -> None:
    before = {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12, "input_token_details": {"cache_read": 1}}
    after = {
        "input_tokens": 5,
        "output_tokens": 4,
        "total_tokens": 9,
        "input_token_details": {"cache_read": 3, "audio": 2},
        "output_token_details": {"reasoning": 1},
    }
    assert subtract_usage(after, before) == {
        "input_tokens": 2,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_token_details": {"cache_read": 2, "audio": 2},
        "output_token_details": {"reasoning": 1},
    }
    assert subtract_usage(before, after)["output_token_details"] == {"reasoning": 0}
    assert subtract_usage(before, None) == subtract_usage(None, before) == before
    assert subtract_usage(None, None) == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert (after["input_tokens"], before["input_tokens"]) == (5, 3)
