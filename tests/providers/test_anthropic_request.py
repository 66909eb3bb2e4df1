from __future__ import annotations

from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk, ChatMessage, HumanMessage, InvalidArgument, SystemMessage, ToolMessage
from millstream.data.messages import FunctionMessage
from millstream.errors import InvalidType
from millstream.providers.anthropic_messages import to_anthropic
from millstream.providers.anthropic_request import (
    call_parameters,
    most_tokens,
    shows_blocks,
    to_anthropic_tool,
    tool_choice_of,
)
from millstream.providers.anthropic_stream import AnthropicDecoder
from millstream.testing import message_stream

CALL = {"name": "add", "args": {"a": 1}, "id": "toolu_1"}
USED = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}
MARK = {"type": "ephemeral"}


def turns(*messages: Any) -> list[dict[str, Any]]:
    system, made = to_anthropic(messages)
    assert system is None
    return made


def user(block: dict[str, Any]) -> Any:
    return turns(HumanMessage([block]))[0]["content"][0]


# -- turns --------------------------------------------------------------------------------------------------------------


def test_a_conversation() -> None:
    system, made = to_anthropic(
        [
            SystemMessage("Be brief."),
            HumanMessage("1+1?"),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage("2", tool_call_id="toolu_1"),
            AIMessage("Two."),
            HumanMessage("Thanks"),
        ]
    )
    assert system == "Be brief."
    assert made == [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": [USED]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"}]},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Thanks"},
    ]


def test_system_messages_stand_in_one_place() -> None:
    system, _ = to_anthropic(
        [SystemMessage("a"), SystemMessage([{"type": "text", "text": "b", "cache_control": MARK}])]
    )
    assert system == [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": MARK}]
    late = to_anthropic([HumanMessage("a"), SystemMessage("b"), HumanMessage("c")])
    assert late == ("b", [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "c"}]}])
    with pytest.raises(InvalidArgument, match="message 2"):
        to_anthropic([SystemMessage("a"), HumanMessage("b"), SystemMessage("c")])
    assert to_anthropic([SystemMessage("")])[0] is None


def test_results_of_parallel_calls_and_what_follows_are_one_turn() -> None:
    made = turns(
        HumanMessage("go"),
        AIMessage("", tool_calls=[CALL, {**CALL, "id": "toolu_2"}]),
        ToolMessage("2", tool_call_id="toolu_1"),
        ToolMessage("no", tool_call_id="toolu_2", status="error"),
        HumanMessage("And?"),
    )
    assert [turn["role"] for turn in made] == ["user", "assistant", "user"]
    assert made[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
        {"type": "text", "text": "And?"},
    ]


