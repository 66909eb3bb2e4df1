"""InMemoryStore: a store in this process, with search by meaning if it is given an embedding function."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from .base import BaseStore, GetOp, Item, ListNamespacesOp, Namespace, Op, PutOp, SearchItem, SearchOp
from .indexing import IndexConfig, Indexing, Vector
from .matching import cosine, matches_namespace, passes

__all__ = ["InMemoryStore"]


class InMemoryStore(BaseStore):
    """Keeps items in memory, safe to use from several threads. Values are copied on their way in and out."""

    def __init__(self, *, index: IndexConfig | None = None) -> None:
        self.index = index
        self._indexing = Indexing(index, type(self).__name__)
        self._items: dict[Namespace, dict[str, Item]] = {}
        self._vectors: dict[tuple[Namespace, str], list[Vector]] = {}
        self._lock = threading.RLock()

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        ops = self._checked(ops)
        return self._apply(ops, self._indexing.vectors(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        ops = self._checked(ops)
        return self._apply(ops, await self._indexing.avectors(ops))

    def _checked(self, ops: Iterable[Op]) -> list[Op]:
        ops = list(ops)
        for op in ops:
            self.check(op)
        return ops

    def _apply(self, ops: Sequence[Op], vectors: dict[str, Vector]) -> list[Any]:
        results: list[Any] = []
        puts: dict[tuple[Namespace, str], PutOp] = {}
        with self._lock:
            for op in ops:
                if isinstance(op, GetOp):
                    results.append(deepcopy(self._items.get(op.namespace, {}).get(op.key)))
                elif isinstance(op, SearchOp):
                    results.append(self._found(op, vectors))
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
        if texts := self._indexing.texts_of(op):
            self._vectors[where] = [vectors[text] for text in texts]

    def _found(self, op: SearchOp, vectors: dict[str, Vector]) -> list[SearchItem]:
        prefix = tuple(op.namespace_prefix)
        found = [
            item
            for namespace, items in self._items.items()
            if namespace[: len(prefix)] == prefix
            for item in items.values()
            if passes(item.value, op.filter)
        ]
        scored: list[tuple[Item, float | None]] = [(item, None) for item in found]
        if self._indexing.ranks(op):
            query = vectors[op.query]  # type: ignore[index]
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
