"""Chunks and their sums: the rules of `+`, and that neither cutting nor grouping changes the whole."""

from __future__ import annotations

import copy
import json
import pickle
import threading
import time
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    AIMessage,
    AIMessageChunk,
    ChatMessageChunk,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    InvalidArgument,
    InvalidType,
    SystemMessageChunk,
    ToolMessageChunk,
    ValidationError,
    merge_chunks,
    message_chunk_to_message,
)

C = AIMessageChunk
CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


def delta(args: str | None = None, *, name: str | None = None, id: str | None = None, index: Any = 0) -> C:
    return C("", tool_call_chunks=[{"name": name, "args": args, "id": id, "index": index}])


# --- any cutting, any grouping ---------------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> list[C]:
    """A message as a provider sends it: text, then tool calls one after the other, in pieces; usage at the end."""
    chunks = [C("", id="msg_1", response_metadata={"model_provider": "p"})]
    chunks += [C(piece) for piece in draw(st.lists(st.text(max_size=4), max_size=6))]
    for index in range(draw(st.integers(0, 2))):
        text = json.dumps(draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3)))
        chunks.append(delta("", name=f"tool_{index}", id=f"call_{index}", index=index))
        while text:
            size = draw(st.integers(1, len(text)))
            chunks.append(delta(text[:size], index=index))
            text = text[size:]
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    chunks.append(C("", usage_metadata=usage, response_metadata={"finish_reason": "stop"}, chunk_position="last"))
    return chunks


@st.composite
def block_streams(draw: st.DrawFn) -> list[C]:
    """The same with typed blocks, as providers with indexed content send them."""
    chunks: list[C] = [C([], id="msg_1")]
    for index in range(draw(st.integers(1, 3))):
        for piece in draw(st.lists(st.text(max_size=4), min_size=1, max_size=4)):
            chunks.append(C([{"type": "text", "text": piece, "index": index}]))
    return chunks


def grouped(draw: Any, chunks: list[C]) -> C:
    """The sum in some grouping: pairs, lists, or all at once."""
    if len(chunks) == 1:
        return chunks[0]
    cut = draw(st.integers(1, len(chunks) - 1))
    way = draw(st.sampled_from(["pair", "list", "all"]))
    if way == "pair":
        return grouped(draw, chunks[:cut]) + grouped(draw, chunks[cut:])  # type: ignore[no-any-return]
    if way == "list":
        return grouped(draw, chunks[:cut]) + chunks[cut:]  # type: ignore[no-any-return]
    return merge_chunks(chunks)  # type: ignore[no-any-return]


@given(st.one_of(streams(), block_streams()), st.data())
def test_grouping_does_not_matter_and_operands_are_untouched(chunks: list[C], data: Any) -> None:
    kept = copy.deepcopy(chunks)
    whole = reduce(add, chunks)
    assert grouped(data.draw, chunks) == whole
    assert merge_chunks(chunks) == whole
    assert chunks == kept


@given(streams())
def test_the_whole_has_what_was_sent(chunks: list[C]) -> None:
    whole = reduce(add, chunks)
    assert whole.content == "".join(str(chunk.content) for chunk in chunks)
    assert whole.id == "msg_1"
    assert whole.usage_metadata == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert whole.response_metadata == {"model_provider": "p", "finish_reason": "stop"}
    assert whole.chunk_position == "last"
    assert whole.invalid_tool_calls == []
    assert [call["id"] for call in whole.tool_calls] == [f"call_{i}" for i in range(len(whole.tool_calls))]
    assert [json.loads(chunk["args"] or "{}") for chunk in whole.tool_call_chunks] == [
        call["args"] for call in whole.tool_calls
    ]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans()), max_size=40))
def test_sums_keep_their_value_however_they_branch(steps: list[tuple[int, int, bool]]) -> None:
    made: list[tuple[C, str, str]] = [
        (C("a"), "a", ""),
        (C("b"), "b", ""),
        (C(""), "", ""),
        (delta("x"), "", "x"),
        (delta("y"), "", "y"),
    ]
    for left, right, read in steps:
        a, b = made[left % len(made)], made[right % len(made)]
        made.append((a[0] + b[0], a[1] + b[1], a[2] + b[2]))
        if read:  # a read joins the pieces, and the next sum starts from there
            assert made[-1][0].content == made[-1][1]
            assert made[-1][0].tool_call_chunks == ([] if not made[-1][2] else made[-1][0].tool_call_chunks)
    for chunk, text, args in made:
        assert chunk.content == text
        assert "".join(piece["args"] or "" for piece in chunk.tool_call_chunks) == args


