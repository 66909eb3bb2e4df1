"""Settings that programs bring along, each with what it must do."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from colours import Colour
from wires import WIRES, Wire, url_of

from millstream import (
    AIMessage,
    AzureChatOpenAI,
    ChatAnthropic,
    ChatOpenAI,
    HumanMessage,
    InvalidArgument,
    OpenAIEmbeddings,
    Timeouts,
)
from millstream.testing import Reply, StandInProvider, chat_stream, embeddings_answer, message_stream, response_stream

ANSWER = {"content-type": "text/event-stream", "x-request-id": "req_7"}


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def told(message: Any) -> Any:
    return message.response_metadata.get("headers", {}).get("x-request-id")


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_headers_of_the_answer(wire: Wire, colour: Colour) -> None:
    async def body(colour: Colour) -> None:
        model = wire.model(url_of(provider), include_response_headers=True)
        whole = await colour.invoke(model, "hi")
        assert "x-request-id" not in whole.response_metadata and "content-type" in whole.response_metadata["headers"]
        first, *others = await colour.collect(model, "hi")
        assert told(first) == "req_7" and not any(map(told, others))
        sum_ = first
        for chunk in others:
            sum_ += chunk
        assert told(sum_) == "req_7" and sum_.text == whole.text
        plain = wire.model(url_of(provider))
        assert not any("headers" in chunk.response_metadata for chunk in await colour.collect(plain, "hi"))

    stream = wire.stream("Water turns the wheel.")
    with StandInProvider([stream, *[Reply(stream, headers=ANSWER)] * 2]) as provider:
        colour.run(body)


def test_headers_are_those_of_the_attempt_that_was_answered() -> None:
    script = [Reply.error(503, retry_after=0), Reply(chat_stream("ok"), headers=ANSWER)]
    with StandInProvider(script) as provider:
        model = ChatOpenAI(model="m", base_url=provider.base_url, include_response_headers=True)
        assert told(next(iter(model.stream("hi")))) == "req_7"


def test_logit_bias_by_numbers_of_tokens() -> None:
    with StandInProvider(lambda _: chat_stream("ok")) as provider:
        ChatOpenAI(model="m", base_url=provider.base_url, logit_bias={50256: -100}).invoke("hi")
        ChatOpenAI(model="m", base_url=provider.base_url, logit_bias={"50256": -100}).invoke("hi")
    assert [request.json["logit_bias"] for request in provider.requests] == [{"50256": -100}] * 2


def test_a_parameter_that_is_named_like_a_key() -> None:
    with StandInProvider([chat_stream("ok")]) as provider:
        with pytest.warns(UserWarning, match="prompt_cache_key"):
            model = ChatOpenAI(model="m", base_url=provider.base_url, prompt_cache_key="users")
        model.invoke("hi")
    assert provider.requests[0].json["prompt_cache_key"] == "users"
    with pytest.raises(InvalidArgument, match="api_key"):
        ChatOpenAI(model="m", my_key="users")


def test_clients_of_an_sdk_are_refused_at_once() -> None:
    assert ChatOpenAI(api_key="k", client=None, root_async_client=None).model_kwargs == {}
    for name in ("client", "async_client", "root_client", "root_async_client"):
        with pytest.raises(InvalidArgument, match="http_client"):
            ChatOpenAI(api_key="k", **{name: object()})
    with pytest.raises(InvalidArgument, match="http_client"):
        OpenAIEmbeddings(api_key="k", client=object())


def test_the_limit_of_silence_in_a_stream() -> None:
    model = ChatOpenAI(api_key="k", stream_chunk_timeout=7, request_timeout=20, http_socket_options=())
    assert model.timeout == Timeouts(connect=20, first_token=20, idle=7)
    assert ChatOpenAI(api_key="k", stream_chunk_timeout=None).timeout is None


def test_management_of_the_context_on_the_responses_api() -> None:
    rules = [{"type": "compaction", "compact_threshold": 100_000}]
    with StandInProvider([response_stream("ok")]) as provider:
        url = provider.base_url
        model = ChatOpenAI(model="m", base_url=url, use_responses_api=True, context_management=rules)
        model.invoke("hi")
    assert provider.requests[0].json["context_management"] == rules
    assert ChatOpenAI(api_key="k", context_management=rules)._asks_for_responses({})


def test_settings_of_anthropic() -> None:
    settings: dict[str, Any] = {
        "output_config": {"effort": "low"},
        "service_tier": "standard_only",
        "inference_geo": "us",
    }
    with StandInProvider([message_stream("ok")] * 2) as provider:
        url = provider.base_url.removesuffix("/v1")
        ChatAnthropic(model="m", base_url=url, api_key="k", **settings).invoke("hi")
        again = ChatAnthropic(model="m", base_url=url, api_key="k", reuse_last_container=True, effort="high")
        ran = AIMessage("4", response_metadata={"container": {"id": "container_1", "expires_at": "soon"}})
        again.invoke([HumanMessage("2 + 2?"), ran, HumanMessage("and 3?")])
    assert {key: provider.requests[0].json[key] for key in settings} == settings
    assert "container" not in provider.requests[0].json
    assert provider.requests[1].json["container"] == "container_1"


def test_azure_by_the_names_of_its_fields() -> None:
    model = AzureChatOpenAI(
        azure_endpoint="https://x.openai.azure.com",
        deployment_name="d",
        openai_api_version="2",
        api_key="k",
        base_url=None,
    )
    assert (model.deployment_name, model.openai_api_version, model.azure_deployment, model.api_version) == (
        "d",
        "2",
        "d",
        "2",
    )


def test_headers_of_embeddings() -> None:
    with StandInProvider([embeddings_answer([[1.0]])]) as provider:
        OpenAIEmbeddings(base_url=provider.base_url, headers={"x-team": "mill"}).embed_query("a")
    assert provider.requests[0].headers["x-team"] == "mill"


# -- tokens -------------------------------------------------------------------------------------------------------------------


def test_tokens_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    model = ChatOpenAI(api_key="k")
    assert model.get_num_tokens("x" * 400) == 100
    conversation = [HumanMessage("x" * 400), AIMessage("y" * 40)]
    assert 110 <= model.get_num_tokens_from_messages(conversation) <= 130
    with pytest.raises(NotImplementedError, match="custom_get_token_ids"):
        model.get_token_ids("a")
    with pytest.raises(ImportError, match="pip install tiktoken"):
        ChatOpenAI(api_key="k", tiktoken_model_name="gpt-1-without").get_num_tokens("a")


def test_tokens_are_counted_by_the_tokenizer_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []

    class Encoding:
        def encode(self, text: str, *, disallowed_special: tuple[str, ...]) -> list[int]:
            assert disallowed_special == ()  # else a text with "<|endoftext|>" raises
            return list(range(len(text.split())))

    def encoding_for_model(name: str) -> Encoding:
        named.append(name)
        if name != "gpt-4o":
            raise KeyError(name)
        return Encoding()

    def get_encoding(name: str) -> Encoding:
        named.append(name)
        return Encoding()

    module = SimpleNamespace(encoding_for_model=encoding_for_model, get_encoding=get_encoding)
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    model = ChatOpenAI(model="m", api_key="k", tiktoken_model_name="gpt-4o")
    assert model.get_num_tokens("one two <|endoftext|>") == 3 and model.get_token_ids("a b") == [0, 1]
    assert ChatOpenAI(api_key="k", tiktoken_model_name="unknown").get_num_tokens("one two") == 2
    assert named == ["gpt-4o", "unknown", "o200k_base"]
    own = ChatOpenAI(api_key="k", tiktoken_model_name="gpt-4o", custom_get_token_ids=lambda text: [1])
    assert own.get_num_tokens("one two") == 1


def test_a_picture_is_not_counted_by_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    for model in (ChatOpenAI(api_key="k"), ChatOpenAI(api_key="k", custom_get_token_ids=lambda text: list(text))):
        count = model.get_num_tokens_from_messages([HumanMessage([{"type": "text", "text": "What is it?"}, picture])])
        assert count < 1000
