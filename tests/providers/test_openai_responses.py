"""ChatOpenAI over the responses API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from recordings import Recording, recorded

from millstream import (
    AIMessage,
    AIMessageChunk,
    BadRequestError,
    ChatOpenAI,
    ProviderInterrupted,
    ProviderStatusError,
    RateLimitError,
    StrOutputParser,
    ToolMessage,
    create_react_agent,
    tool,
)
from millstream.testing import Reply, StandInProvider, chat_error, response_answer, response_frame, response_stream

TEXT = "The mill grinds slowly."
STREAM = response_stream(TEXT)
KEY = "sk-do-not-tell-4711"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def model(provider: StandInProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="any", base_url=provider.base_url, use_responses_api=True, **settings)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def answers(model: Any, how: str) -> Any:
    async def main() -> Any:
        if how == "ainvoke":
            return await model.ainvoke("hi")
        chunks = [chunk async for chunk in model.astream("hi")]
        return sum(chunks[1:], chunks[0])

    if how in ("ainvoke", "astream"):
        return asyncio.run(main())
    if how == "invoke":
        return model.invoke("hi")
    if how == "streaming":
        return model.invoke("hi", stream=True)
    chunks = list(model.stream("hi"))
    return sum(chunks[1:], chunks[0])


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "streaming"])
def test_all_forms_give_the_same_message(how: str) -> None:
    calls = [{"name": "add", "args": {"a": 1, "b": "ž"}}, {"name": "now", "args": {}}]
    with StandInProvider([response_stream(TEXT, tool_calls=calls)]) as provider:
        got = answers(model(provider), how)
    assert provider.requests[0].path == "/v1/responses"
    assert isinstance(got, AIMessage)
    assert [block["type"] for block in got.content] == ["text", "function_call", "function_call"]  # type: ignore[index]
    assert got.text == TEXT
    assert [(c["name"], c["args"], c["id"]) for c in got.tool_calls] == [
        ("add", {"a": 1, "b": "ž"}, "call_1"),
        ("now", {}, "call_2"),
    ]
    assert got.usage_metadata is not None and got.usage_metadata["total_tokens"] == 13
    told = got.response_metadata
    assert (told["status"], told["model_name"]) == ("completed", "stand-in-1")
    assert told["id"].startswith("resp_standin_")


def test_what_is_sent() -> None:
    with StandInProvider(lambda _: STREAM) as provider:
        it = model(provider, max_tokens=5, reasoning={"effort": "low", "summary": "auto"}, store=False, api_key=KEY)
        bound = it.bind_tools([add, {"type": "web_search"}], tool_choice="add", parallel_tool_calls=False)
        list(bound.stream("hi", include=["reasoning.encrypted_content"]))
        it.invoke("hi", previous_response_id="resp_0", extra_body={"x": 1})
    first, second = (request.json for request in provider.requests)
    assert first.pop("tools") == [
        {
            "type": "function",
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        },
        {"type": "web_search"},
    ]
    assert first == {
        "model": "any",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
        "max_output_tokens": 5,
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "tool_choice": {"type": "function", "name": "add"},
        "parallel_tool_calls": False,
        "include": ["reasoning.encrypted_content"],
        "stream": True,
    }
    assert (second["previous_response_id"], second["x"]) == ("resp_0", 1)
    assert "stream" not in second
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_which_api_is_asked() -> None:
    other = ChatOpenAI(model="mill-5-pro", base_url="http://localhost/v1")
    official = ChatOpenAI(model="gpt-4o", api_key=KEY)
    tools = {"tools": [{"type": "web_search"}]}
    assert not other._asks_for_responses(tools)
    assert not official._asks_for_responses({})
    assert official._asks_for_responses(tools)
    assert ChatOpenAI(model="gpt-5-pro", api_key=KEY)._asks_for_responses({})
    assert ChatOpenAI(model="gpt-5", api_key=KEY, reasoning={"summary": "auto"})._asks_for_responses({})
    assert ChatOpenAI(model="x", base_url="http://x/v1", output_version="responses/v1")._asks_for_responses({})
    assert not ChatOpenAI(model="gpt-5-pro", api_key=KEY, use_responses_api=False)._asks_for_responses(tools)


def test_an_agent() -> None:
    async def main(provider: StandInProvider) -> list[Any]:
        stream = create_react_agent(model(provider), [add]).astream({"messages": "hi"}, stream_mode="messages")
        return [message async for message, _ in stream]

    calls = [{"name": "add", "args": {"a": 1, "b": 2}}, {"name": "add", "args": {"a": 3, "b": 4}}]
    script = [response_stream("Adding.", reasoning="hm", tool_calls=calls), response_stream("Three and seven.")]
    with StandInProvider(script) as provider:
        seen = asyncio.run(main(provider))
    assert "".join(m.text for m in seen if isinstance(m, AIMessageChunk)) == "Adding.Three and seven."
    assert {m.content for m in seen if isinstance(m, ToolMessage)} == {"3", "7"}
    sent = provider.requests[1].json["input"]
    kinds = [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    assert [item["type"] for item in sent] == kinds
    assert [item["call_id"] for item in sent[3:]] == ["call_1", "call_2"] * 2


def test_in_a_chain() -> None:
    with StandInProvider([STREAM]) as provider:
        assert "".join((model(provider) | StrOutputParser()).stream("hi")) == TEXT


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_an_answer_that_comes_whole_where_a_stream_was_asked_for(how: str) -> None:
    with StandInProvider(lambda _: response_answer(TEXT)) as provider:
        assert answers(model(provider), how).text == TEXT


@pytest.mark.parametrize("how", ["invoke", "stream", "astream"])
def test_errors(how: str) -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    failed = response_stream(end="response.failed", error=error)
    with StandInProvider(lambda _: failed) as provider, pytest.raises(RateLimitError, match="slow down"):
        answers(model(provider, max_retries=0), how)
    refused = Reply.json(chat_error("no such parameter: stop"), status=400)
    with StandInProvider([refused]) as provider, pytest.raises(BadRequestError, match="stop"):
        answers(model(provider), how)
    busy = Reply.json(chat_error("busy"), status=503, headers={"retry-after": "0"})
    with StandInProvider([busy, STREAM, *[busy] * 3]) as provider:
        assert answers(model(provider), how).text == TEXT
        with pytest.raises(ProviderStatusError, match="busy"):
            answers(model(provider), how)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_an_interrupted_stream_keeps_what_came(how: str) -> None:
    head = STREAM[: STREAM.index(b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"grinds')]  # fmt: skip
    late = response_frame("error", code="server_error", message="broken")
    for reply in (Reply(head, ending="clean"), Reply(head, ending="reset"), Reply(head + late)):
        with StandInProvider([reply]) as provider, pytest.raises(ProviderInterrupted) as caught:
            answers(model(provider), how)
        assert caught.value.partial.text == "The mill "


@pytest.mark.parametrize("recording", recorded("openai-responses"), ids=str)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_recordings_over_real_http(recording: Recording, how: str) -> None:
    with StandInProvider([Reply(recording.path.read_bytes(), chunk=1000)]) as provider:
        if recording.name == "error":
            with pytest.raises(RateLimitError, match="quota"):
                answers(model(provider, max_retries=0), how)
            return
        if recording.name == "connection-cut-midframe":
            with pytest.raises(ProviderInterrupted) as caught:
                answers(model(provider), how)
            got = caught.value.partial
        else:
            got = answers(model(provider), how)
            assert got.response_metadata["token_usage"] == recording.expected["usage"]
    assert got.text == recording.expected["delta_text"]
