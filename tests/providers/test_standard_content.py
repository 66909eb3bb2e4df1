"""Content in the form that all providers share, out of each wire and back into it; what people give, on each wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from millstream import (
    AIMessageChunk,
    ChatAnthropic,
    ChatOpenAI,
    HumanMessage,
    ToolMessage,
    merge_chunks,
    message_chunk_to_message,
)
from millstream.providers.anthropic_messages import to_anthropic
from millstream.providers.openai_messages import to_openai
from millstream.providers.responses_input import to_responses
from millstream.testing import (
    Reply,
    StandInProvider,
    chat_stream,
    message_answer,
    message_stream,
    response_frame,
    response_stream,
)

CALLS = [{"name": "f", "args": {"a": 1}, "id": "c1"}]
CALL = {"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "c1"}


def script(request: Any) -> bytes:
    if request.path.endswith("/messages"):
        return message_stream("one two", tool_calls=CALLS, thinking="think it")
    if request.path.endswith("/responses"):
        return response_stream("one two", tool_calls=CALLS, reasoning="think it")
    return chat_stream("one two", tool_calls=CALLS, reasoning="think it")


def model(wire: str, provider: StandInProvider) -> Any:
    if wire == "messages":
        thinking = {"type": "enabled", "budget_tokens": 1024}
        return ChatAnthropic(model="any", base_url=provider.base_url, output_version="v1", thinking=thinking)
    more = {"use_responses_api": True, "store": False} if wire == "responses" else {}
    return ChatOpenAI(model="any", base_url=provider.base_url, output_version="v1", **more)


WIRES = ["chat", "responses", "messages"]


@pytest.mark.parametrize("wire", WIRES)
def test_every_wire_gives_the_same_blocks(wire: str) -> None:
    with StandInProvider(script) as provider:
        it = model(wire, provider)
        chunks = list(it.stream("hi"))

        async def main() -> tuple[Any, list[AIMessageChunk]]:
            return await it.ainvoke("hi"), [chunk async for chunk in it.astream("hi")]

        whole, again = asyncio.run(main())
        invoked = it.invoke("hi")
    for message in (merge_chunks(chunks), merge_chunks(again), whole, invoked):
        assert message.response_metadata["output_version"] == "v1"
        blocks = [{**block} for block in message.content]
        reasoning = next((b["reasoning"] for b in blocks if b["type"] == "reasoning"), "think it")
        assert reasoning == "think it"
        assert [b["text"] for b in blocks if b["type"] == "text"] == ["one two"]
        assert message.text == "one two"
        assert message.tool_calls == [CALL]
        assert message.content_blocks == message.content
    assert [b["type"] for b in merge_chunks(chunks).content] == ["reasoning", "text", "tool_call"]
    for message in (whole, invoked):
        assert {key: message.content[-1][key] for key in CALL} == CALL


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False])
def test_and_takes_them_back(wire: str, streamed: bool) -> None:
    with StandInProvider(script) as provider:
        it = model(wire, provider)
        said = message_chunk_to_message(merge_chunks(list(it.stream("hi")))) if streamed else it.invoke("hi")
        it.invoke([HumanMessage("hi"), said, ToolMessage("r", tool_call_id="c1")])
        sent = provider.requests[-1].json
    if wire == "chat":
        answer = sent["messages"][1]
        assert answer["content"] == [{"type": "text", "text": "one two"}]
        assert answer["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    elif wire == "messages":
        thought, text, call = sent["messages"][1]["content"]
        assert (thought["thinking"], thought["signature"]) == ("think it", "c2lnbmVk")
        assert (text["text"], call["input"]) == ("one two", {"a": 1})
    else:
        thought, text, call, result = sent["input"][1:]
        assert thought["summary"] == [{"type": "summary_text", "text": "think it"}]
        assert thought["encrypted_content"] == "c2VjcmV0"
        assert text["content"][0]["text"] == "one two"
        assert (call["call_id"], call["arguments"], result["output"]) == ("c1", '{"a":1}', "r")


PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}


@pytest.mark.parametrize(
    ("block", "chat", "responses", "anthropic"),
    [
        (
            {"type": "image_url", "image_url": "data:image/gif;base64,AAAA"},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}},
            {"type": "input_image", "image_url": "data:image/gif;base64,AAAA", "detail": "auto"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AAAA"}},
        ),
        (
            {"type": "image", "source_type": "id", "id": "file-1"},
            None,
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x.pdf"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x.pdf"}},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "x.pdf"},
            {"type": "document", "source": PDF, "title": "x.pdf"},
        ),
        (
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "input_file", "file_id": "file-1"},
            {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
        ),
        (
            {"type": "file", "source_type": "text", "text": "hello", "mime_type": "text/plain"},
            {"type": "text", "text": "hello"},
            {"type": "input_text", "text": "hello"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}},
        ),
    ],
)
def test_what_people_give(block: dict[str, Any], chat: Any, responses: Any, anthropic: Any) -> None:
    message = HumanMessage([block])
    if chat is not None:
        assert to_openai([message])[0]["content"] == [chat]
    assert to_responses([message])[0]["content"] == [responses]
    assert to_anthropic([message])[1][0]["content"] == [anthropic]


def test_marks_of_caches_go_to_servers_that_may_know_them() -> None:
    mark = {"type": "ephemeral"}
    message = HumanMessage([{"type": "text", "text": "long", "cache_control": mark}])
    with StandInProvider(script) as provider:
        ChatOpenAI(model="any", base_url=provider.base_url).invoke([message])
    assert provider.requests[0].json["messages"][0]["content"][0]["cache_control"] == mark
    assert "cache_control" not in to_openai([message])[0]["content"][0]


# -- tools that providers run ----------------------------------------------------------------------------------------------


SEARCHED = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "mills"}},
    {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1+1", "container_id": "c", "outputs": [{"type": "logs", "logs": "2"}]},
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "l", "tools": [{"name": "n"}]},
    {"type": "mcp_call", "id": "mcp_1", "status": "completed", "name": "n", "server_label": "l", "arguments": '{"a":1}', "output": "o"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}], "encrypted_content": "s"},
    {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "so", "annotations": []}]},
]  # fmt: skip


def in_pieces(items: list[dict[str, Any]]) -> bytes:
    """A stream in which each item is begun with its kind and id alone, and told when it is done."""
    out = response_frame("response.created", response={"id": "resp_1", "model": "m", "output": []})
    for at, item in enumerate(items):
        out += response_frame(
            "response.output_item.added", output_index=at, item={"type": item["type"], "id": item["id"]}
        )
        for number, text in enumerate(item.get("summary") or ()):
            place = {"output_index": at, "summary_index": number}
            out += response_frame("response.reasoning_summary_text.delta", **place, delta=text["text"])
        out += response_frame("response.output_item.done", output_index=at, item=item)
    return out + response_frame("response.completed", response={"id": "resp_1", "model": "m", "output": items})


def test_what_openai_ran_is_told_whole_and_goes_back() -> None:
    with StandInProvider(lambda _: in_pieces(SEARCHED)) as provider:
        it = ChatOpenAI(model="any", base_url=provider.base_url, use_responses_api=True, output_version="v1")
        chunks = list(it.stream("hi"))
    told = merge_chunks(chunks).content
    calls = [block for block in told if block["type"] == "server_tool_call"]
    assert [call["name"] for call in calls] == ["web_search", "code_interpreter", "mcp_list_tools", "remote_mcp"]
    assert [call["args"] for call in calls] == [{"type": "search", "query": "mills"}, {"code": "1+1"}, {}, {"a": 1}]
    results = [block for block in told if block["type"] == "server_tool_result"]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in calls]
    assert {result["status"] for result in results} == {"success"}
    assert [block["reasoning"] for block in told if block["type"] == "reasoning"] == ["one", "two"]
    sent = to_responses([merge_chunks(chunks)])
    *ran, thought, said = [{key: value for key, value in item.items() if key != "status"} for item in sent]
    plain = [{key: value for key, value in item.items() if key != "status"} for item in SEARCHED]
    assert ran == plain[:4]
    assert thought == plain[4]
    assert said["content"][0]["text"] == "so"


def test_a_call_with_free_text_is_one_block() -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "f", "input": 'a "b"'}
    with StandInProvider(lambda _: in_pieces([item])) as provider:
        it = ChatOpenAI(model="any", base_url=provider.base_url, use_responses_api=True, output_version="v1")
        (block,) = merge_chunks(list(it.stream("hi"))).content
    assert (block["type"], block["args"]) == ("tool_call", {"__arg1": 'a "b"'})


RAN = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "1"}},
    {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "code_execution_result", "stdout": "1"}},
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "n", "server_name": "s", "input": {"a": 1}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": [{"type": "text", "text": "x"}], "is_error": False},
    {"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "cited_text": "c", "url": "u", "title": "t", "encrypted_index": "i"}]},
    {"type": "text", "text": "b", "citations": [{"type": "char_location", "cited_text": "c", "document_title": "D", "document_index": 0, "start_char_index": 0, "end_char_index": 1}]},
]  # fmt: skip


def test_what_anthropic_ran_goes_back_to_it_and_to_nobody_else() -> None:
    with StandInProvider(
        lambda _: Reply.json(json.dumps({**json.loads(message_answer("hi")), "content": RAN}).encode())
    ) as provider:
        it = ChatAnthropic(model="any", base_url=provider.base_url, output_version="v1")
        said = it.invoke("hi")
    assert [block["type"] for block in said.content] == ["server_tool_call", "server_tool_result"] * 2 + ["text"] * 2
    assert to_anthropic([HumanMessage("q"), said, HumanMessage("on")])[1][1]["content"] == RAN
    (sent,) = to_responses([said])
    assert [part["text"] for part in sent["content"]] == ["a", "b"]


def test_a_refusal_in_pieces_is_one_block() -> None:
    place = {"output_index": 0, "content_index": 0}
    stream = response_frame("response.created", response={"id": "resp_1", "model": "m", "output": []})
    stream += response_frame("response.output_item.added", output_index=0, item={"type": "message", "id": "msg_1"})
    stream += b"".join(response_frame("response.refusal.delta", **place, delta=piece) for piece in ("no", "pe"))
    done = {"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": "nope"}]}
    stream += response_frame("response.output_item.done", output_index=0, item=done)
    stream += response_frame("response.completed", response={"id": "resp_1", "model": "m", "output": [done]})
    with StandInProvider(lambda _: stream) as provider:
        it = ChatOpenAI(model="any", base_url=provider.base_url, use_responses_api=True, output_version="v1")
        said = merge_chunks(list(it.stream("hi")))
    (block,) = said.content
    assert (block["type"], block["value"]["type"], block["value"]["refusal"]) == ("non_standard", "refusal", "nope")
    assert said.additional_kwargs["refusal"] == "nope"
    assert to_responses([said])[0]["content"] == [{"type": "refusal", "refusal": "nope"}]
