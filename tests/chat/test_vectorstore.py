from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    DeterministicFakeEmbedding,
    Document,
    Embeddings,
    FakeEmbeddings,
    InMemoryVectorStore,
    VectorStore,
)
from millstream.chat.similarity import cosine, most_diverse


class Letters(Embeddings):
    """How often each of five letters stands in a text."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.threads.add(threading.get_ident())
        return [float(text.count(letter)) for letter in "abcde"]


def filled(**options: Any) -> InMemoryVectorStore:
    store = InMemoryVectorStore(Letters(), **options)
    store.add_documents(
        [Document("aaa", {"k": 1}, "1"), Document("bbb", {"k": 2}, "2"), Document("aab", {"k": 3}, "3")]
    )
    return store


def ids(found: list[Document]) -> list[str | None]:
    return [document.id for document in found]


class Verbs:
    """The methods of a store in the form of a colour."""

    def __init__(self, store: VectorStore, sync: bool) -> None:
        self.store, self.sync = store, sync

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.sync:
                return getattr(self.store, name)(*args, **kwargs)
            return await getattr(self.store, f"a{name}")(*args, **kwargs)

        return call


def test_the_nearest_come_first(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        store = Verbs(filled(), c.sync)
        assert ids(await store.similarity_search("a")) == ["1", "3", "2"]
        assert ids(await store.similarity_search("b", k=1)) == ["2"]
        assert ids(await store.similarity_search("a", k=0)) == []
        assert ids(await store.similarity_search("a", filter=lambda document: document.metadata["k"] > 1)) == ["3", "2"]
        assert ids(await store.similarity_search_by_vector([0, 1, 0, 0, 0], 1)) == ["2"]
        scored = await store.similarity_search_with_score("aab")
        assert [(found.id, round(score, 3)) for found, score in scored] == [("3", 1.0), ("1", 0.894), ("2", 0.447)]
        above = await store.similarity_search_with_relevance_scores("aab", score_threshold=0.5)
        assert [found.id for found, _ in above] == ["3", "1"]

    colour.run(body)


def test_keeping_and_forgetting(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        kept = InMemoryVectorStore(Letters())
        store = Verbs(kept, c.sync)
        assert await store.add_texts(["a", "b"], [{"n": 1}, {"n": 2}], ids=["x", "y"]) == ["x", "y"]
        (made,) = await store.add_texts(["c"])
        assert await store.add_documents([Document("d", id="own"), Document("e")], ids=[None, "given"]) == [
            "own",
            "given",
        ]
        assert await store.get_by_ids(["y", "nobody", "x"]) == [
            Document("b", {"n": 2}, "y"),
            Document("a", {"n": 1}, "x"),
        ]
        await store.add_documents([Document("z", id="x")])
        assert (await store.get_by_ids(["x"]))[0].page_content == "z"
        assert await store.delete(["x", "nobody", made]) is None
        assert list(kept.store) == ["y", "own", "given"]

    colour.run(body)


def test_as_many_ids_and_metadatas_as_texts() -> None:
    store = InMemoryVectorStore(Letters())
    for options in ({"ids": ["1"]}, {"metadatas": [{}]}):
        with pytest.raises(ValueError, match="1 items for 2 texts"):
            store.add_texts(["a", "b"], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 documents"):
        store.add_documents([Document("a")], ids=["1", "2"])
    assert store.store == {}


def test_what_is_found_cannot_change_what_is_kept() -> None:
    store = filled()
    store.similarity_search("a", k=1)[0].metadata["k"] = 99
    assert store.get_by_ids(["1"])[0].metadata == {"k": 1}


def test_a_store_made_of_texts(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        made = Verbs(InMemoryVectorStore, c.sync)  # type: ignore[arg-type]
        store = await made.from_texts(["a", "b"], Letters(), [{"n": 1}, {"n": 2}], ids=["x", "y"])
        assert store.get_by_ids(["y"]) == [Document("b", {"n": 2}, "y")]
        store = await made.from_documents([Document("a", {"n": 1}, "x")], Letters())
        assert store.get_by_ids(["x"]) == [Document("a", {"n": 1}, "x")]

    colour.run(body)


def test_like_but_diverse(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        plain = InMemoryVectorStore(Letters())
        plain.add_texts(["aaab", "aaaab", "ab", "c"], ids=["1", "2", "3", "4"])
        store = Verbs(plain, c.sync)
        assert ids(await store.max_marginal_relevance_search("aaab", k=2, lambda_mult=1)) == ["1", "2"]
        assert ids(await store.max_marginal_relevance_search("aaab", k=2, lambda_mult=0)) == ["1", "4"]
        assert ids(await store.max_marginal_relevance_search("aaab", k=9, fetch_k=2)) == ["1", "2"]

    colour.run(body)


def test_as_a_retriever(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        store = filled()
        assert ids(await c.invoke(store.as_retriever(search_kwargs={"k": 2}), "a")) == ["1", "3"]
        mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.0})
        assert ids(await c.invoke(mmr, "a")) == ["1", "2"]
        above = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
        assert ids(await c.invoke(above, "a")) == ["1"]
        assert ids(await c.invoke(store.as_retriever().bind(k=1), "b")) == ["2"]

    colour.run(body)


def test_a_search_by_its_name() -> None:
    unknown: Any = "nearby"
    store = filled()
    for options in (dict[str, Any](), {"k": 1}):
        assert ids(store.search("aa", "similarity", **options)) == ids(store.similarity_search("aa", **options))
        assert ids(asyncio.run(store.asearch("aa", "mmr", k=2))) == ids(store.max_marginal_relevance_search("aa", k=2))
    with pytest.raises(ValueError, match="'nearby'"):
        store.search("aa", unknown)


def test_a_retriever_says_what_it_is() -> None:
    retriever = filled().as_retriever()
    assert (retriever.get_name(), retriever.tags) == ("VectorStoreRetriever", ["InMemoryVectorStore", "Letters"])
    assert filled().as_retriever(tags=["mine"]).tags == ["mine"]


@pytest.mark.parametrize(
    "options",
    [
        {"search_type": "best"},
        {"search_type": "similarity_score_threshold"},
        {"search_type": "best", "search_kwargs": {}},
    ],
)
def test_a_search_that_does_not_exist(options: Any) -> None:
    with pytest.raises(ValueError, match="search_type"):
        filled().as_retriever(**options)


def test_async_use_leaves_the_loop_alone() -> None:
    store = filled()
    letters = store.embedding
    assert isinstance(letters, Letters)
    letters.threads.clear()
    seen: set[int] = set()

    def note(document: Document) -> bool:
        seen.add(threading.get_ident())
        return True

    asyncio.run(store.asimilarity_search("a", filter=note))
    assert threading.get_ident() not in letters.threads | seen


def test_what_a_store_cannot_do_is_said() -> None:
    class Tiny(VectorStore):
        def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
            return [Document(query)]

        @classmethod
        def from_texts(
            cls, texts: Any, embedding: Any, metadatas: Any = None, *, ids: Any = None, **kwargs: Any
        ) -> Any:
            return cls()

    store = Tiny.from_documents([Document("a")], Letters())
    assert asyncio.run(store.asimilarity_search("x")) == [Document("x")]
    for call in (
        lambda: store.add_documents([]),
        lambda: store.add_texts([]),
        lambda: store.delete(),
        lambda: store.get_by_ids([]),
        lambda: store.similarity_search_with_score(""),
        lambda: store.similarity_search_with_relevance_scores(""),
        lambda: store.similarity_search_by_vector([]),
        lambda: store.max_marginal_relevance_search(""),
    ):
        with pytest.raises(NotImplementedError, match="Tiny"):
            call()


def test_vectors_of_another_model_are_refused() -> None:
    store = filled()
    with pytest.raises(ValueError, match="one model"):
        store.similarity_search_by_vector([1.0, 2.0])


def test_fake_embeddings() -> None:
    fake = DeterministicFakeEmbedding(size=4)
    assert len(fake.embed_query("a")) == 4
    assert fake.embed_query("a") == asyncio.run(fake.aembed_query("a")) == fake.embed_documents(["b", "a"])[1]
    assert fake.embed_query("a") != fake.embed_query("b")
    # The same in every process: a stored vector stays comparable.
    assert [round(number, 6) for number in fake.embed_query("mill")] == MILL
    random = FakeEmbeddings(size=3)
    assert random.embed_query("a") != random.embed_query("a")
    assert [len(vector) for vector in asyncio.run(random.aembed_documents(["a", "b"]))] == [3, 3]


MILL = [1.481096, -0.101928, 0.846542, -1.360636]

vectors = st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=1, max_size=8)


@given(vectors)
def test_cosine(given_vectors: list[list[float]]) -> None:
    for vector in given_vectors:
        assert cosine(vector, vector) == pytest.approx(1.0) or not any(abs(x) > 1e-100 for x in vector)
        assert cosine(vector, [-x for x in vector]) == pytest.approx(-cosine(vector, vector))
        assert cosine(vector, [0.0] * 3) == 0.0


@given(vectors, st.integers(0, 9), st.floats(0, 1))
def test_diverse_ones_are_distinct_and_start_with_the_nearest(
    candidates: list[list[float]], k: int, balance: float
) -> None:
    query = [1.0, 2.0, 3.0]
    chosen = most_diverse(query, candidates, k, balance)
    assert len(set(chosen)) == len(chosen) == min(k, len(candidates))
    if chosen:
        assert cosine(query, candidates[chosen[0]]) == max(cosine(query, candidate) for candidate in candidates)
