"""The remembered ids of long conversations say what looking at every message says."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from millstream import AIMessage, HumanMessage, InvalidArgument, RemoveMessage, add_messages
from millstream.graph import known_ids
from millstream.graph.channels import LOGGED_REDUCERS

reduce = LOGGED_REDUCERS[add_messages]


def conversation(length: int = 100) -> list[Any]:
    return [HumanMessage(f"text {n}", id=f"id{n}") for n in range(length)]


def plainly(left: list[Any], right: list[Any]) -> list[Any]:
    """The reducer without what is remembered."""
    known_ids._known.clear()
    return reduce(left, right)[0]


_turn = st.lists(
    st.tuples(st.sampled_from(["new", "same", "remove", "edit", "rename", "swap"]), st.integers(0, 99)), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_turn, min_size=1, max_size=8))
def test_turns_end_as_without_remembering(turns: list[list[tuple[str, int]]]) -> None:
    left, number = conversation(), 1000
    for turn in turns:
        right: list[Any] = []
        for what, place in turn:
            place %= len(left)
            number += 1
            if what == "new":
                right.append(AIMessage("new", id=str(number)))
            elif what == "same":
                right.append(AIMessage("again", id=left[place].id))
            elif what == "remove":
                if all(left[place].id != m.id for m in right):
                    right.append(RemoveMessage(id=left[place].id))
            elif what == "edit":  # behind the reducer's back
                left[place] = AIMessage("edited", id=str(number))
            elif what == "rename":
                left[place].id = str(number)
                right.append(left[place])
            else:
                left[place], left[-1] = left[-1], left[place]
        kept = dict(known_ids._known)
        try:
            expected = plainly(left, right)
        except InvalidArgument:  # the turn changed a message after it asked for its removal
            continue
        known_ids._known.update(kept)
        left = reduce(left, right)[0]
        assert [(m.id, m.content) for m in left] == [(m.id, m.content) for m in expected]


def test_a_long_conversation_is_not_looked_through_again() -> None:
    asked = 0

    class Counting(HumanMessage):
        def __getattribute__(self, name: str) -> Any:
            nonlocal asked
            asked += name == "id"
            return super().__getattribute__(name)

    left: list[Any] = [Counting(f"text {n}", id=f"id{n}") for n in range(200)]
    left = reduce(left, [AIMessage("a", id="a")])[0]
    first, asked = asked, 0
    left = reduce(left.copy(), [AIMessage("b", id="b")])[0]
    assert first >= 200
    assert asked == 0
    assert len(left) == 202


def test_no_more_is_remembered_than_said() -> None:
    for n in range(known_ids.REMEMBERED + 20):
        reduce(conversation(), [AIMessage("a", id=f"a{n}")])
    assert len(known_ids._known) <= known_ids.REMEMBERED
