"""What a reducer changed, found by comparing: little is stored where little changed, and never less than that."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from graph_helpers import graph_of, thread

from millstream import HumanMessage, InMemorySaver, SqliteSaver
from millstream.graph.differences import changes, print_of
from millstream.graph.savers.log import _apply

__all__: list[str] = []


def ops(before: Any, after: Any) -> Any:
    return changes(print_of(before), after)[0]


def test_what_is_added_is_appended_and_what_is_replaced_is_put() -> None:
    first, second, third = {"id": 1}, {"id": 2}, HumanMessage("x")
    assert ops([first, second], [first, second, third]) == [("append", [third])]
    assert ops([first, second, 3], [first, 4, 3]) == [("put", (1, 4))]
    assert ops([first], [first]) == []
    assert ops({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == [("put", ("b", 3)), ("put", ("c", 4))]


def test_what_cannot_be_compared_or_has_lost_items_is_stored_whole() -> None:
    for before, after in (
        ([1, 2], [1]),
        ([1, 2, 3, 4], [2, 3, 4, 5]),
        ([[1]], [[1], [2]]),  # a list inside may change by itself
        ([{"a": [1]}], [{"a": [1]}, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {}),
        ({(1, 2): 3}, {(1, 2): 3, "b": 1}),
        ("text", "text and more"),
        ([1], {"a": 1}),
    ):
        assert ops(before, after) == [("set", after)]


def test_a_change_in_place_is_seen() -> None:
    value: Any = [{"id": 1}, {"id": 2}, {"id": 3}]
    seen = print_of(value)
    value[1]["id"] = 5
    assert changes(seen, value)[0] == [("put", (1, {"id": 5}))]
    seen = print_of(value)
    value[0]["new"] = 1
    value.append(4)
    assert changes(seen, value)[0] == [("put", (0, {"id": 1, "new": 1})), ("append", [4])]


def test_what_is_replayed_is_what_there_was() -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    r = random.Random(seed)
    for _ in range(300):
        value: Any = [] if r.random() < 0.5 else {}
        stored: dict[str, Any] = {"k": copy.deepcopy(value)}
        seen = print_of(value)
        for _ in range(8):
            value = _changed(r, value)
            more, seen = changes(seen, value)
            _apply(stored, [["k", name, copy.deepcopy(payload)] for name, payload in more], [])
            assert stored["k"] == value
            assert type(stored["k"]) is type(value)
            if isinstance(value, dict):
                assert list(stored["k"]) == list(value)


def _changed(r: random.Random, value: Any) -> Any:
    """The value changed as reducers and nodes do: anew or in place, an item or several, sometimes items of other kinds."""

    def item() -> Any:
        return r.choice([1, True, 1.0, "a", None, {"n": r.random()}, {"n": [1]}, [2], (1, 2), (1, [2])])

    if r.random() < 0.5:
        value = copy.copy(value)
    for _ in range(r.randrange(4)):
        keys: Any = list(range(len(value))) if isinstance(value, list) else list(value)
        move = r.randrange(4)
        if move == 0 or not keys:
            if isinstance(value, list):
                value.append(item())
            else:
                value[r.choice("abcdef")] = item()
        elif move == 1:
            value[r.choice(keys)] = item()
        elif move == 2 and r.random() < 0.3:
            del value[r.choice(keys)]
        else:
            each = value[r.choice(keys)]
            if isinstance(each, dict):
                each["n"] = r.random()
            elif isinstance(each, list):
                each.append(3)
    return value


def keep_all(old: list[Any], new: list[Any]) -> list[Any]:
    return [*old, *new]


def by_id(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **new}


class Kept(TypedDict):
    notes: Annotated[list[str], keep_all]
    people: Annotated[dict[str, str], by_id]


def test_a_thread_with_custom_reducers_grows_linearly(tmp_path: Path) -> None:
    sizes = []
    for turns in (50, 200):
        path = tmp_path / f"{turns}.sqlite"
        with SqliteSaver.from_conn_string(str(path)) as saver:
            app = graph_of(
                a=lambda s: {"notes": ["n" * 50], "people": {str(len(s["people"])): "p" * 50}}, state=Kept
            ).compile(checkpointer=saver)
            for _ in range(turns):
                result = app.invoke({"notes": []}, thread())
            loaded = app.get_state(thread()).values
        assert loaded == result
        assert len(result["notes"]) == len(result["people"]) == turns
        sizes.append(path.stat().st_size)
    assert sizes[1] < 4.5 * sizes[0]


def upsert(old: list[Any], new: list[Any]) -> list[Any]:
    result = list(old)
    for each in new:
        if each["id"] < len(result):
            result[each["id"]].update(each)
        else:
            result.append(each)
    return result


class Items(TypedDict):
    items: Annotated[list[Any], upsert]


@pytest.mark.parametrize("where", ["node", "reducer"])
def test_a_thread_is_found_as_it_was_left_where_items_changed_in_place(where: str) -> None:
    def node(state: Any) -> Any:
        if where == "node":
            state["items"][0]["seen"] = True
            return {"items": []}
        return {"items": [{"id": 0, "seen": True}]}

    saver = InMemorySaver()
    app = graph_of(a=node, state=Items).compile(checkpointer=saver)
    app.invoke({"items": [{"id": 0}, {"id": 1}, {"id": 2}]}, thread())
    saver._kept.clear()  # so that it is read
    assert app.get_state(thread()).values["items"] == [{"id": 0, "seen": True}, {"id": 1}, {"id": 2}]
