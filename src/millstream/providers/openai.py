"""ChatOpenAI: OpenAI's chat completions and responses, and every server that speaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload
from urllib.parse import urlsplit

from pydantic import Field

from ..chat.models import Form, LanguageModelInput
from ..data.lazy import Lazy
from ..data.messages import BaseMessage
from ..data.outputs import ChatResult
from ..errors import BadRequestError, InvalidArgument, ProviderStatusError
from ..flow.runnable import Runnable
from .endpoint import Endpoint
from .free_text import chat_tool
from .openai_request import call_parameters, is_openais, takes_temperature, tool_choice_of, with_usage
from .profiles import profile_of
from .responses_request import only_responses, responses_parameters
from .timeouts import Timeouts
from .wire_model import WireModel

if TYPE_CHECKING:
    from . import (
        openai_answer,
        openai_chat,
        openai_messages,
        openai_tokens,
        responses_answer,
        responses_input,
        responses_stream,
    )
    from .asking import Begun, StreamAsking
    from .http import Link, Post
else:
    # The two wires, each loaded by its first request.
    openai_answer = Lazy(".openai_answer", globals())
    openai_chat = Lazy(".openai_chat", globals())
    openai_messages = Lazy(".openai_messages", globals())
    openai_tokens = Lazy(".openai_tokens", globals())
    responses_answer = Lazy(".responses_answer", globals())
    responses_input = Lazy(".responses_input", globals())
    responses_stream = Lazy(".responses_stream", globals())

__all__ = ["ChatOpenAI"]

_PARAMETERS = (
    "temperature",
    "top_p",
    "n",
    "seed",
    "stop",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "reasoning_effort",
    "reasoning",
    "include",
    "store",
    "truncation",
    "context_management",
    "verbosity",
    "service_tier",
    "extra_body",
)

# What is known of servers: whether they take `stream_options`. Filled by asking them.
_takes_usage: dict[str, bool] = {}
_MOST_REMEMBERED = 1000


class ChatOpenAI(WireModel):
    """A chat model behind OpenAI's API, or behind any server that imitates its chat completions (`base_url`).

    The key is `api_key` or OPENAI_API_KEY, the server `base_url` or OPENAI_BASE_URL; a server of one's own needs no
    key. Usage is asked for with every stream, unless `stream_usage=False`. With several choices (`n`) there is no
    streaming: `stream` gives the first choice in one piece.

    `use_responses_api=True` asks OpenAI's responses API instead, and so does, with OpenAI's models and on its own address,
    whatever only it can do: tools that OpenAI runs, `reasoning`, models such as gpt-5-pro. Its content is a list of indexed blocks.

    ```python
    model = ChatOpenAI(model="gpt-4o", temperature=0)
    for chunk in model.stream("Tell me about mills."):
        print(chunk.content, end="")
    ```

    Raises:
        MissingKey: (KeyError) there is no key, and OpenAI's own API needs one.
        InvalidArgument: (ValueError) a setting that cannot work.
    """

    model_name: str = Field(default="gpt-3.5-turbo", alias="model")
    organization: str | None = None
    temperature: float | None = None
    max_tokens: int | None = Field(default=None, alias="max_completion_tokens")
    top_p: float | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[int | str, float] | None = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = None
    service_tier: str | None = None
    stream_usage: bool | None = None
    disabled_params: dict[str, Any] | None = None
    use_responses_api: bool | None = None
    include: list[str] | None = None
    """What more the responses API should tell, such as "reasoning.encrypted_content"."""
    store: bool | None = None
    truncation: str | None = None
    verbosity: str | None = None
    context_management: list[dict[str, Any]] | None = None
    tiktoken_model_name: str | None = None
    """Count tokens as the tokenizer of this model does (it needs the package tiktoken); left out, they are estimated."""
    use_previous_response_id: bool = False
    """Send only what came after the last answer that the responses API has stored, with its id."""

    _endpoint: ClassVar[Endpoint] = Endpoint(
        provider="openai",
        url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        organization_variables=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
        proxy_variables=("OPENAI_PROXY",),
    )

    # It is about sockets of the SDK's client.
    _of_no_use: ClassVar[frozenset[str]] = frozenset({"http_socket_options"})

    def __init__(self, **settings: Any) -> None:
        if (settings.get("n") or 1) > 1 and settings.get("streaming"):
            raise InvalidArgument("n must be 1 with streaming=True: a stream holds one message.")
        if (silence := settings.pop("stream_chunk_timeout", None)) is not None:
            given = settings.pop("request_timeout", settings.pop("timeout", None))
            settings["timeout"] = replace(Timeouts.of(given), idle=silence)
        super().__init__(**settings)
        effort = self.reasoning_effort or (self.reasoning or {}).get("effort")
        if self.temperature not in (None, 1) and self._is_openai and not takes_temperature(self.model_name, effort):
            self.temperature = None
        if self.profile is None and self._is_openai:
            self.profile = profile_of("openai", self.model_name)
        if self.tiktoken_model_name and self.custom_get_token_ids is None:
            self.custom_get_token_ids = partial(openai_tokens.token_ids, self.tiktoken_model_name)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.model_name

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        own = [self.stop] if isinstance(self.stop, str) else self.stop
        return super()._get_ls_params(stop=own if stop is None else stop, **kwargs)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return openai_answer.all_outputs(llm_outputs)

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _answer(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ChatResult:
        provider = self._endpoint.provider
        if self._asks_for_responses(kwargs):
            body = self._responses_body(messages, stop, kwargs)
            return responses_answer.read_response(
                await self._asking_responses(kwargs).ask(link, self._responses_post(body, kwargs)), provider=provider
            )
        body = self._request_body(messages, stop, kwargs)
        return openai_answer.read_answer(
            await self._asking().ask(link, self._chat_post(body, kwargs)), provider=provider
        )

    def _stream_forms(self) -> tuple[Any, Any]:
        # A stream holds one message; several choices in it would be mixed.
        return (None, None) if (self.n or 1) > 1 else super()._stream_forms()

    async def _begin_stream(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Begun[Any]:
        """Begin a stream. A server that has refused to be asked for usage is not asked again."""
        if self._asks_for_responses(kwargs):
            body = {**self._responses_body(messages, stop, kwargs), "stream": True}
            return await self._asking_responses(kwargs).begin(link, self._responses_post(body, kwargs))
        asking = self._asking()
        body = self._request_body(messages, stop, kwargs)
        if (body.get("n") or 1) == 1:
            body["stream"] = True
        wanted = kwargs.get("stream_usage", self.stream_usage)
        server = self._server
        if wanted is False or (wanted is None and _takes_usage.get(server) is False) or "stream" not in body:
            return await asking.begin(link, self._chat_post(body, kwargs))
        try:
            begun = await asking.begin(link, self._chat_post(with_usage(body), kwargs))
        except BadRequestError as refused:
            known = (self._is_openai and self._is_official) or server in _takes_usage
            if wanted is True or known or refused.status not in (400, 422):
                raise
            # Perhaps it refuses `stream_options`; if the same request passes without, that was the reason.
            try:
                begun = await asking.begin(link, self._chat_post(body, kwargs))
            except ProviderStatusError:
                raise refused from None
            _remember(server, False)
            return begun
        _remember(server, True)
        return begun

    # -- what is sent ------------------------------------------------------------------------------------------------

    def _request_body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        parameters = self._parameters(stop, kwargs)
        if (reasoning := parameters.get("reasoning")) and self._is_openai:
            del parameters["reasoning"]
            parameters.setdefault("reasoning_effort", reasoning.get("effort"))
        if "tools" in parameters:
            parameters["tools"] = [chat_tool(tool) for tool in parameters["tools"]]
        if "tool_choice" in parameters:
            parameters["tool_choice"] = chat_tool(parameters["tool_choice"])
        return {
            "messages": openai_messages.to_openai(messages, marks=not self._is_at_openai),
            "model": self.model_name,
            **parameters,
        }

    def _responses_body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        parameters = responses_parameters(self._parameters(stop, kwargs))
        stored = parameters.get("store") is not False
        if self.use_previous_response_id and "previous_response_id" not in parameters:
            messages, previous = responses_input.after_last_response(messages)
            parameters |= {"previous_response_id": previous} if previous else {}
        return {"input": responses_input.to_responses(messages, stored=stored), "model": self.model_name, **parameters}

    def _parameters(self, stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in _PARAMETERS}
        # OpenAI has renamed it; most of the others know only the old name.
        settings["max_completion_tokens" if self._is_openai else "max_tokens"] = self.max_tokens
        call = {**kwargs, "stop": stop} if stop is not None else kwargs
        parameters = call_parameters({**settings, **self.model_kwargs}, call, disabled=self.disabled_params)
        if self._is_openai and "max_tokens" in parameters:
            parameters["max_completion_tokens"] = parameters.pop("max_tokens")
        form = parameters.get("response_format")
        if form is not None and not (isinstance(form, Mapping) and "type" in form and form["type"] != "object"):
            from .json_answers import json_format  # a dozen classes of parsers, which few programs need

            parameters["response_format"] = json_format(form)
        return parameters

    def _asks_for_responses(self, kwargs: Mapping[str, Any]) -> bool:
        if self.use_responses_api is not None:
            return self.use_responses_api
        if self.output_version == "responses/v1" or self.use_previous_response_id:
            return True
        settings = {name: getattr(self, name) for name in ("reasoning", "include", "truncation", "context_management")}
        return self._is_openai and only_responses(self.model_name, {**settings, **self.model_kwargs, **kwargs})

    def _chat_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        return self._post(f"{self._server}/chat/completions", body, kwargs)

    def _responses_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        return self._post(f"{self._server}/responses", body, kwargs)

    def _organization(self) -> str | None:
        return self.organization

    def _asking(self) -> StreamAsking:
        return self._stream_asking(openai_chat.OpenAIChatDecoder, openai_answer.answer_chunk)

    def _asking_responses(self, kwargs: Mapping[str, Any]) -> StreamAsking:
        usage = kwargs.get("stream_usage", self.stream_usage) is not False
        return self._stream_asking(responses_stream.ResponsesDecoder, responses_answer.response_chunk, usage=usage)

    # -- tools -------------------------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """This model, told of tools that it may call: tools, functions, pydantic classes, or dicts in OpenAI's form.

        `tool_choice` is "auto", "none", "any" (or True: some tool must be called), or a tool's name. With `strict` the
        model is held to the tools' schemas; `parallel_tool_calls=False` allows one call at a time.
        """
        # Describing tools takes a good deal of code, and models are used without.
        from ..chat.function_calling import convert_to_openai_tool

        told = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if (choice := tool_choice_of(tool_choice, told)) is not None:
            kwargs["tool_choice"] = choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=told, **kwargs)

    @overload
    def with_structured_output(
        self, schema: type[Form], *, include_raw: Literal[False] = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Form]: ...
    @overload
    def with_structured_output(
        self, schema: Any = None, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]: ...
    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        schema: Any = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """This model, made to answer in the form of `schema`: a pydantic class, a TypedDict or a JSON schema.

        `method` is how: "json_schema" holds the answer to the schema (the default with OpenAI), "function_calling" makes the
        model call a tool of that form (the default elsewhere), "json_mode" asks for some JSON, whose form the prompt must
        tell. The answer is an instance of the class, else a dict; None where the model called one of `tools=` instead. With `include_raw` it is
        `{"raw": message, "parsed": ..., "parsing_error": ...}`, and an answer that does not fit raises nothing. Other
        keywords go with each request.

        Raises:
            InvalidArgument: (ValueError) there is no such method, or it needs a schema.
        """
        # The parsers are a dozen classes of pydantic, which few programs need.
        from ..chat.function_calling import convert_to_openai_tool
        from ..chat.structured import form_parser, raw_and_parsed
        from .json_answers import answer_parser, json_format

        method = method or self._structured_by
        answering: Runnable[Any, Any]
        parser: Any
        if method == "function_calling":
            if schema is None:
                raise InvalidArgument("method='function_calling' needs a `schema`; method='json_mode' works without.")
            parser = form_parser(schema)
            name = convert_to_openai_tool(schema)["function"]["name"]
            parallel = False if self._is_openai else None
            answering = self.bind_tools(
                [schema], tool_choice=name, parallel_tool_calls=parallel, strict=strict, **kwargs
            )
        elif method in ("json_schema", "json_mode"):
            parser = answer_parser(schema)
            form: dict[str, Any] = {"type": "json_object"}
            if method == "json_schema":
                form = json_format(schema, strict=strict)
            tools = kwargs.pop("tools", None)
            bound = {"response_format": form, **kwargs}
            answering = self.bind_tools(tools, strict=strict, **bound) if tools else self.bind(**bound)
        else:
            raise InvalidArgument(f"method={method!r}: write 'json_schema', 'function_calling' or 'json_mode'.")
        return raw_and_parsed(answering, parser) if include_raw else answering | parser

    @property
    def _is_openai(self) -> bool:
        """It is OpenAI's own server, in whatever region, or a way to it: imitators know fewer parameters, and some by older names."""
        return self._endpoint.provider == "openai" and (self._is_at_openai or is_openais(self.model_name))

    @property
    def _is_at_openai(self) -> bool:
        return f".{urlsplit(self._server).hostname or ''}".endswith(".api.openai.com")

    @property
    def _structured_by(self) -> Literal["json_schema", "function_calling"]:
        return "json_schema" if self._endpoint.provider in ("openai", "azure_openai") else "function_calling"


def _remember(server: str, takes_usage: bool) -> None:
    if server not in _takes_usage and len(_takes_usage) >= _MOST_REMEMBERED:
        _takes_usage.clear()
    _takes_usage[server] = takes_usage
