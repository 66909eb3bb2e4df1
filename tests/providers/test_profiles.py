"""What models are known to be able to do, and what follows from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from millstream import AzureChatOpenAI, ChatAnthropic, ChatOpenAI, ProviderStrategy, create_agent, init_chat_model
from millstream.providers.profiles import profile_of
from millstream.testing import Reply, StandInProvider, chat_answer, message_answer


class Form(BaseModel):
    """A form."""

    a: int
    b: int = 0


@pytest.mark.parametrize(
    ("provider", "name", "window", "held"),
    [
        ("openai", "gpt-4o", 128_000, True),
        ("openai", "gpt-4o-mini-2024-07-18", 128_000, True),
        ("openai", "gpt-4", 8_192, False),
        ("openai", "o3-mini", 200_000, True),
        ("openai", "gpt-5.1", 272_000, True),
        ("anthropic", "claude-sonnet-4-5-20250929", 200_000, True),
        ("anthropic", "claude-opus-4-6", 1_000_000, True),
    ],
)
def test_what_is_known(provider: str, name: str, window: int, held: bool) -> None:
    known = profile_of(provider, name)
    assert known is not None
    assert (known["max_input_tokens"], known["structured_output"]) == (window, held)


@pytest.mark.parametrize("name", ["gpt-4o-audio-preview", "any", "gpt-4o-mine"])
def test_what_is_not(name: str) -> None:
    assert profile_of("openai", name) is None


def test_a_profile_that_is_given_counts_and_imitators_have_none() -> None:
    own = {"max_input_tokens": 7}
    assert ChatOpenAI(model="gpt-4o", api_key="k", profile=own).profile == own
    assert ChatAnthropic(model="claude-sonnet-4-5", api_key="k", profile=own).profile == own
    assert init_chat_model("ollama:gpt-4o").profile is None
    azure = AzureChatOpenAI(azure_deployment="d", model="gpt-4o", azure_endpoint="https://x.example", api_key="k")
    assert azure.profile == ChatOpenAI(model="gpt-4o", api_key="k").profile


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_an_agents_form_is_left_to_a_provider_that_holds_its_model_to_it(wire: str) -> None:
    answer = message_answer if wire == "messages" else chat_answer
    model: Any
    with StandInProvider(lambda _: Reply(answer('{"a": 1}'))) as provider:
        if wire == "messages":
            thinking = {"type": "enabled", "budget_tokens": 1024}
            model = ChatAnthropic(model="claude-sonnet-4-5", base_url=provider.base_url, thinking=thinking)
        else:
            model = ChatOpenAI(model="gpt-4o", base_url=provider.base_url)
        made = create_agent(model, [], response_format=Form).invoke({"messages": ["hi"]})
        create_agent(model, [], response_format=ProviderStrategy(Form, strict=True)).invoke({"messages": ["hi"]})
    assert made["structured_response"] == Form(a=1)
    bare, strict = (request.json for request in provider.requests)
    if wire == "messages":
        assert bare["output_config"]["format"]["schema"]["required"] == ["a"]
    else:
        assert bare["response_format"]["json_schema"]["schema"]["required"] == ["a"]
        assert strict["response_format"]["json_schema"]["schema"] == {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 0}},
            "required": ["a", "b"],
            "additionalProperties": False,
        }
    assert "tools" not in bare and json.dumps(bare).count("json_schema")
