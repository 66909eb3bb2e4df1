from __future__ import annotations

from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from millstream.data.messages import FunctionMessage
from millstream.errors import InvalidType
from millstream.providers.responses_input import to_responses
from millstream.providers.responses_request import only_responses, responses_parameters
from millstream.providers.responses_stream import ResponsesDecoder
from millstream.testing import response_stream

CALL = {"name": "add", "args": {"a": 1}, "id": "call_1"}


def streamed(stream: bytes) -> AIMessageChunk:
    decoder = ResponsesDecoder()
    first, *rest = decoder.feed(stream) + decoder.close()
    whole: AIMessageChunk = first + rest
    return whole


def given(block: Any) -> Any:
    return to_responses([HumanMessage([block])])[0]["content"][0]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": [], **more}


# -- items ----------------------------------------------------------------------------------------------------------------


def test_a_conversation() -> None:
    made = to_responses(
        [
            SystemMessage("Be brief."),
            SystemMessage("Now.", additional_kwargs={"__openai_role__": "developer"}),
            HumanMessage("1+1?"),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage("2", tool_call_id="call_1"),
            AIMessage("Two."),
            ChatMessage("ok", role="user"),
        ]
    )
    assert made == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "developer", "content": "Now."},
        {"type": "message", "role": "user", "content": "1+1?"},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "2"},
        {"type": "message", "role": "assistant", "content": [text("Two.")]},
        {"type": "message", "role": "user", "content": "ok"},
    ]
    with pytest.raises(InvalidType, match="FunctionMessage"):
        to_responses([FunctionMessage("x", name="f")])


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("plain", {"type": "input_text", "text": "plain"}),
        ({"type": "text", "text": "t"}, {"type": "input_text", "text": "t"}),
        (
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x", "detail": "low"}},
            {"type": "input_image", "image_url": "http://127.0.0.1:1/x", "detail": "low"},
        ),
        (
            {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        ),
        ({"type": "image", "file_id": "f1"}, {"type": "input_image", "file_id": "f1", "detail": "auto"}),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "input_file", "file_id": "f1"}),
        ({"type": "file", "url": "https://x/a.pdf"}, {"type": "input_file", "file_url": "https://x/a.pdf"}),
        ({"type": "input_file", "file_id": "f"}, {"type": "input_file", "file_id": "f"}),
        ({"type": "hologram"}, {"type": "hologram"}),
    ],
)
def test_blocks_that_are_given(block: Any, expected: dict[str, Any]) -> None:
    assert given(block) == expected


def test_items_in_a_persons_message() -> None:
    approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    assert to_responses([HumanMessage([approval])]) == [approval]
    assert to_responses([HumanMessage(["yes", approval])])[1] == approval


def test_what_tools_give() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x"}}
    said = streamed(response_stream("x"))
    assert to_responses([said, ToolMessage(["a", image], tool_call_id="c")])[1]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://x", "detail": "auto"},
    ]
    screen = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    seen = ToolMessage([screen], tool_call_id="c", additional_kwargs={"type": "computer_call_output"})
    assert to_responses([seen])[0] == {"type": "computer_call_output", "call_id": "c", "output": screen}


def test_a_streamed_message_goes_back_item_by_item() -> None:
    said = streamed(response_stream("Adding.", reasoning="hm", tool_calls=[{"name": "add", "args": '{"a":1}'}]))
    made = to_responses([said, ToolMessage("2", tool_call_id="call_1")])
    assert made == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "c2VjcmV0",
        },
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [text("Adding.")]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "2"},
    ]
    unknown = to_responses([said], stored=False)
    assert [item.get("id") for item in unknown] == ["rs_1", None, None]


def test_a_thought_goes_back_only_where_the_server_can_know_it() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert to_responses([AIMessage([thought, "a"])])[0] == {"type": "reasoning", "id": "rs_1", "summary": []}
    assert [item["type"] for item in to_responses([AIMessage([thought, "a"])], stored=False)] == ["message"]


def test_server_tools_refusals_phases_and_free_input_go_back() -> None:
    blocks = [
        {"type": "web_search_call", "id": "ws_1", "action": {}, "status": "completed", "index": 0},
        {"type": "text", "text": "a", "annotations": [{"type": "url_citation", "url": "u"}], "id": "msg_1", "index": 1},
        {"type": "text", "text": "b", "id": "msg_1", "phase": "commentary", "index": 2},
        {"type": "refusal", "refusal": "no", "id": "msg_2", "index": 3},
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "sql", "input": "SELECT", "index": 4},
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "zip", "arguments": "{}", "index": 5},
        {"type": "function_call", "id": "fc_1", "call_id": "c2", "name": "now", "index": 6},
    ]
    calls = [{"name": "sql", "args": {"__arg1": "SELECT"}, "id": "c1"}, {"name": "now", "args": {}, "id": "c2"}]
    made = to_responses([AIMessage(blocks, tool_calls=calls), ToolMessage("r", tool_call_id="c1")])
    assert [item["type"] for item in made] == [
        "web_search_call",
        "message",
        "message",
        "custom_tool_call",
        "mcp_approval_request",
        "function_call",
        "custom_tool_call_output",
    ]
    assert made[1]["content"] == [{**text("a"), "annotations": [{"type": "url_citation", "url": "u"}]}, text("b")]
    assert made[2] == {
        "type": "message",
        "role": "assistant",
        "id": "msg_2",
        "content": [{"type": "refusal", "refusal": "no"}],
    }
    assert made[3]["input"] == "SELECT"
    assert made[5]["arguments"] == ""


