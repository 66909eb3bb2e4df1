"""BaseStore: documents under a namespace and a key, which every node and tool of a graph can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from ...errors import InvalidArgument, Unsupported, UsageError

__all__ = [
    "BaseStore",
    "GetOp",
    "InvalidNamespaceError",
    "Item",
    "ListNamespacesOp",
    "MatchCondition",
    "Op",
    "PutOp",
    "SearchItem",
    "SearchOp",
]

Namespace: TypeAlias = tuple[str, ...]
Index: TypeAlias = Literal[False] | list[str] | None


class InvalidNamespaceError(UsageError, ValueError):
    """A namespace that cannot be used: empty, with an empty label, a dot, or the reserved first label."""


@dataclass(slots=True)
class Item:
    """One stored document."""

    value: dict[str, Any]
    key: str
    namespace: Namespace
    created_at: datetime
    updated_at: datetime

    def dict(self) -> dict[str, Any]:
        """The item as a plain dict, times as ISO text."""
        fields = asdict(self)
        fields["namespace"] = list(self.namespace)
        fields["created_at"] = self.created_at.isoformat()
        fields["updated_at"] = self.updated_at.isoformat()
        return fields


@dataclass(slots=True)
class SearchItem(Item):
    """An item that a search found; `score` is its similarity to the query, None without one."""

    score: float | None = None


class GetOp(NamedTuple):
    """Read one item."""

    namespace: Namespace
    key: str
    refresh_ttl: bool = True


class PutOp(NamedTuple):
    """Store an item, or forget it (`value` None)."""

    namespace: Namespace
    key: str
    value: dict[str, Any] | None
    index: Index = None  # type: ignore[assignment]  # hides tuple.index
    ttl: float | None = None


class SearchOp(NamedTuple):
    """Find items below a namespace."""

    namespace_prefix: Namespace
    filter: dict[str, Any] | None = None
    limit: int = 10
    offset: int = 0
    query: str | None = None
    refresh_ttl: bool = True


class MatchCondition(NamedTuple):
    """How a namespace has to begin or end; `"*"` stands for any one label."""

    match_type: Literal["prefix", "suffix"]
    path: Sequence[str]


class ListNamespacesOp(NamedTuple):
    """List the namespaces that hold items."""

    match_conditions: tuple[MatchCondition, ...] = ()
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


Op: TypeAlias = GetOp | PutOp | SearchOp | ListNamespacesOp


class BaseStore:
    """The base of stores. A subclass writes `batch` and `abatch`; everything else goes through them."""

    supports_ttl = False

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        """Carry out operations; reads see the state before the puts of the same batch."""
        raise Unsupported(f"{type(self).__name__} has no `batch`.")

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        """`batch`, awaitable."""
        raise Unsupported(f"{type(self).__name__} has no `abatch`.")

    def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item under a key, None where there is none."""
        return self.batch([GetOp(namespace, str(key))])[0]  # type: ignore[no-any-return]

    def search(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """The items below a namespace that match `filter`, most similar to `query` first where the store has an index.

        A filter compares keys of the value: `{"kind": "a"}`, `{"age": {"$gte": 18}}`; operators are `$eq`, `$ne`, `$gt`,
        `$gte`, `$lt`, `$lte`.
        """
        return self.batch([SearchOp(namespace_prefix, filter, limit, offset, query)])[0]  # type: ignore[no-any-return]

    def put(
        self, namespace: Namespace, key: str, value: dict[str, Any], index: Index = None, *, ttl: float | None = None
    ) -> None:
        """Store a document, replacing what was under its key. `index` names the fields to search by, False: none.

        Raises:
            InvalidNamespaceError: (a ValueError) the namespace cannot be used.
            Unsupported: (a NotImplementedError) `ttl` for a store that keeps items for good.
        """
        self.batch([self._put(namespace, key, value, index, ttl)])

    def delete(self, namespace: Namespace, key: str) -> None:
        """Forget the item under a key."""
        self.batch([self._put(namespace, key, None, None, None)])

    def list_namespaces(
        self,
        *,
        prefix: Sequence[str] | None = None,
        suffix: Sequence[str] | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """The namespaces that hold items, sorted; `"*"` in prefix or suffix stands for any label."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        return self.batch([op])[0]  # type: ignore[no-any-return]

    async def aget(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """`get`, awaitable."""
        return (await self.abatch([GetOp(namespace, str(key))]))[0]  # type: ignore[no-any-return]

    async def asearch(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """`search`, awaitable."""
        return (await self.abatch([SearchOp(namespace_prefix, filter, limit, offset, query)]))[0]  # type: ignore[no-any-return]

    async def aput(
        self, namespace: Namespace, key: str, value: dict[str, Any], index: Index = None, *, ttl: float | None = None
    ) -> None:
        """`put`, awaitable."""
        await self.abatch([self._put(namespace, key, value, index, ttl)])

    async def adelete(self, namespace: Namespace, key: str) -> None:
        """`delete`, awaitable."""
        await self.abatch([self._put(namespace, key, None, None, None)])

    async def alist_namespaces(
        self,
        *,
        prefix: Sequence[str] | None = None,
        suffix: Sequence[str] | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """`list_namespaces`, awaitable."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        return (await self.abatch([op]))[0]  # type: ignore[no-any-return]

    def _put(
        self, namespace: Namespace, key: str, value: dict[str, Any] | None, index: Index, ttl: float | None
    ) -> PutOp:
        check_namespace(namespace)
        if value is not None and not isinstance(value, dict):
            raise InvalidArgument(f"a store keeps dicts, not {value!r}; write put({namespace!r}, {key!r}, {{...}}).")
        if ttl is not None and not self.supports_ttl:
            raise Unsupported(f"{type(self).__name__} keeps items for good and knows no `ttl`.")
        return PutOp(namespace, str(key), value, index, ttl)


def check_namespace(namespace: Namespace) -> None:
    """Raise for a namespace that nothing can be stored under."""
    if not namespace:
        raise InvalidNamespaceError("a namespace needs at least one label, e.g. ('memories', 'user-1').")
    for label in namespace:
        if not isinstance(label, str) or not label or "." in label or "\0" in label:
            raise InvalidNamespaceError(
                f"the label {label!r} of {namespace!r} must be a text without '.' and not empty."
            )
    if namespace[0] == "langgraph":
        raise InvalidNamespaceError("the first label 'langgraph' is reserved; take another one.")


def _conditions(prefix: Sequence[str] | None, suffix: Sequence[str] | None) -> tuple[MatchCondition, ...]:
    found = []
    if prefix:
        found.append(MatchCondition("prefix", tuple(prefix)))
    if suffix:
        found.append(MatchCondition("suffix", tuple(suffix)))
    return tuple(found)
