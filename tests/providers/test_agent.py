"""The main job on the wire: an agent that calls tools in parallel and then streams its answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from promptness import closes_soon
from recordings import recorded

from millstream import AIMessageChunk, ChatOpenAI, ToolMessage, create_react_agent, tool
from millstream.testing import Reply, StandInProvider, chat_stream

CALLS = [{"name": "get_weather", "args": {"city": "Mexico City"}}, {"name": "get_product_name", "args": {}}]
OWN = (chat_stream(tool_calls=CALLS), chat_stream("It is sunny in Mexico City."))


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@tool
async def get_product_name() -> str:
    """Tell the product's name."""
    return "Millstream"


def streams() -> list[tuple[bytes, bytes]]:
    files = {r.name: r.path.read_bytes() for r in recorded("openai-chat")}
    return [OWN, *([(files["tools-parallel"], files["text-long"])] if files else [])]


def agent(provider: StandInProvider) -> Any:
    return create_react_agent(ChatOpenAI(model="any", base_url=provider.base_url), [get_weather, get_product_name])


@pytest.mark.parametrize(("first", "second"), streams(), ids=lambda _: "")
def test_tokens_tools_and_usage(first: bytes, second: bytes) -> None:
    async def main(provider: StandInProvider) -> list[Any]:
        stream = agent(provider).astream({"messages": [("user", "hi")]}, stream_mode="messages")
        return [(message, metadata["langgraph_node"]) async for message, metadata in stream]

    with StandInProvider([Reply(first, pause=0.002), Reply(second, pause=0.002)]) as provider:
        seen = asyncio.run(main(provider))
    texts = [m.content for m, node in seen if isinstance(m, AIMessageChunk) and node == "agent" and m.content]
    assert len(texts) > 3
    results = {m.content for m, node in seen if isinstance(m, ToolMessage) and node == "tools"}
    assert results == {"sunny in Mexico City", "Millstream"}
    sent = provider.requests[1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in sent[1]["tool_calls"]] == [message["tool_call_id"] for message in sent[2:]]
    assert len(provider.connections) == 1


def test_leaving_in_the_middle_closes_the_providers_connection() -> None:
    async def main(provider: StandInProvider) -> float:
        stream = agent(provider).astream({"messages": [("user", "hi")]}, stream_mode="messages")
        async for message, _ in stream:
            if message.content == "word ":
                break
        left = time.monotonic()
        await stream.aclose()
        await asyncio.sleep(0.3)
        return left

    script = Reply(OWN[0]), Reply(chat_stream("word " * 500), pause=0.01)
    closes_soon(lambda provider: asyncio.run(main(provider)), *script)
