"""BaseStore: documents under a namespace and a key, which every node and tool of a graph can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypedDict

from ...errors import InvalidArgument, InvalidNamespaceError, Unsupported
from ...spine.events import MISSING, Missing

__all__ = [
    "BaseStore",
    "GetOp",
    "Item",
    "ListNamespacesOp",
    "MatchCondition",
    "Op",
    "PutOp",
    "SearchItem",
    "SearchOp",
    "TTLConfig",
]

Namespace: TypeAlias = tuple[str, ...]
Index: TypeAlias = Literal[False] | list[str] | None
Minutes: TypeAlias = float | Missing | None
"""How long an item is kept: so many minutes, for good (None), or as the store's `TTLConfig` says (not given)."""


class TTLConfig(TypedDict, total=False):
    """How long a store keeps items, in minutes.

    `default_ttl`: of items that are put without a `ttl`. `refresh_on_read` (True): each read starts an item's time anew.
    `sweep_interval_minutes`: how often `start_ttl_sweeper` looks for what is due. `omit_expired` (True): what is due is not found any
    more, swept or not.
    """

    default_ttl: float | None
    refresh_on_read: bool
    sweep_interval_minutes: float | None
    omit_expired: bool


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
    ttl_config: TTLConfig | None = None

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        """Carry out operations; reads see the state before the puts of the same batch."""
        raise self._lacks("batch")

    async def abatch(self, ops: Iterable[Op]) -> list[Any]:
        """`batch`, awaitable."""
        raise self._lacks("abatch")

    def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item under a key, None where there is none."""
        return self.batch([self._get(namespace, key, refresh_ttl)])[0]  # type: ignore[no-any-return]

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
        return self.batch([self._search(namespace_prefix, filter, limit, offset, query, refresh_ttl)])[0]  # type: ignore[no-any-return]

    def put(
        self, namespace: Namespace, key: str, value: dict[str, Any], index: Index = None, *, ttl: Minutes = MISSING
    ) -> None:
        """Store a document, replacing what was under its key. `index` names the fields to search by, False: none.

        It is kept for `ttl` minutes, for good with None.

        Raises:
            InvalidNamespaceError: (a ValueError) the namespace cannot be used.
            Unsupported: (a NotImplementedError) `ttl` for a store that keeps items for good.
        """
        self.batch([self._put(namespace, key, value, index, ttl)])

    def delete(self, namespace: Namespace, key: str) -> None:
        """Forget the item under a key."""
        self.batch([PutOp(namespace, str(key), None)])

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
        return (await self.abatch([self._get(namespace, key, refresh_ttl)]))[0]  # type: ignore[no-any-return]

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
        return (await self.abatch([self._search(namespace_prefix, filter, limit, offset, query, refresh_ttl)]))[0]  # type: ignore[no-any-return]

    async def aput(
        self, namespace: Namespace, key: str, value: dict[str, Any], index: Index = None, *, ttl: Minutes = MISSING
    ) -> None:
        """`put`, awaitable."""
        await self.abatch([self._put(namespace, key, value, index, ttl)])

    async def adelete(self, namespace: Namespace, key: str) -> None:
        """`delete`, awaitable."""
        await self.abatch([PutOp(namespace, str(key), None)])

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

    def _lacks(self, method: str) -> Unsupported:
        return Unsupported(f"{type(self).__name__} has no `{method}`.")

    def _get(self, namespace: Namespace, key: str, refresh: bool | None) -> GetOp:
        return GetOp(namespace, str(key), self._refreshes(refresh))

    def _search(
        self,
        prefix: Namespace,
        filter: dict[str, Any] | None,
        limit: int,
        offset: int,
        query: str | None,
        refresh: bool | None,
    ) -> SearchOp:
        return SearchOp(prefix, filter, limit, offset, query, self._refreshes(refresh))

    def _refreshes(self, asked: bool | None) -> bool:
        return (self.ttl_config or {}).get("refresh_on_read", True) if asked is None else asked

    def _put(self, namespace: Namespace, key: str, value: dict[str, Any], index: Index, ttl: Minutes) -> PutOp:
        if ttl is MISSING:
            ttl = (self.ttl_config or {}).get("default_ttl")
        put = PutOp(namespace, str(key), value, index, ttl)
        self.check(put)
        return put

    def check(self, op: Op) -> None:
        """Raise for an operation that cannot be carried out. `batch` and `abatch` of a subclass ask for it."""
        if isinstance(op, SearchOp | ListNamespacesOp):
            for name, number in (("limit", op.limit), ("offset", op.offset)):
                if not isinstance(number, int) or number < 0:
                    raise InvalidArgument(f"`{name}` is a whole number from 0 on, not {number!r}.")
        if isinstance(op, SearchOp):
            if op.filter is not None and not isinstance(op.filter, dict):
                raise InvalidArgument(f"a filter is a dict of keys of the value, not {op.filter!r}.")
            for wanted in (op.filter or {}).values():
                check_filter(wanted)
        if isinstance(op, GetOp | SearchOp):
            check_labels(op[0])
        if not isinstance(op, PutOp):
            return
        check_namespace(op.namespace)
        if op.value is not None and not isinstance(op.value, dict):
            raise InvalidArgument(
                f"a store keeps dicts, not {op.value!r}; write put({op.namespace!r}, {op.key!r}, {{...}})."
            )
        if op.ttl is not None and not self.supports_ttl:
            raise Unsupported(f"{type(self).__name__} keeps items for good and knows no `ttl`.")
        if op.ttl is not None and not op.ttl > 0:
            raise InvalidArgument(f"`ttl` is a number of minutes above 0, not {op.ttl!r}.")


OPERATORS: Final = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
"""What a filter may ask beside equality."""


def check_filter(wanted: Any) -> None:
    """Raise for a filter with an operator that is not known, or one that is given something it cannot compare with."""
    if isinstance(wanted, dict):
        operators = [key for key in wanted if isinstance(key, str) and key.startswith("$")]
        for key, want in wanted.items():
            if operators and key not in OPERATORS:
                raise InvalidArgument(f"unknown operator {key!r} in a filter; there are {list(OPERATORS)}.")
            if operators and key not in ("$eq", "$ne") and not is_number(want):
                raise InvalidArgument(f"the operator {key!r} of a filter compares with a number, not with {want!r}.")
            if not operators:
                check_filter(want)
    elif isinstance(wanted, list | tuple):
        for each in wanted:
            check_filter(each)


def is_number(value: Any) -> bool:
    """Whether a value can be read as a number."""
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def check_labels(namespace: Namespace) -> None:
    """Raise for what is no namespace at all."""
    if not isinstance(namespace, tuple) or not all(isinstance(label, str) for label in namespace):
        raise InvalidNamespaceError(
            f"a namespace is a tuple of labels, e.g. ('memories', 'user-1'), not {namespace!r}."
        )


def check_namespace(namespace: Namespace) -> None:
    """Raise for a namespace that nothing can be stored under."""
    check_labels(namespace)
    if not namespace:
        raise InvalidNamespaceError("a namespace needs at least one label, e.g. ('memories', 'user-1').")
    for label in namespace:
        if not label or "." in label or "\0" in label:
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
