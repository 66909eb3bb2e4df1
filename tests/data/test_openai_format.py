from __future__ import annotations

from typing import Any

import pytest

from millstream import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
    convert_to_openai_messages,
    count_tokens_approximately,
)


def one(message: Any, **options: Any) -> dict[str, Any]:
    made = convert_to_openai_messages(message, **options)
    assert isinstance(made, dict)
    return made


def block(given: dict[str, Any]) -> Any:
    (made,) = one(HumanMessage([given, {"type": "image_url", "image_url": {"url": "u"}}]))["content"][:1]
    return made


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (HumanMessage("x"), "user"),
        (AIMessage("x"), "assistant"),
        (SystemMessage("x"), "system"),
        (("developer", "x"), "developer"),
        (FunctionMessage("x", name="f"), "function"),
        (ToolMessage("x", tool_call_id="1"), "tool"),
        (ChatMessage("x", role="judge"), "judge"),
    ],
)
def test_roles(message: Any, role: str) -> None:
    assert convert_to_openai_messages([message])[0]["role"] == role


def test_a_message_without_a_role_is_refused() -> None:
    with pytest.raises(ValueError, match="RemoveMessage"):
        convert_to_openai_messages([RemoveMessage("1")])


def test_one_gives_a_dict_and_several_a_list() -> None:
    assert one(HumanMessage("x", name="bob", id="7")) == {"role": "user", "content": "x", "name": "bob"}
    assert one("x") == {"role": "user", "content": "x"}
    assert convert_to_openai_messages(["x"]) == [{"role": "user", "content": "x"}]
    assert one(HumanMessage("x", id="7"), include_id=True)["id"] == "7"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (
            {"image": {"format": "png", "source": {"bytes": b"\0\1"}}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}},
        ),
        ({"guard_content": {"text": {"text": "t"}}}, {"type": "text", "text": "t"}),
        ({"type": "guard_content", "guard_content": {"text": "t"}}, {"type": "text", "text": "t"}),
    ],
)
def test_blocks_of_bedrock(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert block(given) == made


def test_calls_and_their_answers() -> None:
    call = {"name": "f", "args": {"ä": 1}, "id": "c"}
    assert one(AIMessage("", tool_calls=[call])) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "id": "c", "function": {"name": "f", "arguments": '{"ä": 1}'}}],
    }
    assert one(ToolMessage("r", tool_call_id="c", name="f")) == {
        "role": "tool",
        "content": "r",
        "tool_call_id": "c",
        "name": "f",
    }


def test_calls_among_the_content_are_taken_out_of_it_once() -> None:
    used = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    said = {"type": "text", "text": "t"}
    for calls in ([], [{"name": "f", "args": {"a": 1}, "id": "c"}]):
        made = one(AIMessage([said, used], tool_calls=calls))
        assert made["content"] == "t"
        assert [call["id"] for call in made["tool_calls"]] == ["c"]


@pytest.mark.parametrize("kind", ["tool_call_chunk", "invalid_tool_call", "function_call"])
def test_what_is_told_elsewhere_is_no_content(kind: str) -> None:
    assert one(AIMessage([{"type": kind, "name": "f"}, {"type": "text"}, "t"]))["content"] == "\nt"


def test_results_among_the_content_become_messages() -> None:
    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "r"}]}
    alone = convert_to_openai_messages([HumanMessage([result])])
    assert alone == [{"role": "tool", "content": "r", "tool_call_id": "c"}]
    beside = convert_to_openai_messages([HumanMessage([{"type": "text", "text": "and?"}, result])])
    assert [(made["role"], made["content"]) for made in beside] == [("user", "and?"), ("tool", "r")]


@pytest.mark.parametrize(
    ("content", "string", "blocks"),
    [
        ("a", "a", [{"type": "text", "text": "a"}]),
        ("", "", []),
        (["a", {"type": "text", "text": "b"}], "a\nb", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    ],
)
def test_text_as_a_string_or_as_blocks(content: Any, string: Any, blocks: Any) -> None:
    assert one(HumanMessage(content))["content"] == string
    assert one(HumanMessage(content), text_format="block")["content"] == blocks


def test_beside_an_image_text_stays_a_block() -> None:
    content = [{"type": "image_url", "image_url": {"url": "https://x"}}, {"type": "text", "text": "t"}]
    assert one(HumanMessage(content))["content"] == content


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "image", "url": "https://x"}, {"type": "image_url", "image_url": {"url": "https://x"}}),
        (
            {"type": "image", "base64": "AA", "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AA"}},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AA"}},
        ),
        (
            {"type": "audio", "base64": "AA", "mime_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "file", "file": {"file_id": "f1"}}),
        (
            {"type": "file", "base64": "AA", "mime_type": "application/pdf"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "file"}},
        ),
        ({"type": "file", "file": {"file_id": "f1"}}, {"type": "file", "file": {"file_id": "f1"}}),
        (
            {"type": "media", "mime_type": "image/png", "data": "AA"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        ),
        (
            {"type": "image", "url": "https://x", "extras": {"detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
        ),
        ({"type": "text-plain", "text": "t"}, {"type": "text", "text": "t"}),
        ({"text": "t"}, {"type": "text", "text": "t"}),
        ({"json": {"a": 1}}, {"type": "text", "text": '{"a": 1}'}),
        ({"type": "mystery", "a": 1}, {"type": "mystery", "a": 1}),
    ],
)
def test_blocks_in_openais_form(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert block(given) == expected


def test_an_unknown_block_may_be_refused() -> None:
    with pytest.raises(ValueError, match="mystery"):
        one(HumanMessage([{"type": "mystery"}]), pass_through_unknown_blocks=False)
    with pytest.raises(ValueError, match="text_format"):
        one("x", text_format="nope")


def test_what_is_written_can_be_read_back() -> None:
    given = [
        SystemMessage("s"),
        HumanMessage("h", name="bob"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c"}]),
        ToolMessage("r", tool_call_id="c"),
    ]
    assert convert_to_messages(convert_to_openai_messages(given)) == given


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        (HumanMessage("abcd" * 5), 9),
        (HumanMessage("abcd" * 5, name="anna"), 10),
        (HumanMessage([{"type": "text", "text": "abcd" * 5}]), 9),
        (HumanMessage([{"type": "image_url", "image_url": {"url": "data:" + "A" * 10_000}}]), 89),
        (ToolMessage("abcd", tool_call_id="1234"), 6),
        (AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), 20),
    ],
)
def test_tokens_are_estimated_by_length(message: Any, tokens: int) -> None:
    assert count_tokens_approximately([message]) == tokens


def test_the_estimate_can_be_tuned() -> None:
    message = HumanMessage("abcd" * 5, name="anna")
    assert count_tokens_approximately([message], count_name=False) == 9
    assert count_tokens_approximately([message], chars_per_token=1, extra_tokens_per_message=0) == 28
    assert count_tokens_approximately([], tools=[{"a": 1}]) == 2
