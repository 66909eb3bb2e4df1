"""Parsers of the answer so far, as users write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from colours import Colour, colour

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseCumulativeTransformOutputParser,
    JsonOutputParser,
    RunnableGenerator,
    Unsupported,
)

__all__ = ["colour"]  # a fixture


class LastWord(BaseCumulativeTransformOutputParser[str]):
    """The last whole word so far."""

    def parse(self, text: str) -> str:
        return text.split()[-1]

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        text = result[0].text
        if partial:
            text = text.rpartition(" ")[0]
        return text.split()[-1] if text else None


class Changes(LastWord):
    def _diff(self, prev: Any, next: str) -> Any:
        return (prev, next)


def pieces(*given: Any) -> Any:
    async def asynchronous(_: Any) -> Any:
        for each in given:
            yield each

    def synchronous(_: Iterator[Any]) -> Iterator[Any]:
        yield from given

    return RunnableGenerator(synchronous, asynchronous)


@pytest.mark.parametrize("made", [str, AIMessageChunk])
def test_a_value_is_given_each_time_that_it_changes(colour: Colour, made: Any) -> None:
    async def body(colour: Colour) -> None:
        source = pieces(*map(made, ["one", " t", "wo two", " two", " three", ""]))
        assert await colour.collect(source | LastWord(), None) == ["one", "two"]
        assert await colour.collect(source | Changes(diff=True), None) == [(None, "one"), ("one", "two")]
        with pytest.raises(Unsupported, match="_diff"):
            await colour.collect(source | LastWord(diff=True), None)
        assert await colour.invoke(LastWord(), "one two") == "two"

    colour.run(body)


def test_a_whole_message_stands_for_all(colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        assert await colour.collect(pieces(AIMessage("a b c")) | LastWord(), None) == ["b"]

    colour.run(body)


def test_an_override_of_a_parser_of_ours_has_the_say_in_streams_too(colour: Colour) -> None:
    class Keys(JsonOutputParser[list[str]]):
        def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
            value: Any = super().parse_result(result, partial=partial)
            return value and sorted(value)

    async def body(colour: Colour) -> None:
        source = pieces('{"b": 1', ', "a', '": 2', "}")
        assert await colour.collect(source | Keys(), None) == [{}, ["b"], ["a", "b"]][1:]
        assert await colour.invoke(Keys(), '{"b": 1, "a": 2}') == ["a", "b"]

    colour.run(body)
