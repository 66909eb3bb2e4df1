from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from promptness import closes_soon
from pydantic import ValidationError
from recordings import Recording, recorded

from millstream import (
    AIMessage,
    AIMessageChunk,
    BadRequestError,
    ChatOpenAI,
    HumanMessage,
    InvalidArgument,
    MissingKey,
    ProviderInterrupted,
    StrOutputParser,
    Timeouts,
    tool,
)
from millstream.providers import openai as module
from millstream.testing import Reply, StandInProvider, chat_answer, chat_error, chat_frame, chat_stream

TEXT = "The mill grinds slowly."
STREAM = chat_stream(TEXT)
KEY = "sk-do-not-tell-4711"
ENVIRONMENT = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID", "OPENAI_ORGANIZATION")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_takes_usage", {})


def model(provider: StandInProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="any", base_url=provider.base_url, **settings)


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
    chunks = list(model.stream("hi"))
    return sum(chunks[1:], chunks[0])


HOW = ("invoke", "ainvoke", "stream", "astream")


@pytest.mark.parametrize("how", HOW)
def test_all_forms_give_the_same_content_calls_and_usage(how: str) -> None:
    calls = [{"name": "add", "args": {"a": 1, "b": "ž"}}, {"name": "now", "args": {}}]

    def script(request: Any) -> bytes:
        return (
            chat_stream(TEXT, tool_calls=calls) if request.json.get("stream") else chat_answer(TEXT, tool_calls=calls)
        )

    with StandInProvider(script) as provider:
        got = answers(model(provider), how)
    assert isinstance(got, AIMessage)
    assert got.content == TEXT
    assert [(c["name"], c["args"], c["id"]) for c in got.tool_calls] == [
        ("add", {"a": 1, "b": "ž"}, "call_1"),
        ("now", {}, "call_2"),
    ]
    assert got.usage_metadata is not None and got.usage_metadata["total_tokens"] == 13
    assert got.response_metadata["finish_reason"] == "tool_calls"
    assert got.response_metadata["model_name"] == "stand-in-1"
    assert got.response_metadata["model_provider"] == "openai"
    assert got.response_metadata["token_usage"]["prompt_tokens"] == 9


