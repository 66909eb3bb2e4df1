"""Tools in OpenAI's form, from everything that can be one."""

from __future__ import annotations

import textwrap
from enum import Enum
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
import typing_extensions
from pydantic import BaseModel, Field

from millstream import InjectedToolArg, InvalidArgument, Tool, convert_to_openai_function, convert_to_openai_tool, tool
from millstream.chat.json_schema import plain_schema, strict_schema


class Size(Enum):
    BIG = "big"
    SMALL = "small"


class Inner(BaseModel):
    """Inner doc."""

    title: str = Field(description="a property called title")


class Outer(BaseModel):
    """Outer doc."""

    size: Size
    inner: Inner | None = Field(default=None, description="beside a reference")
    many: list[Inner] = []


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Typed(TypedDict):
    """A typed dict.

    Args:
        a: from the docstring
    """

    a: int
    b: Annotated[str, ..., "the b"]
    c: NotRequired[Annotated[list[str], None, "the c"]]


def plain(x: int, state: Annotated[dict[str, Any], InjectedToolArg], y: str = "z") -> str:
    """Do it.

    Args:
        x: the x
        state: hidden
    """
    return ""


def test_a_tool() -> None:
    assert convert_to_openai_tool(tool(plain)) == {
        "type": "function",
        "function": {
            "name": "plain",
            "description": textwrap.dedent(plain.__doc__ or "").strip(),
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "string", "default": "z"}},
                "required": ["x"],
            },
        },
    }


def test_a_function() -> None:
    made = convert_to_openai_function(plain)
    assert (made["name"], made["description"]) == ("plain", "Do it.")
    assert made["parameters"]["properties"] == {
        "x": {"type": "integer", "description": "the x"},
        "y": {"type": "string", "default": "z"},
    }


def test_a_tool_of_one_string() -> None:
    assert convert_to_openai_function(Tool("up", str.upper, "Upper")) == {
        "name": "up",
        "description": "Upper",
        "parameters": {
            "type": "object",
            "properties": {"__arg1": {"title": "__arg1", "type": "string"}},
            "required": ["__arg1"],
        },
    }


def test_a_pydantic_class() -> None:
    inner = {
        "description": "Inner doc.",
        "type": "object",
        "properties": {"title": {"type": "string", "description": "a property called title"}},
        "required": ["title"],
    }
    assert convert_to_openai_function(Outer) == {
        "name": "Outer",
        "description": "Outer doc.",
        "parameters": {
            "type": "object",
            "properties": {
                "size": {"enum": ["big", "small"], "type": "string"},
                "inner": {"anyOf": [inner, {"type": "null"}], "default": None, "description": "beside a reference"},
                "many": {"type": "array", "items": inner, "default": []},
            },
            "required": ["size"],
        },
    }


def test_a_type_that_contains_itself_keeps_its_references() -> None:
    parameters = convert_to_openai_function(Node)["parameters"]
    reference = {"$ref": "#/$defs/Node"}
    node = {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": reference, "default": []},
        },
        "required": ["value"],
    }
    assert parameters["$defs"] == {"Node": node}
    assert parameters["properties"] == node["properties"]


def test_a_typed_dict() -> None:
    assert convert_to_openai_function(Typed) == {
        "name": "Typed",
        "description": "A typed dict.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "from the docstring"},
                "b": {"type": "string", "description": "the b"},
                "c": {"type": "array", "items": {"type": "string"}, "description": "the c"},
            },
            "required": ["a", "b"],
        },
    }


