"""Messages: construction, shapes, the methods that users of the peer call on them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    InvalidArgument,
    MissingKey,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
    ValidationError,
    message_chunk_to_message,
)

CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
EACH = [
    HumanMessage("a", id="1", name="ann", additional_kwargs={"k": [1]}),
    SystemMessage([{"type": "text", "text": "a"}, "b"]),
    AIMessage("a", tool_calls=[CALL], usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    ToolMessage("a", tool_call_id="c1", artifact={"x": (1, 2)}, status="error"),
    FunctionMessage("a", name="f"),
    ChatMessage("a", role="critic"),
    RemoveMessage(id="1"),
    HumanMessageChunk("a"),
    SystemMessageChunk("a"),
    ToolMessageChunk("a", tool_call_id="c1"),
    FunctionMessageChunk("a", name="f"),
    ChatMessageChunk("a", role="critic"),
    AIMessageChunk(
        "a", tool_call_chunks=[{"name": "f", "args": '{"a"', "id": "c1", "index": 0}], chunk_position="last"
    ),
    AIMessageChunk("a") + AIMessageChunk("b") + AIMessageChunk("", tool_calls=[CALL]),
    AIMessage("a", mood="calm"),
]


@pytest.mark.parametrize("message", EACH, ids=lambda m: type(m).__name__)
def test_copies_are_equal(message: Any) -> None:
    assert pickle.loads(pickle.dumps(message)) == message
    assert copy.copy(message) == message
    assert copy.deepcopy(message) == message
    assert message.model_copy() == message
    assert message.model_copy(deep=True) == message
    assert BaseMessage.model_validate(message.model_dump()) == message
    assert type(BaseMessage.model_validate_json(message.model_copy(update={}).model_dump_json())) is type(message)


@pytest.mark.parametrize("message", EACH, ids=lambda m: type(m).__name__)
def test_repr_shows_the_class_and_what_is_set(message: Any) -> None:
    shown = repr(message)
    assert shown.startswith(type(message).__name__ + "(")
    assert "=None" not in shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (HumanMessage("a"), ["content='a'", "additional_kwargs={}", "response_metadata={}"]),
        (
            AIMessage("a", id="1", mood=None),
            [
                *["content='a'", "additional_kwargs={}", "response_metadata={}", "id='1'"],
                *["tool_calls=[]", "invalid_tool_calls=[]", "mood=None"],
            ],
        ),
        (ToolMessage("a", tool_call_id="1"), ["content='a'", "tool_call_id='1'"]),
        (ToolMessage("a", tool_call_id="1", status="error"), ["content='a'", "tool_call_id='1'", "status='error'"]),
    ],
)
def test_what_prompts_say_that_show_a_message_as_it_is(message: Any, shown: list[str]) -> None:
    assert f"{message}" == " ".join(shown)
    assert f"{[message]}" == f"[{type(message).__name__}({', '.join(shown)})]"


def test_equality_is_by_class_and_fields() -> None:
    assert HumanMessage("a") == HumanMessage("a")
    assert HumanMessage("a") != AIMessage("a")
    assert HumanMessage("a") != HumanMessageChunk("a")
    assert HumanMessage("a", id="1") != HumanMessage("a")
    assert HumanMessage("a", mood="calm") != HumanMessage("a")
    with pytest.raises(TypeError):
        hash(HumanMessage("a"))


def test_unknown_keywords_are_kept() -> None:
    message = HumanMessage("a", example=True)
    assert message.example is True  # type: ignore[attr-defined]
    assert message.model_dump()["example"] is True
    assert copy.copy(message).example is True  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = message.sample  # type: ignore[attr-defined]


def test_type_may_be_given_and_must_be_right() -> None:
    assert AIMessage("a", type="ai") == AIMessage("a")
    with pytest.raises(ValidationError, match="'ai', not 'human'"):
        AIMessage("a", type="human")


def test_ids_become_text() -> None:
    assert HumanMessage("a", id=5).id == "5"
    assert ToolMessage("a", tool_call_id=7).tool_call_id == "7"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: AIMessage(None), "content"),
        (lambda: AIMessage(), "content"),
        (lambda: HumanMessage(5), "content"),
        (lambda: HumanMessage([5]), "content"),
        (lambda: HumanMessage("a", additional_kwargs=[]), "additional_kwargs"),
        (lambda: HumanMessage("a", response_metadata="x"), "response_metadata"),
        (lambda: HumanMessage("a", name=5), "name"),
        (lambda: HumanMessage("a", id=[]), "id"),
        (lambda: AIMessage("a", tool_calls=[{"name": "f", "args": "{}", "id": "1"}]), "args"),
        (lambda: AIMessage("a", tool_calls=[{"args": {}, "id": "1"}]), "name"),
        (lambda: AIMessage("a", tool_calls=["f"]), "tool_calls"),
        (lambda: AIMessage("a", tool_calls={"name": "f"}), "tool_calls"),
        (lambda: AIMessage("a", usage_metadata={"input_tokens": 1}), "usage_metadata"),
        (lambda: AIMessageChunk("a", tool_call_chunks=[{"args": {}}]), "args"),
        (lambda: AIMessageChunk("a", chunk_position="first"), "chunk_position"),
        (lambda: ToolMessage("a", tool_call_id="1", status="bad"), "status"),
        (lambda: FunctionMessage("a"), "name"),
        (lambda: ChatMessage("a"), "role"),
        (lambda: HumanMessage.model_validate({}), "content"),
    ],
)
def test_wrong_shapes_name_the_field(make: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert caught.value.field == field


def test_what_is_not_a_matter_of_shape_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgument, match="no content"):
        RemoveMessage(id="1", content="a")
    with pytest.raises(InvalidArgument, match="'martian'"):
        BaseMessage.model_validate({"type": "martian", "content": "a"})
    with pytest.raises(InvalidArgument, match="`tool_call_id`: '1' and '2'"):
        ToolMessageChunk("a", tool_call_id="1") + ToolMessageChunk("b", tool_call_id="2")
    with pytest.raises(InvalidArgument, match="`role`"):
        ChatMessageChunk("a", role="x") + ChatMessageChunk("b", role="y")
    with pytest.raises(InvalidArgument, match="`name`"):
        FunctionMessageChunk("a", name="x") + FunctionMessageChunk("b", name="y")


def test_a_tool_message_needs_the_call_it_answers() -> None:
    with pytest.raises(MissingKey) as caught:
        ToolMessage("a")
    assert caught.value.key == "tool_call_id"
    assert isinstance(caught.value, KeyError)
    with pytest.raises(ValidationError, match="tool_call_id"):
        ToolMessage("a", tool_call_id=None)


def test_content_of_a_tool_message_becomes_text() -> None:
    assert ToolMessage({"a": 1}, tool_call_id="1").content == "{'a': 1}"
    assert ToolMessage(("a", 2), tool_call_id="1").content == ["a", "2"]
    assert ToolMessage(None, tool_call_id="1").content == "None"
    with pytest.raises(ValidationError, match="nothing"):
        ToolMessage(tool_call_id="1")


def test_two_messages_never_share_a_dict() -> None:
    given: dict[str, Any] = {"k": 1}
    first, second = HumanMessage("a", additional_kwargs=given), HumanMessage("b", additional_kwargs=given)
    first.additional_kwargs["k"] = 2
    assert second.additional_kwargs == given == {"k": 1}


def test_old_openai_tool_calls_are_parsed() -> None:
    raw = [
        {"id": "1", "function": {"name": "f", "arguments": '{"q": 2}'}},
        {"id": "2", "function": {"name": "g", "arguments": "{"}},
    ]
    message = AIMessage("", additional_kwargs={"tool_calls": raw})
    assert message.tool_calls == [{"name": "f", "args": {"q": 2}, "id": "1", "type": "tool_call"}]
    assert message.invalid_tool_calls[0]["args"] == "{"


def test_text_and_pretty() -> None:
    assert AIMessage([{"type": "text", "text": "a"}, "b", {"type": "image", "url": "u"}]).text == "ab"
    cut = {"name": "g", "args": "{x", "id": "c2", "error": "cut"}
    lines = AIMessage("hi", name="bot", tool_calls=[CALL], invalid_tool_calls=[cut]).pretty_repr().splitlines()
    assert len(lines[0]) == 80
    assert " Ai Message " in lines[0]
    assert lines[1:] == [
        *["Name: bot", "", "hi", "Tool Calls:", "  f (c1)", " Call ID: c1", "  Args:", "    a: 1"],
        *["Invalid Tool Calls:", "  g (c2)", " Call ID: c2", "  Error: cut", "  Args:", "    {x"],
    ]
    assert AIMessage("", tool_calls=[CALL]).pretty_repr().splitlines()[1:3] == ["Tool Calls:", "  f (c1)"]


def test_dump_shares_nothing() -> None:
    message = HumanMessage([{"type": "text", "text": "a"}])
    message.model_dump()["content"][0]["text"] = "changed"
    assert message.text == "a"


def test_dump_can_be_narrowed() -> None:
    message = AIMessage("", name="n")
    assert set(message.model_dump(exclude_none=True)) == {
        "content", "additional_kwargs", "response_metadata", "type", "name", "tool_calls", "invalid_tool_calls",
    }  # fmt: skip
    assert message.model_dump(exclude_defaults=True) == {"content": "", "type": "ai", "name": "n"}
    assert message.model_dump(include={"content"}) == {"content": ""}
    assert "content" not in message.model_dump(exclude={"content"})


def test_match_statement() -> None:
    match AIMessage("hi"):
        case AIMessage(content=text):
            assert text == "hi"
        case _:
            raise AssertionError


@pytest.mark.parametrize(
    "chunk", [m for m in EACH if type(m).__name__.endswith("Chunk")], ids=lambda m: type(m).__name__
)
def test_a_chunk_becomes_its_message(chunk: Any) -> None:
    message = message_chunk_to_message(chunk)
    assert type(message).__name__ == type(chunk).__name__.removesuffix("Chunk")
    assert message.content == chunk.content
    assert getattr(message, "tool_calls", None) == getattr(chunk, "tool_calls", None)
    assert message_chunk_to_message(message) is message
