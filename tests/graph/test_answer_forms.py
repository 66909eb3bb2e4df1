"""How an agent's answer is put into a form: by tools, by the provider, and what the model is told of what does not fit."""

from __future__ import annotations

from typing import TypedDict

import pytest
from answering import ASK, add, calling, model, texts
from colours import Colour, colour
from graph_helpers import run
from pydantic import BaseModel

from millstream import (
    AIMessage,
    MultipleStructuredOutputsError,
    ProviderStrategy,
    StructuredOutputError,
    ToolStrategy,
    convert_to_openai_tool,
    create_agent,
)

__all__ = ["colour"]


class Total(BaseModel):
    """The total."""

    total: int


def test_an_answer_in_a_form_by_a_tool_told_of_what_does_not_fit(colour: Colour) -> None:
    scripted = model(
        calling(("add", {"a": 1, "b": 2}, "1")),
        calling(("Total", {"total": "many"}, "2")),
        calling(("Total", {"total": 3}, "3")),
    )
    app = create_agent(scripted, [add], response_format=ToolStrategy(Total, tool_message_content="noted"))
    result = colour.run(lambda c: run(c, app, ASK))
    assert result["structured_response"] == Total(total=3)
    assert texts(result)[-1] == "noted"
    assert texts(result)[4].startswith("Error: The structured response 'Total' does not fit: this cannot be read as")
    assert scripted.bound[0][1] == {"tool_choice": "any"}


class Sums(TypedDict):
    """Some sums."""

    sums: list[Sum]


class Sum(TypedDict):
    total: int


def test_an_answer_in_the_form_of_a_typed_dict(colour: Colour) -> None:
    scripted = model(calling(("Sums", {"sums": [{"total": "3"}]}, "1")))
    app = create_agent(scripted, response_format=ToolStrategy(Sums))
    assert colour.run(lambda c: run(c, app, ASK))["structured_response"] == {"sums": [{"total": 3}]}


def test_an_answer_that_does_not_fit_is_raised_where_nobody_is_to_be_told(colour: Colour) -> None:
    replies = calling(("Total", {"total": "many"}, "2"))
    app = create_agent(model(replies), response_format=ToolStrategy(Total, handle_errors=False))
    with pytest.raises(StructuredOutputError, match="Total") as caught:
        colour.run(lambda c: run(c, app, ASK))
    assert caught.value.ai_message.tool_calls[0]["id"] == "2"


def test_an_answer_in_a_form_by_the_provider(colour: Colour) -> None:
    scripted = model(AIMessage('{"total": 4}'))
    app = create_agent(scripted, [add], response_format=ProviderStrategy(Total, strict=True))
    assert colour.run(lambda c: run(c, app, ASK))["structured_response"] == Total(total=4)
    form = scripted.bound[0][1]["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Total", True)


class Other(BaseModel):
    """Another form."""

    word: str


def test_the_model_chooses_among_the_forms_of_a_union(colour: Colour) -> None:
    scripted = model(
        calling(("Total", {"total": 1}, "1"), ("Other", {"word": "x"}, "2")),
        calling(("Other", {"word": "x"}, "3")),
    )
    app = create_agent(scripted, response_format=ToolStrategy(Total | Other))
    result = colour.run(lambda c: run(c, app, ASK))
    assert result["structured_response"] == Other(word="x")
    assert [tool_.name for tool_ in scripted.bound[0][0]] == ["Total", "Other"]
    assert [m.text.startswith("Error: The model returned several") for m in result["messages"][2:4]] == [True, True]
    one = create_agent(
        model(calling(("Total", {}, "1"), ("Total", {}, "2"))), response_format=ToolStrategy(Total, None, False)
    )
    with pytest.raises(MultipleStructuredOutputsError) as caught:
        colour.run(lambda c: run(c, one, ASK))
    assert caught.value.tool_names == ["Total", "Total"]


class Answer(TypedDict):
    """An answer."""

    total: int


def test_forms_are_offered_as_tools_that_a_model_can_read(colour: Colour) -> None:
    offered = []
    for form in (Total, Answer, {"title": "Plain", "description": "p", "type": "object", "properties": {"total": {}}}):
        scripted = model(AIMessage(""), calling(("x", {}, "1")))
        app = create_agent(scripted, [add], response_format=ToolStrategy(form))
        result = colour.run(lambda c, app=app: run(c, app, ASK))  # type: ignore[misc]
        assert result["structured_response"] is None  # there is none yet
        (given, _) = scripted.bound[0]
        offered.append(
            [
                (each.name, sorted(convert_to_openai_tool(each)["function"]["parameters"]["properties"]))
                for each in given
            ]
        )
    assert offered == [[("add", ["a", "b"]), (name, ["total"])] for name in ("Total", "Answer", "Plain")]


def test_an_agent_that_has_only_its_form_asks_until_it_is_there(colour: Colour) -> None:
    replies = [AIMessage("thinking"), calling(("Total", {"total": 2}, "1"))]
    app = create_agent(model(*replies), response_format=ToolStrategy(Total))
    result = colour.run(lambda c: run(c, app, ASK))
    assert texts(result) == ["q", "thinking", "", "Returning structured response: total=2"]