@pytest.mark.parametrize(
    "given",
    [
        {"name": "f", "description": "F", "parameters": {"type": "object", "properties": {}}},
        {
            "type": "function",
            "function": {"name": "f", "description": "F", "parameters": {"type": "object", "properties": {}}},
        },
        {"name": "f", "description": "F", "input_schema": {"type": "object", "properties": {}}},
        {"name": "f", "description": "F", "inputSchema": {"type": "object", "properties": {}}},
        {"toolSpec": {"name": "f", "description": "F", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {"title": "f", "description": "F", "type": "object", "properties": {}},
    ],
)
def test_dicts(given: dict[str, Any]) -> None:
    assert convert_to_openai_tool(given) == {
        "type": "function",
        "function": {"name": "f", "description": "F", "parameters": {"type": "object", "properties": {}}},
    }


def test_a_dict_without_a_description() -> None:
    schema = {"type": "object", "properties": {}}
    for given in ({"title": "f", **schema}, {"name": "f", "input_schema": schema}):
        assert convert_to_openai_function(given) == {"name": "f", "parameters": schema}
    described = {"name": "f", "input_schema": {**schema, "description": "F"}}
    assert convert_to_openai_function(described) == {"name": "f", "description": "F", "parameters": schema}


def test_a_tool_of_the_provider_is_left_alone() -> None:
    given = {"type": "web_search_preview", "search_context_size": "low"}
    assert convert_to_openai_tool(given) is given


@pytest.mark.parametrize("given", [5, {"description": "x"}, "text"])
def test_what_cannot_be_a_tool(given: Any) -> None:
    with pytest.raises(InvalidArgument):
        convert_to_openai_tool(given)


def test_strict() -> None:
    made = convert_to_openai_function(Outer, strict=True)
    assert made["strict"] is True
    parameters = made["parameters"]
    assert parameters["required"] == ["size", "inner", "many"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["many"]["items"]["additionalProperties"] is False
    assert convert_to_openai_function(Outer, strict=False)["strict"] is False

    def count(words: dict[str, int]) -> None:
        """Count."""

    words = convert_to_openai_function(count, strict=True)["parameters"]["properties"]["words"]
    assert words == {"type": "object", "additionalProperties": False}
    assert convert_to_openai_function({"name": "f"}, strict=True)["parameters"]["required"] == []


def test_schemas_are_copied() -> None:
    given = {"title": "T", "type": "object", "properties": {"a": {"title": "A", "enum": [{"title": "kept"}]}}}
    before = repr(given)
    assert plain_schema(given) == {"type": "object", "properties": {"a": {"enum": [{"title": "kept"}]}}}
    strict_schema(given)
    assert repr(given) == before


class Part(TypedDict):
    """A part."""

    x: Annotated[int, ..., "the x"]
    y: Annotated[str, "d", "the y"]


class WithParts(TypedDict):
    """With parts.

    Args:
        many: from the docstring
    """

    many: list[Part]
    named: dict[str, Part] | None
    rating: Annotated[int | None, None, "how much"]
    size: Annotated[int, 3, "how big"]
    itself: list[WithParts]


def test_typed_dicts_in_typed_dicts_with_texts_and_defaults() -> None:
    part = {
        "type": "object",
        "description": "A part.",
        "properties": {
            "x": {"type": "integer", "description": "the x"},
            "y": {"type": "string", "description": "the y", "default": "d"},
        },
        "required": ["x"],
    }
    made = convert_to_openai_function(WithParts)
    assert made["description"] == "With parts."
    properties = made["parameters"]["properties"]
    assert properties["many"] == {"type": "array", "items": part, "description": "from the docstring"}
    assert properties["named"] == {"type": "object", "additionalProperties": part}
    assert properties["rating"] == {"type": "integer", "description": "how much"}
    assert properties["size"] == {"type": "integer", "description": "how big", "default": 3}
    assert made["parameters"]["required"] == ["many", "named", "itself"]


def test_a_typed_dict_as_an_argument() -> None:
    @tool
    def count(parts: list[Part], last: Part | None = None) -> str:
        """Count."""
        return f"{parts} {last}"

    assert count.invoke({"parts": [{"x": "1"}]}) == "[{'x': 1}] None"
    items = convert_to_openai_function(count)["parameters"]["properties"]["parts"]["items"]
    assert items["properties"]["x"] == {"type": "integer", "description": "the x"}


class MayBeNone(typing_extensions.TypedDict):
    """A form."""

    a: Annotated[int | None, None, "an a"]
    b: int | str | None


def test_a_key_that_may_be_none_is_told_by_what_else_it_may_be() -> None:
    assert convert_to_openai_function(MayBeNone)["parameters"] == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "an a"},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
        "required": ["b"],
    }
    strict = convert_to_openai_function(MayBeNone, strict=True)["parameters"]["properties"]
    assert {"type": "null"} in strict["a"]["anyOf"]


def test_a_json_schema_is_told_as_it_is() -> None:
    inside = {"properties": {"a": {"title": "A", "$ref": "#/$defs/X"}}, "$defs": {"X": {"title": "X"}}}
    given = {"title": "f", "description": "F", "type": "object", **inside}
    made = convert_to_openai_function(given)
    assert made == {"name": "f", "description": "F", "parameters": {"type": "object", **inside}}
    made["parameters"]["properties"].clear()
    assert inside["properties"]


class Odd(typing_extensions.TypedDict):
    """Odd.

    Args:
        other: no key of it
    """

    x: Annotated[int, "lost"]


def test_a_typed_dict_that_documents_something_else() -> None:
    @tool
    def take(odd: Odd) -> str:
        """Take."""
        return str(odd)

    assert take.invoke({"odd": {"x": "1"}}) == "{'x': 1}"


class OfTheirs(typing_extensions.TypedDict):
    x: int
    y: NotRequired[str]


class OfPython(TypedDict):
    x: int
    y: NotRequired[str]


@pytest.mark.parametrize("kind", [OfTheirs, OfPython])
def test_a_typed_dict_of_either_kind(kind: Any) -> None:
    made = convert_to_openai_tool(kind)["function"]
    assert made["name"] == kind.__name__
    assert made["parameters"]["properties"] == {"x": {"type": "integer"}, "y": {"type": "string"}}
    assert made["parameters"]["required"] == ["x"]
