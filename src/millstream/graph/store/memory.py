"""InMemoryStore: a store in this process, with search by meaning if it is given an embedding function."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypedDict

from ...errors import InvalidArgument, Unsupported
from .base import BaseStore, GetOp, Item, ListNamespacesOp, Namespace, Op, PutOp, SearchItem, SearchOp
from .matching import cosine, matches_filter, matches_namespace, texts_at

__all__ = ["IndexConfig", "InMemoryStore"]

Vector: TypeAlias = list[float]


class IndexConfig(TypedDict, total=False):
    """How items are embedded: `embed` is an Embeddings object or a function of texts, `dims` the length of its vectors,
    `fields` the paths of the value that are embedded (`["$"]`: the whole of it)."""

    dims: int
    embed: Any
    fields: list[str]


class InMemoryStore(BaseStore):
    """Keeps items in memory, safe to use from several threads. Values are copied on their way in and out."""

    def __init__(self, *, index: IndexConfig | None = None) -> None:
        if index is not None and "embed" not in index:
            raise InvalidArgument(
                "InMemoryStore(index=...) needs `embed`: an Embeddings object or a function of texts."
            )
        self.index = index
        self._items: dict[Namespace, dict[str, Item]] = {}
        self._vectors: dict[tuple[Namespace, str], list[Vector]] = {}
        self._lock = threading.RLock()

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        ops = list(ops)
        texts = self._texts(ops)
        return self._apply(ops, dict(zip(texts, self._embed(texts), strict=True)) if texts else {})

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        ops = list(ops)
        texts = self._texts(ops)
        return self._apply(ops, dict(zip(texts, await self._aembed(texts), strict=True)) if texts else {})

    def _apply(self, ops: Sequence[Op], vectors: dict[str, Vector]) -> list[Any]:
        results: list[Any] = []
        puts: dict[tuple[Namespace, str], PutOp] = {}
        with self._lock:
            for op in ops:
                if isinstance(op, GetOp):
                    results.append(deepcopy(self._items.get(op.namespace, {}).get(op.key)))
                elif isinstance(op, SearchOp):
                    results.append(self._search(op, vectors))
                elif isinstance(op, ListNamespacesOp):
                    results.append(self._namespaces(op))
                else:
                    puts[op.namespace, op.key] = op
                    results.append(None)
            for put in puts.values():
                self._store(put, vectors)
        return results

    def _store(self, op: PutOp, vectors: dict[str, Vector]) -> None:
        where = (op.namespace, op.key)
        self._vectors.pop(where, None)
        items = self._items.setdefault(op.namespace, {})
        if op.value is None:
            items.pop(op.key, None)
            if not items:
                del self._items[op.namespace]
            return
        now = datetime.now(UTC)
        items[op.key] = Item(deepcopy(op.value), op.key, op.namespace, now, now)
        if texts := self._texts_of(op):
            self._vectors[where] = [vectors[text] for text in texts]

    def _search(self, op: SearchOp, vectors: dict[str, Vector]) -> list[SearchItem]:
        prefix = op.namespace_prefix
        found = [
            item
            for namespace, items in self._items.items()
            if namespace[: len(prefix)] == prefix
            for item in items.values()
            if not op.filter or all(matches_filter(item.value.get(k), want) for k, want in op.filter.items())
        ]
        scored: list[tuple[Item, float | None]] = [(item, None) for item in found]
        if op.query is not None and self.index is not None:
            query = vectors[op.query]
            scored = [(item, self._score(item, query)) for item in found]
            # Items that were not indexed come last.
            scored.sort(key=lambda pair: (pair[1] is None, -(pair[1] or 0.0)))
        page = scored[op.offset : op.offset + op.limit]
        return [
            SearchItem(deepcopy(i.value), i.key, i.namespace, i.created_at, i.updated_at, score) for i, score in page
        ]

    def _score(self, item: Item, query: Vector) -> float | None:
        vectors = self._vectors.get((item.namespace, item.key))
        return None if not vectors else max(cosine(query, vector) for vector in vectors)

    def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        found = {n[: op.max_depth] for n in self._items if matches_namespace(n, op.match_conditions)}
        return sorted(found)[op.offset : op.offset + op.limit]

    # -- embedding ---------------------------------------------------------------------------------------------------

    def _texts(self, ops: Sequence[Op]) -> list[str]:
        """Every text of a batch that is to be embedded, once."""
        texts: dict[str, None] = {}
        for op in ops:
            if isinstance(op, PutOp):
                texts.update(dict.fromkeys(self._texts_of(op)))
            elif isinstance(op, SearchOp) and op.query is not None and self.index is not None:
                texts[op.query] = None
        return list(texts)

    def _texts_of(self, op: PutOp) -> list[str]:
        if self.index is None or op.value is None or op.index is False:
            return []
        fields = op.index if op.index is not None else self.index.get("fields", ["$"])
        return [text for path in fields for text in texts_at(op.value, path)]

    def _embed(self, texts: list[str]) -> list[Vector]:
        embed: Any = (self.index or {}).get("embed")
        if hasattr(embed, "embed_documents"):
            return embed.embed_documents(texts)  # type: ignore[no-any-return]
        if embed is None or inspect.iscoroutinefunction(embed):
            raise Unsupported("the store's embedding function is async; use `aput` and `asearch`.")
        return embed(texts)  # type: ignore[no-any-return]

    async def _aembed(self, texts: list[str]) -> list[Vector]:
        embed: Any = (self.index or {}).get("embed")
        if hasattr(embed, "aembed_documents"):
            return await embed.aembed_documents(texts)  # type: ignore[no-any-return]
        if inspect.iscoroutinefunction(embed):
            return await embed(texts)  # type: ignore[no-any-return]
        return self._embed(texts)
