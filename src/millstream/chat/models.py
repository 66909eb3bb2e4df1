"""BaseChatModel: a conversation in, a message out, whole or token by token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from pydantic import Field

from ..data.coercion import convert_to_messages, get_buffer_string
from ..data.messages import AIMessage, BaseMessage
from ..data.outputs import ChatGeneration, ChatResult, LLMResult, RunInfo
from ..data.prompt_values import PromptValue
from ..data.token_estimate import count_tokens_approximately
from ..errors import InvalidArgument, Unsupported
from ..flow.attend import attended, attended_each, attended_items
from ..flow.driver import ASYNC, SYNC, Driver, aclose
from ..flow.runnable import Kwargs, Runnable
from ..flow.step import step
from ..spine.events import MISSING
from ..spine.scope import Scope, enter
from .component import Component, whole_of
from .function_calling import convert_to_openai_tool
from .model_call import ModelCall

if TYPE_CHECKING:
    from ..data.ai_chunk import AIMessageChunk
    from ..flow.stream import AsyncStream, SyncStream
    from ..spine.config import RunnableConfig

__all__ = ["BaseChatModel", "LanguageModelInput", "SimpleChatModel"]

Form = TypeVar("Form")

LanguageModelInput: TypeAlias = PromptValue | str | Sequence[Any]


class BaseChatModel(Component[LanguageModelInput, AIMessage]):
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

    cache: Any = Field(default=None, exclude=True)
    rate_limiter: Any = Field(default=None, exclude=True)
    disable_streaming: bool | Literal["tool_calling"] = False
    callbacks: Any = Field(default=None, exclude=True, repr=False)
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    verbose: bool = Field(default=False, exclude=True, repr=False)
    custom_get_token_ids: Callable[[str], list[int]] | None = Field(default=None, exclude=True)
    output_version: str | None = None
    profile: dict[str, Any] | None = Field(default=None, exclude=True)

    # -- what a subclass writes --------------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        """A short name of the kind of model, for logs and caches."""
        return type(self).__name__

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

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The settings that an answer depends on: calls of models that agree in them share what a cache keeps.

        The default knows of the name, the temperature and the most tokens; a model with other settings names them all.
        """
        return self._get_ls_params()

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Facts about the model that go into the metadata of its runs, under the names that tracing tools know."""
        fields = self.__dict__
        facts = {
            "ls_provider": _provider_of(type(self).__name__),
            "ls_model_name": kwargs.get("model") or fields.get("model") or fields.get("model_name"),
            "ls_model_type": "chat",
            "ls_temperature": kwargs.get("temperature", fields.get("temperature")),
            "ls_max_tokens": kwargs.get("max_tokens", fields.get("max_tokens")),
            "ls_stop": stop,
        }
        return {key: value for key, value in facts.items() if value is not None}

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
        self,
        messages: Sequence[Sequence[Any]],
        stop: list[str] | None = None,
        callbacks: Any = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: Any = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer several conversations, one after another, each as a run of its own; all generations are kept."""
        config = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        return step(self._generate_all(SYNC, messages, enter(config), {"stop": stop, **kwargs}, 1))

    async def agenerate(
        self,
        messages: Sequence[Sequence[Any]],
        stop: list[str] | None = None,
        callbacks: Any = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: Any = None,
        **kwargs: Any,
    ) -> LLMResult:
        """`generate`, all conversations at once; the first error is raised after all have ended."""
        config = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        return await self._generate_all(ASYNC, messages, enter(config), {"stop": stop, **kwargs}, None)

    def get_num_tokens(self, text: str) -> int:
        """The tokens of a text, by `custom_get_token_ids`; without it an estimate, unless the provider knows better."""
        ids = self.custom_get_token_ids
        return ceil(len(text) / 4) if ids is None else len(ids(text))

    def get_num_tokens_from_messages(self, messages: Sequence[Any], tools: Sequence[Any] | None = None) -> int:
        """The tokens of a conversation, and of the tools that go with it; an estimate as `get_num_tokens`."""
        described = [convert_to_openai_tool(tool) for tool in tools or ()]
        if self.custom_get_token_ids is None:
            return count_tokens_approximately(messages, tools=described)
        texts = [get_buffer_string([message]) for message in convert_to_messages(messages)]
        return sum(map(self.get_num_tokens, [*texts, *map(str, described)]))

    if TYPE_CHECKING:
        # As of any Runnable; but what a chat model streams is chunks. (One plain message where it may not stream.)
        def stream(
            self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
        ) -> SyncStream[AIMessageChunk]: ...

        def astream(
            self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
        ) -> AsyncStream[AIMessageChunk]: ...

    # -- running -----------------------------------------------------------------------------------------------------

    def _generate_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering whole; either may be None."""
        return self._generate, self._agenerate if type(self)._agenerate is not BaseChatModel._agenerate else None

    def _stream_forms(self) -> tuple[Any, Any]:
        """The sync and the async form of answering in pieces; either may be None."""
        cls = type(self)
        return (
            self._stream if cls._stream is not BaseChatModel._stream else None,
            self._astream if cls._astream is not BaseChatModel._astream else None,
        )

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if self.callbacks:
            return await self._exec_attended(d, input, self._heard(scope), kwargs)
        result = await ModelCall(self, d, input, scope, kwargs).result()
        return result.generations[0].message

    async def _exec_attended(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        result = await attended(d, scope, lambda scope: ModelCall(self, d, input, scope, kwargs).result())
        return result.generations[0].message

    async def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        whole = await whole_of(inputs, given)
        if whole is MISSING:
            return
        if self.callbacks:
            own = self._heard(scope)
            chunks = attended_items(d, own, lambda scope: ModelCall(self, d, whole, scope, kwargs).chunks())
        else:
            chunks = ModelCall(self, d, whole, scope, kwargs).chunks()
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def _generate_all(
        self, d: Driver, conversations: Sequence[Any], scope: Scope, kwargs: Kwargs, limit: int | None
    ) -> LLMResult:
        # A run id given by the caller can name one run only.
        scopes = [scope, *[scope.inner()] * (len(conversations) - 1)]
        calls: list[ModelCall] = []

        async def answer(heard_at: Callable[[int], Scope]) -> list[ChatResult]:
            calls.extend(ModelCall(self, d, each, heard_at(at), kwargs) for at, each in enumerate(conversations))
            return await _all_results(d, calls, limit)

        results = await attended_each(d, lambda index: self._heard(scopes[index]), answer)
        return LLMResult(
            generations=[list(result.generations) for result in results],
            llm_output={},
            run=[RunInfo(run_id=call.run_id) for call in calls],
        )


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


def _provider_of(class_name: str) -> str:
    """`ChatOpenAI` is of "openai"."""
    name = class_name.removeprefix("Chat") if class_name.startswith("Chat") else class_name.removesuffix("Chat")
    return name.lower()
