"""What Anthropic's and OpenAI's models say is shown in one form."""

from __future__ import annotations

from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk

CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        (
            {
                "type": "text",
                "text": "a",
                "citations": [
                    {"type": "char_location", "cited_text": "c", "document_title": "T", "start_char_index": 0}
                ],
                "index": 0,
            },
            {
                "type": "text",
                "text": "a",
                "index": 0,
                "annotations": [
                    {"type": "citation", "cited_text": "c", "title": "T", "extras": {"start_char_index": 0}}
                ],
            },
        ),
        (
            {
                "type": "text",
                "text": "a",
                "annotations": [
                    {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
                    {"type": "x"},
                ],
            },
            {
                "type": "text",
                "text": "a",
                "annotations": [
                    {"type": "citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
                    {"type": "non_standard_annotation", "value": {"type": "x"}},
                ],
            },
        ),
        (
            {
                "type": "server_tool_use",
                "id": "s",
                "name": "web_search",
                "input": {},
                "partial_json": '{"q": "x"}',
                "index": 1,
            },
            {"type": "server_tool_call", "id": "s", "name": "web_search", "args": {"q": "x"}, "index": 1},
        ),
        (
            {"type": "mcp_tool_use", "id": "m", "name": "ask", "input": {"q": 1}, "server_name": "w"},
            {
                "type": "server_tool_call",
                "id": "m",
                "name": "remote_mcp",
                "args": {"q": 1},
                "extras": {"tool_name": "ask", "server_name": "w"},
            },
        ),
        (
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}], "index": 2},
            {
                "type": "server_tool_result",
                "tool_call_id": "s",
                "status": "success",
                "output": [{"url": "u"}],
                "extras": {"block_type": "web_search_tool_result"},
                "index": 2,
            },
        ),
        (
            {"type": "redacted_thinking", "data": "x"},
            {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "x"}},
        ),
        ({"type": "reasoning", "reasoning": "hm"}, {"type": "reasoning", "reasoning": "hm"}),
        (
            {"type": "image_generation_call", "id": "i", "result": "AA=="},
            {"type": "image", "id": "i", "base64": "AA=="},
        ),
        (
            {"type": "image_generation_call", "id": "i", "result": "AA==", "output_format": "png"},
            {
                "type": "image",
                "id": "i",
                "base64": "AA==",
                "mime_type": "image/png",
                "extras": {"output_format": "png"},
            },
        ),
    ],
)
def test_forms(block: dict[str, Any], shown: dict[str, Any]) -> None:
    assert AIMessage([block]).content_blocks == [shown]


def test_a_thought_is_one_block_for_each_summary() -> None:
    thought = {"type": "reasoning", "id": "rs", "encrypted_content": "X"}
    texts = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    head = {"type": "reasoning", "id": "rs"}
    assert AIMessage([{**thought, "summary": texts}]).content_blocks == [
        {**head, "reasoning": "a", "encrypted_content": "X"},
        {**head, "reasoning": "b"},
    ]
    assert AIMessage([{**thought, "summary": []}]).content_blocks == [{**head, "extras": {"encrypted_content": "X"}}]


def test_numbers_of_openais_blocks_tell_what_they_count() -> None:
    def shown(*content: dict[str, Any], **more: Any) -> list[Any]:
        message = AIMessageChunk(list(content), response_metadata={"model_provider": "openai"}, **more)
        return [block["index"] for block in message.content_blocks]

    assert shown({"type": "text", "text": "a", "index": 0}) == ["lc_txt_0"]
    assert shown({"type": "web_search_call", "id": "w", "status": "completed", "index": 3}) == ["lc_wsc_3", "lc_wsr_4"]
    thought = {"type": "reasoning", "index": 0, "summary": [{"index": 1, "text": "b"}]}
    assert shown(thought) == [f"lc_rs_{b'0_1'.hex()}"]
    call = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{", "index": 1}
    piece = {"name": "f", "args": "{", "id": "c1", "index": 1}
    assert shown(call, tool_call_chunks=[piece]) == ["lc_tc_1"]
    assert shown({"type": "refusal", "refusal": "no", "index": 2}) == ["lc_ns_2"]


def test_a_tool_of_anthropics_begins_before_its_arguments() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}, "index": 1}
    made = {"id": "s", "name": "code_interpreter", "index": 1}
    assert AIMessageChunk([block]).content_blocks == [{**made, "type": "server_tool_call_chunk", "args": ""}]
    assert AIMessage([block]).content_blocks == [{**made, "type": "server_tool_call", "args": {}}]


