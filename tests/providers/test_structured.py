"""Answers in a given form, by each method of each model."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from millstream import ChatAnthropic, ChatOpenAI, InvalidArgument, OutputParserException, init_chat_model
from millstream.providers.json_answers import json_format
from millstream.testing import (
    Reply,
    StandInProvider,
    chat_answer,
    chat_frame,
    chat_stream,
    message_answer,
    message_stream,
    response_answer,
)


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int | None = None


class SumDict(TypedDict):
    """A sum."""

    a: int


SCHEMA = {"title": "Sum", "description": "A sum.", "type": "object", "properties": {"a": {"type": "integer"}}}
TEXT = '{"a": 1, "b": 2}'


def openai(provider: StandInProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="any", base_url=provider.base_url, **settings)


@pytest.mark.parametrize("method", [None, "json_schema"])
def test_held_to_a_schema(method: Any) -> None:
    with StandInProvider(lambda _: chat_answer(TEXT)) as provider:
        it = openai(provider)
        assert it.with_structured_output(Sum, method=method).invoke("hi") == Sum(a=1, b=2)
        assert it.with_structured_output(SumDict, method=method).invoke("hi") == {"a": 1, "b": 2}
        assert it.with_structured_output(SCHEMA, method=method, strict=False, seed=3).invoke("hi") == {"a": 1, "b": 2}
    told = [request.json["response_format"] for request in provider.requests]
    assert told[0] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Sum",
            "description": "A sum.",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                },
                "required": ["a", "b"],
                "additionalProperties": False,
            },
        },
    }
    assert told[1]["json_schema"]["name"] == "SumDict" and "strict" not in told[1]["json_schema"]
    assert told[2]["json_schema"] == {
        "name": "Sum",
        "description": "A sum.",
        "strict": False,
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
    }
    assert provider.requests[2].json["seed"] == 3


def test_by_a_tool() -> None:
    answer = chat_answer(tool_calls=[{"name": "Sum", "args": {"a": 1}}])
    with StandInProvider(lambda _: answer) as provider:
        assert openai(provider).with_structured_output(Sum, method="function_calling", strict=True).invoke("hi") == Sum(
            a=1
        )
        assert init_chat_model("groq:m", base_url=provider.base_url).with_structured_output(Sum).invoke("hi") == Sum(
            a=1
        )
    sent = provider.requests[0].json
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "Sum"}}
    assert sent["tools"][0]["function"]["strict"] is True
    assert "parallel_tool_calls" not in sent


def test_some_json() -> None:
    with StandInProvider(lambda _: chat_answer(TEXT)) as provider:
        assert openai(provider).with_structured_output(method="json_mode").invoke("hi") == {"a": 1, "b": 2}
        assert openai(provider).with_structured_output(Sum, method="json_mode").invoke("hi") == Sum(a=1, b=2)
    assert provider.requests[0].json["response_format"] == {"type": "json_object"}


def test_over_the_responses_api() -> None:
    with StandInProvider(lambda _: response_answer(TEXT)) as provider:
        it = openai(provider, use_responses_api=True)
        assert it.with_structured_output(Sum).invoke("hi") == Sum(a=1, b=2)
    form = provider.requests[0].json["text"]["format"]
    assert (form["type"], form["name"], form["strict"]) == ("json_schema", "Sum", True)


def test_anthropics_model() -> None:
    called = message_answer("Well.", tool_calls=[{"name": "Sum", "args": {"a": 1}}])
    with StandInProvider(lambda r: called if r.json.get("tools") else message_answer(TEXT)) as provider:
        it = ChatAnthropic(model="any", base_url=provider.base_url)
        thinking = ChatAnthropic(
            model="any", base_url=provider.base_url, thinking={"type": "enabled", "budget_tokens": 1024}
        )
        assert it.with_structured_output(Sum).invoke("hi") == Sum(a=1)
        assert thinking.with_structured_output(Sum).invoke("hi") == Sum(a=1)
        assert it.with_structured_output(SCHEMA, method="json_schema", include_raw=True).invoke("hi")["parsed"] == {
            "a": 1,
            "b": 2,
        }
        assert it.with_structured_output(Sum, method="json_mode").invoke("hi") == Sum(a=1, b=2)
        with pytest.raises(InvalidArgument, match="json_mode"):
            it.with_structured_output(Sum, method="magic")  # type: ignore[arg-type]
    forced, free, held, _ = (request.json for request in provider.requests)
    assert forced["tool_choice"] == {"type": "tool", "name": "Sum"}
    assert "tool_choice" not in free
    assert held["output_config"]["format"]["schema"]["additionalProperties"] is False


def test_what_may_be_left_out_still_may() -> None:
    class Maybe(BaseModel):
        a: int
        b: int | None = None

    with StandInProvider(lambda _: Reply(message_answer('{"a": 1}'))) as provider:
        it = ChatAnthropic(model="any", base_url=provider.base_url)
        assert it.with_structured_output(Maybe, method="json_schema").invoke("hi") == Maybe(a=1)
        it.bind_tools([], response_format=Maybe).invoke("hi")
    first, second = (request.json["output_config"]["format"]["schema"] for request in provider.requests)
    assert first == second and first["required"] == ["a"]


@pytest.mark.parametrize("strict", [None, False])
def test_a_schema_with_its_name_around_it(strict: bool | None) -> None:
    named = {"name": "f", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "strict": True}
    made = json_format(named, strict=strict)["json_schema"]
    assert (made["name"], made["strict"]) == ("f", strict is None)
    assert made["schema"]["properties"] == {"a": {"type": "integer"}}


def test_a_growing_answer() -> None:
    with StandInProvider(lambda _: Reply(chat_stream(['{"a"', ": 1,", ' "b": ', "2}"]))) as provider:
        dicts = list(openai(provider).with_structured_output(SCHEMA).stream("hi"))
        sums = list(openai(provider).with_structured_output(Sum).stream("hi"))
    assert dicts[-1] == {"a": 1, "b": 2} and len(dicts) > 2
    assert sums[-1] == Sum(a=1, b=2)


def refused() -> bytes:
    return chat_frame({"refusal": "I will not"}) + chat_frame({}, finish_reason="stop") + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (refused(), "refused to answer: I will not"),
        (chat_stream('{"a": 1', finish_reason="length"), "was cut"),
        (chat_stream("Well, no."), "not JSON"),
        (chat_stream('{"a": "x"}'), "does not fit Sum"),
    ],
)
def test_answers_that_do_not_fit(stream: bytes, said: str) -> None:
    with StandInProvider(lambda _: Reply(stream)) as provider:
        it = openai(provider, streaming=True)
        with pytest.raises(OutputParserException, match=said):
            it.with_structured_output(Sum).invoke("hi")
        told = it.with_structured_output(Sum, include_raw=True).invoke("hi")
    assert told["parsed"] is None and said in str(told["parsing_error"]) and told["raw"].response_metadata


def test_anthropics_answer_that_was_cut() -> None:
    with StandInProvider(lambda _: message_stream('{"a": 1', stop_reason="max_tokens")) as provider:
        it = ChatAnthropic(model="any", base_url=provider.base_url).with_structured_output(Sum, method="json_schema")
        with pytest.raises(OutputParserException, match="was cut"):
            it.invoke("hi")


def test_methods_that_cannot_work() -> None:
    it = ChatOpenAI(model="any", base_url="http://localhost/v1")
    with pytest.raises(InvalidArgument, match="json_mode"):
        it.with_structured_output()
    with pytest.raises(InvalidArgument, match="json_mode"):
        it.with_structured_output(method="function_calling")
    with pytest.raises(InvalidArgument, match="write 'json_schema'"):
        it.with_structured_output(Sum, method="magic")  # type: ignore[arg-type]


def test_a_dict_of_any_keys_is_closed_too_where_the_answer_is_held_to_its_form() -> None:
    class Counts(BaseModel):
        counts: dict[str, int] = {}

    made = json_format(Counts)["json_schema"]["schema"]["properties"]["counts"]
    assert made == {"type": "object", "additionalProperties": False, "default": {}}
    assert json_format(Counts, strict=False)["json_schema"]["schema"]["properties"]["counts"] == {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "default": {},
    }
