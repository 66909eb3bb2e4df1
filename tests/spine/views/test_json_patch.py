"""JSON patches: what is made of two values leads from one to the other, and applying changes nothing in place."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.errors import InvalidArgument
from millstream.spine.views.json_patch import apply, differences

KEYS = st.text(alphabet="ab/~0", max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(alphabet="xy", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types throughout: 1 is not True."""
    return repr(a) == repr(b) or (a == b and deep(a) == deep(b))


def deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: deep(each) for key, each in value.items()}
    return [deep(each) for each in value] if isinstance(value, list) else (type(value).__name__, value)


@given(VALUES, VALUES)
def test_differences_lead_from_one_value_to_the_other(old: Any, new: Any) -> None:
    before = deepcopy(old)
    ops = differences(old, new)
    assert same(apply(old, ops), new)
    assert same(old, before)
    assert (ops == []) == same(old, new)


@pytest.mark.parametrize(
    ("old", "new", "ops"),
    [
        (None, "a", [{"op": "replace", "path": "/f", "value": "a"}]),
        ("a", "ab", [{"op": "replace", "path": "/f", "value": "ab"}]),
        ([1], [1, 2, 3], [{"op": "add", "path": "/f/1", "value": 2}, {"op": "add", "path": "/f/2", "value": 3}]),
        ({"a": "x"}, {"a": "x", "b": "y"}, [{"op": "add", "path": "/f/b", "value": "y"}]),
        ({"a": {"b": "x"}}, {"a": {"b": "xy"}}, [{"op": "replace", "path": "/f/a/b", "value": "xy"}]),
        ({"a/b~": 1}, {"a/b~": 2}, [{"op": "replace", "path": "/f/a~1b~0", "value": 2}]),
        ([1, 2, 3], [1], [{"op": "remove", "path": "/f/1"}] * 2),
        ({"a": 1}, {}, [{"op": "remove", "path": "/f/a"}]),
        (1, True, [{"op": "replace", "path": "/f", "value": True}]),
        ("", "", []),
    ],
)
def test_differences_are_few(old: Any, new: Any, ops: list[Any]) -> None:
    assert differences(old, new, "/f") == ops


def test_what_cannot_be_compared_is_sent_again() -> None:
    class Array:
        def __eq__(self, other: object) -> Any:
            raise ValueError("ambiguous")

    new = Array()
    assert differences(Array(), new) == [{"op": "replace", "path": "", "value": new}]


def test_every_operation() -> None:
    value = {"a": [1, 2], "b": {"c": 3}}
    for op, expected in [
        ({"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 9], "b": {"c": 3}}),
        ({"op": "add", "path": "/a/0", "value": 9}, {"a": [9, 1, 2], "b": {"c": 3}}),
        ({"op": "add", "path": "/a/2", "value": 9}, {"a": [1, 2, 9], "b": {"c": 3}}),
        ({"op": "replace", "path": "/a/1", "value": 9}, {"a": [1, 9], "b": {"c": 3}}),
        ({"op": "replace", "path": "", "value": 9}, 9),
        ({"op": "remove", "path": "/b/c"}, {"a": [1, 2], "b": {}}),
        ({"op": "remove", "path": ""}, None),
        ({"op": "move", "from": "/b/c", "path": "/a/0"}, {"a": [3, 1, 2], "b": {}}),
        ({"op": "copy", "from": "/a", "path": "/b/a"}, {"a": [1, 2], "b": {"c": 3, "a": [1, 2]}}),
        ({"op": "test", "path": "/b/c", "value": 3}, value),
    ]:
        assert apply(value, [op]) == expected
    assert value == {"a": [1, 2], "b": {"c": 3}}


def test_what_is_left_alone_is_shared() -> None:
    value: dict[str, Any] = {"big": ["x"] * 3, "log": []}
    changed = apply(value, [{"op": "add", "path": "/log/-", "value": 1}])
    assert changed["big"] is value["big"] and changed["log"] is not value["log"]


@pytest.mark.parametrize(
    ("op", "says"),
    [
        ({"op": "add", "path": "a", "value": 1}, "must be empty or begin with"),
        ({"op": "replace", "path": "/nope", "value": 1}, "does not fit: KeyError"),
        ({"op": "replace", "path": "/a/5", "value": 1}, "does not fit: IndexError"),
        ({"op": "add", "path": "/a/-1", "value": 1}, "does not fit: IndexError"),
        ({"op": "remove", "path": "/nope"}, "does not fit: KeyError"),
        ({"op": "add", "path": "/n/x", "value": 1}, "int has no parts"),
        ({"op": "test", "path": "/n", "value": 1}, "is not 1"),
        ({"op": "grow", "path": "/n"}, "'grow' is no operation"),
        ({"path": "/n"}, "does not fit: KeyError"),
    ],
)
def test_what_does_not_fit(op: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        apply({"a": [1], "n": 0}, [op])
