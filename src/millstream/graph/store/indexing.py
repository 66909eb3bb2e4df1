"""The index of a store: which texts of its items are embedded, and by what."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypedDict

from ...errors import InvalidArgument, Unsupported
from .base import Op, PutOp, SearchOp
from .matching import texts_at

__all__ = ["IndexConfig", "Indexing", "Vector"]

Vector: TypeAlias = Sequence[float]


class IndexConfig(TypedDict, total=False):
    """How items are embedded: `embed` is an Embeddings object or a function of texts, `dims` the length of its vectors,
    `fields` the paths of the value that are embedded (`["$"]`: the whole of it)."""

    dims: int
    embed: Any
    fields: list[str]


class Indexing:
    """The embedding of what a batch of operations needs, each text once."""

    def __init__(self, config: IndexConfig | None, owner: str) -> None:
        if config is not None and "embed" not in config:
            raise InvalidArgument(f"{owner}(index=...) needs `embed`: an Embeddings object or a function of texts.")
        self.config = config
        self._embed: Any = (config or {}).get("embed")

    def texts(self, ops: Iterable[Op]) -> list[str]:
        """Every text of a batch that is to be embedded, once."""
        texts: dict[str, None] = {}
        for op in ops:
            if isinstance(op, PutOp):
                texts.update(dict.fromkeys(self.texts_of(op)))
            elif self.ranks(op):
                texts[op.query] = None  # type: ignore[union-attr, index]
        return list(texts)

    def texts_of(self, op: PutOp) -> list[str]:
        """The texts of an item by which it is found."""
        if self.config is None or op.value is None or op.index is False:
            return []
        fields = op.index if op.index is not None else self.config.get("fields", ["$"])
        return [text for path in fields for text in texts_at(op.value, path)]

    def ranks(self, op: Op) -> bool:
        """Whether an operation is a search by meaning."""
        return isinstance(op, SearchOp) and bool(op.query) and self.config is not None

    def vectors(self, ops: Sequence[Op]) -> dict[str, Vector]:
        """The vectors of all texts of a batch."""
        texts = self.texts(ops)
        if not texts:
            return {}
        if hasattr(self._embed, "embed_documents"):
            return dict(zip(texts, self._embed.embed_documents(texts), strict=True))
        if inspect.iscoroutinefunction(self._embed):
            raise Unsupported("the store's embedding function is async; use `aput` and `asearch`.")
        return dict(zip(texts, self._embed(texts), strict=True))

    async def avectors(self, ops: Sequence[Op]) -> dict[str, Vector]:
        """`vectors`, awaitable."""
        texts = self.texts(ops)
        if not texts:
            return {}
        if hasattr(self._embed, "aembed_documents"):
            return dict(zip(texts, await self._embed.aembed_documents(texts), strict=True))
        if inspect.iscoroutinefunction(self._embed):
            return dict(zip(texts, await self._embed(texts), strict=True))
        return self.vectors(ops)
