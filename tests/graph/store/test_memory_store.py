"""InMemoryStore: put, get, search, namespaces, batches; and what a graph makes of a store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import graph_of, run
from hypothesis import given
from hypothesis import strategies as st

from millstream import (
    BaseStore,
    GetOp,
    InMemoryStore,
    InvalidNamespaceError,
    PutOp,
    Runtime,
    SearchOp,
    ToolNode,
    ToolRuntime,
    get_store,
    tool,
)
from millstream.graph.store.matching import cosine, matches_filter, texts_at

__all__ = ["colour"]


def test_put_get_replace_delete() -> None:
    store = InMemoryStore()
    store.put(("a", "b"), "k", {"n": 1})
    item = store.get(("a", "b"), "k")
    assert item is not None
    assert (item.value, item.key, item.namespace) == ({"n": 1}, "k", ("a", "b"))
    assert item.dict()["namespace"] == ["a", "b"]
    store.put(("a", "b"), "k", {"n": 2})
    replaced = store.get(("a", "b"), "k")
    assert replaced is not None and replaced.value == {"n": 2}
    store.delete(("a", "b"), "k")
    assert store.get(("a", "b"), "k") is None
    assert store.list_namespaces() == []


def test_values_are_copied_in_and_out() -> None:
    store = InMemoryStore()
    value = {"deep": [1]}
    store.put(("a",), "k", value)
    value["deep"].append(2)
    first = store.get(("a",), "k")
    assert first is not None
    first.value["deep"].append(3)
    again = store.get(("a",), "k")
    assert again is not None and again.value == {"deep": [1]}


@pytest.mark.parametrize("namespace", [(), ("",), ("a.b",), ("a\0",), ("langgraph",), (1,)])
def test_namespaces_that_cannot_be(namespace: Any) -> None:
    with pytest.raises(InvalidNamespaceError) as caught:
        InMemoryStore().put(namespace, "k", {})
    assert isinstance(caught.value, ValueError)


def test_an_empty_query_is_none() -> None:
    store = InMemoryStore(index={"dims": 3, "embed": letters})
    for key in ("b", "a"):
        store.put(("m",), key, {"text": key})
    assert [(item.key, item.score) for item in store.search(("m",), query="")] == [("b", None), ("a", None)]


def test_what_it_refuses() -> None:
    store = InMemoryStore()
    with pytest.raises(NotImplementedError, match="ttl"):
        store.put(("a",), "k", {}, ttl=5)
    with pytest.raises(ValueError, match="dicts"):
        store.put(("a",), "k", "text")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="`batch`"):
        BaseStore().get(("a",), "k")
    store.put(("a",), "k", {"n": 1})
    with pytest.raises(ValueError, match=r"\$near"):
        store.search(("a",), filter={"n": {"$near": 1}})


def test_search_by_prefix_filter_and_page() -> None:
    store = InMemoryStore()
    for n in range(5):
        store.put(("users", str(n % 2)), f"k{n}", {"n": n, "tags": {"even": n % 2 == 0}})
    assert [i.key for i in store.search(("users", "1"))] == ["k1", "k3"]
    assert {i.key for i in store.search(("users",), filter={"n": {"$gte": 1, "$lt": 4}})} == {"k1", "k2", "k3"}
    assert {i.key for i in store.search((), filter={"tags": {"even": True}})} == {"k0", "k2", "k4"}
    assert [i.key for i in store.search(("users",), filter={"n": {"$ne": 0}}, limit=2, offset=1)] == ["k4", "k1"]
    assert all(item.score is None for item in store.search(("users",), query="whatever"))


def test_namespaces_by_beginning_and_end() -> None:
    store = InMemoryStore()
    for namespace in [("a", "x", "v1"), ("a", "y", "v1"), ("b", "x", "v2"), ("b",)]:
        store.put(namespace, "k", {})
    assert store.list_namespaces(prefix=("a",)) == [("a", "x", "v1"), ("a", "y", "v1")]
    assert store.list_namespaces(prefix=("*", "x")) == [("a", "x", "v1"), ("b", "x", "v2")]
    assert store.list_namespaces(suffix=("v1",), max_depth=1) == [("a",)]
    assert store.list_namespaces(limit=1, offset=1) == [("a", "y", "v1")]


def test_a_batch_reads_before_it_writes() -> None:
    store = InMemoryStore()
    store.put(("a",), "k", {"n": 1})
    put, found, searched, _ = store.batch(
        [PutOp(("a",), "k", {"n": 2}), GetOp(("a",), "k"), SearchOp(("a",)), PutOp(("a",), "k", {"n": 3})]
    )
    assert put is None
    assert found.value == searched[0].value == {"n": 1}
    last = store.get(("a",), "k")
    assert last is not None and last.value == {"n": 3}


def letters(texts: list[str]) -> list[list[float]]:
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]


@pytest.mark.parametrize("form", ["function", "async"])
def test_search_by_meaning(form: str) -> None:
    async def aletters(texts: list[str]) -> list[list[float]]:
        return letters(texts)

    store = InMemoryStore(index={"dims": 3, "embed": letters if form == "function" else aletters, "fields": ["text"]})

    async def main() -> list[tuple[str, bool]]:
        await store.aput(("m",), "as", {"text": "aaa"})
        await store.aput(("m",), "bs", {"text": "bbb"})
        await store.aput(("m",), "mixed", {"text": "aab"})
        await store.aput(("m",), "hidden", {"text": "aaa"}, index=False)
        return [(i.key, i.score is None) for i in await store.asearch(("m",), query="a")]

    assert asyncio.run(main()) == [("as", False), ("mixed", False), ("bs", False), ("hidden", True)]
    if form == "async":
        with pytest.raises(NotImplementedError, match="aput"):
            store.put(("m",), "x", {"text": "a"})
    with pytest.raises(ValueError, match="embed"):
        InMemoryStore(index={"dims": 3})


def test_paths_into_a_value() -> None:
    value = {"a": {"b": "x"}, "list": [{"c": "1"}, {"c": "2"}], "n": 5}
    assert texts_at(value, "a.b") == ["x"]
    assert texts_at(value, "list[1].c") == ["2"]
    assert texts_at(value, "list[*].c") == ["1", "2"]
    assert texts_at(value, "n") == ["5"]
    assert texts_at(value, "missing.path") == texts_at(value, "list[9]") == []
    assert texts_at({"k": 1}, "$") == ['{"k": 1}']


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3) | st.none(), max_size=4))
def test_every_value_matches_itself(value: dict[str, Any]) -> None:
    assert matches_filter(value, {k: v for k, v in value.items() if not k.startswith("$")})


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5))
def test_a_vector_is_most_similar_to_itself(vector: list[float]) -> None:
    assert cosine(vector, vector) == pytest.approx(1.0 if any(x * x for x in vector) else 0.0)


def test_nodes_and_tools_reach_the_store(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def keep(k: str, runtime: ToolRuntime[Any, Any]) -> str:
            "Keep."
            runtime.store.put(("t",), k, {})
            return "kept"

        def by_name(state: Any, store: BaseStore) -> Any:
            store.put(("n",), "k", {"v": 1})

        def by_runtime(state: Any, runtime: Runtime) -> Any:
            return {"log": [runtime.store.get(("n",), "k").value]}

        def by_getter(state: Any) -> Any:
            ToolNode([keep]).invoke([{"name": "keep", "args": {"k": "x"}, "id": "1", "type": "tool_call"}])
            return {"log": [len(get_store().search(("t",)))]}

        store = InMemoryStore()
        kid = graph_of(by_getter=by_getter).compile()  # inherits the store
        app = graph_of(
            ("by_name", "by_runtime"), ("by_runtime", "kid"), by_name=by_name, by_runtime=by_runtime, kid=kid
        )
        assert await run(c, app.compile(store=store), {"log": []}) == {"log": [{"v": 1}, {"v": 1}, 1]}

    colour.run(body)
