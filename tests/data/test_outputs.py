"""Generations, results, prompt values and documents."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from millstream import (
    AIMessage,
    AIMessageChunk,
    ChatGeneration,
    ChatGenerationChunk,
    ChatPromptValue,
    ChatResult,
    Document,
    Generation,
    GenerationChunk,
    HumanMessage,
    InvalidType,
    LLMResult,
    RunInfo,
    StringPromptValue,
    ValidationError,
)

EACH = [
    Generation("a", {"k": 1}),
    GenerationChunk("a"),
    ChatGeneration(message=AIMessage("a")),
    ChatGenerationChunk(message=AIMessageChunk("a"), generation_info={"k": "v"}),
    ChatResult(generations=[ChatGeneration(message=AIMessage("a"))], llm_output={"t": 1}),
    LLMResult(generations=[[ChatGeneration(message=AIMessage("a"))], [Generation("b")]], run=[RunInfo(run_id="1")]),
    StringPromptValue("a"),
    ChatPromptValue([HumanMessage("a")]),
    Document("a", metadata={"k": [1]}, id=5),
]


@pytest.mark.parametrize("value", EACH, ids=lambda value: type(value).__name__)
def test_copies_are_equal(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value == copy.copy(value)
    assert type(value).model_validate(value.model_dump()) == value
    assert type(value).model_validate_json(value.model_dump_json()) == value
    assert repr(value).startswith(type(value).__name__ + "(")


def test_pieces_join() -> None:
    more = [
        ChatGenerationChunk(message=AIMessageChunk("b")),
        ChatGenerationChunk(message=AIMessageChunk("c"), generation_info={"k": "y"}),
    ]
    whole = ChatGenerationChunk(message=AIMessageChunk("a"), generation_info={"k": "x"}) + more
    assert (whole.text, whole.message.content, whole.generation_info) == ("abc", "abc", {"k": "xy"})
    pair = ChatGenerationChunk(message=AIMessageChunk("a")) + ChatGenerationChunk(message=AIMessageChunk("b"))
    assert (type(pair), pair.text, pair.generation_info) == (ChatGenerationChunk, "ab", None)
    assert GenerationChunk("a", {"k": 1}) + GenerationChunk("b") == GenerationChunk("ab", {"k": 1})


@pytest.mark.parametrize("other", [AIMessageChunk("b"), "b", ChatGeneration(message=AIMessage("b"))])
def test_what_does_not_join(other: Any) -> None:
    with pytest.raises(InvalidType):
        ChatGenerationChunk(message=AIMessageChunk("a")) + other
    with pytest.raises(InvalidType):
        GenerationChunk("a") + other


def test_documents_as_prompts_show_them() -> None:
    documents = [Document("a"), Document("b", metadata={"n": 1}, id="x")]
    assert f"{documents[0]} {documents[1]}" == "page_content='a' page_content='b' metadata={'n': 1}"
    shown = "[Document(metadata={}, page_content='a'), Document(id='x', metadata={'n': 1}, page_content='b')]"
    assert f"{documents}" == shown


def test_the_fields_are_those_that_say_something() -> None:
    def names(cls: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(cls)}

    assert names(Generation) == names(GenerationChunk) == {"text", "generation_info"}
    assert names(ChatGeneration) == names(ChatGenerationChunk) == {"text", "message", "generation_info"}
    assert names(LLMResult) == {"generations", "llm_output", "run"}
    assert [Generation("a").type, ChatGeneration(message=AIMessage("a")).type] == ["Generation", "ChatGeneration"]


def test_the_text_is_the_messages() -> None:
    generation = ChatGeneration(message=AIMessage([{"type": "text", "text": "a"}, {"type": "image", "url": "u"}]))
    assert generation.text == "a"
    assert generation.model_dump()["text"] == "a"
    assert "text" not in generation.model_dump(exclude={"text"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: ChatGeneration(message="a"),
        lambda: ChatGenerationChunk(message=AIMessage("a")),
        lambda: ChatResult(generations=["a"]),  # type: ignore[list-item]
        lambda: Generation(5),  # type: ignore[arg-type]
        lambda: Document(5),  # type: ignore[arg-type]
        lambda: Document("a", metadata=[]),  # type: ignore[arg-type]
        lambda: StringPromptValue(5),  # type: ignore[arg-type]
        lambda: ChatPromptValue(["a"]),  # type: ignore[list-item]
        lambda: Document.model_validate({}),
    ],
)
def test_wrong_shapes(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


def test_a_document_needs_its_text() -> None:
    with pytest.raises(TypeError):
        Document()  # type: ignore[call-arg]
    assert Document("a").metadata == {}
    assert Document("a", {"k": 1}) != Document("a")


def test_flatten_counts_the_usage_once() -> None:
    result = LLMResult([[Generation("a"), Generation("b")], [Generation("c")]], {"token_usage": {"t": 1}, "m": "x"})
    assert result.flatten() == [
        LLMResult([[Generation("a"), Generation("b")]], {"token_usage": {"t": 1}, "m": "x"}),
        LLMResult([[Generation("c")]], {"token_usage": {}, "m": "x"}),
    ]


def test_prompt_values() -> None:
    assert StringPromptValue("a").to_string() == "a"
    assert StringPromptValue("a").to_messages() == [HumanMessage("a")]
    value = ChatPromptValue([HumanMessage("a"), AIMessage("b")])
    assert value.to_string() == "Human: a\nAI: b"
    value.to_messages().clear()
    assert len(value.messages) == 2
    assert not hasattr(value, "text")
