from __future__ import annotations

import asyncio
import logging
import time
import traceback
from typing import Any

import pytest
from promptness import closes_soon
from pydantic import BaseModel
from recordings import Recording, recorded

from millstream import (
    AIMessage,
    AIMessageChunk,
    AuthenticationError,
    BadRequestError,
    ChatAnthropic,
    HumanMessage,
    InvalidArgument,
    MissingKey,
    ProviderInterrupted,
    ProviderStatusError,
    RateLimitError,
    StrOutputParser,
    SystemMessage,
    Timeouts,
    ToolMessage,
    create_react_agent,
    init_chat_model,
    tool,
)
from millstream.testing import (
    Reply,
    StandInProvider,
    message_answer,
    message_error,
    message_frame,
    message_stream,
)

TEXT = "The mill grinds slowly."
STREAM = message_stream(TEXT)
KEY = "sk-ant-do-not-tell-4711"
ENVIRONMENT = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL")
ENDS_BADLY = {"error-overloaded-midstream", "connection-cut-midframe"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def model(provider: StandInProvider, **settings: Any) -> ChatAnthropic:
    return ChatAnthropic(model="any", base_url=provider.base_url, **settings)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# -- calls --------------------------------------------------------------------------------------------------------------


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


HOW = ("invoke", "ainvoke", "stream", "astream", "streaming")


@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("how", HOW)
def test_all_forms_give_the_same_text_calls_and_usage(how: str, tools: bool) -> None:
    calls = [{"name": "add", "args": {"a": 1, "b": "ž"}}, {"name": "now", "args": {}}] if tools else []
    with StandInProvider([message_stream(TEXT, tool_calls=calls)]) as provider:
        it = model(provider)
        got = answers(it.bind_tools([add]) if tools else it, how)
    assert isinstance(got, AIMessage)
    assert got.text == TEXT
    assert isinstance(got.content, list) == tools
    assert [(c["name"], c["args"], c["id"]) for c in got.tool_calls] == [
        ("add", {"a": 1, "b": "ž"}, "toolu_1"),
        ("now", {}, "toolu_2"),
    ][: len(calls)]
    assert got.usage_metadata is not None and got.usage_metadata["total_tokens"] == 13
    told = got.response_metadata
    assert told["stop_reason"] == ("tool_use" if tools else "end_turn")
    assert (told["model_name"], told["model_provider"]) == ("stand-in-1", "anthropic")
    assert told["id"].startswith("msg_standin_")
    assert told["usage"]["input_tokens"] == 9


def test_the_last_chunk_is_the_providers_own() -> None:
    with StandInProvider([STREAM]) as provider:
        chunks = list(model(provider).stream("hi"))
    assert [c.chunk_position for c in chunks][-2:] == [None, "last"]
    assert chunks[-1].usage_metadata


def test_what_is_sent() -> None:
    with StandInProvider(lambda _: STREAM) as provider:
        it = model(provider, temperature=0, stop=["END"], api_key=KEY, betas=["one"], default_headers={"X-A": "b"})
        list(it.stream([SystemMessage("Be brief."), HumanMessage("hi")], stream=True, streaming=True, top_k=3))
        bound = it.bind_tools([add], tool_choice="add", parallel_tool_calls=False)
        list(bound.stream("hi", stop=["NOW"], betas=["two"], max_tokens=7))
        it.invoke("hi", extra_headers={"X-A": "c"}, thinking={"type": "enabled", "budget_tokens": 1024})
    first, second, third = provider.requests
    assert first.path == "/v1/messages"
    assert first.json == {
        "model": "any",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4096,
        "temperature": 0.0,
        "stop_sequences": ["END"],
        "top_k": 3,
        "stream": True,
    }
    assert first.headers["x-api-key"] == KEY
    assert "authorization" not in first.headers
    assert (first.headers["anthropic-version"], first.headers["anthropic-beta"], first.headers["x-a"]) == (
        "2023-06-01",
        "one",
        "b",
    )
    assert second.json["tools"][0] == {
        "name": "add",
        "description": "Add two numbers.",
        "input_schema": second.json["tools"][0]["input_schema"],
    }
    assert second.json["tool_choice"] == {"type": "tool", "name": "add", "disable_parallel_tool_use": True}
    assert (second.json["stop_sequences"], second.json["max_tokens"]) == (["NOW"], 7)
    assert second.headers["anthropic-beta"] == "one,two"
    assert third.json["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert (third.headers["x-a"], third.json.get("stream")) == ("c", None)


@pytest.mark.parametrize("root", ["", "/v1", "/v1/"])
def test_the_address_with_and_without_the_version(root: str) -> None:
    with StandInProvider([STREAM]) as provider:
        it = ChatAnthropic(model="any", base_url=f"http://127.0.0.1:{provider.port}{root}")
        assert it.invoke("hi").content == TEXT
    assert provider.requests[0].path == "/v1/messages"


def test_in_a_chain_and_in_events() -> None:
    async def main(chain: Any) -> list[str]:
        events = [event async for event in chain.astream_events("hi", version="v2")]
        return [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]

    with StandInProvider(lambda _: message_stream(TEXT, thinking="hm")) as provider:
        chain = model(provider, thinking={"type": "enabled", "budget_tokens": 1024}) | StrOutputParser()
        assert "".join(chain.stream("hi")) == TEXT
        assert "".join(asyncio.run(main(chain))) == TEXT


def test_structured_output() -> None:
    class Sum(BaseModel):
        a: int
        b: int

    with StandInProvider([message_answer(tool_calls=[{"name": "Sum", "args": {"a": 1, "b": 2}}])]) as provider:
        assert model(provider).with_structured_output(Sum).invoke("hi") == Sum(a=1, b=2)
    assert provider.requests[0].json["tool_choice"] == {"type": "tool", "name": "Sum"}


def test_usage_can_be_left_out_of_a_stream() -> None:
    with StandInProvider(lambda _: STREAM) as provider:
        assert answers(model(provider, stream_usage=False), "stream").usage_metadata is None
        chunks = list(model(provider).stream("hi", stream_usage=False))
    assert all(chunk.usage_metadata is None for chunk in chunks)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_an_answer_that_comes_whole_where_a_stream_was_asked_for(how: str) -> None:
    answer = message_answer(TEXT, tool_calls=[{"name": "add", "args": {"a": 1}}])
    with StandInProvider(lambda _: answer) as provider:
        got = answers(model(provider), how)
    assert (got.text, got.tool_calls[0]["args"], got.usage_metadata["total_tokens"]) == (TEXT, {"a": 1}, 13)


def test_an_agent() -> None:
    async def main(provider: StandInProvider) -> list[Any]:
        agent = create_react_agent(model(provider), [add])
        stream = agent.astream({"messages": [("user", "hi")]}, stream_mode="messages")
        return [message async for message, _ in stream]

    calls = [{"name": "add", "args": {"a": 1, "b": 2}}, {"name": "add", "args": {"a": 3, "b": 4}, "id": "toolu_2"}]
    script = [message_stream("Adding.", thinking="hm", tool_calls=calls), message_stream("Three and seven.")]
    with StandInProvider(script) as provider:
        seen = asyncio.run(main(provider))
    assert "".join(m.text for m in seen if isinstance(m, AIMessageChunk)) == "Adding.Three and seven."
    assert {m.content for m in seen if isinstance(m, ToolMessage)} == {"3", "7"}
    sent = provider.requests[1].json["messages"]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent[1]["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block["input"] for block in sent[1]["content"][2:]] == [call["args"] for call in calls]
    assert [block["tool_use_id"] for block in sent[2]["content"]] == ["toolu_1", "toolu_2"]


# -- errors and ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", BadRequestError),
        (401, "authentication_error", AuthenticationError),
        (403, "permission_error", AuthenticationError),
        (404, "not_found_error", BadRequestError),
        (413, "request_too_large", BadRequestError),
        (429, "rate_limit_error", RateLimitError),
        (500, "api_error", ProviderStatusError),
        (529, "overloaded_error", ProviderStatusError),
    ],
)
@pytest.mark.parametrize("how", ["invoke", "astream"])
def test_errors_by_status_and_in_a_stream_that_has_not_begun(status: int, kind: str, expected: type, how: str) -> None:
    body = message_error("no such luck", type=kind)
    begun = message_frame("message_start", message={"usage": {}}) + b"event: error\ndata: " + body + b"\n\n"
    by_status = Reply.json(body, status=status, headers={"request-id": "req_1", "retry-after": "0"})
    for reply in (by_status, Reply(begun, headers={"content-type": "text/event-stream", "retry-after": "0"})):
        if how == "invoke" and reply is not by_status:
            continue
        with (
            StandInProvider(lambda _, reply=reply: reply) as provider,  # type: ignore[misc]
            pytest.raises(expected, match="no such luck") as caught,
        ):
            answers(model(provider, max_retries=1), how)
        assert (caught.value.status, caught.value.code) == (status, kind)
        assert len(provider.requests) == (2 if status in (429, 500, 529) else 1)
    assert caught.value.request_id in ("req_1", None)


def test_overload_before_the_first_block_is_asked_again() -> None:
    overloaded = message_frame("error", error={"type": "overloaded_error", "message": "Overloaded"})
    begun = STREAM[: STREAM.index(b"event: ping")]
    with StandInProvider([Reply(begun + overloaded), Reply(begun, ending="reset"), STREAM]) as provider:
        assert answers(model(provider), "astream").content == TEXT


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_an_interrupted_stream_keeps_what_came(how: str) -> None:
    for ending in ("clean", "close", "reset"):
        reply = Reply(STREAM, stop_after=STREAM.index(b'"grinds'), ending=ending)  # type: ignore[arg-type]
        with StandInProvider([reply]) as provider, pytest.raises(ProviderInterrupted) as caught:
            answers(model(provider), how)
        assert caught.value.partial.content == "The mill "
        assert caught.value.partial.usage_metadata["input_tokens"] == 9


@pytest.mark.parametrize("how", ["stream", "astream"])
@pytest.mark.parametrize("ending", ["close", "reset", "silent"])
def test_a_message_that_is_complete_needs_no_proper_end(how: str, ending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.providers.asking._MORE_MAY_COME", 0.2)
    with StandInProvider([Reply(STREAM, ending=ending)]) as provider:
        began = time.monotonic()
        assert answers(model(provider), how).content == TEXT
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_second_message_in_the_body_is_waited_for(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.providers.asking._MORE_MAY_COME", 2.0)
    with StandInProvider([Reply(STREAM + message_stream(" Always."), pause=0.01)]) as provider:
        assert answers(model(provider), how).content == f"{TEXT} Always."


def test_leaving_early_closes_the_providers_connection() -> None:
    async def main(provider: StandInProvider) -> float:
        async for _ in (stream := model(provider).astream("hi")):
            break
        left = time.monotonic()
        await stream.aclose()
        await asyncio.sleep(0.3)
        return left

    closes_soon(lambda provider: asyncio.run(main(provider)), Reply(message_stream("word " * 400), pause=0.01))


@pytest.mark.parametrize("recording", recorded("anthropic"), ids=str)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_recordings_over_real_http(recording: Recording, how: str) -> None:
    with StandInProvider([Reply(recording.path.read_bytes(), chunk=1000)]) as provider:
        if recording.name in ENDS_BADLY:
            with pytest.raises(ProviderInterrupted) as caught:
                answers(model(provider), how)
            got = caught.value.partial
        else:
            got = answers(model(provider), how)
            assert got.response_metadata["usage"] == recording.expected["usage"]
    assert got.text.startswith(recording.expected["text"])


# -- key and settings -----------------------------------------------------------------------------------------------------


def test_a_missing_key_is_told_at_once_and_names_the_variable() -> None:
    with pytest.raises(MissingKey, match="ANTHROPIC_API_KEY") as caught:
        ChatAnthropic(model="claude-x")
    assert caught.value.key == "ANTHROPIC_API_KEY"


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("ANTHROPIC_API_URL", "http://localhost:1")
    it = ChatAnthropic(model="x")
    assert it.api_key is not None and it.api_key.get_secret_value() == KEY
    assert it.base_url == "http://localhost:1"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://localhost:2")
    assert ChatAnthropic(model="x").base_url == "http://localhost:2"


def test_names_of_settings() -> None:
    it = ChatAnthropic(
        model_name="claude-sonnet-4-5",
        anthropic_api_key=KEY,
        anthropic_api_url="http://localhost",
        default_request_timeout=3,
        stop_sequences=["a"],
    )
    assert (it.model_name, it.base_url, it.timeout, it.stop_sequences) == (
        "claude-sonnet-4-5",
        "http://localhost",
        3,
        ["a"],
    )
    assert it.max_tokens == 64_000
    assert ChatAnthropic(model="claude-x", api_key=KEY, max_tokens_to_sample=5).max_tokens == 5
    with pytest.raises(InvalidArgument, match="needs a `model`"):
        ChatAnthropic(api_key=KEY)
    with pytest.warns(UserWarning, match="speed") as warned:
        assert ChatAnthropic(model="x", api_key=KEY, speed="fast").model_kwargs == {"speed": "fast"}
    assert warned[0].filename == __file__


@pytest.mark.parametrize("name", ["anthropic:claude-sonnet-4-5", "claude-sonnet-4-5"])
def test_models_by_name(name: str) -> None:
    made = init_chat_model(name, api_key=KEY, temperature=0)
    assert isinstance(made, ChatAnthropic)
    assert (made.model_name, made.temperature) == ("claude-sonnet-4-5", 0)


@pytest.mark.parametrize("given", ["argument", "environment", "header"])
def test_the_key_is_found_nowhere(
    given: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings: dict[str, Any] = {}
    if given == "argument":
        settings["api_key"] = KEY
    elif given == "environment":
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    else:
        settings["default_headers"] = {"X-Api-Key": KEY}
    said = []
    echo = message_error(f"invalid x-api-key: {KEY}", type="authentication_error")
    replies = [
        Reply.json(echo, status=401),
        Reply.json(echo),
        Reply(STREAM[: STREAM.index(b'"grinds')] + b'"}}\n\nevent: error\ndata: ' + echo + b"\n\n"),
        Reply(STREAM[:700] + b"\n\nevent: error\ndata: " + echo + b"\n\n"),
        Reply(echo, headers={"content-type": "text/html"}),
        Reply(b"", ending="silent"),
    ]
    for reply in replies:
        with StandInProvider(lambda _, reply=reply: reply) as provider:  # type: ignore[misc]
            limits = Timeouts(first_token=0.5) if reply.ending == "silent" else None
            it = model(provider, max_retries=0, timeout=limits, **settings)
            for how in ("astream", "invoke"):
                try:
                    answers(it, how)
                except Exception as error:
                    said += [repr(error), *traceback.format_exception(error)]
                else:
                    pytest.fail(f"{reply} gave no error")
            assert provider.requests[0].headers["x-api-key"] == KEY
    said += [repr(it), str(it), str(it.model_dump()), it.model_dump_json(), str(it._get_ls_params())]
    said += [repr(it.bind_tools([add])), repr(it | StrOutputParser())]
    assert KEY not in "\n".join(said)
    assert KEY not in caplog.text