def test_the_arguments_are_those_of_the_call() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    assert AIMessage([use], tool_calls=[CALL]).content_blocks == [CALL]


def test_a_result_that_failed() -> None:
    content = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    block = {"type": "web_search_tool_result", "tool_use_id": "s", "content": content}
    assert AIMessage([block]).content_blocks[0]["status"] == "error"


def test_a_result_in_the_common_form_is_left_as_it_is() -> None:
    result = {"type": "server_tool_result", "tool_call_id": "s", "status": "success", "output": [1]}
    assert AIMessage([result]).content_blocks == [result]


def test_a_tool_that_openai_ran_is_a_call_and_its_result() -> None:
    block = {
        "type": "code_interpreter_call",
        "id": "ci",
        "code": "1+1",
        "outputs": [{"logs": "2"}],
        "status": "completed",
    }
    assert AIMessage([block]).content_blocks == [
        {"type": "server_tool_call", "id": "ci", "name": "code_interpreter", "args": {"code": "1+1"}},
        {"type": "server_tool_result", "tool_call_id": "ci", "status": "success", "output": [{"logs": "2"}]},
    ]
    asked = {"type": "mcp_call", "id": "m", "name": "ask", "arguments": '{"q": 1}', "error": "no", "server_label": "w"}
    call, result = AIMessage([asked]).content_blocks
    assert (call["name"], call["args"]) == ("remote_mcp", {"q": 1})
    assert call["extras"] == {"tool_name": "ask", "server_label": "w"}
    assert (result["status"], result["extras"]) == ("error", {"error": "no"})
    searched = {"type": "web_search_call", "id": "w", "action": {"query": "q", "sources": ["u"]}, "status": "completed"}
    call, result = AIMessage([searched]).content_blocks
    assert (call["args"], result["output"]) == ({"query": "q"}, {"sources": ["u"]})
    call, result = AIMessage([{"type": "web_search_call", "id": "w", "status": "in_progress"}]).content_blocks
    assert result == {"type": "server_tool_result", "tool_call_id": "w", "extras": {"status": "in_progress"}}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}, "partial_json": '{"a": 1}'},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
    ],
)
def test_calls_stand_in_their_places_and_once(block: dict[str, Any]) -> None:
    content = ["before", block, "after"]
    before, after = {"type": "text", "text": "before"}, {"type": "text", "text": "after"}
    assert AIMessage(content, tool_calls=[CALL]).content_blocks == [before, CALL, after]
    invalid = {"name": "f", "args": '{"a": 1', "id": "c1", "error": None, "type": "invalid_tool_call"}
    assert AIMessage(content, invalid_tool_calls=[invalid]).content_blocks == [before, invalid, after]


def test_free_input_is_one_argument() -> None:
    block = {"type": "custom_tool_call", "id": "ct", "call_id": "c1", "name": "sql", "input": "SELECT"}
    call = {**CALL, "name": "sql", "args": {"__arg1": "SELECT"}}
    assert AIMessage([block]).content_blocks == [{**call, "extras": {"item_id": "ct"}}]


def test_pieces_of_calls_while_they_arrive() -> None:
    piece = {"name": None, "args": '{"a"', "id": None, "index": 1, "type": "tool_call_chunk"}
    text = {"type": "text", "text": "a", "index": 0}
    block = {"type": "input_json_delta", "partial_json": '{"a"', "index": 1}
    assert AIMessageChunk([block], tool_call_chunks=[piece]).content_blocks == [piece]
    assert AIMessageChunk([text, block], tool_call_chunks=[piece]).content_blocks == [text, piece]
    assert AIMessageChunk([block]).content_blocks == [{"type": "server_tool_call_chunk", "args": '{"a"', "index": 1}]
