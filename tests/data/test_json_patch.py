from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.data.json_patch import json_patch


@pytest.mark.parametrize(
    ("old", "new", "ops"),
    [
        (None, {}, [{"op": "replace", "path": "", "value": {}}]),
        ({"a": 1}, {"a": 1}, []),
        ({}, {"a": [1]}, [{"op": "add", "path": "/a", "value": [1]}]),
        ({"a": [1]}, {"a": [1, 2, {}]}, [
            {"op": "add", "path": "/a/1", "value": 2},
            {"op": "add", "path": "/a/2", "value": {}},
        ]),
        ({"a": "he"}, {"a": "hello"}, [{"op": "replace", "path": "/a", "value": "hello"}]),
        ({"a": 1, "b": 2}, {"b": 2}, [{"op": "remove", "path": "/a"}]),
        ([1, 2, 3], [1], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}]),
        ({"a/b~c": 1}, {"a/b~c": 2}, [{"op": "replace", "path": "/a~1b~0c", "value": 2}]),
        ([1, 0], [1.0, False], [
            {"op": "replace", "path": "/0", "value": 1.0},
            {"op": "replace", "path": "/1", "value": False},
        ]),
        ({"a": {}}, {"a": []}, [{"op": "replace", "path": "/a", "value": []}]),
    ],
)  # fmt: skip
def test_the_operations(old: Any, new: Any, ops: Any) -> None:
    assert json_patch(old, new) == ops
    assert [type(op.get("value")) for op in json_patch(old, new)] == [type(op.get("value")) for op in ops]


def applied(value: Any, ops: list[dict[str, Any]]) -> Any:
    """A plain reference of RFC 6902 for these three operations."""
    root = {"": deepcopy(value)}
    for op in ops:
        *parents, last = ["", *(part.replace("~1", "/").replace("~0", "~") for part in op["path"].split("/")[1:])]
        at: Any = root
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at[part]
        if isinstance(at, list):
            place = int(last)
            at[place : place + (op["op"] != "add")] = [] if op["op"] == "remove" else [deepcopy(op["value"])]
        elif op["op"] == "remove":
            del at[last]
        else:
            assert (last in at) == (op["op"] == "replace")
            at[last] = deepcopy(op["value"])
    return root[""]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("a/~", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("a/~0", max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(values, values)
def test_applied_they_turn_the_old_value_into_the_new(old: Any, new: Any) -> None:
    assert repr(sort(applied(old, json_patch(old, new)))) == repr(sort(new))


def sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list) else value
