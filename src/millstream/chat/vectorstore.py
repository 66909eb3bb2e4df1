"""VectorStore: where documents are kept under their vectors, and the retriever that looks into one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ..data.documents import Document
from ..errors import InvalidArgument, Unsupported, ValidationError
from ..flow.driver import in_worker
from .embeddings import Embeddings
from .retrievers import BaseRetriever

__all__ = ["VectorStore", "VectorStoreRetriever"]

SearchType = Literal["similarity", "similarity_score_threshold", "mmr"]


class VectorStore(ABC):
    """Documents that are found by likeness. A subclass writes the sync forms that it supports.

    The async forms run them on a worker thread; override those that the store can do without one.
    """

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes the vectors, where the store does not do so itself."""
        return None

    # -- keeping -----------------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Keep texts, each with its metadata and id; the ids are returned."""
        return self.add_documents(as_documents(texts, metadatas, ids), **kwargs)

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Keep documents; their ids are returned."""
        if type(self).add_texts is VectorStore.add_texts:
            raise _cannot(self, "add_documents")
        return self.add_texts(
            [document.page_content for document in documents],
            [document.metadata for document in documents],
            **{"ids": [document.id for document in documents], **kwargs},
        )

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool | None:
        """Forget documents."""
        raise _cannot(self, "delete")

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids; those that are not there are left out."""
        raise _cannot(self, "get_by_ids")

    async def aadd_texts(
        self, texts: Iterable[str], metadatas: Sequence[dict[str, Any]] | None = None, **kwargs: Any
    ) -> list[str]:
        """`add_texts` in async form."""
        if type(self).aadd_documents is not VectorStore.aadd_documents:
            return await self.aadd_documents(as_documents(texts, metadatas, kwargs.pop("ids", None)), **kwargs)
        return await _threaded(self.add_texts, texts, metadatas, **kwargs)  # type: ignore[no-any-return]

    async def aadd_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """`add_documents` in async form."""
        return await _threaded(self.add_documents, documents, **kwargs)  # type: ignore[no-any-return]

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool | None:
        """`delete` in async form."""
        return await _threaded(self.delete, ids, **kwargs)  # type: ignore[no-any-return]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """`get_by_ids` in async form."""
        return await _threaded(self.get_by_ids, ids)  # type: ignore[no-any-return]

    @classmethod
    @abstractmethod
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

    @classmethod
    def from_documents(cls, documents: list[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """A new store with these documents in it."""
        if any(document.id for document in documents):
            kwargs.setdefault("ids", [document.id for document in documents])
        texts = [document.page_content for document in documents]
        return cls.from_texts(texts, embedding, [document.metadata for document in documents], **kwargs)

    @classmethod
    async def afrom_texts(
        cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> Self:
        """`from_texts` in async form."""
        return await _threaded(cls.from_texts, texts, embedding, metadatas, **kwargs)  # type: ignore[no-any-return]

    @classmethod
    async def afrom_documents(cls, documents: list[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """`from_documents` in async form."""
        return await _threaded(cls.from_documents, documents, embedding, **kwargs)  # type: ignore[no-any-return]

    # -- finding -----------------------------------------------------------------------------------------------------

    def search(self, query: str, search_type: SearchType, **kwargs: Any) -> list[Document]:
        """Search as a retriever of this `search_type` does: "similarity", "similarity_score_threshold" or "mmr"."""
        retriever = self.as_retriever(search_type=search_type, search_kwargs=kwargs)
        return retriever._get_relevant_documents(query)

    async def asearch(self, query: str, search_type: SearchType, **kwargs: Any) -> list[Document]:
        """`search` in async form."""
        retriever = self.as_retriever(search_type=search_type, search_kwargs=kwargs)
        return await retriever._aget_relevant_documents(query)

    @abstractmethod
    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` documents most like the query, the most alike first."""

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The same, each with its score; what a score means is the store's matter."""
        raise _cannot(self, "similarity_search_with_score")

    def similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, *, score_threshold: float | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with scores from 0 to 1, the higher the better, and only those from `score_threshold` on."""
        relevance = self._select_relevance_score_fn()
        scored = [(found, relevance(score)) for found, score in self.similarity_search_with_score(query, k, **kwargs)]
        return [pair for pair in scored if score_threshold is None or pair[1] >= score_threshold]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` documents most like a vector."""
        raise _cannot(self, "similarity_search_by_vector")

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Of the `fetch_k` documents most like the query, `k` that are unlike one another.

        `lambda_mult` of 1 asks only for likeness to the query, of 0 only for difference.
        """
        raise _cannot(self, "max_marginal_relevance_search")

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """What turns this store's scores into relevance from 0 to 1."""
        raise _cannot(self, "similarity_search_with_relevance_scores")

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """`similarity_search` in async form."""
        return await _threaded(self.similarity_search, query, k, **kwargs)  # type: ignore[no-any-return]

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score` in async form."""
        return await _threaded(self.similarity_search_with_score, query, k, **kwargs)  # type: ignore[no-any-return]

    async def asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_relevance_scores` in async form."""
        search = self.similarity_search_with_relevance_scores
        return await _threaded(search, query, k, **kwargs)  # type: ignore[no-any-return]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """`similarity_search_by_vector` in async form."""
        return await _threaded(self.similarity_search_by_vector, embedding, k, **kwargs)  # type: ignore[no-any-return]

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """`max_marginal_relevance_search` in async form."""
        search = self.max_marginal_relevance_search
        return await _threaded(search, query, k, fetch_k, lambda_mult, **kwargs)  # type: ignore[no-any-return]

    def as_retriever(
        self,
        *,
        search_type: SearchType = "similarity",
        search_kwargs: dict[str, Any] | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> VectorStoreRetriever:
        """A retriever that looks into this store; `search_kwargs` go to the search (`k`, `filter`, `score_threshold`...)."""
        names = [type(self).__name__, *([type(self.embeddings).__name__] if self.embeddings is not None else [])]
        return VectorStoreRetriever(
            vectorstore=self, search_type=search_type, search_kwargs=search_kwargs or {}, tags=tags or names, **kwargs
        )


class VectorStoreRetriever(BaseRetriever):
    """Finds documents in a vector store: by likeness, by likeness above a threshold, or like but diverse ("mmr")."""

    vectorstore: Any
    search_type: SearchType = "similarity"
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _check_search(cls, fields: Any) -> Any:
        kind = fields.get("search_type", "similarity")
        if kind not in ("similarity", "similarity_score_threshold", "mmr"):
            raise ValidationError(f"search_type is 'similarity', 'similarity_score_threshold' or 'mmr', not {kind!r}.")
        threshold = (fields.get("search_kwargs") or {}).get("score_threshold")
        if kind == "similarity_score_threshold" and not isinstance(threshold, (int, float)):
            raise ValidationError(
                "search_type='similarity_score_threshold' needs search_kwargs={'score_threshold': a number}."
            )
        return fields

    def _get_relevant_documents(self, query: str, *, run_manager: Any = None, **kwargs: Any) -> list[Document]:
        store, options = self.vectorstore, {**self.search_kwargs, **kwargs}
        if self.search_type == "mmr":
            found: list[Document] = store.max_marginal_relevance_search(query, **options)
        elif self.search_type == "similarity":
            found = store.similarity_search(query, **options)
        else:
            found = [each for each, _ in store.similarity_search_with_relevance_scores(query, **options)]
        return found

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any = None, **kwargs: Any) -> list[Document]:
        store, options = self.vectorstore, {**self.search_kwargs, **kwargs}
        if self.search_type == "mmr":
            found: list[Document] = await store.amax_marginal_relevance_search(query, **options)
        elif self.search_type == "similarity":
            found = await store.asimilarity_search(query, **options)
        else:
            found = [each for each, _ in await store.asimilarity_search_with_relevance_scores(query, **options)]
        return found


def as_documents(
    texts: Iterable[str], metadatas: Sequence[dict[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[Document]:
    """Texts with their metadata and ids, as documents.

    Raises:
        InvalidArgument: (ValueError) there are not as many of each.
    """
    texts = list(texts)
    for name, given in (("metadatas", metadatas), ("ids", ids)):
        if given is not None and len(given) != len(texts):
            raise InvalidArgument(f"`{name}` has {len(given)} items for {len(texts)} texts.")
    return [
        Document(text, metadatas[i] if metadatas is not None else None, ids[i] if ids is not None else None)
        for i, text in enumerate(texts)
    ]


async def _threaded(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return await in_worker(copy_context(), partial(fn, *args, **kwargs))


def _cannot(store: VectorStore, method: str) -> Unsupported:
    return Unsupported(f"{type(store).__name__} has no `{method}`; override it, or use another store.")
