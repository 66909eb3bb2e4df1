from __future__ import annotations

from typing import Any

import pytest

from millstream import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    ChatOpenAI,
    FunctionMessage,
    HumanMessage,
    InvalidArgument,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from millstream.providers.openai_messages import to_openai
from millstream.providers.openai_request import call_parameters, tool_choice_of, with_usage
from millstream.providers.wire_json import dumps, loads

CALL = {"name": "add", "args": {"a": 1, "t": "ž"}, "id": "c1", "type": "tool_call"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}),
        (SystemMessage("be kind"), {"role": "system", "content": "be kind"}),
        (
            SystemMessage("be kind", additional_kwargs={"__openai_role__": "developer"}),
            {"role": "developer", "content": "be kind"},
        ),
        (ChatMessage("x", role="critic"), {"role": "critic", "content": "x"}),
        (FunctionMessage("3", name="add"), {"role": "function", "content": "3", "name": "add"}),
        (ToolMessage("3", tool_call_id="c1", name="add"), {"role": "tool", "content": "3", "tool_call_id": "c1"}),
        (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
        (AIMessage(""), {"role": "assistant", "content": ""}),
        (
            AIMessage("", tool_calls=[CALL]),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"type": "function", "id": "c1", "function": {"name": "add", "arguments": '{"a": 1, "t": "ž"}'}}
                ],
            },
        ),
        (
            AIMessage("hm", invalid_tool_calls=[{"name": "add", "args": '{"a', "id": "c2", "error": None}]),
            {
                "role": "assistant",
                "content": "hm",
                "tool_calls": [{"type": "function", "id": "c2", "function": {"name": "add", "arguments": '{"a'}}],
            },
        ),
        (
            AIMessage("", additional_kwargs={"refusal": "no"}),
            {"role": "assistant", "content": None, "refusal": "no"},
        ),
        (
            AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}}),
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        ),
        (
            AIMessage("4", additional_kwargs={"reasoning_content": "two and two"}, response_metadata={"x": 1}, id="m"),
            {"role": "assistant", "content": "4"},
        ),
        (
            AIMessage("", additional_kwargs={"audio": {"id": "a1", "data": "..."}}),
            {"role": "assistant", "content": None, "audio": {"id": "a1"}},
        ),
    ],
)
def test_messages(message: BaseMessage, expected: dict[str, Any]) -> None:
    assert to_openai([message]) == [expected]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("plain", {"type": "text", "text": "plain"}),
        ({"type": "text", "text": "t", "annotations": []}, {"type": "text", "text": "t"}),
        (IMAGE, IMAGE),
        ({"type": "image", "base64": "AAAA", "mime_type": "image/png"}, IMAGE),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, IMAGE),
        (
            {"type": "image", "url": "https://x/y.png", "detail": "low"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        ),
        (
            {"type": "audio", "base64": "AAAA", "mime_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "file", "file": {"file_id": "f1"}}),
        ({"type": "file", "file": {"file_id": "f1"}}, {"type": "file", "file": {"file_id": "f1"}}),
        ({"type": "text-plain", "text": "t"}, {"type": "text", "text": "t"}),
        ({"type": "input_audio", "input_audio": {}}, {"type": "input_audio", "input_audio": {}}),
        ({"type": "video", "url": "u"}, {"type": "video", "url": "u"}),
    ],
)
def test_content_blocks(block: Any, expected: dict[str, Any]) -> None:
    assert to_openai([HumanMessage([block])])[0]["content"] == [expected]


def test_what_a_model_said_to_itself_is_not_sent_back() -> None:
    content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "4"}, {"type": "tool_use", "id": "x"}]
    assert to_openai([AIMessage(content)])[0]["content"] == [{"type": "text", "text": "4"}]
    assert to_openai([AIMessage([{"type": "tool_use"}], tool_calls=[CALL])])[0]["content"] is None


def test_a_message_without_a_role() -> None:
    with pytest.raises(TypeError, match="RemoveMessage"):
        to_openai([RemoveMessage(id="x")])


