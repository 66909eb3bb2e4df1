from __future__ import annotations

import asyncio
from array import array
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from millstream import InMemoryVectorStore, MissingKey, OpenAIEmbeddings, ProviderError, RateLimitError
from millstream.testing import Reply, StandInProvider, chat_error, embeddings_answer

KEY = "sk-do-not-tell-4711"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID"):
        monkeypatch.delenv(name, raising=False)


def lengths(request: Any) -> bytes:
    """A vector for each text: its length."""
    return embeddings_answer([[float(len(text)), 0.5] for text in request.json["input"]])


def model(provider: StandInProvider, **settings: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(model="any", base_url=provider.base_url, **settings)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_batches_come_in_the_order_of_the_texts(colour: str) -> None:
    texts = ["x" * n for n in range(25)]
    with StandInProvider(lengths) as provider:
        it = model(provider, chunk_size=10, max_concurrency=2, dimensions=2, api_key=KEY)
        if colour == "sync":
            found, one = it.embed_documents(texts), it.embed_query("four")
        else:
            found, one = asyncio.run(it.aembed_documents(texts)), asyncio.run(it.aembed_query("four"))
    assert found == [[float(n), 0.5] for n in range(25)]
    assert one == [4.0, 0.5]
    assert sorted(len(request.json["input"]) for request in provider.requests) == [1, 5, 10, 10]
    assert provider.requests[0].path == "/v1/embeddings"
    sent = provider.requests[-1].json
    assert sent == {"input": ["four"], "model": "any", "dimensions": 2}
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_at_most_so_many_batches_at_once(colour: str) -> None:
    at_once: list[int] = []

    def script(request: Any) -> Reply:
        at_once.append(len([r for r in provider.requests if r.finished_at is None]))
        return replace(Reply.json(lengths(request)), delay=0.02)

    with StandInProvider(script) as provider:
        it = model(provider, chunk_size=1, max_concurrency=3)
        texts = [str(n) for n in range(12)]
        found = it.embed_documents(texts) if colour == "sync" else asyncio.run(it.aembed_documents(texts))
    assert len(found) == 12
    assert max(at_once) == 3


def test_vectors_as_numbers_in_base64_and_in_any_order() -> None:
    packed = b64encode(array("f", [0.5, -2.0]).tobytes()).decode()
    backwards = {"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": packed}]}
    with StandInProvider([Reply.json(backwards)]) as provider:
        assert model(provider).embed_documents(["a", "b"]) == [[0.5, -2.0], [2.0]]
    assert "encoding_format" not in provider.requests[0].json


def test_nothing_is_asked_for_nothing() -> None:
    with StandInProvider() as provider:
        assert model(provider).embed_documents([]) == []
    assert provider.requests == []


@pytest.mark.parametrize(
    "answer", [{}, {"data": [{}]}, {"data": [{"embedding": ["x"]}]}, {"data": []}, [], {"data": [{"embedding": "?"}]}]
)
def test_answers_of_another_shape(answer: Any) -> None:
    with (
        StandInProvider([Reply.json(str(answer).replace("'", '"').encode())]) as provider,
        pytest.raises(ProviderError),
    ):
        model(provider).embed_query("a")


def test_errors_and_retries() -> None:
    busy = Reply.json(chat_error("slow down"), status=429, headers={"retry-after": "0"})
    with StandInProvider([busy, embeddings_answer([[1.0]]), busy]) as provider:
        assert model(provider).embed_query("a") == [1.0]
        with pytest.raises(RateLimitError):
            model(provider, max_retries=0).embed_documents(["a"])
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        OpenAIEmbeddings()
    assert KEY not in repr(OpenAIEmbeddings(api_key=KEY)) + str(OpenAIEmbeddings(api_key=KEY).model_dump())


def test_one_batch_that_fails_fails_all() -> None:
    def script(request: Any) -> Any:
        return Reply.json(chat_error("no"), status=400) if "bad" in request.json["input"] else lengths(request)

    with StandInProvider(script) as provider, pytest.raises(ProviderError, match="no"):
        model(provider, chunk_size=1).embed_documents(["a", "bad", "c"])


def test_in_a_vector_store() -> None:
    def script(request: Any) -> bytes:
        return embeddings_answer([[1.0, 0.0] if "mill" in text else [0.0, 1.0] for text in request.json["input"]])

    with StandInProvider(script) as provider:
        store = InMemoryVectorStore(embedding=model(provider))
        store.add_texts(["a mill", "a stream"])
        assert store.similarity_search("watermill", k=1)[0].page_content == "a mill"
