"""Accumulator: the whole equals the sum, and each tool call is told once, as soon as it is complete."""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import Accumulator, AIMessage, AIMessageChunk, HumanMessageChunk, InvalidArgument

C = AIMessageChunk


def delta(args: str | None = None, *, name: str | None = None, id: str | None = None, index: Any = 0) -> C:
    return C("", tool_call_chunks=[{"name": name, "args": args, "id": id, "index": index}])


def tellings(chunks: list[Any]) -> tuple[list[list[str]], list[str]]:
    """The names told by each `feed`, and by `finish`."""
    whole = Accumulator()
    return [[call["name"] for call in whole.feed(chunk)] for chunk in chunks], [call["name"] for call in whole.finish()]


ARGS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@st.composite
def calls(draw: st.DrawFn) -> list[C]:
    """Tool calls in pieces; those of different calls may come in turns, and the last may be cut off."""
    pieces: list[list[C]] = []
    for index in range(draw(st.integers(1, 3))):
        text = json.dumps(draw(ARGS), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        own = [delta("", name=f"tool_{index}", id=f"call_{index}", index=index)]
        while text:
            size = draw(st.integers(1, len(text)))
            own.append(delta(text[:size], index=index))
            text = text[size:]
        if draw(st.booleans()):
            own.pop()
        pieces.append(own)
    if draw(st.booleans()):
        return [chunk for own in pieces for chunk in own]
    mixed: list[C] = []
    while left := [own for own in pieces if own]:
        mixed.append(draw(st.sampled_from(range(len(left))).map(lambda at: left[at])).pop(0))
    return mixed


@given(st.lists(st.one_of(st.text(max_size=4).map(C), st.just(C("", id="msg_1"))), max_size=4), calls())
def test_the_whole_is_the_sum_and_every_call_is_told_once(texts: list[C], tools: list[C]) -> None:
    chunks = [*texts, *tools, *texts]
    whole = Accumulator()
    told: list[Any] = []
    for number, chunk in enumerate(chunks):
        told += whole.feed(chunk)
        assert whole.message() == reduce(add, chunks[: number + 1])
    complete = list(told)
    told += whole.finish()
    assert list(whole.finish()) == []
    calls = whole.message().tool_calls
    assert sorted(told, key=lambda call: str(call["id"])) == sorted(calls, key=lambda call: str(call["id"]))
    # What was told before the end had arrived whole.
    args = {piece["id"]: piece["args"] for piece in whole.message().tool_call_chunks}
    assert [json.loads(args[call["id"]] or "") for call in complete] == [call["args"] for call in complete]


@pytest.mark.parametrize(
    ("chunks", "fed", "finished"),
    [
        ([delta("", name="a", id="1"), delta('{"x"'), delta(": 1}")], [[], [], ["a"]], []),
        ([delta('{"x": "}"', name="a", id="1"), delta("}")], [[], ["a"]], []),
        ([delta('{"x": "\\', name="a", id="1"), delta('"}"'), delta("}")], [[], [], ["a"]], []),
        ([delta("{}", name="a", id="1"), delta("{}", name="b", id="2", index=1)], [["a"], ["b"]], []),
        # A call without arguments may still get some, until the end.
        ([delta("", name="a", id="1"), delta("{}", name="b", id="2", index=1)], [[], ["b"]], ["a"]),
        ([delta("{}", name="a", id="1"), delta(" \n")], [["a"], []], []),
        ([delta('{"x": 1', name="a", id="1")], [[]], ["a"]),
        ([delta("[1]", name="a", id="1")], [[]], []),
        ([delta("nope", name="a", id="1")], [[]], []),
        ([delta("{}", id="1"), delta("", name="a")], [[], []], ["a"]),
        ([delta("{}", name="a", id="1", index=None), delta("{}", name="b", id="2", index=None)], [["a"], ["b"]], []),
        ([delta("{}", name="a", id="1"), delta("{}", name="b", id="2")], [["a"], ["b"]], []),
        ([C("", tool_calls=[{"name": "a", "args": {}, "id": "1"}])], [["a"]], []),
        ([AIMessage("", tool_calls=[{"name": "a", "args": {}, "id": "1"}])], [["a"]], []),
        ([HumanMessageChunk("x")], [[]], []),
    ],
)
def test_when_a_call_is_told(chunks: list[Any], fed: list[list[str]], finished: list[str]) -> None:
    assert tellings(chunks) == (fed, finished)


def test_one_message_is_the_whole() -> None:
    message = AIMessage("a")
    assert Accumulator([message]).message() is message


def test_nothing_fed() -> None:
    whole = Accumulator()
    assert len(whole) == 0
    assert whole.finish() == []
    with pytest.raises(InvalidArgument):
        whole.message()


def test_reading_in_between_changes_nothing() -> None:
    whole = Accumulator([C("a")])
    first = whole.message()
    whole.feed(C("b"))
    assert (first.content, whole.message().content) == ("a", "ab")


def test_a_call_in_many_pieces_is_one_call_however_often_the_pieces_are_summed() -> None:
    args = json.dumps({"text": "x" * 100})
    opening = AIMessageChunk(
        "", tool_call_chunks=[{"name": "write", "args": "", "id": "c1", "index": 0, "type": "tool_call_chunk"}]
    )
    pieces = [
        AIMessageChunk(
            "", tool_call_chunks=[{"name": None, "args": c, "id": None, "index": 0, "type": "tool_call_chunk"}]
        )
        for c in args
    ]
    whole = Accumulator()
    told = [call for piece in [opening, *pieces] for call in whole.feed(piece)]
    assert [(call["name"], call["args"]) for call in told] == [("write", {"text": "x" * 100})]
    assert whole.finish() == [] and len(whole.message().tool_calls) == 1


def test_at_the_end_a_call_that_was_cut_is_none() -> None:
    chunks = [delta('{"a": 1', name="f", id="c1"), delta('{"a": 2}', name="g", id="c2", index=1)]
    whole = Accumulator(chunks)
    assert [call["args"] for call in whole.finish()] == [{"a": 1}]
    ended = Accumulator([*chunks, C("", chunk_position="last")])
    assert list(ended.finish()) == []
    assert [call["name"] for call in ended.message().tool_calls] == ["g"]


def block(text: str, index: int = 0, **more: Any) -> list[Any]:
    return [{"type": "text", "text": text, "index": index, **more}]


@given(
    st.lists(
        st.builds(
            lambda content, metadata, id: AIMessageChunk(content, response_metadata=metadata, id=id),
            st.sampled_from(["", "a", [], "b", ["c"], *(block(t, i) for t in ("", "d") for i in (0, 1))])
            | st.just([*block("e"), *block("f", 1)])
            | st.just(block("g", 1, citations=["h"])),
            st.sampled_from([{}, {"model_provider": "p"}, {"model_provider": "p"}, {"model_provider": "p", "x": "y"}]),
            st.sampled_from(["lc_run--1", "lc_run--1", None, "msg_1"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_what_providers_repeat_in_each_chunk_is_held_once(chunks: list[C]) -> None:
    assert Accumulator(chunks).message() == reduce(add, chunks)


def test_a_stream_in_blocks_is_held_as_strings() -> None:
    first = AIMessageChunk([], response_metadata={"model_provider": "p", "model_name": "m"}, id="lc_run--1")
    whole = Accumulator([first])
    for number in range(100):
        whole.feed(AIMessageChunk(block(f"{number} "), response_metadata={"model_provider": "p"}, id="lc_run--1"))
    assert len(whole) == 101  # nothing was summed on the way
    assert whole.message().text == "".join(f"{number} " for number in range(100))
    assert whole.message().response_metadata == {"model_provider": "p", "model_name": "m"}


def test_whoever_wants_only_the_whole_is_told_of_no_call() -> None:
    piece = {"name": "f", "args": '{"a": 1}', "id": "1", "index": 0}
    whole = Accumulator(calls=False)
    assert list(whole.feed(AIMessageChunk("", tool_call_chunks=[piece]))) == list(whole.finish()) == []
    assert whole.message().tool_calls == [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]
