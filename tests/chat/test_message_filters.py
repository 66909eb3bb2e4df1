from __future__ import annotations

from typing import Any

import pytest

from millstream import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    filter_messages,
    merge_message_runs,
)


def call(id: str) -> dict[str, Any]:
    return {"name": "f", "args": {}, "id": id}


CONVERSATION: list[Any] = [
    SystemMessage("s", id="0"),
    HumanMessage("h", id="1", name="ann"),
    AIMessage("", id="2", tool_calls=[call("a"), call("b")]),
    ToolMessage("x", tool_call_id="a", id="3"),
    ToolMessage("y", tool_call_id="b", id="4"),
    AIMessage("done", id="5"),
]


def ids(**options: Any) -> list[str | None]:
    return [message.id for message in filter_messages(CONVERSATION, **options)]


def test_no_condition_keeps_all() -> None:
    assert ids() == ["0", "1", "2", "3", "4", "5"]


def test_any_include_is_enough() -> None:
    assert ids(include_names=["ann"]) == ["1"]
    assert ids(include_types="human") == ["1"]
    assert ids(include_types=[SystemMessage, "human"]) == ["0", "1"]
    assert ids(include_names=["ann"], include_ids=["5"], include_types=("system",)) == ["0", "1", "5"]
    assert ids(include_ids=[]) == ids()


def test_every_exclude_counts() -> None:
    assert ids(exclude_types=["tool", AIMessage]) == ["0", "1"]
    assert ids(include_types=["human", "ai"], exclude_ids=["2"], exclude_names=["ann"]) == ["5"]


def test_without_tool_calls() -> None:
    assert ids(exclude_tool_calls=True) == ["0", "1", "5"]
    assert ids(exclude_tool_calls=["a", "b"]) == ["0", "1", "5"]


def test_without_some_tool_calls() -> None:
    kept = filter_messages(CONVERSATION, exclude_tool_calls=["a"])
    assert [message.id for message in kept] == ["0", "1", "2", "4", "5"]
    assert [each["id"] for each in kept[2].tool_calls] == ["b"]  # type: ignore[attr-defined]
    assert len(CONVERSATION[2].tool_calls) == 2


def test_the_block_of_an_excluded_call_goes_too() -> None:
    blocks = [{"type": "text", "text": "t"}, *({"type": "tool_use", "id": id, "name": "f", "input": {}} for id in "ab")]
    (kept,) = filter_messages([AIMessage(blocks, tool_calls=[call("a"), call("b")])], exclude_tool_calls={"a"})
    assert [block.get("id") for block in kept.content] == [None, "b"]  # type: ignore[union-attr]


def test_a_chunk_is_of_the_type_of_its_message() -> None:
    assert len(filter_messages([AIMessageChunk("x"), HumanMessage("y")], include_types="ai")) == 1


def test_filtering_as_a_step() -> None:
    assert [m.id for m in filter_messages(include_types="ai").invoke(CONVERSATION)] == ["2", "5"]


def test_neighbours_of_one_class_are_joined() -> None:
    given = [HumanMessage("a", id="1"), HumanMessage("b", id="2"), AIMessage("c"), HumanMessage("d")]
    merged = merge_message_runs(given)
    assert [(m.type, m.content, m.id) for m in merged] == [
        ("human", "a\nb", "1"),
        ("ai", "c", None),
        ("human", "d", None),
    ]
    assert [message.content for message in given] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (["a", "", "b"], "a b"),
        (["", "a"], "a"),
        (["", ""], ""),
        (["a", [{"type": "text", "text": "b"}]], ["a", {"type": "text", "text": "b"}]),
        ([[{"type": "text", "text": "a"}], "b"], [{"type": "text", "text": "a"}, "b"]),
        (["a", "b", [{"type": "text", "text": "c"}], "", "d", "e"], ["a b", {"type": "text", "text": "c"}, "de"]),
        # Blocks of two whole messages are not pieces of one, even where both count from 0.
        ([[{"type": "text", "text": "a", "index": 0}]] * 2, [{"type": "text", "text": "a", "index": 0}] * 2),
    ],
)
def test_contents_are_joined(contents: list[Any], expected: Any) -> None:
    (merged,) = merge_message_runs([HumanMessage(content) for content in contents], chunk_separator=" ")
    assert merged.content == expected


def test_answers_keep_their_calls_and_usage() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    (merged,) = merge_message_runs(
        [
            AIMessage(
                "a", id="lc_run--x", tool_calls=[call("a")], usage_metadata=usage, response_metadata={"cost": 0.5}
            ),
            AIMessageChunk("ignored") + AIMessageChunk(" chunk"),
            AIMessage("b", id="msg_1", tool_calls=[call("b")], usage_metadata=usage, response_metadata={"cost": 0.25}),
        ][::2]
    )
    assert isinstance(merged, AIMessage)
    assert [each["id"] for each in merged.tool_calls] == ["a", "b"]
    assert merged.usage_metadata == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}
    assert (merged.id, merged.response_metadata) == ("msg_1", {"cost": 0.5})


def test_chunks_are_joined_to_a_message() -> None:
    (merged,) = merge_message_runs([AIMessageChunk("a"), AIMessageChunk("b")], chunk_separator="")
    assert (type(merged), merged.content) == (AIMessage, "ab")


def test_a_chunk_is_a_neighbour_of_messages() -> None:
    assert merge_message_runs([AIMessage("a"), AIMessageChunk("b")]) == [AIMessage("a\nb")]


def test_what_the_provider_said_is_kept_once() -> None:
    said = {"model_name": "m", "finish_reason": "stop"}
    (merged,) = merge_message_runs([AIMessage("a", response_metadata=said), AIMessage("b", response_metadata=said)])
    assert merged.response_metadata == said


@pytest.mark.parametrize(
    "apart",
    [
        [ChatMessage("a", role="judge"), ChatMessage("b", role="jury")],
        [FunctionMessage("a", name="f"), FunctionMessage("b", name="g")],
    ],
)
def test_messages_of_different_speakers_stay_apart(apart: list[Any]) -> None:
    assert merge_message_runs(apart) == apart


def test_tool_messages_stay_apart() -> None:
    assert len(merge_message_runs([ToolMessage("a", tool_call_id="1"), ToolMessage("b", tool_call_id="2")])) == 2


def test_merging_as_a_step() -> None:
    assert merge_message_runs(chunk_separator=" ").invoke(["a", "b"]) == [HumanMessage("a b")]