def test_what_is_sent() -> None:
    with StandInProvider([STREAM, STREAM, chat_answer("x")]) as provider:
        it = model(
            provider,
            temperature=0,
            max_tokens=5,
            stop=["END"],
            organization="org",
            api_key=KEY,
            default_headers={"X-A": "b"},
        )
        list(it.stream([HumanMessage("hi")], stream=True, streaming=True, seed=3))
        list(
            it.bind_tools([add], tool_choice="add", parallel_tool_calls=False).stream(
                "hi", stop=["NOW"], stream_usage=False
            )
        )
        it.invoke("hi", extra_headers={"X-A": "c"}, extra_body={"top_k": 4})
    first, second, third = provider.requests
    assert first.json == {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "any",
        "temperature": 0.0,
        "max_tokens": 5,
        "stop": ["END"],
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert (first.headers["openai-organization"], first.headers["x-a"]) == ("org", "b")
    assert second.json["tools"][0]["function"]["name"] == "add"
    assert second.json["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert second.json["parallel_tool_calls"] is False
    assert second.json["stop"] == ["NOW"]
    assert "stream_options" not in second.json
    assert (third.headers["x-a"], third.json["top_k"]) == ("c", 4)
    assert "stream" not in third.json


def test_streaming_for_a_call_and_as_a_setting() -> None:
    def script(request: Any) -> bytes:
        return STREAM if request.json.get("stream") else chat_answer(TEXT)

    with StandInProvider(script) as provider:
        assert model(provider, streaming=True).invoke("hi").content == TEXT
        assert [c.content for c in model(provider, streaming=False).stream("hi")] == [TEXT]
        assert [c.content for c in model(provider).stream("hi", stream=False)] == [TEXT]
        assert model(provider).invoke("hi", stream=True).content == TEXT
    assert ["stream" in request.json for request in provider.requests] == [True, False, False, True]


def test_several_choices_are_not_streamed() -> None:
    two = {
        "choices": [{"index": n, "message": {"content": f"choice {n}"}} for n in (0, 1)],
        "usage": {"prompt_tokens": 1},
    }
    with StandInProvider(lambda _: Reply.json(two)) as provider:
        it = model(provider, n=2)
        assert [c.content for c in it.stream("hi")] == ["choice 0"]
        result = it.generate([[HumanMessage("hi")]])
        assert [g.message.content for g in result.generations[0]] == ["choice 0", "choice 1"]
        assert [g.message.usage_metadata is not None for g in result.generations[0]] == [True, False]
        assert "".join(str(c.content) for c in model(provider).bind(n=2).stream("hi")) == "choice 0"
    assert all("stream" not in request.json for request in provider.requests)
    with pytest.raises(InvalidArgument, match="n must be 1"):
        ChatOpenAI(model="x", n=2, streaming=True, api_key=KEY)


def test_in_a_chain_and_in_events() -> None:
    async def main(chain: Any) -> list[str]:
        events = [event async for event in chain.astream_events("hi", version="v2")]
        return [e["data"]["chunk"].content for e in events if e["event"] == "on_chat_model_stream"]

    with StandInProvider([STREAM, STREAM]) as provider:
        chain = model(provider) | StrOutputParser()
        assert "".join(chain.stream("hi")) == TEXT
        assert "".join(asyncio.run(main(chain))) == TEXT


def test_a_refused_question_for_usage_is_not_asked_again() -> None:
    def script(request: Any) -> Reply:
        if "stream_options" in request.json:
            return Reply.json(chat_error("Unrecognized argument: stream_options"), status=400)
        return Reply(chat_stream(TEXT, usage=None))

    with StandInProvider(script) as provider:
        for _ in range(2):
            assert answers(model(provider), "stream").content == TEXT
        assert answers(model(provider), "astream").content == TEXT
        assert ["stream_options" in request.json for request in provider.requests] == [True, False, False, False]
        with pytest.raises(BadRequestError, match="stream_options"):
            answers(model(provider, stream_usage=True), "stream")


def test_another_bad_request_is_reported_as_it_is() -> None:
    with StandInProvider(lambda _: Reply.json(chat_error("too long"), status=400)) as provider:
        with pytest.raises(BadRequestError, match="too long"):
            list(model(provider).stream("hi"))
        assert len(provider.requests) == 2
    with StandInProvider([STREAM, *[Reply.json(chat_error("too long"), status=400)] * 2]) as provider:
        list(model(provider).stream("hi"))
        with pytest.raises(BadRequestError, match="too long"):
            list(model(provider).stream("hi"))
        # This server has taken the question for usage before: that was not the reason.
        assert len(provider.requests) == 2


def test_an_interrupted_stream_keeps_what_came() -> None:
    with StandInProvider([Reply(STREAM, stop_after=STREAM.index(b"grinds"), ending="close")]) as provider:
        chunks: list[AIMessageChunk] = []
        with pytest.raises(ProviderInterrupted) as caught:
            for chunk in model(provider).stream("hi"):
                chunks.append(chunk)
    assert caught.value.partial.content == "".join(str(c.content) for c in chunks) == "The mill "


def test_retries_are_set_and_limits_are_for_a_call_too() -> None:
    busy = Reply.json(chat_error("busy"), status=503, headers={"retry-after": "0"})
    with StandInProvider([busy, chat_answer("x"), busy, busy]) as provider:
        assert model(provider).invoke("hi").content == "x"
        with pytest.raises(Exception, match="busy"):
            model(provider, max_retries=1).invoke("hi")
    with StandInProvider([Reply(b"", ending="silent")]) as provider, pytest.raises(TimeoutError):
        model(provider).invoke("hi", timeout=0.1)


def test_leaving_early_closes_the_providers_connection() -> None:
    async def main(provider: StandInProvider) -> float:
        async for _ in (stream := model(provider).astream("hi")):
            break
        left = time.monotonic()
        await stream.aclose()
        await asyncio.sleep(0.3)
        return left

    def leave(provider: StandInProvider) -> float:
        with model(provider).stream("hi") as stream:
            next(iter(stream))
            return time.monotonic()

    reply = Reply(STREAM * 40, pause=0.01)
    closes_soon(lambda provider: asyncio.run(main(provider)), reply)
    closes_soon(leave, reply)


@pytest.mark.parametrize("recording", recorded("openai-chat"), ids=str)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_recordings_over_real_http(recording: Recording, how: str) -> None:
    with StandInProvider([Reply(recording.path.read_bytes(), chunk=1000)]) as provider:
        if recording.name in ("error-midstream", "connection-cut-midframe"):
            with pytest.raises(ProviderInterrupted) as caught:
                answers(model(provider), how)
            got = caught.value.partial
        elif len(recording.expected["choices"]) > 1:
            return
        else:
            got = answers(model(provider), how)
    expected = recording.expected["choices"][0]
    assert got.content == expected["text"] or recording.name == "annotations"
    assert [c["name"] for c in got.tool_calls] == [c["name"] for c in expected["tool_calls"]]
    usage = recording.expected["usage"]
    assert usage is None or got.usage_metadata["total_tokens"] == usage["total_tokens"]


# -- key and settings ---------------------------------------------------------------------------------------------------


def test_a_missing_key_is_told_at_once_and_names_the_variable() -> None:
    with pytest.raises(MissingKey, match="OPENAI_API_KEY") as caught:
        ChatOpenAI(model="gpt-4o")
    assert caught.value.key == "OPENAI_API_KEY"
    with pytest.raises(KeyError):
        ChatOpenAI(model="gpt-4o", base_url="https://api.openai.com/v1/")


def test_a_server_of_ones_own_needs_no_key() -> None:
    with StandInProvider([chat_answer("x")]) as provider:
        assert model(provider).invoke("hi").content == "x"
    assert provider.requests[0].headers["authorization"].startswith("Bearer ")


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_BASE", "http://localhost:1/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    it = ChatOpenAI(model="x")
    assert it.api_key is not None and it.api_key.get_secret_value() == KEY
    assert (it.base_url, it.organization) == ("http://localhost:1/v1", "org")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:2/v1")
    assert ChatOpenAI(model="x").base_url == "http://localhost:2/v1"
    assert ChatOpenAI(model="x", base_url="http://localhost:3/v1").base_url == "http://localhost:3/v1"


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "ftp://x"},
        {"base_url": f"http://user:{KEY}@localhost/v1"},
        {"base_url": f"http://localhost/v1?key={KEY}"},
        {"api_key": KEY + "\n" + KEY},
        {"api_key": KEY + "ž"},
        {"apikey": KEY},
        {"timeout": -1, "api_key": KEY},
        {"max_retries": -1, "api_key": KEY},
        {"temperature": [KEY], "api_key": KEY},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        ChatOpenAI(model="x", **settings)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_other_names_of_settings() -> None:
    it = ChatOpenAI(
        model_name="x",
        openai_api_key=KEY,
        openai_api_base="http://localhost/v1",
        request_timeout=3,
        max_completion_tokens=4,
    )
    assert (it.model_name, it.base_url, it.timeout, it.max_tokens) == ("x", "http://localhost/v1", 3, 4)
    assert ChatOpenAI(model="x", api_key=KEY, timeout=Timeouts(idle=3)).timeout == Timeouts(idle=3)


def test_a_parameter_that_we_do_not_know_is_sent_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="top_k"):
        it = ChatOpenAI(model="x", api_key=KEY, top_k=3)
    assert it.model_kwargs == {"top_k": 3}


