"""add_messages: append, replace, remove; and what changed, as data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    REMOVE_ALL_MESSAGES,
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    InvalidArgument,
    MessagesState,
    RemoveMessage,
    add_messages,
)
from millstream.graph.channels import LOGGED_REDUCERS
from millstream.graph.savers.log import _apply
from millstream.graph.schema import Schema

A, B = AIMessage("a", id="1"), AIMessage("b", id="2")


def shown(messages: list[Any]) -> list[tuple[str, str]]:
    return [(m.id, m.content) for m in messages]


def test_messages_are_appended_or_replaced_by_id() -> None:
    merged = add_messages([A, B], [AIMessage("A!", id="1"), AIMessage("c", id="3"), AIMessage("c!", id="3")])
    assert shown(merged) == [("1", "A!"), ("2", "b"), ("3", "c!")]


def test_message_likes_are_converted_and_get_ids_in_place() -> None:
    mine = HumanMessage("x")
    merged = add_messages("hi", [("ai", "yes"), {"role": "user", "content": "ok"}, mine, AIMessageChunk("part")])
    assert [m.type for m in merged] == ["human", "ai", "human", "human", "ai"]
    assert type(merged[-1]) is AIMessage
    assert mine.id is not None
    assert len({m.id for m in merged}) == 5


def test_removal() -> None:
    assert shown(add_messages([A, B], [RemoveMessage(id="1")])) == [("2", "b")]
    assert shown(add_messages([A, B], [RemoveMessage(id="1"), AIMessage("back", id="1")])) == [
        ("1", "back"),
        ("2", "b"),
    ]
    last = [AIMessage("lost", id="5"), RemoveMessage(id=REMOVE_ALL_MESSAGES), AIMessage("kept", id="6")]
    assert shown(add_messages([A, B], last)) == [("6", "kept")]
    with pytest.raises(InvalidArgument, match="'zz'"):
        add_messages([A], [RemoveMessage(id="zz")])


def test_without_messages_it_is_a_reducer() -> None:
    assert shown(add_messages()([A], [B])) == shown(add_messages([A], [B]))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="both sides"):
        add_messages([A], None)
    with pytest.raises(ValueError, match="'markdown'"):
        add_messages([A], [B], format="markdown")


def test_the_left_side_is_never_changed() -> None:
    left = [A, B]
    add_messages(left, [AIMessage("A!", id="1"), RemoveMessage(id="2"), AIMessage("c", id="3")])
    assert left == [A, B]


_writes = st.lists(
    st.lists(st.tuples(st.sampled_from(["say", "remove", "clear"]), st.sampled_from("abcdef")), min_size=1, max_size=4),
    max_size=6,
)


@given(_writes)
def test_what_it_logs_rebuilds_what_it_folded(steps: list[list[tuple[str, str]]]) -> None:
    logged = LOGGED_REDUCERS[add_messages]
    value: list[Any] = []
    stored: dict[str, Any] = {"m": []}
    for number, step in enumerate(steps):
        known = {m.id for m in value}
        right: list[Any] = []
        for what, id in step:
            if what == "say":
                right.append(AIMessage(f"{id}{number}", id=id))
                known.add(id)
            elif what == "clear":
                right.append(RemoveMessage(id=REMOVE_ALL_MESSAGES))
                known.clear()
            elif id in known:
                right.append(RemoveMessage(id=id))
        expected = add_messages(value, right)
        value, ops = logged(value, right)
        assert shown(value) == shown(expected)
        _apply(stored, [["m", *op] for op in ops], [])
        assert shown(stored["m"]) == shown(value)


def test_a_message_more_costs_one_append() -> None:
    history = [AIMessage(str(i), id=str(i)) for i in range(1000)]
    new = AIMessage("new", id="new")
    _, ops = LOGGED_REDUCERS[add_messages](history, new)
    assert ops == [("append", [new])]


def test_messages_state_has_one_folded_key() -> None:
    assert Schema(MessagesState).channels == ("messages",)
