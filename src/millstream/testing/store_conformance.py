"""What every store must do, as checks that can be run on yours, in both colours.

```python
@pytest.mark.parametrize("check", store_checks(MyStore), ids=str)
def test_my_store(check):
    check.run(MyStore(index=STORE_INDEX))  # its sync methods; `await check.arun(store)`: the async ones
```

A check wants an empty store. Those of search by meaning want one with `STORE_INDEX`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from ..errors import InvalidNamespaceError, UsageError
from ..flow.step import step
from ..graph.store.base import BaseStore, GetOp, ListNamespacesOp, PutOp, SearchOp
from ..graph.store.indexing import IndexConfig

__all__ = ["STORE_INDEX", "StoreCheck", "store_checks"]


def _letters(texts: list[str]) -> list[list[float]]:
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]


STORE_INDEX: Final[IndexConfig] = {"dims": 3, "embed": _letters, "fields": ["text"]}
"""The index that the checks of search by meaning count on: it counts the letters a, b and c."""


class _Calls:
    """The methods of a store in one colour."""

    def __init__(self, store: BaseStore, *, sync: bool) -> None:
        self.store = store
        self.sync = sync

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A method by its sync name."""
        if self.sync:
            return getattr(self.store, method)(*args, **kwargs)
        return await getattr(self.store, f"a{method}")(*args, **kwargs)

    async def put(self, namespace: Any, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """`put`."""
        await self.call("put", namespace, key, value, *args, **kwargs)

    async def value(self, namespace: Any, key: str, **kwargs: Any) -> Any:
        """The value under a key, None where there is none."""
        item = await self.call("get", namespace, key, **kwargs)
        return None if item is None else item.value

    async def keys(self, prefix: Any, **kwargs: Any) -> list[str]:
        """The keys that a search finds."""
        return [item.key for item in await self.call("search", prefix, **kwargs)]

    async def refuses(self, kind: type[Exception], method: str, *args: Any, **kwargs: Any) -> None:
        """Fail unless a call raises this error."""
        try:
            await self.call(method, *args, **kwargs)
        except kind:
            return
        raise AssertionError(f"{method}{args} raised no {kind.__name__}")

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds, 5 seconds at most."""
        end = time.monotonic() + 5
        while not await holds():
            assert time.monotonic() < end, "it never came true"
            if self.sync:
                time.sleep(0.01)  # noqa: ASYNC251 - this colour blocks
            else:
                await asyncio.sleep(0.01)


Body: TypeAlias = Callable[[_Calls], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """One thing that a store must do. `of_ttl`: it applies to stores that support `ttl`."""

    name: str
    body: Body
    of_ttl: bool = False

    def run(self, store: BaseStore) -> None:
        """Check the sync methods; raises AssertionError (or what the store raises) where it fails."""
        step(self.body(_Calls(store, sync=True)))  # type: ignore[arg-type]

    async def arun(self, store: BaseStore) -> None:
        """Check the async methods."""
        await self.body(_Calls(store, sync=False))

    def __str__(self) -> str:
        return self.name


def store_checks(store: type[BaseStore] | None = None) -> list[StoreCheck]:
    """The checks that apply to a class of stores (None: all of them)."""
    return [check for check in _CHECKS if store is None or store.supports_ttl or not check.of_ttl]


# -- items -----------------------------------------------------------------------------------------------------------


async def _puts_gets_replaces_deletes(s: _Calls) -> None:
    before = datetime.now(UTC)
    assert await s.call("get", ("a", "b"), "k") is None
    await s.put(("a", "b"), "k", {"n": 1})
    item = await s.call("get", ("a", "b"), "k")
    assert (item.value, item.key, item.namespace) == ({"n": 1}, "k", ("a", "b"))
    assert abs((item.created_at - before).total_seconds()) < 60 and item.created_at.utcoffset() is not None
    assert item.updated_at >= item.created_at
    assert item.dict()["namespace"] == ["a", "b"]
    await s.put(("a", "b"), "k", {"n": 2})
    assert await s.value(("a", "b"), "k") == {"n": 2}
    assert (await s.call("get", ("a", "b"), "k")).updated_at >= item.updated_at
    await s.call("delete", ("a", "b"), "k")
    await s.call("delete", ("a", "b"), "k")
    assert await s.value(("a", "b"), "k") is None
    assert await s.call("list_namespaces") == []


async def _copies_values_in_and_out(s: _Calls) -> None:
    value = {"deep": [1]}
    await s.put(("a",), "k", value)
    value["deep"].append(2)
    (await s.value(("a",), "k"))["deep"].append(3)
    (await s.call("search", ("a",)))[0].value["deep"].append(4)
    assert await s.value(("a",), "k") == {"deep": [1]}


async def _keeps_every_text(s: _Calls) -> None:
    value = {"text": "NUL \0, lone \ud800, é, 𝄞, \u202e", "": {"\0": None}, "big": 2**70, "x": [1.5, True, None]}
    await s.put(("ключ", " ", "%", "_", "'; DROP TABLE x --"), "ключ 'quoted' \" ` \\ % _ ? $1", value)
    assert await s.value(("ключ", " ", "%", "_", "'; DROP TABLE x --"), "ключ 'quoted' \" ` \\ % _ ? $1") == value
    assert (await s.call("search", ("ключ",)))[0].value == value


async def _takes_any_text_for_a_key_or_refuses_it(s: _Calls) -> None:
    keys = [
        "",
        "*",
        "%",
        "{}",
        "\r\nDEL x",
        "-1",
        "1 UNION SELECT 1",
        "'",
        "\0",
        "a\0b",
        "\ud800",
        "\u00e9",
        "e\u0301",
        "k" * 1_000_000,
    ]
    kept = {}
    for key in keys:
        try:
            await s.put(("keys",), key, {"is": key})
        except UsageError:
            continue
        kept[key] = {"is": key}
    assert len(kept) >= 9
    for key, value in kept.items():
        assert await s.value(("keys",), key) == value
    found = await s.call("search", ("keys",), limit=100)
    assert {item.key: item.value for item in found} == kept


async def _refuses_what_is_no_namespace_or_value(s: _Calls) -> None:
    for namespace in [(), ("",), ("a.b",), ("a\0",), ("langgraph",), (1,), ["a"], "a", {"a": 1}, None]:
        await s.refuses(InvalidNamespaceError, "put", namespace, "k", {})
    for namespace in [(1,), "a", {"a": 1}, None]:
        await s.refuses(InvalidNamespaceError, "get", namespace, "k")
        await s.refuses(InvalidNamespaceError, "search", namespace)
    for value in ["text", 1, ["a"]]:
        await s.refuses(ValueError, "put", ("a",), "k", value)
    assert await s.call("search", ()) == []


async def _refuses_a_type_that_cannot_be_stored_or_keeps_it(s: _Calls) -> None:
    try:
        await s.put(("a",), "k", {"function": print})
    except TypeError:
        assert await s.value(("a",), "k") is None
    else:
        assert await s.value(("a",), "k") == {"function": print}


# -- namespaces ------------------------------------------------------------------------------------------------------


async def _never_crosses_namespaces(s: _Calls) -> None:
    namespaces = [
        ("a",),
        ("a", "b"),
        ("ab",),
        ("a%",),
        ("a_",),
        ("a*",),
        ("A",),
        ("a", "B"),
        ("a/",),
        ("a-",),
        ("b", "a"),
        ("..b",),
    ]
    for namespace in namespaces:
        if "." not in namespace[0]:
            await s.put(namespace, "k", {"of": namespace})
    for namespace in namespaces[:-1]:
        assert (await s.value(namespace, "k")) == {"of": namespace}
        below = [other for other in namespaces[:-1] if other[: len(namespace)] == namespace]
        assert sorted(item.namespace for item in await s.call("search", namespace, limit=50)) == sorted(below)
    for absent in [("a.b",), ("a", ""), ("",), ("..b",), ("%",), ("*",), ("a", "b", "c"), ("a.",), (".a",)]:
        assert await s.value(absent, "k") is None
        assert await s.call("search", absent) == []
    assert len(await s.call("search", (), limit=50)) == len(namespaces) - 1


async def _lists_namespaces(s: _Calls) -> None:
    for namespace in [("a", "x", "v1"), ("a", "y", "v1"), ("b", "x", "v2"), ("b",)]:
        await s.put(namespace, "k", {})
        await s.put(namespace, "k2", {})
    every = [("a", "x", "v1"), ("a", "y", "v1"), ("b",), ("b", "x", "v2")]
    assert await s.call("list_namespaces") == every
    assert await s.call("list_namespaces", prefix=("a",)) == every[:2]
    assert await s.call("list_namespaces", prefix=("*", "x")) == [every[0], every[3]]
    assert await s.call("list_namespaces", suffix=("v1",), max_depth=1) == [("a",)]
    assert await s.call("list_namespaces", prefix=("a",), suffix=("y", "*")) == [every[1]]
    assert await s.call("list_namespaces", limit=1, offset=1) == [every[1]]
    assert await s.call("list_namespaces", limit=0) == []
    assert await s.call("list_namespaces", prefix=("%",)) == []


# -- search ----------------------------------------------------------------------------------------------------------


async def _searches_by_filter_and_page(s: _Calls) -> None:
    for n in range(5):
        await s.put(("users",), f"k{n}", {"n": n, "tags": {"even": n % 2 == 0}, "list": [n, "x"], "as text": str(n)})
    await s.put(("users",), "none", {"n": None})
    assert await s.keys(("users",), limit=2, offset=1) == ["k1", "k2"]
    assert await s.keys(("users",), filter={"n": {"$gte": 1, "$lt": 4}}) == ["k1", "k2", "k3"]
    assert await s.keys((), filter={"tags": {"even": True}}) == ["k0", "k2", "k4"]
    assert await s.keys(("users",), filter={"n": {"$ne": 0}}, limit=2, offset=1) == ["k2", "k3"]
    assert await s.keys(("users",), filter={"n": {"$eq": 3}, "list": [3, "x"]}) == ["k3"]
    assert await s.keys(("users",), filter={"as text": {"$gt": 3}}) == ["k4"]
    assert await s.keys(("users",), filter={"n": None}) == ["none"]
    assert await s.keys(("users",), limit=0) == await s.keys(("users",), offset=9) == []
    await s.put(("users",), "k1", {"n": 1})
    assert await s.keys(("users",), filter={"n": {"$lte": 1}}) == ["k0", "k1"]


async def _compares_only_what_can_be_compared(s: _Calls) -> None:
    await s.put(("a",), "word", {"n": "many"})
    await s.put(("a",), "list", {"n": [1]})
    assert await s.keys(("a",), filter={"n": {"$gt": 0}}) == []
    assert await s.keys(("a",), filter={"n": {"$ne": 0}}) == ["word", "list"]


async def _refuses_operators_it_does_not_know(s: _Calls) -> None:
    await s.put(("a",), "k", {"n": 1})
    for wanted in [
        {"$gt'--": 1}, {"$near": 1}, {"$gt": 0, "plain": 1}, {"$gt": {"$gt": 1}}, {"$gt": [1]}, {"$gt": None},
        {"deep": {"$or": []}}, [{"$where": "1"}], {"$": 1}, {"$GT": 1}, {"$gt": "one"},
    ]:  # fmt: skip
        await s.refuses(ValueError, "search", ("a",), filter={"n": wanted})
        await s.refuses(ValueError, "search", ("nowhere",), filter={"n": wanted})
    await s.refuses(ValueError, "search", ("a",), filter="n = 1")
    for number in (-1, 1.5, "1 UNION SELECT 1", None):
        await s.refuses(ValueError, "search", ("a",), limit=number)
        await s.refuses(ValueError, "search", ("a",), offset=number)
        await s.refuses(ValueError, "list_namespaces", limit=number)


async def _takes_any_text_for_a_filter_key(s: _Calls) -> None:
    await s.put(("mine",), "k", {"n": 1})
    await s.put(("others",), "secret", {"n": 1})
    for key in [
        "x') OR json_extract('{\"a\":1}','$.a", "' OR '1'='1", '"', "]", "a.$", "$", "", "\0", "\ud800", "x" * 10_000,
        "n') UNION SELECT * FROM ms_items --",
    ]:  # fmt: skip
        assert await s.call("search", ("mine",), filter={key: 1}) == []
        await s.put(("mine",), "own", {key: 1})
        assert await s.keys(("mine",), filter={key: 1}) == ["own"]


# -- batches ---------------------------------------------------------------------------------------------------------


async def _reads_before_it_writes_in_a_batch(s: _Calls) -> None:
    await s.put(("a",), "k", {"n": 1})
    put, found, searched, names, _ = await s.call(
        "batch",
        [
            PutOp(("a",), "k", {"n": 2}),
            GetOp(("a",), "k"),
            SearchOp(("a",)),
            ListNamespacesOp(),
            PutOp(("a",), "k", {"n": 3}),
        ],
    )
    assert put is None
    assert found.value == searched[0].value == {"n": 1}
    assert names == [("a",)]
    assert await s.value(("a",), "k") == {"n": 3}
    assert await s.call("batch", []) == []


async def _stores_nothing_of_a_batch_with_a_bad_operation(s: _Calls) -> None:
    await s.refuses(InvalidNamespaceError, "batch", [PutOp(("a",), "k", {"n": 1}), PutOp((), "k", {})])
    assert await s.value(("a",), "k") is None


# -- by meaning ------------------------------------------------------------------------------------------------------


async def _finds_by_meaning(s: _Calls) -> None:
    await s.put(("m",), "as", {"text": "aaa"})
    await s.put(("m",), "none", {"text": "aaa"}, index=False)
    await s.put(("m",), "bs", {"text": "bbb"})
    await s.put(("m",), "mixed", {"text": "aab"})
    await s.put(("m",), "other field", {"text": "ccc", "more": [{"t": "a"}, {"t": "b"}]}, index=["more[*].t"])
    await s.put(("other",), "away", {"text": "a"})
    found = await s.call("search", ("m",), query="a")
    assert [item.key for item in found] == ["as", "other field", "mixed", "bs", "none"]
    assert [item.score and round(item.score, 4) for item in found] == [1.0, 1.0, 0.8944, 0.0, None]
    assert await s.keys(("m",), query="a", limit=2, offset=1) == ["other field", "mixed"]
    assert await s.keys(("m",), query="a", filter={"text": {"$ne": "aaa"}}) == ["other field", "mixed", "bs"]
    await s.put(("m",), "as", {"text": "ccc"})
    assert (await s.keys(("m",), query="a"))[0] == "other field"
    await s.call("delete", ("m",), "mixed")
    assert "mixed" not in await s.keys(("m",), query="a")
    assert [item.score for item in await s.call("search", ("m",))] == [None] * 4


# -- time to live ----------------------------------------------------------------------------------------------------

_SOON: Final = 0.5 / 60
"""Minutes: longer than a busy machine's pauses."""


async def _forgets_what_is_due(s: _Calls) -> None:
    await s.put(("t",), "short", {"n": 1}, ttl=_SOON)
    await s.put(("t",), "long", {"n": 2}, ttl=60)
    await s.put(("t",), "for good", {"n": 3}, ttl=None)
    assert await s.keys(("t",), refresh_ttl=False) == ["short", "long", "for good"]

    async def gone() -> bool:
        return await s.value(("t",), "short", refresh_ttl=False) is None

    await s.until(gone)
    assert await s.keys(("t",)) == ["long", "for good"]
    await s.put(("t",), "short", {"n": 4})
    assert await s.value(("t",), "short") == {"n": 4}


async def _starts_the_time_anew_when_read(s: _Calls) -> None:
    await s.put(("t",), "read", {}, ttl=_SOON)
    await s.put(("t",), "unread", {}, ttl=_SOON)
    end = time.monotonic() + 2 * _SOON * 60

    async def past() -> bool:
        assert await s.value(("t",), "read") == {}
        return time.monotonic() > end

    await s.until(past)
    assert await s.keys(("t",)) == ["read"]


async def _refuses_a_time_that_is_none(s: _Calls) -> None:
    for ttl in (0, -1, float("nan")):
        await s.refuses(ValueError, "put", ("t",), "k", {}, ttl=ttl)


def _checks(bodies: Sequence[Body], *, of_ttl: bool) -> list[StoreCheck]:
    return [StoreCheck(getattr(body, "__name__", "").replace("_", " ").strip(), body, of_ttl) for body in bodies]


_ALWAYS: Final[Sequence[Body]] = (
    _puts_gets_replaces_deletes,
    _copies_values_in_and_out,
    _keeps_every_text,
    _takes_any_text_for_a_key_or_refuses_it,
    _refuses_what_is_no_namespace_or_value,
    _refuses_a_type_that_cannot_be_stored_or_keeps_it,
    _never_crosses_namespaces,
    _lists_namespaces,
    _searches_by_filter_and_page,
    _compares_only_what_can_be_compared,
    _refuses_operators_it_does_not_know,
    _takes_any_text_for_a_filter_key,
    _reads_before_it_writes_in_a_batch,
    _stores_nothing_of_a_batch_with_a_bad_operation,
    _finds_by_meaning,
)
_OF_TTL: Final[Sequence[Body]] = (_forgets_what_is_due, _starts_the_time_anew_when_read, _refuses_a_time_that_is_none)
_CHECKS: Final = [*_checks(_ALWAYS, of_ttl=False), *_checks(_OF_TTL, of_ttl=True)]
