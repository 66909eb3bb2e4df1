"""A runnable offered as a tool."""

from __future__ import annotations

import asyncio
import typing
from typing import Any

import pytest
from colours import Colour, colour
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream import (
    ChatPromptTemplate,
    CommaSeparatedListOutputParser,
    FakeListChatModel,
    FakeListLLM,
    InvalidArgument,
    JsonOutputParser,
    PromptTemplate,
    PydanticOutputParser,
    RunnableLambda,
    StrOutputParser,
    convert_to_openai_tool,
    tool,
)
from millstream.chat.runnable_tool import convert_runnable_to_tool
from millstream.spine.events import START, Event, Tap

__all__ = ["colour"]  # a fixture


class OfPython(typing.TypedDict):
    x: int


class In(BaseModel):
    a: int
    b: int = 2


adder = RunnableLambda(lambda d: d["a"] + d["b"], name="adder")


def test_the_arguments_may_be_named() -> None:
    made = convert_runnable_to_tool(adder, description="Adds", arg_types={"a": int, "b": int})
    assert (made.name, made.description) == ("adder", "Adds")
    assert made.args == {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer"}}
    assert made.invoke({"a": "1", "b": 2}) == 3
    assert asyncio.run(made.ainvoke({"a": 1, "b": 2})) == 3


def test_a_named_argument_may_be_a_typed_dict() -> None:
    made = convert_runnable_to_tool(RunnableLambda(lambda d: d["a"]), name="n", arg_types={"a": list[OfPython]})
    assert made.invoke({"a": [{"x": "1"}]}) == [{"x": 1}]


def test_by_a_schema() -> None:
    made = convert_runnable_to_tool(adder, In, name="plus")
    assert (made.name, made.description) == ("plus", f"Takes {In.model_json_schema()}.")
    assert made.invoke({"a": 1}) == 3
    assert tool("other", adder, args_schema=In, description="D").invoke({"a": 1}) == 3


def test_nothing_known_of_the_arguments() -> None:
    with pytest.raises(InvalidArgument, match="what 'adder' takes is not known"):
        convert_runnable_to_tool(RunnableLambda(lambda d: d, name="adder"), arg_types={})


def test_the_runnable_runs_below_the_tool() -> None:
    events: list[Event] = []
    config: Any = {"callbacks": [Tap(lambda run: START, events.append)]}
    convert_runnable_to_tool(adder, In, name="plus").invoke({"a": 1}, config)
    outer, inner = (event.run for event in events)
    assert (outer.name, outer.type, inner.name, inner.type) == ("plus", "tool", "adder", "chain")
    assert inner.parent is outer


class Pair(TypedDict):
    """Two numbers."""

    x: int
    y: int


def test_what_a_runnable_says_that_it_takes_is_enough(colour: Colour) -> None:
    def times(pair: Pair) -> int:
        return pair["x"] * pair["y"]

    async def body(colour: Colour) -> None:
        product = RunnableLambda(times).as_tool(description="Multiplies.")
        assert (product.name, [*product.args]) == ("times", ["x", "y"])
        assert await colour.invoke(product, {"x": 2, "y": "3"}) == 6
        loud = RunnableLambda(lambda text: text.upper()).with_types(input_type=str).as_tool(name="loud")
        assert await colour.invoke(loud, "hey") == await colour.invoke(loud, {"text": "hey"}) == "HEY"
        parameters = convert_to_openai_tool(loud)["function"]["parameters"]
        assert [each["type"] for each in parameters["properties"].values()] == ["string"]
        asked = (PromptTemplate.from_template("{a} {b}") | RunnableLambda(lambda value: value.text)).as_tool()
        assert await colour.invoke(asked, {"a": "1", "b": "2"}) == "1 2"
        with pytest.raises(InvalidArgument, match="is not known"):
            RunnableLambda(abs).with_types(input_type=int).as_tool()

    colour.run(body)


def test_prompts_models_and_parsers_say_what_they_take_and_give() -> None:
    prompt = ChatPromptTemplate([("system", "{rule}"), ("placeholder", "{past}"), ("human", "{question}")])
    schema = prompt.get_input_jsonschema()
    assert schema["title"] == "PromptInput"
    assert schema["required"] == ["question", "rule"]
    assert schema["properties"]["past"]["type"] == "array"
    chain = prompt | FakeListChatModel(responses=["x"]) | StrOutputParser()
    assert chain.get_input_jsonschema() == schema
    assert chain.get_output_jsonschema() == {"title": "StrOutputParserOutput", "type": "string"}
    asked = prompt | FakeListChatModel(responses=["x"])
    assert asked.get_output_jsonschema()["title"] == "FakeListChatModelOutput"
    parsed = FakeListLLM(responses=["x"]) | PydanticOutputParser(pydantic_object=In)
    assert parsed.output_schema is In
    assert CommaSeparatedListOutputParser().get_output_jsonschema()["items"] == {"type": "string"}
    assert "type" not in JsonOutputParser().get_output_jsonschema()
    assert [node.name for node in chain.get_graph().nodes.values()][::4] == ["PromptInput", "StrOutputParserOutput"]
