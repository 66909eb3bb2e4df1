"""Tool calls of a streaming message: however the pieces are cut, they equal those of the chunks' sum."""

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


def fed(chunks: list[AIMessageChunk]) -> list[Any]:
    growing = GrowingCalls()
    for chunk in chunks:
        growing.feed(chunk)
    return growing.calls()


@given(st.lists(st.tuples(ARGS, st.booleans(), st.integers(1, 7)), max_size=3), st.floats(0, 1))
def test_at_any_point_the_calls_of_the_sum(calls: list[tuple[dict[str, Any], bool, int]], point: float) -> None:
    chunks = []
    for index, (args, ascii_only, size) in enumerate(calls):
        text = json.dumps(args, ensure_ascii=ascii_only)
        chunks.append(piece(index, "", f"f{index}", f"c{index}"))
        chunks += [piece(index, text[at : at + size]) for at in range(0, len(text), size)]
    whole = [
        {"name": f"f{n}", "args": args, "id": f"c{n}", "type": "tool_call"} for n, (args, _, _) in enumerate(calls)
    ]
    assert fed(chunks) == whole
    end = round(point * len(chunks))
    if end:
        assert fed(chunks[:end]) == (chunks[0] + chunks[1:end]).tool_calls


def test_the_same_index_with_another_id_is_another_call() -> None:
    calls = fed([piece(0, "", "f", "c1"), piece(0, '{"a": 1}', "g", "c2")])
    assert [(call["name"], call["id"], call["args"]) for call in calls] == [("f", "c1", {}), ("g", "c2", {"a": 1})]


def test_pieces_without_an_index_are_calls_by_themselves() -> None:
    calls = fed([piece(None, '{"a": 1}', "f", "c1"), piece(None, '{"a": 2}', "f", "c2")])
    assert [call["id"] for call in calls] == ["c1", "c2"]


def test_arguments_that_are_no_object_are_no_call() -> None:
    for text in ("[1]", "}{", "nonsense", '"text"'):
        assert fed([piece(0, text, "f", "c1")]) == []
