"""`output_version="v1"` of a user's model: its content is standard blocks, whole and in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from colours import Colour, colour

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    merge_chunks,
)

__all__ = ["colour"]  # a fixture

PIECES = [
    AIMessageChunk("", additional_kwargs={"reasoning_content": "hm"}),
    AIMessageChunk("one "),
    AIMessageChunk("two"),
    AIMessageChunk("", tool_call_chunks=[{"name": "f", "args": '{"a": ', "id": "c", "index": 0}]),
    AIMessageChunk("", tool_call_chunks=[{"name": None, "args": "1}", "id": None, "index": 0}]),
]
CALL = {"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "c"}
BLOCKS = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "one two"}]
ANSWER = AIMessage("one two", additional_kwargs={"reasoning_content": "hm"}, tool_calls=[CALL])


class Whole(BaseChatModel):
    closed: int = 0

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=ANSWER, generation_info={"fin": "ok"})])


class Pieces(Whole):
    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
        try:
            for piece in PIECES:
                yield ChatGenerationChunk(message=piece.model_copy())
        finally:
            self.closed += 1


class BothForms(Pieces):
    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        try:
            for piece in PIECES:
                yield piece.model_copy()
        finally:
            self.closed += 1


@pytest.mark.parametrize("cls", [Whole, Pieces, BothForms])
def test_a_whole_answer(colour: Colour, cls: type[Whole]) -> None:
    said = colour.run(lambda colour: colour.invoke(cls(output_version="v1"), "q"))
    assert said.content == said.content_blocks == [*BLOCKS, CALL]
    assert said.response_metadata == {"fin": "ok", "output_version": "v1"}
    assert ANSWER.content == "one two"


@pytest.mark.parametrize("cls", [Pieces, BothForms])
def test_an_answer_in_pieces(colour: Colour, cls: type[Whole]) -> None:
    model = cls(output_version="v1")
    chunks = colour.run(lambda colour: colour.collect(model, "q"))
    assert all(isinstance(chunk.content, list) for chunk in chunks)
    whole = merge_chunks(chunks)
    shown = [{key: value for key, value in block.items() if key != "index"} for block in whole.content]
    assert shown == [*BLOCKS, CALL]
    assert (whole.tool_calls, whole.chunk_position, model.closed) == ([CALL], "last", 1)
    assert whole.response_metadata == {"output_version": "v1"}


def test_a_block_begins_where_the_kind_changes_and_calls_stay_apart() -> None:
    chunks = list(Pieces(output_version="v1").stream("q"))
    shown = [(block["type"], block["index"]) for chunk in chunks for block in chunk.content]
    assert shown == [
        *[("reasoning", 0), ("text", 1), ("text", 1)],
        *[("tool_call_chunk", "lc_tc_0"), ("tool_call_chunk", "lc_tc_0")],
    ]


def test_leaving_early_closes_the_model() -> None:
    model = Pieces(output_version="v1")
    with model.stream("q") as stream:
        next(iter(stream))
    assert model.closed == 1


def test_without_it_content_is_as_the_model_gave_it() -> None:
    assert Pieces().invoke("q").content == "one two"
    assert [chunk.content for chunk in Pieces().stream("q")] == ["", "one ", "two", "", "", ""]
