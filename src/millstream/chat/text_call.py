"""One call of a text model: the prompts that go into it together, each in a run of its own, and what comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.ids import new_id
from ..data.outputs import GenerationChunk, LLMResult, RunInfo
from ..data.shown import shown_keywords
from ..errors import InvalidArgument, InvalidType
from ..flow.driver import Driver
from ..flow.runnable import Kwargs
from ..spine.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun, Told
from ..spine.events import STREAM
from ..spine.run import Run
from ..spine.scope import Scope
from .cached_call import cached_call
from .model_input import as_text

if TYPE_CHECKING:
    from .llms import BaseLLM

__all__ = ["TextCall"]


class _Streaming(CallbackManagerForLLMRun):
    """The manager of a model that yields its tokens: each is reported as it is yielded, and not a second time."""

    def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> Told:
        return Told(self._scope, None)


class _AsyncStreaming(AsyncCallbackManagerForLLMRun):
    def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> Told:
        return Told(self._scope, None)

    def get_sync(self) -> CallbackManagerForLLMRun:
        return _Streaming(self._scope, self._run, str(self.run_id))


class TextCall:
    """Made for each call. `result` answers all prompts whole, `texts` one in pieces; one of them is used, once."""

    __slots__ = ("_ids", "_runs", "d", "inner", "kwargs", "model", "prompts", "scopes", "stop")

    def __init__(
        self, model: BaseLLM, d: Driver, inputs: Sequence[Any], scope_at: Callable[[int], Scope], kwargs: Kwargs
    ) -> None:
        self.model = model
        self.d = d
        self.prompts = [as_text(each) for each in inputs]
        self.scopes = [scope_at(index) for index in range(len(inputs))]
        self.kwargs = dict(kwargs)
        self.stop = self.kwargs.pop("stop", None)
        self._runs: list[Run | None] = []
        self._ids: list[str] = []

    async def result(self) -> LLMResult:
        """Answer whole: for each prompt its candidates, from the cache where it has them."""
        if not self.prompts:
            return LLMResult(generations=[])
        self._begin()
        try:
            result = await self._answered()
        except BaseException as error:
            for run in self._runs:
                if run is not None:
                    run.fail(error)
            raise
        for run, its_own in zip(self._runs, result.flatten(), strict=True):
            if run is not None:
                run.end(its_own)
        result.run = [RunInfo(run_id=id) for id in self._ids]
        return result

    async def texts(self) -> AsyncGenerator[str, None]:
        """Answer in pieces; in one where the model cannot stream."""
        fn, afn = self.model._stream_forms()
        if fn is None and (afn is None or self.d.sync):
            yield (await self.result()).generations[0][0].text
            return
        self._begin()
        run = self._runs[0]
        kept: list[GenerationChunk] = []
        count = 0
        manager: Any
        if self.d.sync or afn is None:
            afn, manager = None, _Streaming(self.inner, run, self._ids[0])
        else:
            fn, manager = None, _AsyncStreaming(self.inner, run, self._ids[0])
        pieces = self.d.iterate(
            self.inner, fn, afn, self.prompts[0], stop=self.stop, run_manager=manager, **self.kwargs
        )
        try:
            async for piece in pieces:
                if not isinstance(piece, GenerationChunk):
                    raise InvalidType(f"`_stream` must yield GenerationChunk, not {type(piece).__name__}.")
                count += 1
                if run is not None:
                    kept.append(piece)
                    run.emit(STREAM, piece)
                yield piece.text
            if not count:
                raise InvalidArgument(
                    f"{type(self.model).__name__} streamed nothing; `_stream` must yield at least one chunk."
                )
        except GeneratorExit as left:
            # An early close counts as a normal end where the consumer is sync, as an error where it is async.
            if run is not None:
                run.end(_joined(kept)) if self.d.sync else run.fail(left)
            raise
        except BaseException as error:
            if run is not None:
                run.extra["partial"] = kept[0] + kept[1:] if kept else None
                run.fail(error)
            raise
        finally:
            await pieces.aclose()
        if run is not None:
            run.end(_joined(kept))

    def _begin(self) -> None:
        facts = self.model._get_ls_params(stop=self.stop, **self.kwargs)
        told = {"sent": {**shown_keywords(self.kwargs), "stop": self.stop}, "of": len(self.prompts)}
        for prompt, scope in zip(self.prompts, self.scopes, strict=True):
            run = self.model._begin(scope, [prompt], facts, told) if scope.heard("llm") else None
            self._runs.append(run)
            self._ids.append(run.id if run is not None else scope.run_id or new_id())
        first = self._runs[0]
        self.inner = self.scopes[0].inner() if first is None else first.scope

    async def _answered(self) -> LLMResult:
        calls = [cached_call(self.model, prompt, self.stop, self.kwargs) for prompt in self.prompts]
        found = [None if call is None else await call.found(self.d, self.inner) for call in calls]
        missing = [index for index, kept in enumerate(found) if kept is None]
        output = None
        if missing:
            result = await self._generated([self.prompts[index] for index in missing])
            output = result.llm_output
            for index, candidates in zip(missing, result.generations, strict=True):
                found[index] = candidates
                call = calls[index]
                if call is not None:
                    await call.keep(self.d, self.inner, candidates)
        return LLMResult(generations=[each or [] for each in found], llm_output=output)

    async def _generated(self, prompts: list[str]) -> LLMResult:
        d, model, run = self.d, self.model, self._runs[0]
        fn, afn = model._generate_forms()
        manager: Any
        if d.sync or afn is None:
            afn, manager = None, CallbackManagerForLLMRun(self.inner, run, self._ids[0])
        else:
            fn, manager = None, AsyncCallbackManagerForLLMRun(self.inner, run, self._ids[0])
        result: LLMResult = await d.call(
            self.inner, fn, afn, prompts, stop=self.stop, run_manager=manager, **self.kwargs
        )
        given = getattr(result, "generations", ())
        if len(given) != len(prompts) or not all(given):
            raise InvalidArgument(
                f"{type(model).__name__}._generate must give an LLMResult with at least one generation for each of "
                f"{len(prompts)} prompts, not {type(result).__name__} with {[len(candidates) for candidates in given]}."
            )
        return result


def _joined(pieces: list[GenerationChunk]) -> LLMResult:
    return LLMResult(generations=[[pieces[0] + pieces[1:]]] if pieces else [])
