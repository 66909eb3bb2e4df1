"""InMemoryVectorStore: documents under their vectors, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Any, Self

from ..data.documents import Document
from ..data.ids import new_id
from ..errors import InvalidArgument
from ..flow.driver import ASYNC, SYNC, Driver
from ..flow.step import step
from ..spine.scope import enter
from .embeddings import Embeddings
from .similarity import cosine, most_diverse, norm
from .vectorstore import VectorStore, as_documents

__all__ = ["InMemoryVectorStore"]

Filter = Callable[[Document], bool]


class InMemoryVectorStore(VectorStore):
    """Keeps documents in memory, and compares the query with each of them: good for some ten thousand.

    The score is the cosine. `filter`, a function of a document, chooses which are looked at. `store` maps ids to dicts
    with `id`, `vector`, `text` and `metadata`.

    Example:
        >>> store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
        >>> store.add_texts(["a mill", "a stream"], ids=["1", "2"])
        ['1', '2']
        >>> store.similarity_search("a mill", k=1)
        [Document(id='1', metadata={}, page_content='a mill')]
    """

    def __init__(self, embedding: Embeddings) -> None:
        self.embedding = embedding
        self.store: dict[str, dict[str, Any]] = {}

    @property
    def embeddings(self) -> Embeddings:
        """What makes the vectors."""
        return self.embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A new store with these texts in it."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> Self:
        """`from_texts` in async form."""
        ids = kwargs.pop("ids", None)
        store = cls(embedding, **kwargs)
        await store.aadd_documents(as_documents(texts, metadatas, ids))
        return store

    # -- keeping -----------------------------------------------------------------------------------------------------

    def add_documents(
        self, documents: list[Document], ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """Keep documents under `ids`, else their own, else new ones; what was kept under an id is replaced."""
        return step(self._add(SYNC, documents, ids))

    async def aadd_documents(
        self, documents: list[Document], ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """`add_documents` in async form."""
        return await self._add(ASYNC, documents, ids)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> None:
        """Forget documents; ids that are not there are ignored."""
        for id in ids or ():
            self.store.pop(id, None)

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> None:
        """`delete` in async form."""
        self.delete(ids)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in this order; those that are not there are left out."""
        return [_document(self.store[id]) for id in ids if id in self.store]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """`get_by_ids` in async form."""
        return self.get_by_ids(ids)

    async def _add(self, d: Driver, documents: list[Document], ids: Sequence[str | None] | None) -> list[str]:
        if ids is not None and len(ids) != len(documents):
            raise InvalidArgument(f"`ids` has {len(ids)} items for {len(documents)} documents.")
        embedding = self.embedding
        texts = [document.page_content for document in documents]
        vectors = await d.call(enter(None), embedding.embed_documents, embedding.aembed_documents, texts)
        kept = []
        for place, (document, vector) in enumerate(zip(documents, vectors, strict=True)):
            id = (ids[place] if ids is not None else None) or document.id or new_id()
            self.store[id] = {
                "id": id,
                "vector": [float(number) for number in vector],
                "text": document.page_content,
                "metadata": document.metadata,
            }
            kept.append(id)
        return kept

    # -- finding -----------------------------------------------------------------------------------------------------

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The `k` documents most like the query, the most alike first."""
        return [found for found, _ in step(self._search(SYNC, query, k, filter))]

    async def asimilarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """`similarity_search` in async form."""
        return [found for found, _ in await self._search(ASYNC, query, k, filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same, each with the cosine."""
        return step(self._search(SYNC, query, k, filter))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score` in async form."""
        return await self._search(ASYNC, query, k, filter)

    async def asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, *, score_threshold: float | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_relevance_scores` in async form."""
        scored = await self.asimilarity_search_with_score(query, k, **kwargs)
        return [pair for pair in scored if score_threshold is None or pair[1] >= score_threshold]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The `k` documents most like a vector."""
        return [found for found, _ in self.similarity_search_with_score_by_vector(embedding, k, filter=filter)]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None
    ) -> list[tuple[Document, float]]:
        """The same, each with the cosine."""
        return [(_document(entry), score) for entry, score in self._nearest(embedding, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Of the `fetch_k` documents most like the query, `k` that are unlike one another."""
        return step(self._search_diverse(SYNC, query, k, fetch_k, lambda_mult, filter))

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` in async form."""
        return await self._search_diverse(ASYNC, query, k, fetch_k, lambda_mult, filter)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return float

    # Comparing with every document takes a while: under async it is done on a worker thread.

    async def _search(self, d: Driver, query: str, k: int, filter: Filter | None) -> list[tuple[Document, float]]:
        vector = await self._embedded(d, query)
        compare = self.similarity_search_with_score_by_vector
        found: list[tuple[Document, float]] = await d.call(enter(None), compare, None, vector, k, filter=filter)
        return found

    async def _search_diverse(
        self, d: Driver, query: str, k: int, fetch_k: int, balance: float, filter: Filter | None
    ) -> list[Document]:
        vector = await self._embedded(d, query)
        found: list[Document] = await d.call(enter(None), self._diverse, None, vector, k, fetch_k, balance, filter)
        return found

    async def _embedded(self, d: Driver, query: str) -> list[float]:
        embedding = self.embedding
        vector: list[float] = await d.call(enter(None), embedding.embed_query, embedding.aembed_query, query)
        return vector

    def _nearest(self, vector: Sequence[float], k: int, filter: Filter | None) -> list[tuple[dict[str, Any], float]]:
        length = norm(vector)
        scored = [
            (entry, cosine(vector, entry["vector"], norms=length * norm(entry["vector"])))
            for entry in list(self.store.values())
            if filter is None or filter(_document(entry))
        ]
        return nlargest(k, scored, key=itemgetter(1))

    def _diverse(
        self, vector: Sequence[float], k: int, fetch_k: int, balance: float, filter: Filter | None
    ) -> list[Document]:
        near = [entry for entry, _ in self._nearest(vector, fetch_k, filter)]
        chosen = most_diverse(vector, [entry["vector"] for entry in near], k, balance)
        return [_document(near[place]) for place in chosen]


def _document(entry: dict[str, Any]) -> Document:
    return Document(entry["text"], entry["metadata"], entry["id"])
