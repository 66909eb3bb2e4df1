"""PromptTemplate: one text with fields."""

from __future__ import annotations

import asyncio

import pytest

from millstream import (
    ChatPromptTemplate,
    HumanMessage,
    InvalidArgument,
    InvalidType,
    MissingKey,
    PromptTemplate,
    ValidationError,
)


def test_variables_are_read_from_the_text() -> None:
    prompt = PromptTemplate.from_template("{b} and {a}")
    assert prompt.input_variables == ["a", "b"]
    assert prompt.format(a=1, b=2) == "2 and 1"


def test_the_value_reads_as_text_and_as_a_message() -> None:
    value = PromptTemplate.from_template("hi {a}").invoke({"a": 1, "unused": 2})
    assert value.to_string() == "hi 1"
    assert value.to_messages() == [HumanMessage("hi 1")]


def test_a_value_that_is_no_dict_is_the_only_variable() -> None:
    assert PromptTemplate.from_template("only {x}").invoke("this").to_string() == "only this"
    with pytest.raises(InvalidType, match=r"\['a', 'b'\]"):
        PromptTemplate.from_template("{a}{b}").invoke("this")


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(MissingKey, match="variables b, c; given were") as caught:
        PromptTemplate.from_template("{a}{b}{c}").invoke({"a": 1})
    assert isinstance(caught.value, KeyError)
    assert caught.value.key == "b"


def test_values_given_ahead() -> None:
    prompt = PromptTemplate.from_template("{a}-{b}").partial(a=lambda: "called")
    assert prompt.input_variables == ["b"]
    assert prompt.invoke({"b": 1}).to_string() == "called-1"
    assert prompt.format(a="over", b=1) == "over-1"
    assert PromptTemplate(template="{a}{b}", partial_variables={"a": 1}).input_variables == ["b"]


def test_adding() -> None:
    prompt = PromptTemplate.from_template("{a}").partial(a="x") + " {b}" + PromptTemplate.from_template(" {c}")
    assert prompt.input_variables == ["b", "c"]
    assert prompt.format(b=1, c=2) == "x 1 2"
    with pytest.raises(InvalidArgument, match="both prompts"):
        PromptTemplate.from_template("{a}").partial(a=1) + PromptTemplate.from_template("{a}").partial(a=2)


def test_what_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    PromptTemplate.from_template("{a:.2f}").pretty_print()
    assert capsys.readouterr().out == "{a:.2f}\n"


def test_checked_variables() -> None:
    with pytest.raises(ValidationError, match="differ"):
        PromptTemplate(template="{a}", input_variables=["b"], validate_template=True)


def test_other_template_languages_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="jinja2"):
        PromptTemplate.from_template("{{ a }}", template_format="liquid")


def test_streaming_gives_the_one_value_and_reports_no_chunk() -> None:
    prompt = PromptTemplate.from_template("{a}")
    assert [value.to_string() for value in prompt.stream({"a": 1})] == ["1"]

    async def events() -> list[str]:
        return [event["event"] async for event in prompt.astream_events({"a": 1})]

    assert asyncio.run(events()) == ["on_prompt_start", "on_prompt_end"]


def test_constructor_tags_and_metadata_belong_to_its_own_run() -> None:
    prompt = PromptTemplate(template="{a}", tags=["own"], metadata={"u": 1})

    async def start() -> dict[str, object]:
        events = [event async for event in prompt.astream_events({"a": 1}, {"tags": ["given"]})]
        return events[0]

    event = asyncio.run(start())
    assert sorted(event["tags"]) == ["given", "own"]  # type: ignore[call-overload]
    assert event["metadata"] == {"u": 1}


def test_a_text_that_is_changed_afterwards() -> None:
    prompt = PromptTemplate.from_template("{a}")
    assert prompt.format(a=1) == "1"
    assert prompt.model_copy(update={"template": "<{a}>"}).format(a=1) == "<1>"
    prompt.template = "[{a}]"
    assert prompt.format(a=1) == "[1]"
    chat = ChatPromptTemplate([("human", "{a}")])
    assert chat.format(a=1) == "Human: 1"
    chat.messages[0].prompt.template = "new {a}"
    assert chat.format(a=1) == "Human: new 1"
