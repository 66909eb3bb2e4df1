"""What all models behind a wire share: keys from functions, queries, proxies, clients, names of settings, keys of caches."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, SecretStr

from millstream import (
    AsyncOnly,
    AuthenticationError,
    AzureChatOpenAI,
    AzureOpenAIEmbeddings,
    BadRequestError,
    ChatAnthropic,
    ChatOpenAI,
    HumanMessage,
    InMemoryCache,
    InvalidArgument,
    MissingKey,
    OpenAIEmbeddings,
    ProviderInterrupted,
    ProviderTimeout,
    Timeouts,
    tool,
)
from millstream.providers import clients
from millstream.testing import (
    Reply,
    StandInProvider,
    chat_answer,
    chat_error,
    chat_frame,
    chat_stream,
    embeddings_answer,
    message_answer,
    response_answer,
)

KEY = "sk-do-not-tell-4711"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_PROXY", "ANTHROPIC_API_KEY", "ANTHROPIC_PROXY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def openai(provider: StandInProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="any", base_url=provider.base_url, **settings)


def answered(request: Any) -> bytes:
    return message_answer("hi") if "/messages" in request.path else chat_answer("hi")


# -- keys from functions -----------------------------------------------------------------------------------------------------


def test_a_function_is_asked_for_the_key_before_each_request() -> None:
    given: list[str] = []

    def key() -> str:
        given.append(threading.current_thread().name)
        return f"{KEY}-{len(given)}"

    busy = Reply.json(chat_error("slow down"), status=429, headers={"retry-after": "0"})
    with StandInProvider([busy, chat_answer("a"), message_answer("b")]) as provider:
        openai(provider, api_key=key).invoke("hi")
        asyncio.run(ChatAnthropic(model="any", base_url=provider.base_url, api_key=key).ainvoke("hi"))
    sent = [r.headers.get("authorization") or r.headers["x-api-key"] for r in provider.requests]
    assert sent == [f"Bearer {KEY}-1", f"Bearer {KEY}-2", f"{KEY}-3"]
    # Not on the event loop, which it might block.
    assert [name == "MainThread" for name in given] == [True, True, False]


def test_the_function_may_be_async() -> None:
    async def key() -> SecretStr:
        return SecretStr(KEY)

    with StandInProvider(lambda _: Reply(chat_stream("hi"))) as provider:
        model = openai(provider, api_key=key)

        async def main() -> None:
            assert "".join([c.content async for c in model.astream("hi")]) == "hi"

        asyncio.run(main())
        with pytest.raises(AsyncOnly, match="ainvoke"):
            model.invoke("hi")
    assert [r.headers["authorization"] for r in provider.requests] == [f"Bearer {KEY}"]


def test_no_message_repeats_a_key_that_a_function_gave() -> None:
    refusal = Reply.json(chat_error(f"Incorrect API key provided: {KEY}"), status=401)
    with StandInProvider([refusal]) as provider:
        model = openai(provider, api_key=lambda: KEY)
        with pytest.raises(AuthenticationError) as caught:
            model.invoke("hi")
    assert KEY not in repr(caught.value) + str(caught.value) + repr(model) + str(model.model_dump())
    assert model.api_key is None


def test_azures_tokens_are_asked_for_off_the_loop_and_in_their_async_form() -> None:
    threads: list[bool] = []

    def token() -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        return "one"

    async def atoken() -> str:
        return "two"

    def script(request: Any) -> bytes:
        return embeddings_answer([[1.0]]) if "embeddings" in request.path else chat_answer("hi")

    with StandInProvider(script) as provider:
        root = provider.base_url.removesuffix("/v1")
        shared: Any = {
            "azure_endpoint": root,
            "azure_deployment": "mine",
            "api_version": "v",
            "azure_ad_token_provider": token,
        }
        chat = AzureChatOpenAI(**shared)
        both = AzureOpenAIEmbeddings(**shared, azure_ad_async_token_provider=atoken)
        chat.invoke("hi")
        asyncio.run(chat.ainvoke("hi"))
        assert asyncio.run(both.aembed_query("a")) == both.embed_query("a") == [1.0]
    assert [r.headers["authorization"] for r in provider.requests] == [
        "Bearer one",
        "Bearer one",
        "Bearer two",
        "Bearer one",
    ]
    assert all("api-key" not in r.headers for r in provider.requests)
    assert threads == [True, False, True]


# -- Azure's embeddings ------------------------------------------------------------------------------------------------------


def test_embeddings_on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingKey, match="AZURE_OPENAI_API_KEY"):
        AzureOpenAIEmbeddings(azure_endpoint="https://x.openai.azure.com", model="m")
    with StandInProvider(lambda _: embeddings_answer([[1.0]])) as provider:
        root = provider.base_url.removesuffix("/v1")
        own = AzureOpenAIEmbeddings(model="small", azure_endpoint=root, api_key=KEY, api_version="2024-10-21")
        new = AzureOpenAIEmbeddings(
            model="small", deployment="mine", azure_endpoint=root, api_key=KEY, check_embedding_ctx_length=False
        )
        assert own.embed_query("a") == new.embed_query("a") == [1.0]
    first, second = provider.requests
    assert first.path == "/openai/deployments/small/embeddings?api-version=2024-10-21"
    assert (second.path, second.json["model"]) == ("/openai/v1/embeddings", "mine")
    assert first.headers["api-key"] == KEY and "authorization" not in first.headers


def test_batches_keep_to_the_servers_limit_of_tokens() -> None:
    def script(request: Any) -> bytes:
        return embeddings_answer([[float(len(text))] for text in request.json["input"]])

    with StandInProvider(script) as provider:
        model = OpenAIEmbeddings(base_url=provider.base_url, check_embedding_ctx_length=False, max_concurrency=1)
        texts = ["x" * 200_000, "y" * 300_000, "z", "w" * 600_000, "v"]
        assert model.embed_documents(texts) == [[200_000.0], [300_000.0], [1.0], [600_000.0], [1.0]]
    assert [len(r.json["input"]) for r in provider.requests] == [2, 1, 1, 1]
    assert set(provider.requests[0].json) == {"input", "model"}


# -- queries, proxies, clients ------------------------------------------------------------------------------------------------


def test_queries_of_the_model_and_of_the_call() -> None:
    with StandInProvider(answered) as provider:
        openai(provider, default_query={"api-version": "1", "many": ["a", "b"]}).invoke("hi", extra_query={"x": "y z"})
        ChatAnthropic(model="any", base_url=provider.base_url, default_query={"q": 1}).invoke("hi")
        AzureChatOpenAI(
            azure_endpoint=provider.base_url.removesuffix("/v1"), azure_deployment="d", api_version="v", api_key=KEY,
            default_query={"q": 1},
        ).invoke("hi")  # fmt: skip
    paths = [r.path for r in provider.requests]
    assert paths[0].endswith("/chat/completions?api-version=1&many=a&many=b&x=y+z")
    assert paths[1].endswith("/messages?q=1")
    assert paths[2].endswith("/d/chat/completions?api-version=v&q=1")
    assert all("extra_query" not in r.json for r in provider.requests)


def test_a_key_in_the_query_is_shown_nowhere() -> None:
    with StandInProvider([Reply.json(chat_error("no"), status=400)]) as provider:
        model = openai(provider, default_query={"key": KEY})
        with pytest.raises(BadRequestError) as caught:
            model.invoke("hi")
    assert KEY in provider.requests[0].path
    assert KEY not in repr(model) + str(model.model_dump()) + repr(caught.value) + str(model._identifying_params)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_proxy(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROXY", "http://user:secret-word@127.0.0.1:1")
    with StandInProvider(answered) as proxy:
        address = proxy.base_url.removesuffix("/v1")
        model = ChatOpenAI(model="any", base_url="http://models.invalid/v1", openai_proxy=address)
        message = model.invoke("hi") if colour == "sync" else asyncio.run(model.ainvoke("hi"))
        other = ChatAnthropic(model="any", base_url="http://models.invalid", proxy=address)
        assert message.content == other.invoke("hi").content == "hi"
    assert proxy.requests[0].path == "http://models.invalid/v1/chat/completions"
    clients.close_clients()
    of_environment = ChatAnthropic(model="any", base_url="http://models.invalid")
    assert of_environment.proxy == SecretStr("http://user:secret-word@127.0.0.1:1")
    assert "secret-word" in of_environment._secrets and "secret-word" not in repr(of_environment)
    with pytest.raises(InvalidArgument, match="proxy"):
        ChatOpenAI(api_key=KEY, proxy="localhost:3128")


def test_a_client_of_the_other_colour_is_refused_at_once() -> None:
    with httpx2.Client() as client:
        with pytest.raises(InvalidArgument, match="AsyncClient"):
            ChatOpenAI(api_key=KEY, http_async_client=client)
        assert ChatOpenAI(api_key=KEY, http_client=client).http_client is client
    with pytest.raises(InvalidArgument, match="http_async_client"):
        ChatAnthropic(model="any", api_key=KEY, http_client=httpx2.AsyncClient())


def test_no_connection_becomes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CONNECTIONS", 1)
    endless = Reply(chat_frame({"content": "a"}), ending="silent")

    async def main() -> None:
        stream = openai(provider).astream("hi")
        await anext(stream)
        with pytest.raises(ProviderTimeout, match="connections"):
            await openai(provider, timeout=Timeouts(first_token=0.05), max_retries=0).ainvoke("hi")
        await stream.aclose()

    with StandInProvider([endless]) as provider:
        asyncio.run(main())


# -- limits --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeouts", "why"),
    [
        (Timeouts(first_token=None, idle=0.9), "nothing came for 0.9 s"),
        (Timeouts(first_token=None, idle=None, total=0.9), "longer than its total limit"),
    ],
)
def test_a_synchronous_stream_says_which_limit_is_over(timeouts: Timeouts, why: str) -> None:
    silent = Reply(chat_frame({"content": "a"}), ending="silent")
    with StandInProvider([silent]) as provider, pytest.raises(ProviderInterrupted, match=why) as caught:
        list(openai(provider, timeout=timeouts).stream("hi"))
    assert caught.value.partial.content == "a"


# -- names ---------------------------------------------------------------------------------------------------------------------


def test_settings_are_read_under_the_names_by_which_they_are_given() -> None:
    chat = ChatOpenAI(model="m", openai_api_key=KEY, openai_api_base="http://x/v1", request_timeout=5, max_retries=None)
    assert (chat.model, chat.model_name, chat.max_retries) == ("m", "m", 2)
    assert (chat.openai_api_base, chat.request_timeout, chat.openai_proxy) == ("http://x/v1", 5, None)  # type: ignore[attr-defined]
    assert chat.openai_api_key.get_secret_value() == KEY  # type: ignore[attr-defined]
    claude = ChatAnthropic(model_name="c", anthropic_api_key=KEY)
    assert (claude.model, claude.model_name) == ("c", "c")
    assert claude.anthropic_api_url == "https://api.anthropic.com"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = chat.no_such_setting  # type: ignore[attr-defined]


def test_what_tracing_tools_are_told() -> None:
    azure = AzureChatOpenAI(azure_endpoint="https://x.example", azure_deployment="d", model="gpt-4o", api_key=KEY)
    facts = azure._get_ls_params(stop=["x"])
    assert (facts["ls_provider"], facts["ls_model_name"], facts["ls_stop"]) == ("azure", "gpt-4o", ["x"])
    claude = ChatAnthropic(model="c", api_key=KEY, temperature=0.5, max_tokens=7)._get_ls_params()
    assert claude == {
        "ls_provider": "anthropic",
        "ls_model_name": "c",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 7,
    }


# -- caches --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"top_k": 3},
        {"effort": "low"},
        {"betas": ["x"]},
        {"model_kwargs": {"metadata": {"user_id": "u"}}},
    ],
)
def test_models_with_other_settings_share_no_answers(other: dict[str, Any]) -> None:
    with StandInProvider(answered) as provider:
        cache = InMemoryCache()
        shared: Any = {"model": "any", "base_url": provider.base_url, "cache": cache}
        first = ChatAnthropic(**shared)
        again = ChatAnthropic(**shared, api_key=KEY, max_retries=0, timeout=3)
        assert first._identifying_params != ChatAnthropic(**shared, **other)._identifying_params
        first.invoke("hi"), again.invoke("hi")
        ChatAnthropic(**shared, **other).invoke("hi")
    assert len(provider.requests) == 2


def test_settings_that_no_text_tells_are_no_error_of_the_cache() -> None:
    with StandInProvider([chat_answer("hi")]) as provider:
        openai(provider, cache=InMemoryCache(), model_kwargs={"x": 1}, disabled_params={"x": [object()]}).invoke("hi")


# -- parameters ------------------------------------------------------------------------------------------------------------------


class Sum(BaseModel):
    """A sum."""

    a: int


def test_a_form_may_be_a_class() -> None:
    with StandInProvider(lambda _: chat_answer('{"a": 1}')) as provider:
        openai(provider).invoke("hi", response_format=Sum)
        openai(provider).bind_tools([Sum], response_format=Sum.model_json_schema()).invoke("hi")
        openai(provider).invoke("hi", response_format={"type": "json_object"})
    first, second, third = (r.json["response_format"] for r in provider.requests)
    assert (first["type"], first["json_schema"]["name"], first["json_schema"]["strict"]) == ("json_schema", "Sum", True)
    assert second["json_schema"]["schema"]["properties"] == {"a": {"title": "A", "type": "integer"}}
    assert third == {"type": "json_object"}


def test_a_form_of_the_answer_beside_tools() -> None:
    def add(a: int) -> int:
        """Add."""
        return a

    calling = chat_answer(tool_calls=[{"name": "add", "args": {"a": 1}}])
    with StandInProvider([calling, chat_answer('{"a": 1}')]) as provider:
        model = openai(provider).with_structured_output(Sum, method="json_schema", tools=[add], include_raw=True)
        first, second = model.invoke("hi"), model.invoke("hi")
    assert (first["parsed"], first["parsing_error"], first["raw"].tool_calls[0]["name"]) == (None, None, "add")
    assert second["parsed"] == Sum(a=1)
    assert provider.requests[0].json["tools"][0]["function"]["name"] == "add"


def test_only_what_is_new_to_the_server_is_sent() -> None:
    with StandInProvider([response_answer("one"), response_answer("two")]) as provider:
        model = openai(provider, use_previous_response_id=True)
        first = model.invoke("hi")
        model.invoke([HumanMessage("hi"), first, HumanMessage("and?")])
    one, two = (r.json for r in provider.requests)
    assert "previous_response_id" not in one
    assert two["previous_response_id"] == first.response_metadata["id"]
    assert [item["content"] for item in two["input"]] == ["and?"]


@pytest.mark.parametrize(
    ("settings", "call", "expected"),
    [
        ({}, {}, None),
        ({"betas": ["mine"]}, {"betas": ["mine", "yours"]}, "mine,yours"),
        ({}, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, "web-fetch-2025-09-10"),
        ({"context_management": {"edits": []}}, {}, "context-management-2025-06-27"),
        ({"mcp_servers": [{"name": "x"}]}, {}, "mcp-client-2025-04-04"),
        (
            {"mcp_servers": [{"name": "x"}]},
            {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
            "mcp-client-2025-11-20",
        ),
    ],
)
def test_features_in_test_are_asked_for_where_they_are_needed(
    settings: dict[str, Any], call: dict[str, Any], expected: str | None
) -> None:
    with StandInProvider(answered) as provider:
        ChatAnthropic(model="any", base_url=provider.base_url, **settings).invoke("hi", **call)
    assert provider.requests[0].headers.get("anthropic-beta") == expected


def test_features_that_the_program_names_in_the_header_are_added_to() -> None:
    with StandInProvider(answered) as provider:
        told = {"extra_headers": {"anthropic-beta": "mine, ours"}}
        it = ChatAnthropic(model="any", base_url=provider.base_url, betas=["ours", "theirs"], model_kwargs=told)
        it.invoke("hi")
        it.invoke("hi", extra_headers={"anthropic-beta": "yours"})
    first, second = (request.headers["anthropic-beta"] for request in provider.requests)
    assert (first, second) == ("mine,ours,theirs", "yours,ours,theirs")


@pytest.mark.parametrize("cls", [ChatOpenAI, ChatAnthropic])
def test_what_model_kwargs_say_of_the_request(cls: Any) -> None:
    told = {"extra_headers": {"X-Mine": KEY}, "extra_query": {"a": "b"}, "timeout": 3, "user": "u"}
    with StandInProvider(answered) as provider:
        it = cls(model="any", base_url=provider.base_url, model_kwargs=told, default_headers={"X-Other": "1"})
        it.invoke("hi")
    asked = provider.requests[0]
    assert (asked.headers["x-mine"], asked.headers["x-other"]) == (KEY, "1")
    assert asked.json["user"] == "u" and not {"extra_headers", "extra_query", "timeout"} & set(asked.json)
    assert (it.timeout, it.model_kwargs) == (3, {"user": "u"})
    assert KEY not in repr(it) and told["timeout"] == 3


def test_files_by_their_ids_are_a_feature_in_test() -> None:
    with StandInProvider(answered) as provider:
        message = HumanMessage([{"type": "file", "file_id": "file_1"}, {"type": "text", "text": "what is it?"}])
        ChatAnthropic(model="any", base_url=provider.base_url).invoke([message])
    assert provider.requests[0].headers["anthropic-beta"] == "files-api-2025-04-14"


def test_what_a_tool_tells_anthropics_api_beside_its_schema() -> None:
    @tool(extras={"cache_control": {"type": "ephemeral"}, "defer_loading": True, "other": 1})
    def add(a: int) -> int:
        """Add."""
        return a

    with StandInProvider(answered) as provider:
        ChatAnthropic(model="any", base_url=provider.base_url).bind_tools([add, Sum]).invoke("hi")
    marked, plain = provider.requests[0].json["tools"]
    assert (marked["cache_control"], marked["defer_loading"]) == ({"type": "ephemeral"}, True)
    assert "other" not in marked and "cache_control" not in plain
    assert provider.requests[0].headers["anthropic-beta"] == "advanced-tool-use-2025-11-20"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        (None, "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://api.openai.com.example/v1", "max_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
    ],
)
@pytest.mark.parametrize("by_call", [False, True])
def test_the_most_tokens_go_under_the_name_that_the_server_knows(
    base_url: str | None, expected: str, by_call: bool
) -> None:
    model = ChatOpenAI(model="m", api_key=KEY, base_url=base_url, max_tokens=None if by_call else 5)
    body = model._request_body([HumanMessage("hi")], None, {"max_tokens": 5} if by_call else {})
    assert {name: value for name, value in body.items() if "max" in name} == {expected: 5}
