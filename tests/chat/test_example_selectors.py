"""Example selectors: by length, by likeness to the input, by likeness and difference."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour

from millstream import (
    BaseExampleSelector,
    Embeddings,
    FewShotPromptTemplate,
    InMemoryVectorStore,
    LengthBasedExampleSelector,
    MaxMarginalRelevanceExampleSelector,
    PromptTemplate,
    SemanticSimilarityExampleSelector,
)

__all__ = ["colour"]  # a fixture

SHOWN = PromptTemplate.from_template("{q} = {a}")
EXAMPLES = [{"q": "one", "a": "1"}, {"q": "two", "a": "2"}, {"q": "three", "a": "3"}]


class Letters(Embeddings):
    """Counts letters, so that alike words have alike vectors."""

    def embed_query(self, text: str) -> list[float]:
        return [float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def choose(colour: Colour, selector: BaseExampleSelector, values: dict[str, str]) -> list[dict[str, Any]]:
    if colour.sync:
        return selector.select_examples(values)
    return asyncio.run(selector.aselect_examples(values))


@pytest.mark.parametrize(("room", "count"), [(100, 3), (9, 2), (7, 2), (6, 1), (3, 0), (0, 0)])
def test_as_many_examples_as_fit_beside_the_input(colour: Colour, room: int, count: int) -> None:
    selector = LengthBasedExampleSelector(examples=EXAMPLES, example_prompt=SHOWN, max_length=room)
    assert choose(colour, selector, {"q": "four"}) == EXAMPLES[:count]


def test_the_first_that_does_not_fit_ends_the_choice() -> None:
    selector = LengthBasedExampleSelector(
        examples=[{"q": "a", "a": "a"}, {"q": "b " * 9, "a": "b"}, {"q": "c", "a": "c"}],
        example_prompt=SHOWN,
        max_length=8,
    )
    assert [each["q"] for each in selector.select_examples({"q": "d"})] == ["a"]


def test_an_added_example_counts_and_lengths_may_be_measured_otherwise() -> None:
    selector = LengthBasedExampleSelector(
        examples=EXAMPLES[:1], example_prompt=SHOWN, max_length=17, get_text_length=len
    )
    selector.add_example(EXAMPLES[1])
    asyncio.run(selector.aadd_example(EXAMPLES[2]))
    assert selector.example_text_lengths == [7, 7, 9]
    assert selector.select_examples({"q": "abc"}) == EXAMPLES[:2]
    prompt = FewShotPromptTemplate(example_selector=selector, example_prompt=SHOWN, suffix="{q} =")
    assert prompt.format(q="abc") == "one = 1\n\ntwo = 2\n\nabc ="


def test_the_most_alike_examples(colour: Colour) -> None:
    examples = [{"word": "tall", "like": "high"}, {"word": "zigzag", "like": "jazz"}, {"word": "tale", "like": "story"}]
    selector = SemanticSimilarityExampleSelector.from_examples(
        examples, Letters(), InMemoryVectorStore, k=1, input_keys=["word"], example_keys=["like"]
    )
    assert choose(colour, selector, {"word": "zag", "other": "tall"}) == [{"like": "jazz"}]
    id = selector.add_example({"word": "zz", "like": "sleep"})
    assert selector.vectorstore.get_by_ids([id])[0].page_content == "zz"
    assert choose(colour, selector, {"word": "zz"}) == [{"like": "sleep"}]
    asyncio.run(selector.aadd_example({"word": "qqq", "like": "queue"}))
    assert choose(colour, selector, {"word": "q"}) == [{"like": "queue"}]


def test_without_keys_all_values_are_compared_and_shown() -> None:
    made = SemanticSimilarityExampleSelector.afrom_examples(EXAMPLES, Letters(), InMemoryVectorStore, k=2)
    selector = asyncio.run(made)
    assert selector.vectorstore.similarity_search("one")[0].page_content == "1 one"  # in the order of the keys
    assert selector.select_examples({"q": "one"})[0] == EXAMPLES[0]
    assert len(selector.select_examples({"q": "one"})) == 2


def test_alike_and_different(colour: Colour) -> None:
    examples = [{"word": "aaab"}, {"word": "aaabb"}, {"word": "aabz"}]
    alike = SemanticSimilarityExampleSelector.from_examples(examples, Letters(), InMemoryVectorStore, k=2)
    assert [each["word"] for each in choose(colour, alike, {"word": "aaab"})] == ["aaab", "aaabb"]
    different = MaxMarginalRelevanceExampleSelector.from_examples(
        examples, Letters(), InMemoryVectorStore, k=2, fetch_k=3, vectorstore_kwargs={"lambda_mult": 0.1}
    )
    assert different.fetch_k == 3
    assert [each["word"] for each in choose(colour, different, {"word": "aaab"})] == ["aaab", "aabz"]
