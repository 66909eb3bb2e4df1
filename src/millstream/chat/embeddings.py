"""Embeddings: texts as vectors."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from contextvars import copy_context
from hashlib import sha256

from ..flow.driver import in_worker

__all__ = ["DeterministicFakeEmbedding", "Embeddings", "FakeEmbeddings"]


class Embeddings(ABC):
    """Turns texts into vectors. A subclass writes the sync forms; the async ones run them on a worker thread."""

    @abstractmethod
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text that is to be found."""

    @abstractmethod
    def embed_query(self, text: str) -> list[float]:
        """The vector of a text to look for."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents` in async form."""
        vectors: list[list[float]] = await in_worker(copy_context(), self.embed_documents, texts)
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` in async form."""
        vector: list[float] = await in_worker(copy_context(), self.embed_query, text)
        return vector


class FakeEmbeddings(Embeddings):
    """Vectors of `size` random numbers, for tests that only need some vector."""

    def __init__(self, size: int) -> None:
        self.size = size

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """A vector."""
        return self._vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """A vector."""
        return self.embed_query(text)

    def _vector(self, text: str) -> list[float]:
        return _normal(random.Random(), self.size)


class DeterministicFakeEmbedding(FakeEmbeddings):
    """Vectors of `size` numbers that depend on the text alone: the same text has the same vector in every process."""

    def _vector(self, text: str) -> list[float]:
        seed = int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        return _normal(random.Random(seed), self.size)


def _normal(source: random.Random, size: int) -> list[float]:
    return [source.gauss(0.0, 1.0) for _ in range(size)]
