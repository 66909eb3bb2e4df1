"""BaseChatModel: a conversation in, a message out, whole or token by token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pydantic import Field

from ..data.lazy import Lazy
from ..data.messages import AIMessage, BaseMessage
from ..data.outputs import ChatGeneration, ChatResult, LLMResult, RunInfo
from ..errors import InvalidArgument, Unsupported
from ..flow.attend import attended, attended_each, attended_items
from ..flow.driver import ASYNC, SYNC, Driver, aclose
from ..flow.line import Line, Opened, nothing
from ..flow.runnable import Kwargs, Runnable
from ..flow.step import step
from ..spine.events import MISSING
from ..spine.scope import Scope, enter
from .component import whole_of
from .language_model import BaseLanguageModel, LanguageModelInput
from .model_call import ModelCall

if TYPE_CHECKING:
    from ..data.ai_chunk import AIMessageChunk
    from ..flow.stream import AsyncStream, SyncStream
    from ..spine.config import RunnableConfig
    from . import standard_content
else:
    standard_content = Lazy(".standard_content", globals())

__all__ = ["BaseChatModel", "Form", "LanguageModelInput", "SimpleChatModel"]

Form = TypeVar("Form")


class BaseChatModel(BaseLanguageModel[AIMessage]):
    """A chat model. A subclass declares its settings as annotated fields and writes `_generate`.

    It may also write `_stream` (then `stream` gives tokens, and a watched `invoke` streams inside), `_agenerate` and
    `_astream`; where only sync forms are written they run on worker threads in async use, and never block the loop.

    Example:
        >>> class Shout(BaseChatModel):
        ...     mark: str = "!"
        ...
        ...     def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        ...         message = AIMessage(messages[-1].text.upper() + self.mark)
        ...         return ChatResult(generations=[ChatGeneration(message=message)])
        >>> Shout(mark="?").invoke("hey").content
        'HEY?'
    """

    run_type = "chat_model"

    rate_limiter: Any = Field(default=None, exclude=True)
    disable_streaming: bool | Literal["tool_calling"] = False
    output_version: str | None = None
    profile: dict[str, Any] | None = Field(default=None, exclude=True)

    # -- what a subclass writes --------------------------------------------------------------------------------------

    @abstractmethod
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Answer a conversation. `kwargs` are those of the call and of `bind`."""

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Yield the answer in pieces: each a `ChatGenerationChunk`, or simply an `AIMessageChunk`."""
        raise Unsupported(f"{type(self).__name__} does not stream; use `invoke`, or override `_stream`.")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        """`_generate` in async form; by default on a worker thread."""
        manager = run_manager.get_sync() if run_manager is not None else None
        result: ChatResult = await ASYNC.call(
            enter(None), self._generate, None, messages, stop=stop, run_manager=manager, **kwargs
        )
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """`_stream` in async form; by default on a worker thread."""
        pieces = ASYNC.iterate(enter(None), self._stream, None, messages, stop=stop, run_manager=None, **kwargs)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    # -- what users call, beside the methods of every runnable -------------------------------------------------------

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """This model, told of tools that it may call.

        Raises:
            Unsupported: (a NotImplementedError) this model knows no tools.
        """
        # Programs print this error's text, which has always been empty; the note shows in a traceback.
        error = Unsupported()
        error.add_note(f"{type(self).__name__} cannot call tools: it has no `bind_tools` of its own.")
        raise error

    @overload
    def with_structured_output(
        self, schema: type[Form], *, include_raw: Literal[False] = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Form]: ...
    @overload
    def with_structured_output(
        self, schema: Mapping[str, Any], *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...
    @overload
    def with_structured_output(
        self, schema: Any, *, include_raw: Literal[True], **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...
    @overload
    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]: ...
    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """This model, made to answer in the form of `schema`: a pydantic class, a TypedDict or a JSON schema.

        The answer is an instance of the class, else a dict; None when the model does not comply. With `include_raw` it
        is `{"raw": message, "parsed": ..., "parsing_error": ...}`, and an answer that does not fit raises nothing.

        Raises:
            Unsupported: (a NotImplementedError) this model knows no tools, by which it is made to comply.
        """
        from .structured import structured_output

        kwargs.pop("method", None)
        kwargs.pop("strict", None)
        if kwargs:
            raise InvalidArgument(f"with_structured_output does not know {sorted(kwargs)}.")
        if type(self).bind_tools is BaseChatModel.bind_tools:
            raise Unsupported(f"{type(self).__name__} cannot call tools, so it cannot be made to answer in a form.")
        return structured_output(self, schema, include_raw)

    def generate(
        self, messages: Sequence[Any], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Answer several conversations, one after another, each as a run of its own; all candidates are kept.

        `tags`, `metadata`, `run_name` and `run_id` are those of the runs; other keywords go to `_generate`.
        """
        return step(self._generated(SYNC, messages, stop, callbacks, **kwargs))

    async def agenerate(
        self, messages: Sequence[Any], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """`generate`, all conversations at once; the first error is raised after all have ended."""
        return await self._generated(ASYNC, messages, stop, callbacks, **kwargs)

    if TYPE_CHECKING:
        # As of any Runnable; but what a chat model streams is chunks. (One plain message where it may not stream.)
        def stream(
            self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
        ) -> SyncStream[AIMessageChunk]: ...

        def astream(
            self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
        ) -> AsyncStream[AIMessageChunk]: ...

    def _output_shape(self) -> Any:
        return AIMessage

    # -- running -----------------------------------------------------------------------------------------------------

    def _generate_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering whole; either may be None."""
        forms = self._generate, self._agenerate if type(self)._agenerate is not BaseChatModel._agenerate else None
        return forms if self.output_version != "v1" else standard_content.generating(*forms)

    def _stream_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering in pieces; either may be None."""
        cls = type(self)
        forms = (
            self._stream if cls._stream is not BaseChatModel._stream else None,
            self._astream if cls._astream is not BaseChatModel._astream else None,
        )
        return forms if self.output_version != "v1" else standard_content.streaming(*forms)

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if self.callbacks:
            return await self._exec_attended(d, input, self._heard(scope), kwargs)
        result = await ModelCall(self, d, input, scope, kwargs).result()
        return result.generations[0].message

    async def _exec_attended(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        result = await attended(d, scope, lambda scope: ModelCall(self, d, input, scope, kwargs).result())
        return result.generations[0].message

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        return Line(d, partial(self._open, d, inputs, scope, kwargs, given))

    async def _open(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any) -> Opened:
        whole = await whole_of(inputs, given)
        if whole is MISSING:
            return Opened(nothing())
        if not self.callbacks:
            return await ModelCall(self, d, whole, scope, kwargs).opened()
        own = self._heard(scope)
        return Opened(attended_items(d, own, lambda scope: Line(d, ModelCall(self, d, whole, scope, kwargs).opened)))

    async def _generate_all(self, d: Driver, inputs: Sequence[Any], scope: Scope, kwargs: Kwargs) -> LLMResult:
        """One after another where the caller waits on its thread, at once in async form."""
        # A run id given by the caller can name one run only.
        scopes = [scope, *[scope.without_id()] * (len(inputs) - 1)]
        calls: list[ModelCall] = []

        async def answer(heard_at: Callable[[int], Scope]) -> list[ChatResult]:
            for at, each in enumerate(inputs):
                calls.append(ModelCall(self, d, each, heard_at(at), kwargs, of=len(inputs)))
            try:
                for call in calls:
                    call.begin()
                return await _all_results(d, calls, 1 if d.sync else None)
            except BaseException as error:
                for call in calls:
                    call.left_out(error)
                raise

        results = await attended_each(d, lambda index: self._heard(scopes[index]), answer)
        return LLMResult(
            generations=[list(result.generations) for result in results],
            llm_output=self._combine_llm_outputs([result.llm_output for result in results]),
            run=[RunInfo(run_id=call.run_id) for call in calls] or None,
        )

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """What the `llm_output` of `generate` is, made of that of each conversation. A subclass may override this."""
        return {}


class SimpleChatModel(BaseChatModel):
    """A chat model that answers with a text. A subclass writes `_call`."""

    @abstractmethod
    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> str:
        """The text of the answer."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = self._call(messages, stop=stop, run_manager=run_manager, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


async def _all_results(d: Driver, calls: Sequence[ModelCall], limit: int | None) -> list[ChatResult]:
    """The results in order; the first error by order is raised after all have ended, or at once with a limit of 1."""
    results: dict[int, ChatResult] = {}
    errors: dict[int, BaseException] = {}
    running = d.run_all([call.result for call in calls], limit)
    try:
        async for index, outcome in running:
            if outcome.is_final:
                outcome.get()
            if outcome.error is None:
                results[index] = outcome.value
            else:
                errors[index] = outcome.error
                if limit == 1:
                    break
    finally:
        await aclose(running)
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(calls))]
