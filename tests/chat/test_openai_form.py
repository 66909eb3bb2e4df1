"""Messages in OpenAI's form."""

from __future__ import annotations

from typing import Any

import pytest

from millstream import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    InvalidArgument,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)

IMAGE = {"type": "image_url", "image_url": {"url": "https://x"}}


@pytest.mark.parametrize(
    ("message", "form"),
    [
        (SystemMessage("s"), {"role": "system", "content": "s"}),
        (("developer", "d"), {"role": "developer", "content": "d"}),
        (HumanMessage("h", name="bob", id="1"), {"role": "user", "name": "bob", "content": "h"}),
        (ChatMessage("c", role="judge"), {"role": "judge", "content": "c"}),
        (
            AIMessage("", tool_calls=[{"name": "f", "args": {"a": "é"}, "id": "c1"}]),
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a": "é"}'}}],
            },
        ),
        (
            ToolMessage([{"type": "text", "text": "a"}, "b"], tool_call_id="c1", name="f"),
            {"role": "tool", "name": "f", "tool_call_id": "c1", "content": "a\nb"},
        ),
    ],
)
def test_messages(message: Any, form: dict[str, Any]) -> None:
    assert convert_to_openai_messages([message]) == [form]


def test_one_or_several() -> None:
    assert convert_to_openai_messages(HumanMessage("x")) == {"role": "user", "content": "x"}
    assert convert_to_openai_messages([("ai", "x"), "y"]) == [
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "y"},
    ]
    assert convert_to_openai_messages(HumanMessage("x", id="1"), include_id=True)["id"] == "1"


@pytest.mark.parametrize(
    ("content", "text_format", "form"),
    [
        ("a", "block", [{"type": "text", "text": "a"}]),
        ("", "block", []),
        ([IMAGE, "t"], "string", [IMAGE, {"type": "text", "text": "t"}]),
        ([{"type": "image", "url": "https://x"}], "string", [IMAGE]),
        (
            [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}],
            "string",
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}],
        ),
        (
            [{"type": "image", "base64": "QQ==", "mime_type": "image/png"}],
            "string",
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}],
        ),
        (
            [{"type": "audio", "base64": "QQ==", "mime_type": "audio/mp3"}],
            "string",
            [{"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}}],
        ),
        (
            [{"type": "file", "base64": "QQ==", "mime_type": "application/pdf"}],
            "string",
            [{"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ=="}}],
        ),
        ([{"type": "tool_use", "id": "1", "name": "f", "input": {}}, "t"], "string", "t"),
        ([{"type": "strange"}], "string", [{"type": "strange"}]),
    ],
)
def test_content(content: Any, text_format: Any, form: Any) -> None:
    assert convert_to_openai_messages(AIMessage(content), text_format=text_format)["content"] == form


def test_what_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="nope"):
        convert_to_openai_messages([], text_format="nope")  # type: ignore[call-overload]
    with pytest.raises(InvalidArgument, match="'strange'"):
        convert_to_openai_messages(HumanMessage([{"type": "strange"}]), pass_through_unknown_blocks=False)
    with pytest.raises(InvalidArgument, match="RemoveMessage has no role"):
        convert_to_openai_messages([RemoveMessage("1")])