def test_what_another_providers_model_said() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": "a", "index": 2},
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {}},
        {"type": "reasoning", "reasoning": "hm"},
    ]
    assert [item["type"] for item in to_responses([AIMessage(blocks, tool_calls=[CALL])])] == [
        "message",
        "function_call",
    ]


# -- parameters -------------------------------------------------------------------------------------------------------------


def test_parameters_under_other_names() -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {}, "strict": True}}
    form = {"type": "json_schema", "json_schema": {"name": "F", "schema": {}, "strict": True}}
    assert responses_parameters(
        {
            "max_completion_tokens": 5,
            "reasoning_effort": "low",
            "reasoning": {"summary": "auto"},
            "response_format": form,
            "verbosity": "low",
            "logprobs": True,
            "include": ["x"],
            "tools": [tool, {"type": "web_search"}],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
            "temperature": 0,
        }
    ) == {
        "max_output_tokens": 5,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "F", "schema": {}, "strict": True}, "verbosity": "low"},
        "include": ["x", "message.output_text.logprobs"],
        "tools": [{"type": "function", "name": "add", "parameters": {}, "strict": True}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "add"},
        "temperature": 0,
    }
    assert responses_parameters({"response_format": {"type": "json_object"}}) == {
        "text": {"format": {"type": "json_object"}}
    }


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        ("gpt-4o", {}, False),
        ("gpt-5.1-codex-max", {}, True),
        ("gpt-5-pro", {}, True),
        ("o3-deep-research-2025-06-26", {}, True),
        ("gpt-4o", {"reasoning": {"effort": "low"}}, True),
        ("gpt-4o", {"reasoning_effort": "low"}, False),
        ("codex-mini-latest", {}, True),
        ("gpt-6", {}, False),
        ("gpt-6", {"tools": [{"type": "function"}]}, True),
        ("gpt-4o", {"text": {"verbosity": "low"}}, True),
        ("gpt-4o", {"include": []}, True),
        ("gpt-4o", {"reasoning": {"summary": "auto"}}, True),
        ("gpt-4o", {"tools": [{"type": "function"}, {"type": "custom"}]}, False),
        ("gpt-4o", {"tools": [{"type": "web_search"}]}, True),
        ("gpt-4o", {"previous_response_id": "resp_1"}, True),
        ("gpt-4o", {"include": None, "store": False}, False),
    ],
)
def test_what_only_this_api_can_do(model: str, body: dict[str, Any], expected: bool) -> None:
    assert only_responses(model, body) is expected


def test_texts_of_different_phases_are_different_messages() -> None:
    said = AIMessage(
        [
            {"type": "text", "text": "let me see", "id": "msg_1", "phase": "commentary"},
            {"type": "text", "text": "so", "id": "msg_2", "phase": "final_answer"},
        ]
    )
    made = to_responses([said], stored=False)
    assert [(item["phase"], item["content"][0]["text"]) for item in made] == [
        ("commentary", "let me see"),
        ("final_answer", "so"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "text", "text": "a"}], [{"type": "input_text", "text": "a"}]),
        ([{"rows": 3}], '[{"rows":3}]'),
        ([{"type": "row", "a": 1}, {"type": "row", "a": 2}], '[{"type":"row","a":1},{"type":"row","a":2}]'),
        ([{"type": "custom_tool_call_output", "output": "a"}], "a"),
    ],
)
def test_what_a_tool_gave_is_content_or_data(content: Any, expected: Any) -> None:
    assert to_responses([ToolMessage(content, tool_call_id="call_1")])[0]["output"] == expected


def test_annotations_go_back_as_this_api_made_them() -> None:
    common = [
        {"type": "citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1, "cited_text": "c"},
        {"type": "citation", "title": "f.txt", "extras": {"file_id": "file-1", "file_index": 3}},
        {"type": "citation", "cited_text": "of another provider"},
        {"type": "non_standard_annotation", "value": {"type": "file_path", "file_id": "file-2", "file_index": 4}},
        {
            "type": "citation",
            "title": "c.txt",
            "start_index": 1,
            "end_index": 2,
            "extras": {"container_id": "c", "file_id": "file-3"},
        },
    ]
    made = to_responses([AIMessage([{"type": "text", "text": "a", "annotations": common}])])
    assert made[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
        {"type": "file_citation", "file_id": "file-1", "filename": "f.txt", "index": 3},
        {"type": "file_path", "file_id": "file-2", "index": 4},
        {
            "type": "container_file_citation",
            "container_id": "c",
            "file_id": "file-3",
            "filename": "c.txt",
            "start_index": 1,
            "end_index": 2,
        },
    ]


def test_what_has_no_common_form_goes_back_as_it_was() -> None:
    blocks = [
        {"type": "non_standard", "value": {"type": "refusal", "refusal": "no"}},
        {"type": "image", "id": "ig_1", "base64": "AAAA"},
        {"type": "non_standard", "value": {"type": "of another provider"}},
        {"type": "compaction", "content": "of Anthropic's"},
    ]
    assert to_responses([AIMessage(blocks)]) == [
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "image_generation_call", "id": "ig_1"},
    ]


def test_stop_sequences_which_this_api_refuses_are_not_sent() -> None:
    assert responses_parameters({"stop": ["x"], "temperature": 0}) == {"temperature": 0}
