"""OpenAIEmbeddings: texts as vectors, by OpenAI or any server that imitates its embeddings API."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from ..chat.embeddings import Embeddings
from ..errors import ProviderError
from ..flow.driver import ASYNC, SYNC, Driver, aclose
from ..flow.step import step
from .asking import Asking
from .endpoint import Endpoint
from .http import Link, Post
from .openai import ChatOpenAI
from .wired import Wired

__all__ = ["OpenAIEmbeddings"]

Vector = list[float]
_MOST_BYTES = 500_000


class OpenAIEmbeddings(Wired, Embeddings):
    """Turns texts into vectors with OpenAI's embeddings API, or with that of a server that imitates it (`base_url`).

    Texts are sent in batches of at most `chunk_size` and half a megabyte, at most `max_concurrency` batches at once; the
    vectors come in the order of the texts. A text that is longer than the model takes is refused by the server: it is
    neither cut nor averaged. Key and address as for `ChatOpenAI`.

    ```python
    vectors = OpenAIEmbeddings(model="text-embedding-3-small").embed_documents(["a mill", "a stream"])
    ```
    """

    model: str = Field(default="text-embedding-ada-002")
    dimensions: int | None = None
    organization: str | None = None
    chunk_size: int = Field(default=1000, gt=0)
    max_concurrency: int = Field(default=8, gt=0)

    _endpoint: ClassVar[Endpoint] = ChatOpenAI._endpoint
    # They are about counting tokens on this side, or about other servers than OpenAI's.
    _of_no_use: ClassVar[frozenset[str]] = frozenset({"allowed_special", "check_embedding_ctx_length", "deployment", "disallowed_special", "embedding_ctx_length", "openai_api_type", "openai_api_version", "retry_max_seconds", "retry_min_seconds", "show_progress_bar", "skip_empty", "tiktoken_enabled", "tiktoken_model_name"})  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        if "headers" in settings:
            settings.setdefault("default_headers", settings.pop("headers"))
        super().__init__(**settings)

    def embed_documents(self, texts: list[str], chunk_size: int | None = None) -> list[Vector]:
        """A vector for each text."""
        return step(self._embed(SYNC, self._sync_link(), texts, chunk_size))

    def embed_query(self, text: str) -> Vector:
        """The vector of one text."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str], chunk_size: int | None = None) -> list[Vector]:
        """A vector for each text."""
        return await self._embed(ASYNC, self._async_link(), texts, chunk_size)

    async def aembed_query(self, text: str) -> Vector:
        """The vector of one text."""
        return (await self.aembed_documents([text]))[0]

    async def _embed(self, d: Driver, link: Link, texts: Sequence[str], chunk_size: int | None) -> list[Vector]:
        batches = _batches(texts, chunk_size or self.chunk_size)
        if len(batches) == 1:
            return await self._ask(link, batches[0])
        found: list[list[Vector]] = [[] for _ in batches]
        running = d.run_all([partial(self._ask, link, batch) for batch in batches], self.max_concurrency)
        try:
            async for index, outcome in running:
                if outcome.error is not None:
                    raise outcome.error
                found[index] = outcome.value
        finally:
            await aclose(running)
        return [vector for vectors in found for vector in vectors]

    async def _ask(self, link: Link, texts: list[str]) -> list[Vector]:
        body: dict[str, Any] = {"input": texts, "model": self.model, **self.model_kwargs}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        if self._is_openai:
            # Fewer bytes than numbers in decimals, and no parsing of them. Imitators may not know it.
            body.setdefault("encoding_format", "base64")
        answer = await Asking(self.max_retries, self._secrets).ask(link, self._embeddings_post(body))
        provider = self._endpoint.provider
        try:
            rows = sorted(answer["data"], key=lambda row: int(row.get("index", 0)))
            vectors = [_vector(row["embedding"]) for row in rows]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderError(
                f"{provider} sent an answer of another shape than embeddings have.", provider=provider
            ) from error
        if len(vectors) != len(texts):
            raise ProviderError(f"{provider} sent {len(vectors)} vectors for {len(texts)} texts.", provider=provider)
        return vectors

    def _embeddings_post(self, body: dict[str, Any]) -> Post:
        return self._post(f"{self._server}/embeddings", body, {})

    def _organization(self) -> str | None:
        return self.organization

    @property
    def _is_openai(self) -> bool:
        return self._is_official


def _batches(texts: Sequence[str], most: int) -> list[list[str]]:
    """The texts in batches that a server takes: OpenAI limits the tokens of a request, of which each is a byte or more."""
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        size = len(text.encode("utf-8", "replace"))
        if not batches or len(batches[-1]) >= most or size > room:
            batches.append([])
            room = _MOST_BYTES
        batches[-1].append(text)
        room -= size
    return batches


def _vector(given: Any) -> Vector:
    """Numbers, or their base64: 32 bits each, the low byte first."""
    if not isinstance(given, str):
        return [float(number) for number in given]
    numbers = array("f", b64decode(given, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
