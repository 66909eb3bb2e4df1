"""Counting tokens."""

from __future__ import annotations

import asyncio
from typing import Any

from colours import Colour, colour  # noqa: F401 - a fixture

from millstream import (
    AIMessage,
    FakeMessagesListChatModel,
    RunnableLambda,
    RunnableParallel,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)


def model(name: str | None, tokens: int) -> Any:
    usage = {
        "input_tokens": tokens,
        "output_tokens": 1,
        "total_tokens": tokens + 1,
        "input_token_details": {"cache_read": 1},
    }
    facts = {"model_name": name} if name else {}
    return FakeMessagesListChatModel(responses=[AIMessage("a", usage_metadata=usage, response_metadata=facts)])


def test_by_model_and_in_everything_inside(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        many = RunnableParallel({str(n): model("m", n) for n in range(5)})
        nested = RunnableLambda(lambda x: model("n", 7).invoke(x), afunc=lambda x: model("n", 7).ainvoke(x))
        with get_usage_metadata_callback() as outer:
            await c.invoke(many, "x")
            with get_usage_metadata_callback() as inner:
                await c.invoke(nested, "x")
                await c.collect(model(None, 100), "x")
        await c.invoke(model("after", 1), "x")
        assert set(inner.usage_metadata) == {"n"} and set(outer.usage_metadata) == {"m", "n"}
        counted = outer.usage_metadata["m"]
        assert (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"]) == (10, 5, 15)
        assert counted["input_token_details"] == {"cache_read": 5}

    colour.run(body)


def test_as_a_callback() -> None:
    handler = UsageMetadataCallbackHandler()
    answers = model("m", 2)
    answers.invoke("x", {"callbacks": [handler]})
    asyncio.run(answers.ainvoke("x", {"callbacks": [handler]}))
    assert handler.usage_metadata["m"]["total_tokens"] == 6
    assert repr(handler).startswith("UsageMetadataCallbackHandler({'m': ")


def test_concurrent_calls_are_counted_apart() -> None:
    async def count(tokens: int) -> int:
        with get_usage_metadata_callback() as counted:
            await model("m", tokens).ainvoke("x")
            await asyncio.sleep(0)
        return counted.usage_metadata["m"]["input_tokens"]

    async def main() -> None:
        assert await asyncio.gather(count(1), count(2), count(3)) == [1, 2, 3]

    asyncio.run(main())