def test_turns_of_one_side_are_joined_and_empty_ones_left_out() -> None:
    assert turns(HumanMessage("a"), AIMessage(""), HumanMessage("b"), HumanMessage("")) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ]
    assert turns(AIMessage("a"), AIMessage([{"type": "text", "text": "b"}]), HumanMessage("c"))[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


def test_the_beginning_of_an_answer_does_not_end_in_white_space() -> None:
    assert turns(HumanMessage("a"), AIMessage("{ \n"))[1]["content"] == "{"
    assert turns(HumanMessage("a"), AIMessage([{"type": "text", "text": "{ "}]))[1]["content"] == [
        {"type": "text", "text": "{"}
    ]
    assert len(turns(HumanMessage("a"), AIMessage(" "))) == 1


def test_roles() -> None:
    assert turns(ChatMessage("a", role="user"))[0] == {"role": "user", "content": "a"}
    for message in (ChatMessage("a", role="judge"), FunctionMessage("a", name="f")):
        with pytest.raises(InvalidType, match=type(message).__name__):
            turns(message)


# -- what is given ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "text", "text": "a", "cache_control": MARK, "id": "x"},
            {"type": "text", "text": "a", "cache_control": MARK},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUJD", "detail": "low"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ),
        (
            {"type": "image_url", "image_url": "http://127.0.0.1:1/x.png"},
            {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:1/x.png"}},
        ),
        (
            {"type": "image", "base64": "QUJD", "mime_type": "image/png", "extras": {"cache_control": MARK}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
                "cache_control": MARK,
            },
        ),
        ({"type": "image", "file_id": "f1"}, {"type": "image", "source": {"type": "file", "file_id": "f1"}}),
        (
            {"type": "image", "source_type": "base64", "data": "QUJD", "mime_type": "image/png"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        ),
        (
            {
                "type": "file",
                "base64": "QUJD",
                "mime_type": "application/pdf",
                "citations": {"enabled": True},
                "title": "T",
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
                "citations": {"enabled": True},
                "title": "T",
            },
        ),
        (
            {"type": "text-plain", "text": "words", "mime_type": "text/plain"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        ),
    ],
)
def test_blocks_of_other_forms(block: dict[str, Any], expected: dict[str, Any]) -> None:
    assert user(block) == expected


@pytest.mark.parametrize(
    "block",
    [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
            "cache_control": MARK,
        },
        {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "T"},
        {"type": "container_upload", "file_id": "f"},
        {"type": "hologram", "x": 1},
    ],
)
def test_blocks_in_the_apis_own_form_are_passed_on(block: dict[str, Any]) -> None:
    assert user(block) == block


def test_what_a_tool_gives() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x"}}
    assert turns(ToolMessage(["seen", image], tool_call_id="t"))[0]["content"] == [
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "seen"}, image]}
    ]
    own = {"type": "tool_result", "tool_use_id": "t", "content": "x", "cache_control": MARK}
    assert turns(ToolMessage([own], tool_call_id="t"))[0]["content"] == [own]
    assert turns(ToolMessage("", tool_call_id="t"))[0]["content"] == [{"type": "tool_result", "tool_use_id": "t"}]
    marked = ToolMessage("x", tool_call_id="t", additional_kwargs={"cache_control": MARK})
    assert turns(marked)[0]["content"][0]["cache_control"] == MARK


# -- what the model said, given back --------------------------------------------------------------------------------------


def streamed(stream: bytes) -> AIMessageChunk:
    decoder = AnthropicDecoder(blocks=True)
    first, *rest = decoder.feed(stream) + decoder.close()
    whole: AIMessageChunk = first + rest
    return whole


def test_a_streamed_message_goes_back_as_it_came() -> None:
    said = streamed(message_stream("Adding.", thinking="hm", tool_calls=[{"name": "add", "args": {"a": 1}}]))
    assert turns(said, ToolMessage("1", tool_call_id="toolu_1"))[0]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"},
        {"type": "text", "text": "Adding."},
        USED,
    ]


def test_blocks_that_only_this_api_knows_go_back() -> None:
    blocks = [
        {"type": "redacted_thinking", "data": "x", "index": 0},
        {
            "type": "server_tool_use",
            "id": "s",
            "name": "web_search",
            "input": {},
            "partial_json": '{"query": "q"}',
            "index": 1,
        },
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [], "index": 2},
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}], "index": 3},
        {"type": "compaction", "content": "c", "index": 4},
        {"type": "mcp_tool_use", "id": "m", "name": "ask", "input": {"q": 1}, "server_name": "s", "index": 5},
        {"type": "non_standard", "value": {"type": "new", "x": 1}},
    ]
    assert turns(AIMessage(blocks), HumanMessage("b"))[0]["content"] == [
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
        {"type": "compaction", "content": "c"},
        {"type": "mcp_tool_use", "id": "m", "name": "ask", "input": {"q": 1}, "server_name": "s"},
        {"type": "new", "x": 1},
    ]


def test_what_another_providers_model_said() -> None:
    said = AIMessage(
        [
            {"type": "reasoning", "summary": []},
            {"type": "thinking", "thinking": "unsigned"},
            {"type": "text", "text": "Adding."},
            {"type": "text", "text": ""},
            {"type": "function_call", "name": "add", "arguments": "{}", "call_id": "call.1"},
        ],
        tool_calls=[{**CALL, "id": "functions.add:0"}],
    )
    made = turns(said, ToolMessage("2", tool_call_id="functions.add:0"))
    assert made[0]["content"] == [{"type": "text", "text": "Adding."}, {**USED, "id": "functions_add_0"}]
    assert made[1]["content"][0]["tool_use_id"] == "functions_add_0"


