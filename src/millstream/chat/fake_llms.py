"""Text models without a model, for tests and examples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

from ..data.outputs import GenerationChunk
from ..errors import MillstreamError
from ..flow.driver import Driver, Outcome
from ..flow.many import Many
from .llms import LLM

__all__ = ["FakeListLLM", "FakeListLLMError", "FakeStreamingListLLM"]


class FakeListLLMError(MillstreamError):
    """What a `FakeStreamingListLLM` raises where it was told to fail."""


class FakeListLLM(LLM):
    """Gives its responses one after another, over and over; `sleep` seconds pass before each. A batch is answered in order."""

    responses: list[str]
    sleep: float | None = None
    i: int = 0

    @property
    def _llm_type(self) -> str:
        return "fake-list"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"responses": self.responses}

    def _next(self) -> str:
        response = self.responses[self.i]
        self.i = (self.i + 1) % len(self.responses)
        return response

    def _call(self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> str:
        if self.sleep is not None:
            time.sleep(self.sleep)
        return self._next()

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        # One after another, so that responses line up with inputs.
        return await super()._outcomes(d, replace(many, limit=1))


class FakeStreamingListLLM(FakeListLLM):
    """A `FakeListLLM` that streams a character a chunk; before number `error_on_chunk_number` it raises `FakeListLLMError`."""

    error_on_chunk_number: int | None = None

    def _stream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        for chunk in self._chunks():
            if self.sleep is not None:
                time.sleep(self.sleep)
            yield chunk

    async def _astream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        for chunk in self._chunks():
            if self.sleep is not None:
                await asyncio.sleep(self.sleep)
            yield chunk

    def _chunks(self) -> Iterator[GenerationChunk]:
        for number, character in enumerate(self._next()):
            if number == self.error_on_chunk_number:
                raise FakeListLLMError
            yield GenerationChunk(text=character)
