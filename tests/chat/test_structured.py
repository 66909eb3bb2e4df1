"""A model made to answer in a form."""

from __future__ import annotations

from typing import Any, TypedDict

import pydantic
import pytest
from colours import Colour, colour
from pydantic import BaseModel

from millstream import (
    AIMessage,
    AIMessageChunk,
    FakeChatModel,
    InvalidArgument,
    OutputParserException,
    Runnable,
    Unsupported,
    add,
    convert_to_openai_tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]  # a fixture


class Person(BaseModel):
    """A person."""

    name: str
    age: int | None = None


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


SCHEMA = {"title": "Person", "description": "d", "type": "object", "properties": {"name": {"type": "string"}}}


class Obedient(ScriptedChatModel):
    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(each) for each in tools], tool_choice=tool_choice, **kwargs)


def calling(args: Any, name: str = "Person") -> Obedient:
    return Obedient(turns=[AIMessage("", tool_calls=[{"name": name, "args": args, "id": "c1"}])])


def test_an_instance_for_a_class_else_a_dict(colour: Colour) -> None:
    async def body(colour: Colour) -> list[Any]:
        given = {"name": "Ann", "age": 3}
        forms = [(Person, "Person"), (PersonDict, "PersonDict"), (SCHEMA, "Person")]
        return [await colour.invoke(calling(given, name).with_structured_output(form), "q") for form, name in forms]

    assert colour.run(body) == [Person(name="Ann", age=3), *[{"name": "Ann", "age": 3}] * 2]


def test_the_model_is_told_to_call_it() -> None:
    model = calling({"name": "Ann"})
    model.with_structured_output(Person, method="function_calling", strict=True).invoke("q")
    kwargs = model.calls[0]["kwargs"]
    assert kwargs["tool_choice"] == "any"
    assert [each["function"]["name"] for each in kwargs["tools"]] == ["Person"]


def test_a_model_that_does_not_comply() -> None:
    assert Obedient(turns=["text"]).with_structured_output(Person).invoke("q") is None
    with pytest.raises(pydantic.ValidationError):
        calling({"age": "x"}).with_structured_output(Person).invoke("q")
    with pytest.raises(OutputParserException):
        calling({}, "nobody").with_structured_output(Person).invoke("q")


def test_with_the_answer_as_it_came(colour: Colour) -> None:
    async def body(colour: Colour) -> list[Any]:
        models = [calling({"name": "Ann"}), calling({"age": "x"}), Obedient(turns=["text"])]
        return [await colour.invoke(each.with_structured_output(Person, include_raw=True), "q") for each in models]

    fits, fails, silent = colour.run(body)
    assert fits["raw"].tool_calls[0]["args"] == {"name": "Ann"}
    assert (fits["parsed"], fits["parsing_error"]) == (Person(name="Ann"), None)
    assert (fails["parsed"], type(fails["parsing_error"])) == (None, pydantic.ValidationError)
    assert (silent["raw"].content, silent["parsed"], silent["parsing_error"]) == ("text", None, None)


def test_it_streams_what_is_valid_so_far(colour: Colour) -> None:
    chunks = [
        {"name": "Person", "args": '{"name"', "id": "c1", "index": 0},
        {"name": None, "args": ': "Ann"', "id": None, "index": 0},
        {"name": None, "args": ', "age": 3}', "id": None, "index": 0},
    ]

    async def body(colour: Colour) -> list[Any]:
        model = Obedient(turns=[[AIMessageChunk("", tool_call_chunks=[chunk]) for chunk in chunks]])
        return [await colour.collect(model.with_structured_output(form), "q") for form in (Person, SCHEMA)]

    instances, dicts = colour.run(body)
    assert instances == [Person(name="Ann"), Person(name="Ann", age=3)]
    assert dicts == [{}, {"name": "Ann"}, {"name": "Ann", "age": 3}]


def test_the_whole_answer_comes_before_what_was_made_of_it(colour: Colour) -> None:
    pieces = [
        {"name": "Person", "args": '{"na', "id": "c1", "index": 0},
        {"name": None, "args": 'me": "Ann"}', "id": None, "index": 0},
    ]

    async def body(colour: Colour) -> None:
        model = Obedient(turns=[[AIMessageChunk("", tool_call_chunks=[piece]) for piece in pieces]])
        given = await colour.collect(model.with_structured_output(Person, include_raw=True), "q")
        assert next(list(each) for each in given) == ["raw"]
        assert sorted(next(iter(each)) for each in given[1:]) == ["parsed", "parsing_error"]
        whole = add(given)
        assert whole["raw"].tool_calls[0]["args"] == {"name": "Ann"}
        assert (whole["parsed"], whole["parsing_error"]) == (Person(name="Ann"), None)
        model = Obedient(turns=[[AIMessageChunk("", tool_call_chunks=[pieces[0]])]])
        whole = add(await colour.collect(model.with_structured_output(Person, include_raw=True), "q"))
        assert whole["parsed"] is None
        assert whole["parsing_error"] is not None

    colour.run(body)


def test_what_it_refuses() -> None:
    with pytest.raises(Unsupported, match="cannot call tools"):
        FakeChatModel().with_structured_output(Person)
    with pytest.raises(InvalidArgument, match="nope"):
        calling({}).with_structured_output(Person, nope=1)
