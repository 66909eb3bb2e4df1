"""Models by name: init_chat_model, compatible servers, Azure, and models that a config chooses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from millstream import (
    AzureChatOpenAI,
    ChatAnthropic,
    ChatOpenAI,
    InvalidArgument,
    MissingKey,
    ProviderError,
    StrOutputParser,
    Unsupported,
    create_react_agent,
    init_chat_model,
    tool,
)
from millstream.providers import openai as module
from millstream.providers.compatible import COMPATIBLE, compatible_model
from millstream.testing import Reply, StandInProvider, chat_answer, chat_error, chat_stream, message_stream

KEY = "sk-do-not-tell-4711"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "OPENAI_API_VERSION"}
    names |= {"AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN"}
    for _, endpoint in COMPATIBLE.values():
        names |= {*endpoint.key_variables, *endpoint.url_variables}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_takes_usage", {})


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("openai:gpt-4o", None, "gpt-4o"),
        ("gpt-4o", None, "gpt-4o"),
        ("o3-mini", None, "o3-mini"),
        ("chatgpt-4o-latest", None, "chatgpt-4o-latest"),
        ("ft:gpt-4o:mine", "openai", "ft:gpt-4o:mine"),
        ("llama3:8b", "OpenAI", "llama3:8b"),
        ("openai:llama3:8b", None, "llama3:8b"),
        ("openai:gpt-4o", "openai", "gpt-4o"),
    ],
)
def test_models_by_name(name: str, given: str | None, expected: str) -> None:
    made = init_chat_model(name, model_provider=given, api_key=KEY, temperature=0)
    assert type(made) is ChatOpenAI
    assert (made.model_name, made.temperature) == (expected, 0)


@pytest.mark.parametrize("name", ["llama3:8b", "mine", "", "foo:gpt-4o"])
def test_a_name_that_does_not_say_whose_it_is(name: str) -> None:
    with pytest.raises(ValueError, match="openai:gpt-4o") as caught:
        init_chat_model(name, api_key=KEY)
    assert isinstance(caught.value, InvalidArgument)


@pytest.mark.parametrize("name", ["gemini-2", "bedrock:x", "amazon.nova", "bedrock_converse:x", "azure-ai:x", "ibm:x"])
def test_a_provider_that_is_not_built(name: str) -> None:
    with pytest.raises(Unsupported, match=r"there is one for anthropic.*openai"):
        init_chat_model(name)


def test_a_provider_that_nobody_knows() -> None:
    with pytest.raises(InvalidArgument, match="no model for the provider 'nope'"):
        init_chat_model("x", model_provider="nope")


# -- compatible servers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [name for name, (_, endpoint) in COMPATIBLE.items() if endpoint.key_variables])
def test_a_compatible_server(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, endpoint = COMPATIBLE[provider]
    variable = endpoint.key_variables[0]
    with pytest.raises(MissingKey, match=variable):
        init_chat_model(f"{provider}:some/model:free")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-provider")
    monkeypatch.setenv(variable, KEY)
    made = init_chat_model(f"{provider}:some/model:free", temperature=0)
    assert isinstance(made, ChatOpenAI) and type(made) is compatible_model(provider)
    assert (made.model_name, made.base_url, type(made).__name__) == ("some/model:free", endpoint.url, name)
    assert made._chat_post({}, {}).headers["authorization"] == f"Bearer {KEY}"
    assert made._chat_post({}, {}).url == f"{endpoint.url}/chat/completions"
    assert type(init_chat_model(f"{provider}:m", **{variable.lower(): KEY})) is type(made)


def test_ollama_needs_no_key_and_takes_an_address_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = init_chat_model("ollama:llama3.2:3b")
    assert isinstance(made, ChatOpenAI)
    assert (made.model_name, made.base_url) == ("llama3.2:3b", "http://localhost:11434/v1")
    assert KEY not in str(made._chat_post({}, {}).headers)
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://box:11434")
    assert init_chat_model("ollama:x").base_url == "http://box:11434/v1"  # type: ignore[attr-defined]
    assert init_chat_model("ollama:x", base_url="http://box/other").base_url == "http://box/other"  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_a_compatible_server_is_asked_in_the_old_names_and_told_apart(how: str) -> None:
    def script(request: Any) -> Any:
        if "stream_options" in request.json:
            return Reply.json(chat_error("Unrecognized argument: stream_options"), status=400)
        return chat_stream("hello there")

    with StandInProvider(script) as provider:
        made = init_chat_model("groq:m", base_url=provider.base_url, max_tokens=5, reasoning={"effort": "low"})
        if how == "invoke":
            got = made.invoke("hi")
        else:
            first, *rest = made.stream("hi", max_tokens=5)
            got = first + rest
    sent = provider.requests[-1].json
    assert (sent["max_tokens"], sent["reasoning"]) == (5, {"effort": "low"})
    assert got.content == "hello there"
    assert got.response_metadata["model_provider"] == "groq"
    assert made._get_ls_params()["ls_provider"] == "groq"
    with StandInProvider() as provider, pytest.raises(ProviderError, match="groq answered 400"):
        init_chat_model("groq:m", base_url=provider.base_url).invoke("hi")


# -- Azure ------------------------------------------------------------------------------------------------------------------


def test_azure_at_a_deployments_own_address() -> None:
    with StandInProvider(lambda _: chat_stream("hello")) as provider:
        root = f"http://127.0.0.1:{provider.port}/"
        made = AzureChatOpenAI(azure_deployment="mine", api_version="2025-01-01", azure_endpoint=root, api_key=KEY)
        assert made.invoke("hi").content == "hello"
        list(made.stream("hi"))
    first = provider.requests[0]
    assert first.path == "/openai/deployments/mine/chat/completions?api-version=2025-01-01"
    assert first.headers["api-key"] == KEY
    assert "authorization" not in first.headers
    assert "stream_options" in provider.requests[1].json


def test_azure_at_the_address_of_all_versions() -> None:
    with StandInProvider(lambda _: chat_stream("hello")) as provider:
        root = f"http://127.0.0.1:{provider.port}"
        made = init_chat_model(
            "azure_openai:gpt-4o", azure_endpoint=root, azure_ad_token_provider=lambda: "token-1", max_tokens=3
        )
        assert made.invoke("hi").content == "hello"
    first = provider.requests[0]
    assert first.path == "/openai/v1/chat/completions"
    assert (first.json["model"], first.json["max_completion_tokens"]) == ("gpt-4o", 3)
    assert first.headers["authorization"] == "Bearer token-1"
    assert "api-key" not in first.headers


def test_azure_needs_an_endpoint_a_deployment_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgument, match="AZURE_OPENAI_ENDPOINT"):
        AzureChatOpenAI(azure_deployment="mine", api_key=KEY)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    with pytest.raises(InvalidArgument, match="azure_deployment"):
        AzureChatOpenAI(api_key=KEY)
    with pytest.raises(MissingKey, match="AZURE_OPENAI_API_KEY"):
        AzureChatOpenAI(azure_deployment="mine")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-01-01")
    made = AzureChatOpenAI(deployment_name="mine", model="gpt-4o", azure_ad_token=KEY)
    assert (made.azure_deployment, made.model_name, made.api_version) == ("mine", "gpt-4o", "2025-01-01")
    assert made._headers(None)["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(made) + str(made.model_dump())
    assert KEY in made._secrets


# -- chosen by a config -------------------------------------------------------------------------------------------------------


def config(**chosen: Any) -> Any:
    return {"configurable": chosen}


def test_a_config_chooses_the_model() -> None:
    with StandInProvider(lambda r: message_stream("A") if "messages" in r.path else chat_stream("O")) as provider:
        either = init_chat_model(base_url=provider.base_url, temperature=0.5)
        assert either.invoke("hi", config(model="anthropic:claude-x")).content == "A"
        assert either.invoke("hi", config(model="gpt-4o")).content == "O"
        assert either.invoke("hi", config(model="mine", model_provider="openai")).content == "O"
        # What may not be configured is not.
        either.invoke("hi", config(model="gpt-4o", temperature=1.0))
        assert "".join(c.content for c in either.stream("hi", config(model="gpt-4o"))) == "O"

        async def main() -> str:
            return "".join([c.content async for c in either.astream("hi", config(model="claude-x"))])

        assert asyncio.run(main()) == "A"
    assert [request.json["temperature"] for request in provider.requests] == [0.5] * 6
    with pytest.raises(InvalidArgument, match="needs a model name"):
        either.invoke("hi")


def test_defaults_prefixes_and_any_field() -> None:
    with StandInProvider(lambda _: chat_stream("O")) as provider:
        it = init_chat_model(
            "openai:gpt-4o",
            base_url=provider.base_url,
            configurable_fields=("model", "temperature"),
            config_prefix="first",
        )
        it.invoke("hi", config(temperature=1.0, model="other"))
        it.invoke("hi", config(first_temperature=1.0, first_model="gpt-5", first_top_p=0.1))
        anything = init_chat_model("gpt-4o", configurable_fields="any", base_url=provider.base_url)
        anything.invoke("hi", config(seed=3, thread_id="t"))
        assert isinstance(anything.bind_tools, object) and anything.model_name == "gpt-4o"
    sent = [request.json for request in provider.requests]
    assert [(body["model"], body.get("temperature")) for body in sent] == [
        ("gpt-4o", None),
        ("gpt-5", 1.0),
        ("gpt-4o", None),
    ]
    assert "top_p" not in sent[1] and sent[2]["seed"] == 3
    with pytest.raises(AttributeError, match="before a config"):
        _ = init_chat_model().model_name
    with pytest.raises(InvalidArgument, match="'any'"):
        init_chat_model("gpt-4o", configurable_fields="model")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_what_is_wished_is_done_to_the_chosen_model() -> None:
    class Sum(BaseModel):
        total: int

    calls = [{"name": "Sum", "args": {"total": 3}}]
    with StandInProvider(
        lambda r: message_stream(tool_calls=calls) if "messages" in r.path else chat_answer('{"total": 3}')
    ) as provider:
        either = init_chat_model(base_url=provider.base_url)
        for name in ("anthropic:claude-x", "openai:gpt-4o"):
            assert either.with_structured_output(Sum).invoke("hi", config(model=name)) == Sum(total=3)
        chain = either.bind_tools([add], tool_choice="any").bind(stop=["x"]) | StrOutputParser()
        chain.invoke("hi", config(model="gpt-4o"))
    assert provider.requests[-1].json["tools"][0]["function"]["name"] == "add"
    assert (provider.requests[-1].json["tool_choice"], provider.requests[-1].json["stop"]) == ("required", ["x"])


def test_an_agent_whose_model_is_chosen() -> None:
    script = [message_stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}]), message_stream("Three.")]
    with StandInProvider(script) as provider:
        agent = create_react_agent(init_chat_model(base_url=provider.base_url), [add])
        state = agent.invoke({"messages": "1+2?"}, config(model="anthropic:claude-x"))
    assert state["messages"][-1].text == "Three."
    assert isinstance(init_chat_model("claude-x", api_key=KEY), ChatAnthropic)


def test_the_page_about_providers_is_true() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lookup" / "models.md").read_text()
    for provider, (_, endpoint) in COMPATIBLE.items():
        names = [f"`{name}`" for name in (*endpoint.key_variables, *endpoint.url_variables)]
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{provider}` | {endpoint.url} |"))
        assert all(name in row for name in names), row