def test_thoughts_in_the_common_form_go_back_when_signed() -> None:
    blocks = [{"type": "reasoning", "reasoning": "hm", "extras": {"signature": "S"}}, {"type": "text", "text": "a"}]
    assert turns(AIMessage(blocks), HumanMessage("b"))[0]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "S",
    }


def test_a_call_that_never_became_whole_goes_back_only_if_it_was_answered() -> None:
    said = streamed(
        message_stream("Adding.", tool_calls=[{"name": "add", "args": '{"a": 1'}], stop_reason="max_tokens")
    )
    assert said.tool_calls == []
    assert turns(said, HumanMessage("go on"))[0]["content"] == [{"type": "text", "text": "Adding."}]
    assert turns(said, ToolMessage("broken", tool_call_id="toolu_1"))[0]["content"][1] == USED


# -- parameters and tools -------------------------------------------------------------------------------------------------


def add(a: int) -> int:
    """Add one."""
    return a + 1


ADD = {
    "name": "add",
    "description": "Add one.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}


def test_tools_in_every_form() -> None:
    assert to_anthropic_tool(add) == ADD
    openai = {
        "type": "function",
        "function": {"name": "add", "description": "Add one.", "parameters": ADD["input_schema"]},
    }
    assert to_anthropic_tool(openai) == ADD
    assert to_anthropic_tool({**openai, "cache_control": MARK}) == {**ADD, "cache_control": MARK}
    for own in ({**ADD, "cache_control": MARK}, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}):
        assert to_anthropic_tool(own) == own
    strict = to_anthropic_tool(add, strict=True)
    assert strict["strict"] is True
    assert strict["input_schema"]["additionalProperties"] is False
    assert to_anthropic_tool({"title": "Add", "type": "object", "properties": {}})["name"] == "Add"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (False, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("any", {"type": "any"}),
        ("required", {"type": "any"}),
        (True, {"type": "any"}),
        ("add", {"type": "tool", "name": "add"}),
        ({"type": "tool", "name": "add"}, {"type": "tool", "name": "add"}),
        ({"type": "function", "function": {"name": "add"}}, {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choice(given: Any, expected: Any) -> None:
    assert tool_choice_of(given, [ADD]) == expected


def test_tool_choice_and_calls_at_a_time() -> None:
    assert tool_choice_of(None, [ADD], parallel=False) == {"type": "auto", "disable_parallel_tool_use": True}
    assert tool_choice_of("any", [ADD], parallel=True) == {"type": "any", "disable_parallel_tool_use": False}
    assert tool_choice_of("none", [ADD], parallel=False) == {"type": "none"}
    with pytest.raises(InvalidArgument, match=r"sub.*these are: add"):
        tool_choice_of("sub", [ADD])


def test_parameters_of_a_call_lie_over_the_models() -> None:
    settings = {"max_tokens": 5, "temperature": None, "stop_sequences": ["a"], "effort": "low", "extra_body": {"x": 1}}
    assert call_parameters(settings, {"max_tokens": 6, "stop": "b", "stream_usage": False}) == {
        "max_tokens": 6,
        "stop_sequences": ["b"],
        "output_config": {"effort": "low"},
        "x": 1,
    }
    openai = {
        "type": "function",
        "function": {"name": "add", "description": "Add one.", "parameters": ADD["input_schema"]},
    }
    made = call_parameters({}, {"tools": [openai], "tool_choice": "add", "parallel_tool_calls": False})
    assert made["tools"] == [ADD]
    assert made["tool_choice"] == {"type": "tool", "name": "add", "disable_parallel_tool_use": True}
    assert call_parameters({}, {"tools": [], "tool_choice": "any"}) == {"tools": []}


def test_what_a_model_may_say_at_most() -> None:
    assert most_tokens("claude-sonnet-4-5-20250929") == 64_000
    assert most_tokens("claude-opus-4-1") == 32_000
    assert most_tokens("claude-opus-4-20250514") == 32_000
    assert most_tokens("claude-3-5-haiku-latest") == 8_192
    assert most_tokens("claude-3-haiku-20240307") == 4_096
    assert most_tokens("glm-5") == 4_096


def test_answers_that_are_shown_in_blocks() -> None:
    document = {"type": "document", "citations": {"enabled": True}}
    assert not shows_blocks(
        {"messages": [{"role": "user", "content": "x"}], "thinking": {"type": "disabled"}, "tools": []}
    )
    for body in (
        {"tools": [ADD]},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"thinking": {"type": "adaptive"}},
        {"messages": [{"role": "user", "content": [document]}]},
    ):
        assert shows_blocks(body)


def test_a_broken_call_that_was_answered_stands_before_its_answer() -> None:
    broken = {"name": "f", "args": '{"a":', "id": "toolu_9", "error": None, "type": "invalid_tool_call"}
    _, made = to_anthropic(
        [
            HumanMessage("go"),
            AIMessage("", invalid_tool_calls=[broken]),
            ToolMessage("no", tool_call_id="toolu_9", status="error"),
        ]
    )
    assert made[1] == {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_9", "name": "f", "input": {}}],
    }
    assert to_anthropic([HumanMessage("go"), AIMessage("so", invalid_tool_calls=[broken]), HumanMessage("on")])[1][
        1
    ] == {"role": "assistant", "content": "so"}


def test_a_mark_in_a_result_marks_the_result() -> None:
    said = [{"type": "text", "text": "2", "cache_control": MARK}]
    result = turns(
        HumanMessage("go"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage(said, tool_call_id="toolu_1"),  # type: ignore[arg-type]
    )[-1]["content"][0]
    assert result["cache_control"] == MARK
    assert result["content"] == [{"type": "text", "text": "2"}]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("any", None, None),
        ("add", None, None),
        (
            {"type": "tool", "name": "add", "disable_parallel_tool_use": True},
            None,
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        ("any", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("none", None, {"type": "none"}),
    ],
)
def test_a_model_that_thinks_is_not_made_to_call(choice: Any, parallel: bool | None, expected: Any) -> None:
    call = {"tools": [{"name": "add", "input_schema": {}}], "tool_choice": choice, "parallel_tool_calls": parallel}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert call_parameters({"thinking": thinking}, call).get("tool_choice") == expected
    assert call_parameters({"thinking": {"type": "disabled"}}, call)["tool_choice"]["type"] != "auto"


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {}}}}},
        {"type": "json_schema", "schema": {"title": "x", "type": "object", "properties": {"a": {}}}},
        {"type": "object", "properties": {"a": {}}},
    ],
)
def test_the_form_of_an_answer_is_told_in_this_apis_words(form: Any) -> None:
    made = call_parameters({"output_config": {"effort": "low"}}, {"response_format": form})
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    assert made == {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}}}
    with pytest.raises(InvalidArgument, match="JSON schema"):
        call_parameters({}, {"response_format": {"type": "json_object"}})


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1", "action": {}},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "f", "input": "x"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "tools": []},
        {"type": "shell_call_output", "call_id": "c"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "refusal", "refusal": "no"},
    ],
)
@pytest.mark.parametrize("common", [False, True])
def test_what_only_openai_says_is_not_said_to_anthropic(item: dict[str, Any], common: bool) -> None:
    block = {"type": "non_standard", "value": item} if common else item
    said = AIMessage([block, {"type": "text", "text": "so"}])
    assert turns(HumanMessage("q"), said, HumanMessage("on"))[1]["content"] == [{"type": "text", "text": "so"}]


def test_what_anthropic_said_without_a_common_form_goes_back() -> None:
    thought = {"type": "redacted_thinking", "data": "x"}
    said = AIMessage([{"type": "non_standard", "value": thought}, {"type": "text", "text": "so"}])
    assert turns(HumanMessage("q"), said, HumanMessage("on"))[1]["content"][0] == thought
