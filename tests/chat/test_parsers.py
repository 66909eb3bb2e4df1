"""Output parsers: on whole answers and on streams, ours and users' own."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import pydantic
import pytest
from colours import Colour, colour
from pydantic import BaseModel

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseGenerationOutputParser,
    BaseOutputParser,
    BaseTransformOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    JsonOutputToolsParser,
    OutputParserException,
    PydanticOutputParser,
    PydanticToolsParser,
    RunnableLambda,
    StrOutputParser,
    Unsupported,
    ValidationError,
)
from millstream.spine.events import END, START, STREAM, Event, Tap
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]  # a fixture


class Person(BaseModel):
    """A person."""

    name: str
    age: int | None = None


def pieces(text: str, size: int = 1) -> list[AIMessageChunk]:
    return [AIMessageChunk(text[at : at + size]) for at in range(0, len(text), size)]


def streamed(colour: Colour, parser: Any, *chunks: Any) -> list[Any]:
    """What comes out of `model | parser` when the model streams these chunks."""

    async def body(colour: Colour) -> list[Any]:
        return await colour.collect(ScriptedChatModel(turns=[list(chunks)]) | parser, "x")

    return colour.run(body)  # type: ignore[no-any-return]


# -- text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("text", "text"),
        (AIMessage("text"), "text"),
        (AIMessage([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "u"}, "b"]), "ab"),
    ],
)
def test_the_text_of_an_answer(given: Any, text: str) -> None:
    assert StrOutputParser().invoke(given) == text
    assert asyncio.run(StrOutputParser().ainvoke(given)) == text
    assert list(StrOutputParser().stream(given)) == [text]


def test_one_string_for_each_chunk(colour: Colour) -> None:
    blocks = AIMessageChunk([{"type": "text", "text": "c", "index": 0}])
    assert streamed(colour, StrOutputParser(), "a", "", "b", blocks) == ["a", "", "b", "c", ""]


@pytest.mark.parametrize("given", [5, None, {"a": 1}])
def test_neither_message_nor_text(given: Any) -> None:
    for parser in (StrOutputParser(), JsonOutputParser()):
        with pytest.raises(ValidationError, match="takes a message or a text"):
            parser.invoke(given)
        with pytest.raises(ValidationError, match="takes a message or a text"):
            list(parser.transform([given]))


def test_a_subclass_of_the_text_parser_is_honoured(colour: Colour) -> None:
    class Shout(StrOutputParser):
        def parse(self, text: str) -> str:
            return text.upper()

    assert Shout().invoke("a") == "A"
    assert streamed(colour, Shout(), "a", "b") == ["A", "B", ""]


# -- users' own --------------------------------------------------------------------------------------------------


def test_a_parser_of_the_whole_text(colour: Colour) -> None:
    class Words(BaseOutputParser[list[str]]):
        separator: str = " "

        def parse(self, text: str) -> list[str]:
            return text.split(self.separator)

    parser = Words(separator=",")
    assert parser.invoke(AIMessage("a,b")) == ["a", "b"]
    assert streamed(colour, parser, "a,", "b") == [["a", "b"]]
    assert list(parser.stream("a,b")) == [["a", "b"]]
    assert parser.parse_with_prompt("a,b", None) == ["a", "b"]
    with pytest.raises(Unsupported):
        parser.get_format_instructions()


def test_a_parser_of_each_chunk(colour: Colour) -> None:
    class Upper(BaseTransformOutputParser[str]):
        def parse(self, text: str) -> str:
            return text.upper()

    assert streamed(colour, Upper(), "a", "b") == ["A", "B", ""]


def test_a_parser_of_generations() -> None:
    class Ids(BaseGenerationOutputParser[Any]):
        def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
            return result[0].message.id

    assert Ids().invoke(AIMessage("x", id="1")) == "1"


def test_the_async_form_is_preferred_in_async_use() -> None:
    class Both(BaseOutputParser[str]):
        def parse(self, text: str) -> str:
            return f"sync {threading.get_ident() == here}"

        async def aparse(self, text: str) -> str:
            await asyncio.sleep(0)
            return "async"

    class OnlySync(Both):
        aparse = BaseOutputParser.aparse

    here = threading.get_ident()
    assert Both().invoke("x") == "sync True"
    assert asyncio.run(Both().ainvoke("x")) == "async"
    assert asyncio.run(OnlySync().ainvoke("x")) == "sync False"


def test_what_a_users_parser_calls_is_below_it() -> None:
    inner = RunnableLambda(lambda x: x)
    events: list[Event] = []

    class Calling(BaseOutputParser[str]):
        def parse(self, text: str) -> str:
            return str(inner.invoke(text))

    Calling().invoke("x", {"callbacks": [Tap(lambda run: START, events.append)]})
    assert events[1].run.parent is events[0].run


def test_events(colour: Colour) -> None:
    def kinds(parser: Any, how: str) -> list[int]:
        events: list[Event] = []
        config = {"callbacks": [Tap(lambda run: START | STREAM | END if run.type == "parser" else 0, events.append)]}
        chain = ScriptedChatModel(turns=[["[1", "]"]]) | parser if how == "chain" else parser

        async def body(colour: Colour) -> Any:
            return await colour.collect(chain, "[1]", config)

        colour.run(body)
        return [event.kind for event in events]

    for parser in (StrOutputParser(), JsonOutputParser()):
        assert kinds(parser, "alone") == [START, END]
    assert kinds(StrOutputParser(), "chain") == [START, STREAM, STREAM, STREAM, END]
    assert kinds(JsonOutputParser(), "chain") == [START, STREAM, END]


# -- JSON --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure:\n```json\n{"a": 1}\n```\nBye', {"a": 1}),
        ("```\n[1, 2]\n```", [1, 2]),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('`{"a": 1}`', {"a": 1}),
    ],
)
def test_json(text: str, value: Any) -> None:
    assert JsonOutputParser().invoke(text) == value
    assert list(JsonOutputParser().transform(pieces(text)))[-1] == value


def test_json_grows(colour: Colour) -> None:
    parser = JsonOutputParser()
    assert streamed(colour, parser, '{"a": [', "1", ", 2]", "}") == [{"a": []}, {"a": [1]}, {"a": [1, 2]}]
    assert streamed(colour, parser, "Here: ``", "`js", 'on\n{"a"', ": 1}`", "`` `x`") == [{}, {"a": 1}]
    assert streamed(colour, parser, "no ", "JSON `at` all") == []


@pytest.mark.parametrize("text", ["", "no JSON", "```\nnothing\n```"])
def test_no_json(text: str) -> None:
    with pytest.raises(OutputParserException, match="not JSON") as caught:
        JsonOutputParser().invoke(text)
    assert isinstance(caught.value, ValueError)
    assert caught.value.llm_output == text


def test_what_is_yielded_does_not_change_afterwards() -> None:
    seen = []
    for value in JsonOutputParser().transform(pieces('{"a": [1, {"b": "cd"}]}')):
        seen.append((value, repr(value)))
    assert [repr(value) for value, _ in seen] == [shown for _, shown in seen]


def test_an_instance_of_a_class(colour: Colour) -> None:
    parser = PydanticOutputParser(pydantic_object=Person)
    assert parser.invoke('{"name": "Ann"}') == Person(name="Ann")
    with pytest.raises(OutputParserException, match="does not fit Person"):
        parser.invoke('{"age": "x"}')
    assert streamed(colour, parser, '{"name": "Ann", ', '"age"', ": 3}") == [
        Person(name="Ann"),
        Person(name="Ann", age=3),
    ]
    assert '"name"' in parser.get_format_instructions()
    assert "JSON" in JsonOutputParser().get_format_instructions()


# -- tool calls --------------------------------------------------------------------------------------------------

CALLS = [
    {"name": "Person", "args": {"name": "Ann"}, "id": "c1"},
    {"name": "other", "args": {"x": 1}, "id": "c2"},
]
ANSWER = AIMessage("", tool_calls=CALLS)


def call_pieces(args: str, *cuts: int, name: str = "Person", index: int = 0) -> list[AIMessageChunk]:
    bounds = [0, *cuts, len(args)]
    return [
        AIMessageChunk(
            "",
            tool_call_chunks=[
                {
                    "name": None if start else name,
                    "args": args[start:end],
                    "id": None if start else f"c{index}",
                    "index": index,
                }
            ],
        )
        for start, end in pairwise(bounds)
    ]


@pytest.mark.parametrize(
    ("parser", "value"),
    [
        (JsonOutputToolsParser(), [{"type": "Person", "args": {"name": "Ann"}}, {"type": "other", "args": {"x": 1}}]),
        (
            JsonOutputToolsParser(return_id=True, first_tool_only=True),
            {"type": "Person", "args": {"name": "Ann"}, "id": "c1"},
        ),
        (JsonOutputKeyToolsParser("other"), [{"x": 1}]),
        (JsonOutputKeyToolsParser("other", first_tool_only=True), {"x": 1}),
        (JsonOutputKeyToolsParser("none", first_tool_only=True), None),
        (JsonOutputKeyToolsParser("other", return_id=True), [{"type": "other", "args": {"x": 1}, "id": "c2"}]),
    ],
)
def test_tool_calls(parser: Any, value: Any) -> None:
    assert parser.invoke(ANSWER) == value


def test_no_tool_calls() -> None:
    assert JsonOutputToolsParser().invoke(AIMessage("x")) == []
    assert JsonOutputToolsParser(first_tool_only=True).invoke(AIMessage("x")) == []
    with pytest.raises(OutputParserException, match="takes a message"):
        JsonOutputToolsParser().invoke("text")


def test_a_call_whose_arguments_are_not_json() -> None:
    broken = AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{x", "id": "1", "error": None}])
    with pytest.raises(OutputParserException, match="the call of 'f' are not JSON"):
        JsonOutputToolsParser().invoke(broken)
    with pytest.raises(OutputParserException, match="'f'"):
        JsonOutputKeyToolsParser("f").invoke(broken)
    assert JsonOutputKeyToolsParser("g").invoke(broken) == []


def test_only_the_first_call_counts_where_it_is_all_that_is_wanted() -> None:
    other = {"name": "other", "args": {}, "id": "2"}
    broken = [{"name": "f", "args": "{x", "id": "1", "error": None}]
    parser = PydanticToolsParser(tools=[Person], first_tool_only=True)
    assert parser.invoke(AIMessage("", tool_calls=[CALLS[0], other], invalid_tool_calls=broken)) == Person(name="Ann")
    late = AIMessageChunk("", tool_calls=[other, CALLS[0]])
    with pytest.raises(OutputParserException, match="'other'"):
        list(parser.transform(iter([late])))
    with pytest.raises(OutputParserException, match="'other'"):
        parser.invoke(late)


def test_instances_by_the_name_of_the_call() -> None:
    parser = PydanticToolsParser(tools=[Person])
    assert parser.invoke(AIMessage("", tool_calls=CALLS[:1])) == [Person(name="Ann")]
    assert PydanticToolsParser(tools=[Person], first_tool_only=True).invoke(AIMessage("x")) is None
    with pytest.raises(OutputParserException, match=r"'other', which is none of \['Person'\]"):
        parser.invoke(ANSWER)
    with pytest.raises(pydantic.ValidationError):
        parser.invoke(AIMessage("", tool_calls=[{"name": "Person", "args": {}, "id": None}]))


def test_tool_calls_grow(colour: Colour) -> None:
    chunks = [*call_pieces('{"name": "Ann"}', 6, 11), *call_pieces('{"x": 1}', 4, name="other", index=1)]
    ann = {"type": "Person", "args": {"name": "Ann"}}
    assert streamed(colour, JsonOutputToolsParser(), *chunks) == [
        [{"type": "Person", "args": {}}],
        [{"type": "Person", "args": {"name": "A"}}],
        [ann],
        [ann, {"type": "other", "args": {}}],
        [ann, {"type": "other", "args": {"x": 1}}],
    ]
    assert streamed(colour, PydanticToolsParser(tools=[Person]), *call_pieces('{"name": "Ann"}', 6, 11)) == [
        [],
        [Person(name="A")],
        [Person(name="Ann")],
    ]
    with pytest.raises(OutputParserException, match="'other'"):
        streamed(colour, PydanticToolsParser(tools=[Person]), *chunks)
    name = [{"name": half, "args": "", "id": None, "index": 0} for half in ("Per", "son")]
    arriving = [AIMessageChunk("", tool_call_chunks=[piece]) for piece in name]
    assert streamed(colour, PydanticToolsParser(tools=[Person]), *arriving) == [[]]
    assert streamed(colour, JsonOutputKeyToolsParser("other", first_tool_only=True), *chunks) == [{}, {"x": 1}]