def test_parameters_of_a_call_lie_over_settings() -> None:
    settings = {"temperature": 0, "seed": None, "max_completion_tokens": 5, "extra_body": {"a": 1, "b": 1}}
    call = {
        "temperature": 1,
        "max_tokens": 7,
        "stream": False,
        "streaming": True,
        "stream_usage": False,
        "timeout": 3,
        "extra_headers": {"x": "y"},
        "extra_body": {"b": 2},
    }
    assert call_parameters(settings, call) == {"temperature": 1, "max_tokens": 7, "a": 1, "b": 2}
    assert call_parameters(settings, {}) == {"temperature": 0, "max_completion_tokens": 5, "a": 1, "b": 1}


def test_disabled_parameters() -> None:
    call = {"parallel_tool_calls": True, "effort": "high", "seed": 1}
    assert call_parameters({}, call, disabled={"parallel_tool_calls": None, "effort": ["high"], "seed": [2]}) == {
        "seed": 1
    }


TOOLS = [{"type": "function", "function": {"name": "add"}}, {"type": "web_search"}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        ("web_search", {"type": "web_search"}),
        ({"type": "function", "function": {"name": "x"}}, {"type": "function", "function": {"name": "x"}}),
    ],
)
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert tool_choice_of(choice, TOOLS) == expected


def test_a_tool_choice_that_is_not_there() -> None:
    with pytest.raises(InvalidArgument, match=r"sub.*add"):
        tool_choice_of("sub", TOOLS)


def test_usage_is_asked_for_beside_the_callers_options() -> None:
    assert with_usage({"a": 1}) == {"a": 1, "stream_options": {"include_usage": True}}
    assert with_usage({"stream_options": {"include_obfuscation": False}})["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }
    assert with_usage({"stream_options": {"include_usage": False}})["stream_options"] == {"include_usage": False}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"a": "ž🐎"}, {"a": "ž🐎"}),
        ({"a": "half \ud83d", "b\udc4b": ["\ud83d\udc4b"]}, {"a": "half \ufffd", "b\ufffd": ["👋"]}),
        ({"n": 2**70, "m": (1, 2), 3: None}, {"n": 2**70, "m": [1, 2], "3": None}),
    ],
)
def test_anything_a_user_sends_becomes_json(value: Any, read: Any) -> None:
    assert loads(dumps(value)) == read


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})
    for text in (b"", b"{", b"nope", b"[" * 100_000):
        with pytest.raises(ValueError):
            loads(text)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("gpt-4o", True),
        ("GPT-5.1", True),
        ("o3-mini", True),
        ("ft:gpt-4o:mine", True),
        ("chatgpt-4o-latest", True),
        ("gpt-oss-20b", False),
        ("openai/gpt-4o", False),
        ("o3x", False),
        ("llama3", False),
    ],
)
def test_openais_models_are_known_by_their_names_behind_a_gateway(name: str, is_it: bool) -> None:
    model = ChatOpenAI(model=name, base_url="http://localhost/v1", max_tokens=3)
    body = model._request_body([HumanMessage("hi")], None, {})
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (is_it, not is_it)
    assert model._asks_for_responses({"reasoning": {"effort": "low"}}) is is_it


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("gpt-5", {}, None),
        ("gpt-5.2-mini", {"reasoning_effort": "low"}, None),
        ("gpt-5.1", {"reasoning_effort": "none"}, 0.3),
        ("gpt-5.1", {"reasoning": {"effort": "none"}}, 0.3),
        ("gpt-5-chat-latest", {}, 0.3),
        ("gpt-5", {"temperature": 1}, 1),
        ("gpt-4o", {}, 0.3),
        ("openai/gpt-5", {"base_url": "http://localhost/v1"}, 0.3),
    ],
)
def test_models_that_take_no_temperature_are_sent_none(name: str, settings: dict[str, Any], expected: Any) -> None:
    model = ChatOpenAI(**{"model": name, "api_key": "k", "temperature": 0.3, **settings})
    assert model.temperature == expected
