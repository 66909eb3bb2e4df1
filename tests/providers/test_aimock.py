"""Our models and an agent against a provider that is not ours: aimock speaks all three wires as its authors read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aimock import aimock
from colours import Colour, colour
from wires import WIRES, Wire, joined

from millstream import ProviderInterrupted, ProviderStatusError, RateLimitError, create_react_agent, tool

TEXT = "The mill 🐎 grinds slowly, and it grinds well."
USAGE = {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120}
CALLS = [
    {"name": "look", "arguments": {"city": "Brno", "how": 'žluť "{}"'}, "id": "call_a"},
    {"name": "look", "arguments": {"city": "Oslo"}, "id": "call_b"},
]
__all__ = ["colour"]

FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "mill"}, "response": {"content": TEXT, "usage": USAGE}},
    {"match": {"userMessage": "think"}, "response": {"content": "Four.", "reasoning": "Two and two.", "usage": USAGE}},
    {"match": {"userMessage": "weather", "hasToolResult": False}, "response": {"toolCalls": CALLS, "usage": USAGE}},
    {"match": {"userMessage": "weather", "hasToolResult": True}, "response": {"content": "Sunny in both."}},
    {
        "match": {"userMessage": "limit"},
        "response": {"error": {"message": "Slow down", "type": "rate_limit_error", "code": "busy"}, "status": 429},
    },
    {"match": {"userMessage": "broken"}, "response": {"error": {"message": "Oh no", "type": "x"}, "status": 500}},
    {"match": {"userMessage": "cut"}, "response": {"content": TEXT * 4}, "truncateAfterChunks": 9, "latency": 3},
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with aimock(FIXTURES) as address:
        yield f"{address}/v1"


@tool
def look(city: str, how: str = "") -> str:
    """Look at the weather in a city."""
    return f"sun in {city}, {how}"


def model(wire: Wire, url: str, **settings: Any) -> Any:
    # A name of a model that thinks: aimock tells thoughts of no other.
    name = "claude-sonnet-4" if wire.name == "anthropic" else "gpt-5"
    return wire.model(url, **{"model": name, "max_retries": 0, **settings})


def invoke(colour: Colour, runnable: Any, value: Any) -> Any:
    return colour.run(lambda c: c.invoke(runnable, value))


def collect(colour: Colour, runnable: Any, value: Any) -> list[Any]:
    got: list[Any] = colour.run(lambda c: c.collect(runnable, value))
    return got


def messages(colour: Colour, agent: Any, value: Any) -> list[Any]:
    async def read(colour: Colour) -> list[Any]:
        if colour.sync:
            return list(agent.stream(value, stream_mode="messages"))
        return [item async for item in agent.astream(value, stream_mode="messages")]

    got: list[Any] = colour.run(read)
    return got


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_text_and_usage(colour: Colour, wire: Wire, url: str) -> None:
    it = model(wire, url)
    whole, streamed = invoke(colour, it, "the mill"), joined(collect(colour, it, "the mill"))
    for got in (whole, streamed):
        assert got.text == TEXT
        assert got.usage_metadata == {"input_tokens": 70, "output_tokens": 50, "total_tokens": 120}
    pieces = [chunk.text for chunk in collect(colour, it, "the mill") if chunk.text]
    assert len(pieces) > 5 and "".join(pieces) == TEXT


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_reasoning(colour: Colour, wire: Wire, url: str) -> None:
    it = model(wire, url)
    for got in (invoke(colour, it, "think"), joined(collect(colour, it, "think"))):
        blocks = got.content_blocks
        assert [block["reasoning"] for block in blocks if block["type"] == "reasoning"] == ["Two and two."]
        assert got.text == "Four."


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_parallel_calls(colour: Colour, wire: Wire, url: str) -> None:
    it = model(wire, url).bind_tools([look])
    for got in (invoke(colour, it, "the weather"), joined(collect(colour, it, "the weather"))):
        assert [(call["id"], call["name"], call["args"]) for call in got.tool_calls] == [
            (call["id"], call["name"], call["arguments"]) for call in CALLS
        ]
        assert got.usage_metadata["total_tokens"] == 120


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_errors(colour: Colour, wire: Wire, url: str) -> None:
    it = model(wire, url)
    for ask in (lambda text: invoke(colour, it, text), lambda text: collect(colour, it, text)):
        with pytest.raises(RateLimitError, match="Slow down") as limited:
            ask("limit")
        assert limited.value.status == 429
        with pytest.raises(ProviderStatusError, match="Oh no"):
            ask("broken")
        # Nothing was scripted for this.
        with pytest.raises(ProviderStatusError, match="no fixture"):
            ask("else")


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_a_stream_that_is_cut(colour: Colour, wire: Wire, url: str) -> None:
    with pytest.raises(ProviderInterrupted) as caught:
        collect(colour, model(wire, url), "cut")
    partial = caught.value.partial.text
    assert partial and TEXT.startswith(partial)


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_a_whole_agent(colour: Colour, wire: Wire, url: str) -> None:
    agent = create_react_agent(model(wire, url), [look])
    asked = {"messages": [("user", "the weather")]}
    question, calls, *results, answer = invoke(colour, agent, asked)["messages"]
    assert question.content == "the weather"
    assert [call["id"] for call in calls.tool_calls] == ["call_a", "call_b"]
    assert [(it.tool_call_id, it.content) for it in results] == [
        ("call_a", 'sun in Brno, žluť "{}"'),
        ("call_b", "sun in Oslo, "),
    ]
    assert answer.text == "Sunny in both."
    pieces = [chunk.text for chunk, _ in messages(colour, agent, asked) if chunk.type != "tool"]
    assert "".join(pieces) == "Sunny in both." and len([piece for piece in pieces if piece]) > 2