def test_sums_from_several_threads_keep_their_value() -> None:
    base = C("a") + C("b")
    wrong: list[str] = []

    def work(name: str) -> None:
        for _ in range(300):
            whole = base
            for _ in range(5):
                whole = whole + C(name)
            if whole.content != "ab" + name * 5:
                wrong.append(str(whole.content))

    threads = [threading.Thread(target=work, args=(name,)) for name in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "id"),
    [
        ([None, None], None),
        (["1", None], "1"),
        ([None, "1"], "1"),
        (["1", "2"], "1"),
        (["lc_run--x", "msg_1", "msg_2"], "msg_1"),
        (["lc_x", "lc_run--y", "lc_run--z"], "lc_run--y"),
        (["lc_x", "lc_y"], "lc_x"),
        (["", "lc_y"], "lc_y"),
    ],
)
def test_ids(ids: list[Any], id: str | None) -> None:
    chunks = [C("", id=one) for one in ids]
    assert reduce(add, chunks).id == id
    assert merge_chunks(chunks).id == id


def test_the_result_has_the_class_of_the_left() -> None:
    whole = C("a") + HumanMessageChunk("b")
    assert (type(whole), whole.content) == (C, "ab")
    whole = HumanMessageChunk("a", id="h", name="n") + C("b", id="msg_1")
    assert (type(whole), whole.content, whole.id, whole.name) == (HumanMessageChunk, "ab", "h", None)
    assert (C("a", name="n") + C("b")).name is None


@pytest.mark.parametrize(
    "other", ["b", 1, None, HumanMessage("b"), {"content": "b"}, [C("b"), "c"]], ids=lambda other: type(other).__name__
)
def test_what_cannot_be_added(other: Any) -> None:
    with pytest.raises(InvalidType, match=r"Cannot join AIMessageChunk and \w+"):
        C("a") + other
    with pytest.raises(TypeError):
        sum([C("a"), C("b")])


def test_a_chunk_and_a_message_of_its_role_merge_either_way() -> None:
    message = AIMessage("a", id="m", tool_calls=[CALL])
    for whole in (message + C("b"), C("", id="m") + message + C("b"), C("") + [message, C("b")]):  # noqa: RUF005
        assert type(whole) is C
        assert (whole.content, whole.id, whole.tool_calls) == ("ab", "m", [CALL])
    assert (HumanMessage("a") + HumanMessageChunk("b")).content == "ab"
    assert message.content == "a"


def test_a_list_of_nothing_adds_nothing() -> None:
    assert C("a") + [] == C("a")  # noqa: RUF005
    with pytest.raises(InvalidArgument):
        merge_chunks([])


def test_clashes_are_type_errors_that_name_the_key() -> None:
    with pytest.raises(InvalidType, match="`k`"):
        C("", additional_kwargs={"k": "x"}) + C("", additional_kwargs={"k": 1})


def test_tool_chunks() -> None:
    whole = ToolMessageChunk("a", tool_call_id="1", artifact=[1]) + ToolMessageChunk(
        "b", tool_call_id="1", artifact=[2], status="error"
    )
    assert (whole.content, whole.artifact, whole.status) == ("ab", [1, 2], "error")
    with pytest.raises(InvalidArgument):
        ToolMessageChunk("a", tool_call_id="1") + ToolMessageChunk("b", tool_call_id="2")


def test_other_classes() -> None:
    assert SystemMessageChunk("a") + SystemMessageChunk("b") == SystemMessageChunk("ab")
    assert ChatMessageChunk("a", role="r") + ChatMessageChunk("b", role="r") == ChatMessageChunk("ab", role="r")
    assert FunctionMessageChunk("a", name="f") + FunctionMessageChunk("b", name="f") == FunctionMessageChunk(
        "ab", name="f"
    )


def test_a_users_subclass_is_kept() -> None:
    class Mine(AIMessageChunk):
        pass

    whole = Mine("a") + C("b") + [C("c")]
    assert type(whole) is Mine
    assert whole.content == "abc"


# --- what is derived -------------------------------------------------------------------------------------------------


def test_calls_grow_as_they_arrive() -> None:
    seen = []
    whole: Any = None
    for chunk in (delta("", name="get", id="c"), delta('{"ci'), delta('ty": "Pa'), delta('ris"}')):
        whole = chunk if whole is None else whole + chunk
        seen.append(whole.tool_calls[0]["args"])
    assert seen == [{}, {}, {"city": "Pa"}, {"city": "Paris"}]


@pytest.mark.parametrize("args", ["nope", "[1, 2]", '"text"', "[" * 100_000])
def test_calls_that_do_not_parse_are_kept_as_invalid(args: str) -> None:
    whole = delta(args, name="f", id="c")
    assert whole.tool_calls == []
    assert whole.invalid_tool_calls == [
        {"name": "f", "args": args, "id": "c", "error": None, "type": "invalid_tool_call"}
    ]


def test_only_pieces_of_a_function_keep_their_name() -> None:
    for cls in (AIMessageChunk, HumanMessageChunk):
        assert (cls("a", name="n") + cls("b", name="n")).name is None
    assert (FunctionMessageChunk("a", name="n") + FunctionMessageChunk("b", name="n")).name == "n"


