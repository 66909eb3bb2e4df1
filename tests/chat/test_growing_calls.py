"""Tool calls of a streaming message: however the pieces are cut, each call is whole once, and equals the merged message's."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millstream import AIMessageChunk
from millstream.chat.growing_calls import GrowingCalls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ARGS = st.dictionaries(st.text(max_size=4), JSON, max_size=3)


def piece(index: Any, args: str | None, name: str | None = None, id: str | None = None) -> AIMessageChunk:
    return AIMessageChunk("", tool_call_chunks=[{"name": name, "args": args, "id": id, "index": index}])


def fed(chunks: list[AIMessageChunk]) -> tuple[list[Any], list[Any], list[Any]]:
    growing = GrowingCalls()
    during = [call for chunk in chunks for call in growing.feed(chunk)]
    return during, growing.end(), growing.calls()


@given(st.lists(ARGS, max_size=3), st.data())
def test_cut_anywhere(calls: list[dict[str, Any]], data: Any) -> None:
    chunks = []
    for index, args in enumerate(calls):
        text = json.dumps(args, ensure_ascii=data.draw(st.booleans()))
        size = data.draw(st.integers(1, 7))
        chunks.append(piece(index, "", f"f{index}", f"c{index}"))
        chunks += [piece(index, text[at : at + size]) for at in range(0, len(text), size)]
    during, at_end, all_calls = fed(chunks)
    whole = [{"name": f"f{n}", "args": args, "id": f"c{n}", "type": "tool_call"} for n, args in enumerate(calls)]
    assert (during, at_end, all_calls) == (whole, [], whole)
    if chunks:
        assert (chunks[0] + chunks[1:]).tool_calls == whole


def test_a_call_is_whole_before_the_next_begins() -> None:
    growing = GrowingCalls()
    assert growing.feed(piece(0, '{"a": 1', "f", "c1")) == []
    assert growing.feed(piece(0, "}")) == [{"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
    assert growing.feed(piece(0, " ")) == []
    assert growing.end() == []


def test_a_call_without_arguments_is_whole_at_the_end() -> None:
    during, at_end, _ = fed([piece(0, "", "f", "c1"), piece(1, None, "g", "c2")])
    assert during == []
    assert [call["name"] for call in at_end] == ["f", "g"]
    assert [call["args"] for call in at_end] == [{}, {}]


def test_the_same_index_with_another_id_is_another_call() -> None:
    during, at_end, calls = fed([piece(0, "", "f", "c1"), piece(0, '{"a": 1}', "g", "c2")])
    assert [(call["name"], call["id"], call["args"]) for call in during] == [("f", "c1", {}), ("g", "c2", {"a": 1})]
    assert at_end == []
    assert calls == during


def test_pieces_without_an_index_are_calls_by_themselves() -> None:
    during, _, _ = fed([piece(None, '{"a": 1}', "f", "c1"), piece(None, '{"a": 2}', "f", "c2")])
    assert [call["id"] for call in during] == ["c1", "c2"]


def test_arguments_that_are_no_object_are_no_call() -> None:
    for text in ("[1]", "}{", "nonsense", '"text"'):
        assert fed([piece(0, text, "f", "c1")]) == ([], [], [])
