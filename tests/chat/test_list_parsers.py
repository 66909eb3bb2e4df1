from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import (
    AIMessage,
    AIMessageChunk,
    CommaSeparatedListOutputParser,
    ListOutputParser,
    MarkdownListOutputParser,
    NumberedListOutputParser,
    OutputParserException,
    RunnableGenerator,
    XMLOutputParser,
)

COMMAS = CommaSeparatedListOutputParser()
NUMBERED = NumberedListOutputParser()
MARKDOWN = MarkdownListOutputParser()
XML = XMLOutputParser()


@pytest.mark.parametrize(
    ("parser", "pieces", "streamed"),
    [
        (COMMAS, ["a, b", "c, ", "d,e", " f"], [["a"], ["bc"], ["d"], ["e f"]]),
        (NUMBERED, ["1. on", "e\n2. t", "wo\n3. three"], [["one"], ["two"], ["three"]]),
        (MARKDOWN, ["- a\n- b", "c\n* d"], [["a"], ["bc"], ["d"]]),
        (XML, ["<r><a>1</a>", "<b>2</b></r>"], [{"r": [{"a": "1"}]}, {"r": [{"b": "2"}]}]),
    ],
)
def test_streaming(colour: Colour, parser: Any, pieces: list[str], streamed: list[Any]) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        assert await c.collect(RunnableGenerator(c.generator(*pieces)) | parser, None) == streamed
        chunks = [AIMessageChunk(piece) for piece in pieces]
        assert await c.collect(RunnableGenerator(c.generator(*chunks)) | parser, None) == streamed
        if parser is not XML:
            assert await c.invoke(parser, "".join(pieces)) == [item for (item,) in streamed]

    colour.run(body)


def test_after_a_last_comma_nothing_is_streamed() -> None:
    assert list(COMMAS.transform(iter(["a,", "b, "]))) == [["a"], ["b"]]


def test_an_item_comes_before_the_next_piece_is_asked_for(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        log: list[str] = []
        source = RunnableGenerator(c.generator("a,", "b,", "c", log=log))
        async with c.closing(source | COMMAS, None) as stream:
            async for item in stream:
                log.append(f"got {item}")
        assert log == ["make a,", "got ['a']", "make b,", "got ['b']", "make c", "closed", "got ['c']"]

    colour.run(body)


def test_leaving_early_closes_the_source(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        for parser, piece in ((COMMAS, "a, b, "), (XML, "<r><a>1</a><b>2</b>")):
            log: list[str] = []
            async with c.closing(RunnableGenerator(c.generator(piece, piece, log=log)) | parser, None) as stream:
                async for _ in stream:
                    break
            assert log == [f"make {piece}", "closed"]

    colour.run(body)


class Lines(ListOutputParser):
    def parse(self, text: str) -> list[str]:
        return text.splitlines()


class Loud(CommaSeparatedListOutputParser):
    def parse(self, text: str) -> list[str]:
        return [item.upper() for item in super().parse(text)]


@pytest.mark.parametrize(("parser", "pieces"), [(Lines(), ["A\n", "B"]), (Loud(), ["a,", "b"])])
def test_a_users_own_parse_says_what_the_items_are(colour: Colour, parser: Any, pieces: list[str]) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        assert await c.collect(RunnableGenerator(c.generator(*pieces)) | parser, None) == [["A"], ["B"]]
        assert await c.invoke(parser, "".join(pieces)) == ["A", "B"]

    colour.run(body)


def test_what_to_tell_the_model() -> None:
    for parser in (COMMAS, NUMBERED, MARKDOWN):
        example = parser.get_format_instructions()
        shown = parser.parse(example.split("`")[1] if "`" in example else example)
        assert shown == ["red", "green", "blue"]
    assert "film, year" in XMLOutputParser(tags=["film", "year"]).get_format_instructions()


def test_xml_of_an_answer() -> None:
    assert XML.invoke(AIMessage("```xml\n<r><a>1</a></r>\n```")) == {"r": [{"a": "1"}]}
    assert XML.invoke('Here:\n```\n<?xml version="1.0"?>\n<r>t</r>\n```\nDone.') == {"r": "t"}
    assert XMLOutputParser(parser="xml").invoke(" <r>t</r> ") == {"r": "t"}


@pytest.mark.parametrize("text", ["<a><b></a>", "no xml", '<!DOCTYPE r [<!ENTITY e "x">]><r>&e;</r>', "<a>" * 50_000])
def test_xml_that_cannot_be_read(colour: Colour, text: str) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        with pytest.raises(OutputParserException) as caught:
            await c.invoke(XML, text)
        assert caught.value.llm_output == text
        if text != "no xml":
            with pytest.raises(OutputParserException):
                await c.collect(RunnableGenerator(c.generator(text, "<")) | XML, None)

    colour.run(body)
