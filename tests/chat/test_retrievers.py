from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import BaseRetriever, Document, RunnableLambda, RunnableParallel, RunnablePassthrough


class Words(BaseRetriever):
    """Documents whose text holds the query."""

    texts: list[str]
    fail_on: str | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if query == self.fail_on:
            raise ValueError("no index")
        return [Document(text, {"manager": type(run_manager).__name__}) for text in self.texts if query in text]


class Plain(BaseRetriever):
    limit: int = 9

    def _get_relevant_documents(self, query: str, limit: int | None = None) -> list[Document]:  # type: ignore[override]
        return [Document(query)] * (limit or self.limit)


class Native(BaseRetriever):
    def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
        return [Document("sync")]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        await asyncio.sleep(0)
        return [Document("async", {"manager": type(run_manager).__name__})]


class Falling(Words):
    """Falls back on what it inherits."""

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return await super()._aget_relevant_documents(query, run_manager=run_manager)


def texts(found: list[Document]) -> list[str]:
    return [document.page_content for document in found]


def test_finding(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> Any:
        found = await c.invoke(Words(texts=["red fish", "cat"]), "fish")
        assert found == [Document("red fish", {"manager": "CallbackManagerForRetrieverRun"})]
        assert await c.collect(Words(texts=["red fish", "cat"]), "fish") == [found]
        assert texts(await c.invoke(Plain(limit=2), "x")) == ["x", "x"]
        assert texts(await c.invoke(Plain().bind(limit=1), "x")) == ["x"]

    colour.run(body)


def test_the_form_of_the_runs_colour_is_used(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> Any:
        expected = Document("sync") if c.sync else Document("async", {"manager": "AsyncCallbackManagerForRetrieverRun"})
        assert await c.invoke(Native(), "x") == [expected]
        assert await c.invoke(Falling(texts=["x"]), "x") == [
            Document("x", {"manager": "CallbackManagerForRetrieverRun"})
        ]

    colour.run(body)


def test_a_sync_retriever_does_not_block_the_loop() -> None:
    seen: list[int] = []

    class Where(BaseRetriever):
        def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
            seen.append(threading.get_ident())
            return []

    asyncio.run(Where().ainvoke("x"))
    assert seen != [threading.get_ident()]


def test_an_error_passes_through(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> Any:
        with pytest.raises(ValueError, match="no index"):
            await c.invoke(Words(texts=[], fail_on="bad"), "bad")

    colour.run(body)


def test_its_run_is_told_of() -> None:
    retriever = Words(texts=["fish"], tags=["own"], metadata={"u_k": 1})
    chain = RunnableParallel(docs=retriever, q=RunnablePassthrough()) | RunnableLambda(lambda found: len(found["docs"]))

    async def events(runnable: Any, value: str, **options: Any) -> list[dict[str, Any]]:
        return [event async for event in runnable.astream_events(value, **options)]

    async def main() -> None:
        start, end = await events(chain, "fish", include_types=["retriever"])
        assert (start["event"], start["name"], end["event"]) == ("on_retriever_start", "Words", "on_retriever_end")
        assert sorted(start["tags"]) == ["map:key:docs", "own"]
        assert start["metadata"]["u_k"] == 1
        assert texts(end["data"]["output"]) == ["fish"]
        # Its tags and metadata are its own: what runs beside it has none of them.
        others = await events(chain, "fish", exclude_types=["retriever"])
        assert all("own" not in event["tags"] and "u_k" not in event["metadata"] for event in others)
        inner = [each for each in await events(chain, "fish") if each["event"] == "on_retriever_start"]
        assert inner[0]["data"] == {"input": {"query": "fish"}}

    asyncio.run(main())


def test_what_is_written_by_a_subclass_is_asked_for() -> None:
    with pytest.raises(TypeError, match="_get_relevant_documents"):
        BaseRetriever()  # type: ignore[abstract]
