"""Content in the form that all providers share, out of each wire and back into it; what people give, on each wire."""

from __future__ import annotations

import asyncio
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
from millstream.testing import StandInProvider, chat_stream, message_stream, response_stream

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