def test_chunks_are_made_from_whole_calls() -> None:
    chunk = C("", tool_calls=[CALL], invalid_tool_calls=[{"name": "g", "args": "no", "id": "2", "error": "e"}])
    assert [(piece["args"], piece["index"]) for piece in chunk.tool_call_chunks] == [('{"a": 1}', None), ("no", None)]
    assert chunk.tool_calls == [CALL]
    assert chunk.invalid_tool_calls[0]["error"] == "e"
    assert (chunk + C("b")).tool_calls == [CALL]


def test_setting_and_changing_what_is_derived() -> None:
    whole = C("a") + C("b")
    whole.content = "new"
    assert (whole + C("c")).content == "newc"
    whole = delta("{", name="f", id="c") + delta('"a": 1')
    whole.tool_call_chunks[0]["args"] = '{"b": 2}'
    assert (whole + C("")).tool_calls[0]["args"] == {"b": 2}
    whole.tool_call_chunks = [{"name": "g", "args": "{}", "id": "d", "index": 0}]
    assert whole.tool_calls[0]["name"] == "g"
    with pytest.raises(ValidationError):
        whole.tool_call_chunks = [{"args": 5}]  # type: ignore[list-item]


def test_changing_an_operand_does_not_change_the_sum() -> None:
    left, right = delta('{"a"', name="f", id="c"), delta(": 1}")
    left.additional_kwargs["k"] = 1
    whole = left + right
    left.tool_call_chunks[0]["args"] = right.tool_call_chunks[0]["args"] = "changed"
    left.additional_kwargs["k"] = 2
    assert whole.tool_calls[0]["args"] == {"a": 1}
    assert whole.additional_kwargs == {"k": 1}


def test_sums_can_be_copied_and_pickled_unread() -> None:
    whole = C("a") + C("b") + delta('{"a"', name="f", id="c") + delta(": 1}")
    for twin in (copy.copy(whole), copy.deepcopy(whole), pickle.loads(pickle.dumps(whole)), whole.model_copy()):
        assert twin == whole
        assert (twin + C("c")).content == "abc"
        assert twin.tool_calls == whole.tool_calls
    assert whole.model_copy(update={"content": "x"}).content == "x"
    assert whole.model_copy(update={"tool_calls": []}).tool_calls == []


def test_old_openai_deltas_become_tool_call_chunks() -> None:
    raw = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}]
    more = [{"index": 0, "function": {"arguments": ": 1}"}}]
    whole = C("", additional_kwargs={"tool_calls": raw}) + C("", additional_kwargs={"tool_calls": more})
    assert whole.tool_calls == [{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]


def test_to_a_message() -> None:
    whole = C("a", id="1") + delta('{"a": 1}', name="f", id="c1") + C("b", chunk_position="last")
    message = message_chunk_to_message(whole)
    assert message == AIMessage("ab", id="1", tool_calls=[CALL])


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("kind", ["text", "arguments"])
def test_adding_costs_the_same_at_any_length(kind: str) -> None:
    piece = C("token") if kind == "text" else delta("token")

    def seconds(count: int) -> float:
        whole = piece
        start = time.process_time()
        for _ in range(count):
            whole = whole + piece
        taken = time.process_time() - start
        read = whole.content if kind == "text" else whole.tool_call_chunks[0]["args"]
        assert len(read or "") == 5 * (count + 1)
        return taken

    small, large = min(seconds(1_000) for _ in range(3)), min(seconds(32_000) for _ in range(2))
    assert large < small * 32 * 3, "32 times the chunks took more than 96 times as long"


@pytest.mark.usefixtures("no_garbage_collection")
def test_joining_a_list_is_linear() -> None:
    def seconds(count: int) -> float:
        chunks = [
            C(
                [{"type": "text", "text": "token", "index": 0}],
                additional_kwargs={"reasoning_content": "thought"},
                response_metadata={"model_provider": "p"},
            )
        ] * count
        start = time.process_time()
        whole = merge_chunks(chunks)
        taken = time.process_time() - start
        assert len(whole.text) == 5 * count
        return taken

    small, large = min(seconds(500) for _ in range(3)), seconds(16_000)
    assert large < small * 32 * 4, "32 times the chunks took more than 128 times as long"


def test_at_the_end_arguments_that_are_not_whole_make_an_invalid_call() -> None:
    growing = C("", tool_call_chunks=[{"name": "f", "args": '{"a": [1, 2', "id": "c1", "index": 0}])
    assert [call["args"] for call in growing.tool_calls] == [{"a": [1, 2]}]
    ended = growing + C("", chunk_position="last")
    assert ended.tool_calls == []
    assert [(call["name"], call["args"]) for call in ended.invalid_tool_calls] == [("f", '{"a": [1, 2')]
    message = message_chunk_to_message(ended)
    assert (message.tool_calls, message.invalid_tool_calls) == ([], ended.invalid_tool_calls)
    empty = C("", tool_call_chunks=[{"name": "f", "args": "", "id": "c1", "index": 0}], chunk_position="last")
    assert [call["args"] for call in empty.tool_calls] == [{}]
