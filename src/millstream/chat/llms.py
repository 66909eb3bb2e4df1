"""BaseLLM and LLM: a text in, a text out, whole or piece by piece."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from ..data.outputs import Generation, GenerationChunk, LLMResult
from ..errors import InvalidArgument, Unsupported
from ..flow.attend import attended_each, attended_items
from ..flow.batch import each_by_itself
from ..flow.driver import ASYNC, SYNC, Driver, Outcome
from ..flow.many import Many
from ..flow.runnable import Kwargs, Runnable
from ..flow.step import step
from ..spine.events import MISSING
from ..spine.scope import Scope, enter
from .component import whole_of
from .language_model import BaseLanguageModel
from .text_call import TextCall

__all__ = ["LLM", "BaseLLM"]


class BaseLLM(BaseLanguageModel[str]):
    """A text model that answers many prompts in one call. A subclass writes `_generate`.

    It may also write `_stream`, `_agenerate` and `_astream`. `batch` hands all its inputs to one `_generate`, or as many
    at a time as `max_concurrency` allows. A model that answers one prompt at a time is simpler written as an `LLM`.

    Example:
        >>> class Shout(BaseLLM):
        ...     def _generate(self, prompts, stop=None, run_manager=None, **kwargs):
        ...         return LLMResult(generations=[[Generation(prompt.upper())] for prompt in prompts])
        >>> Shout().batch(["a", "b"])
        ['A', 'B']
    """

    run_type = "llm"
    _kind = "llm"

    # -- what a subclass writes --------------------------------------------------------------------------------------

    @abstractmethod
    def _generate(
        self, prompts: list[str], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Answer each prompt. `kwargs` are those of the call and of `bind`."""

    def _stream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        """Yield the answer in pieces."""
        raise Unsupported(f"{type(self).__name__} does not stream; use `invoke`, or override `_stream`.")

    async def _agenerate(
        self, prompts: list[str], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        """`_generate` in async form; by default on a worker thread."""
        manager = run_manager.get_sync() if run_manager is not None else None
        result: LLMResult = await ASYNC.call(
            enter(None), self._generate, None, prompts, stop=stop, run_manager=manager, **kwargs
        )
        return result

    async def _astream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        """`_stream` in async form; by default on a worker thread."""
        manager = run_manager.get_sync() if run_manager is not None else None
        pieces = ASYNC.iterate(enter(None), self._stream, None, prompt, stop=stop, run_manager=manager, **kwargs)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    # -- what users call, beside the methods of every runnable -------------------------------------------------------

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """A text model calls no tools, so it has no form to answer in, unless a subclass finds one.

        Raises:
            Unsupported: (a NotImplementedError) always, here.
        """
        raise Unsupported(f"{type(self).__name__} cannot answer in a given form; put an output parser behind it.")

    def generate(
        self, prompts: Sequence[Any], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Answer several prompts in one call, each as a run of its own; all candidates are kept.

        `tags`, `metadata`, `run_name` and `run_id` are those of the runs; other keywords go to `_generate`.
        """
        return step(self._generated(SYNC, prompts, stop, callbacks, **kwargs))

    async def agenerate(
        self, prompts: Sequence[Any], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """`generate` in async form."""
        return await self._generated(ASYNC, prompts, stop, callbacks, **kwargs)

    def _output_shape(self) -> Any:
        return str

    # -- running -----------------------------------------------------------------------------------------------------

    def _generate_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering whole; the second may be None."""
        return self._generate, self._agenerate if type(self)._agenerate is not BaseLLM._agenerate else None

    def _stream_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering in pieces; either may be None."""
        cls = type(self)
        return (
            self._stream if cls._stream is not BaseLLM._stream else None,
            self._astream if cls._astream is not BaseLLM._astream else None,
        )

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> str:
        result = await self._call_of(d, [input], lambda _: scope, kwargs)
        text: str = result.generations[0][0].text
        return text

    async def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        whole = await whole_of(inputs, given)
        if whole is MISSING:
            return
        own = self._heard(scope)
        texts = attended_items(d, own, lambda scope: TextCall(self, d, [whole], lambda _: scope, kwargs).texts())
        try:
            async for text in texts:
                yield text
        finally:
            await texts.aclose()

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        """As many prompts in one call as may run at once."""
        outcomes: list[Outcome] = []
        waiting: list[Any] = []

        async def answer() -> None:
            first = len(outcomes)
            try:
                result = await self._call_of(d, waiting, lambda index: many.scope_at(first + index), many.kwargs)
                outcomes.extend(Outcome(candidates[0].text, None) for candidates in result.generations)
            except Exception as error:
                outcomes.extend([Outcome(None, error)] * len(waiting))
            waiting.clear()

        for index, each in enumerate(many.inputs):
            waiting.append(each)
            if len(waiting) == (many.scope_at(index).max_concurrency or _AT_ONCE):
                await answer()
        if waiting:
            await answer()
        return outcomes

    async def _generate_all(self, d: Driver, inputs: Sequence[Any], scope: Scope, kwargs: Kwargs) -> LLMResult:
        if isinstance(inputs, str):
            raise InvalidArgument(f"`generate` takes a list of prompts, not one text; write `generate([{inputs!r}])`.")
        # A run id given by the caller can name one run only.
        return await self._call_of(d, inputs, lambda index: scope.without_id() if index else scope, kwargs)

    async def _call_of(
        self, d: Driver, inputs: Sequence[Any], scope_at: Callable[[int], Scope], kwargs: Kwargs
    ) -> LLMResult:
        return await attended_each(
            d,
            lambda index: self._heard(scope_at(index)),
            lambda heard_at: TextCall(self, d, inputs, heard_at, kwargs).result(),
        )


_AT_ONCE = 1000  # prompts in one call, where nothing else is said: as many as an async batch has at once


class LLM(BaseLLM):
    """A text model that answers one prompt at a time. A subclass writes `_call`, and `_acall` where it can.

    Example:
        >>> class Shout(LLM):
        ...     def _call(self, prompt, stop=None, run_manager=None, **kwargs):
        ...         return prompt.upper()
        >>> Shout().invoke("hey")
        'HEY'
    """

    @abstractmethod
    def _call(self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> str:
        """The text of the answer."""

    async def _acall(self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> str:
        """`_call` in async form; by default on a worker thread."""
        manager = run_manager.get_sync() if run_manager is not None else None
        text: str = await ASYNC.call(enter(None), self._call, None, prompt, stop=stop, run_manager=manager, **kwargs)
        return text

    def _generate(
        self, prompts: list[str], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        texts = [self._call(prompt, stop=stop, run_manager=run_manager, **kwargs) for prompt in prompts]
        return LLMResult(generations=[[Generation(text=text)] for text in texts])

    async def _agenerate(
        self, prompts: list[str], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        texts = [await self._acall(prompt, stop=stop, run_manager=run_manager, **kwargs) for prompt in prompts]
        return LLMResult(generations=[[Generation(text=text)] for text in texts])

    def _generate_forms(self) -> tuple[Any, Any]:
        cls = type(self)
        own = cls._acall is not LLM._acall or cls._agenerate is not LLM._agenerate
        return self._generate, self._agenerate if own else None

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        # Each prompt is a call of its own, so that they can run at once.
        return await each_by_itself(self, d, many)
