"""ChatAnthropic: Anthropic's messages API, and every server that speaks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, overload

from pydantic import Field

from ..chat.models import Form, LanguageModelInput
from ..data.messages import BaseMessage
from ..data.outputs import ChatResult
from ..errors import InvalidArgument
from ..flow.runnable import Runnable
from .anthropic_answer import answer_chunk, read_answer
from .anthropic_messages import last_container, to_anthropic
from .anthropic_request import betas_for, call_parameters, most_tokens, shows_blocks, to_anthropic_tool, tool_choice_of
from .anthropic_stream import AnthropicDecoder
from .asking import Begun, StreamAsking
from .endpoint import Endpoint
from .http import Link, Post
from .profiles import profile_of
from .wire_model import WireModel

__all__ = ["ChatAnthropic"]

_PARAMETERS = ("max_tokens", "temperature", "top_k", "top_p", "stop_sequences", "thinking", "effort", "mcp_servers", "context_management", "output_config", "service_tier", "inference_geo", "extra_body")  # fmt: skip


class ChatAnthropic(WireModel):
    """A chat model behind Anthropic's messages API, or behind any server that imitates it (`base_url`).

    The key is `api_key` or ANTHROPIC_API_KEY, the server `base_url`, ANTHROPIC_BASE_URL or ANTHROPIC_API_URL; a server of
    one's own needs no key. Without `max_tokens` the model may say as much as it can. Content is text; where tools are
    bound or the model thinks, it is a list of indexed blocks. Marks such as `cache_control` on blocks are sent as they are.

    ```python
    model = ChatAnthropic(model="claude-sonnet-4-5", thinking={"type": "enabled", "budget_tokens": 2048})
    for chunk in model.stream("Tell me about mills."):
        print(chunk.text, end="")
    ```

    Raises:
        MissingKey: (KeyError) there is no key, and Anthropic's own API needs one.
        InvalidArgument: (ValueError) a setting that cannot work.
    """

    model: str = Field(alias="model_name")
    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = Field(default=None, alias="stop")
    thinking: dict[str, Any] | None = None
    effort: str | None = None
    """How much the model should say and think: "low", "medium", "high"."""
    betas: list[str] | None = None
    """Features in test that are asked for (the header `anthropic-beta`), beside those that what is sent makes needed."""
    mcp_servers: list[dict[str, Any]] | None = None
    context_management: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    reuse_last_container: bool = False
    """Go on in the container in which the last answer ran its code."""
    stream_usage: bool = True

    _endpoint: ClassVar[Endpoint] = Endpoint(
        provider="anthropic",
        url="https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        url_variables=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"),
        proxy_variables=("ANTHROPIC_PROXY",),
        key_header="x-api-key",
        more_headers=(("anthropic-version", "2023-06-01"),),
    )

    def __init__(self, **settings: Any) -> None:
        if not (settings.get("model") or settings.get("model_name")):
            raise InvalidArgument("ChatAnthropic needs a `model`, such as 'claude-sonnet-4-5'.")
        super().__init__(**settings)
        if self.profile is None:
            self.profile = profile_of("anthropic", self.model)
        if self.max_tokens is None:
            self.max_tokens = most_tokens(self.model)

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def _llm_type(self) -> str:
        return "anthropic-chat"

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _answer(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ChatResult:
        body = self._request_body(messages, stop, kwargs)
        answer = await self._asking(body, kwargs).ask(link, self._message_post(body, kwargs))
        return read_answer(answer, provider=self._endpoint.provider)

    async def _begin_stream(
        self, link: Link, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Begun[Any]:
        body = self._request_body(messages, stop, kwargs)
        body["stream"] = True
        return await self._asking(body, kwargs).begin(link, self._message_post(body, kwargs))

    # -- what is sent ------------------------------------------------------------------------------------------------

    def _request_body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in _PARAMETERS}
        call = {**kwargs, "stop": stop} if stop is not None else kwargs
        system, turns = to_anthropic(messages)
        body: dict[str, Any] = {"model": self.model, "messages": turns}
        if system is not None:
            body["system"] = system
        if self.reuse_last_container and (container := last_container(messages)):
            body["container"] = container
        return {**body, **call_parameters({**settings, **self.model_kwargs}, call)}

    def _message_post(self, body: dict[str, Any], kwargs: Mapping[str, Any]) -> Post:
        # Its users give this API's address without the version; others' habit is to give it with.
        root = self._server if self._server.endswith("/v1") else f"{self._server}/v1"
        betas = [*(self.betas or ()), *(kwargs.get("betas") or ()), *betas_for(body)]
        if not betas:
            return self._post(f"{root}/messages", body, kwargs)
        # Beside what the program itself says in that header.
        given = self._headers(kwargs.get("extra_headers")).get("anthropic-beta")
        told = [*(given.replace(" ", "").split(",") if given else ()), *betas]
        return self._post(f"{root}/messages", body, kwargs, **{"anthropic-beta": ",".join(dict.fromkeys(told))})

    def _asking(self, body: Mapping[str, Any], kwargs: Mapping[str, Any]) -> StreamAsking:
        blocks, usage = shows_blocks(body), kwargs.get("stream_usage", self.stream_usage)
        return self._stream_asking(AnthropicDecoder, partial(answer_chunk, blocks=blocks), blocks=blocks, usage=usage)

    # -- tools -------------------------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Any = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """This model, told of tools that it may call: tools, functions, pydantic classes, or dicts.

        A dict may also be one of Anthropic's own tools, such as `{"type": "web_search_20250305", "name": "web_search"}`.
        `tool_choice` is "auto", "none", "any" (or True: some tool must be called), or a tool's name. With `strict` the
        model is held to the tools' schemas; `parallel_tool_calls=False` allows one call at a time.
        """
        told = [to_anthropic_tool(tool, strict=strict) for tool in tools]
        if (choice := tool_choice_of(tool_choice, told, parallel=parallel_tool_calls)) is not None:
            kwargs["tool_choice"] = choice
        return self.bind(tools=told, **kwargs)

    @overload
    def with_structured_output(
        self, schema: type[Form], *, include_raw: Literal[False] = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Form]: ...
    @overload
    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]: ...
    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        schema: Any,
        *,
        method: Literal["function_calling", "json_schema", "json_mode"] = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """This model, made to answer in the form of `schema`: a pydantic class, a TypedDict or a JSON schema.

        `method` is how: "function_calling" makes the model call a tool of that form, "json_schema" holds its answer to the
        schema, and so does "json_mode", which this API does not have. A model that thinks cannot be made to call a tool: it may also answer otherwise, and the result is None.
        With `include_raw` the answer is `{"raw": message, "parsed": ..., "parsing_error": ...}`.

        Raises:
            InvalidArgument: (ValueError) there is no such method.
        """
        # The parsers are a dozen classes of pydantic, which few programs need.
        from ..chat.structured import form_parser, raw_and_parsed
        from .json_answers import answer_parser, answer_schema

        answering: Runnable[Any, Any]
        parser: Any
        if method == "function_calling":
            parser = form_parser(schema)
            thinks = shows_blocks({"thinking": kwargs.get("thinking", self.thinking)})
            name = None if thinks else to_anthropic_tool(schema)["name"]
            answering = self.bind_tools([schema], tool_choice=name, strict=strict, **kwargs)
        elif method in ("json_schema", "json_mode"):
            parser = answer_parser(schema)
            form = {"type": "json_schema", "schema": answer_schema(schema)}
            tools = kwargs.pop("tools", None)
            bound = {"response_format": form, **kwargs}
            answering = self.bind_tools(tools, strict=strict, **bound) if tools else self.bind(**bound)
        else:
            raise InvalidArgument(f"method={method!r}: write 'function_calling', 'json_schema' or 'json_mode'.")
        return raw_and_parsed(answering, parser) if include_raw else answering | parser
