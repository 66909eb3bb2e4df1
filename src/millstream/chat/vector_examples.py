"""Example selectors that find examples like the input in a vector store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..data.documents import Document
from .component import Configured
from .embeddings import Embeddings
from .example_selectors import BaseExampleSelector
from .vectorstore import VectorStore

__all__ = ["MaxMarginalRelevanceExampleSelector", "SemanticSimilarityExampleSelector"]


class _VectorStoreExampleSelector(Configured, BaseExampleSelector):
    """Keeps each example as a document: its values are the text that is compared, itself the metadata."""

    vectorstore: Any
    k: int = 4
    example_keys: list[str] | None = None
    input_keys: list[str] | None = None
    vectorstore_kwargs: dict[str, Any] | None = None

    @classmethod
    def from_examples(
        cls,
        examples: list[dict[str, str]],
        embeddings: Embeddings,
        vectorstore_cls: type[VectorStore],
        k: int = 4,
        input_keys: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """A selector over a new store with these examples in it.

        Only the values under `input_keys` are compared with the input, and only those under `example_keys` are shown.
        Options that are no fields of the selector go to the store.
        """
        fields, rest = cls._split(options)
        store = vectorstore_cls.from_texts(
            [_text(example, input_keys) for example in examples], embeddings, metadatas=list(examples), **rest
        )
        return cls(vectorstore=store, k=k, input_keys=input_keys, **fields)

    @classmethod
    async def afrom_examples(
        cls,
        examples: list[dict[str, str]],
        embeddings: Embeddings,
        vectorstore_cls: type[VectorStore],
        k: int = 4,
        input_keys: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """`from_examples` in async form."""
        fields, rest = cls._split(options)
        store = await vectorstore_cls.afrom_texts(
            [_text(example, input_keys) for example in examples], embeddings, metadatas=list(examples), **rest
        )
        return cls(vectorstore=store, k=k, input_keys=input_keys, **fields)

    @classmethod
    def _split(cls, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options that are the selector's, and those that are the store's."""
        fields = {name: value for name, value in options.items() if name in cls.model_fields}
        return fields, {name: value for name, value in options.items() if name not in fields}

    def add_example(self, example: dict[str, str]) -> str:
        """Keep one more example; its id in the store is returned."""
        (id,) = self.vectorstore.add_texts([_text(example, self.input_keys)], metadatas=[example])
        return str(id)

    async def aadd_example(self, example: dict[str, str]) -> str:
        """`add_example` in async form."""
        (id,) = await self.vectorstore.aadd_texts([_text(example, self.input_keys)], metadatas=[example])
        return str(id)

    def _asked(self, input_variables: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """The text to look for and how."""
        return _text(input_variables, self.input_keys), {"k": self.k, **(self.vectorstore_kwargs or {})}

    def _shown(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        keys = self.example_keys
        found = [dict(document.metadata) for document in documents]
        return found if keys is None else [{key: example[key] for key in keys} for example in found]


class SemanticSimilarityExampleSelector(_VectorStoreExampleSelector):
    """The `k` examples that are most like the input."""

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """The examples, the most alike first."""
        text, how = self._asked(input_variables)
        return self._shown(self.vectorstore.similarity_search(text, **how))

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """`select_examples` in async form."""
        text, how = self._asked(input_variables)
        return self._shown(await self.vectorstore.asimilarity_search(text, **how))


class MaxMarginalRelevanceExampleSelector(_VectorStoreExampleSelector):
    """Of the `fetch_k` examples that are most like the input, `k` that differ among themselves."""

    fetch_k: int = 20

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """The examples, in the order of choice."""
        text, how = self._asked(input_variables)
        return self._shown(self.vectorstore.max_marginal_relevance_search(text, fetch_k=self.fetch_k, **how))

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """`select_examples` in async form."""
        text, how = self._asked(input_variables)
        return self._shown(await self.vectorstore.amax_marginal_relevance_search(text, fetch_k=self.fetch_k, **how))


def _text(values: Mapping[str, str], keys: Sequence[str] | None) -> str:
    """The values, in the order of their keys."""
    return " ".join(str(values[key]) for key in sorted(values if keys is None else keys))