def test_fields_can_be_assigned_and_the_model_copied() -> None:
    it = ChatOpenAI(model="x", api_key=KEY)
    it.temperature = 0.5
    copy = it.model_copy(update={"model_name": "y"})
    assert (copy.temperature, copy.model_name, it.model_name) == (0.5, "y", "x")


def test_official_and_other_servers_take_different_names() -> None:
    official = ChatOpenAI(model="x", api_key=KEY, max_tokens=3, reasoning={"effort": "low"})
    other = ChatOpenAI(model="x", base_url="http://localhost/v1", max_tokens=3, reasoning={"effort": "low"})
    assert official._request_body([], None, {}) == {
        "messages": [],
        "model": "x",
        "max_completion_tokens": 3,
        "reasoning_effort": "low",
    }
    assert other._request_body([], None, {}) == {
        "messages": [],
        "model": "x",
        "max_tokens": 3,
        "reasoning": {"effort": "low"},
    }


@pytest.mark.parametrize("given", ["argument", "environment", "header"])
def test_the_key_is_found_nowhere(
    given: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings: dict[str, Any] = {}
    if given == "argument":
        settings["api_key"] = KEY
    elif given == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    else:
        settings["default_headers"] = {"Authorization": f"Bearer {KEY}", "X-Key": KEY}
    said = []
    echo = f"Incorrect API key provided: {KEY}"
    replies = [
        Reply.json(chat_error(echo), status=401),
        Reply.json(chat_error(echo), status=429, headers={"retry-after": "0"}),
        Reply.json(chat_error(echo)),
        Reply(echo.encode(), status=502, headers={"content-type": "text/plain"}),
        Reply(chat_frame({"content": "x"}) + chat_frame({}, error={"message": echo})),
        Reply(echo.encode(), headers={"content-type": "text/html"}),
        Reply(STREAM, stop_after=10, ending="reset"),
        Reply(STREAM, stop_after=1200, ending="close"),
        Reply(b"", ending="silent"),
    ]
    for reply in replies:
        with StandInProvider(lambda _, reply=reply: reply) as provider:  # type: ignore[misc]
            limits = Timeouts(first_token=0.5) if reply.ending == "silent" else None
            it = model(provider, max_retries=1, timeout=limits, **settings)
            for how in ("astream", "ainvoke"):
                try:
                    answers(it, how)
                except Exception as error:
                    said += [repr(error), *traceback.format_exception(error)]
                else:
                    pytest.fail(f"{reply} gave no error")
            assert provider.requests[0].headers["authorization"].startswith("Bearer ")
            assert KEY in str(provider.requests[0].headers)
    said += [
        repr(it),
        str(it),
        str(it.model_dump()),
        it.model_dump_json(),
        str(it._get_ls_params()),
    ]
    said += [repr(it.bind_tools([add])), repr(it | StrOutputParser())]
    assert KEY not in "\n".join(said)
    assert KEY not in caplog.text


# -- process-wide -------------------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys, threading
from millstream import ChatOpenAI

model = ChatOpenAI(model="any", base_url=sys.argv[1])

async def main():
    # How long a step takes is for the machine, which may be busy.
    asyncio.get_running_loop().slow_callback_duration = float("inf")
    return "".join([chunk.content async for chunk in model.astream("hi")])

for _ in range(2):
    print(asyncio.run(main()))
    print(model.invoke("hi", stream=True).content)
print(sorted(t.name for t in threading.enumerate() if not t.name.startswith("millstream-worker")))
"""


def test_two_loops_and_sync_calls_in_one_program_leave_nothing() -> None:
    with StandInProvider(lambda _: STREAM) as provider:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, provider.base_url],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(Path(module.__file__).parents[2])},
            check=False,
        )
        assert provider.wait_until(lambda it: all(c.closed_at for c in it.connections))
    assert done.stderr == ""
    assert done.stdout.splitlines() == [*[TEXT] * 4, "['MainThread']"]


def test_nothing_is_made_at_import() -> None:
    program = "import sys; from millstream import ChatOpenAI, init_chat_model; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(module.__file__).parents[2])},
        check=True,
    )
    assert {"httpx2", "httpcore2", "anyio", "openai"} & set(done.stdout.split()) == set()


def test_bad_settings_are_validation_errors() -> None:
    with pytest.raises(ValidationError):
        ChatOpenAI(model="x", api_key=KEY, temperature="hot")


def test_what_generate_tells_of_several_answers() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    answer = {**json.loads(chat_answer("hi")), "usage": usage, "model": "m", "system_fingerprint": "fp"}
    with StandInProvider(lambda _: Reply.json(json.dumps(answer).encode())) as provider:
        told = model(provider).generate([[HumanMessage("a")], [HumanMessage("b")]]).llm_output
    assert told == {
        "token_usage": {
            "prompt_tokens": 18,
            "completion_tokens": 8,
            "total_tokens": 26,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        "model_name": "m",
        "system_fingerprint": "fp",
    }


def test_tracing_is_told_where_the_model_stops() -> None:
    it = ChatOpenAI(model="x", api_key="k", stop="a")
    assert it._get_ls_params()["ls_stop"] == ["a"]
    assert it._get_ls_params(stop=["b"])["ls_stop"] == ["b"]
