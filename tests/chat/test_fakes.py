"""The models without a model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millstream import (
    AIMessage,
    FakeChatModel,
    FakeListChatModel,
    FakeListChatModelError,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
    HumanMessage,
    ParrotFakeChatModel,
    UsageError,
)


async def acollect(stream: Any) -> list[Any]:
    return [item async for item in stream]


def test_a_list_of_texts() -> None:
    model = FakeListChatModel(responses=["one", "two"])
    assert model.invoke("x").content == "one"
    chunks = list(model.stream("x"))
    assert [chunk.content for chunk in chunks] == ["t", "w", "o"]
    assert chunks[-1].chunk_position == "last"
    assert [chunk.content for chunk in asyncio.run(acollect(model.astream("x")))] == ["o", "n", "e"]


def test_it_fails_where_it_was_told_to() -> None:
    got = []
    with pytest.raises(FakeListChatModelError):
        for chunk in FakeListChatModel(responses=["abc"], error_on_chunk_number=1).stream("x"):
            got.append(chunk.content)
    assert got == ["a"]


def test_a_batch_is_answered_in_order() -> None:
    responses = [str(n) for n in range(50)]
    inputs = ["x"] * 50
    model = FakeListChatModel(responses=responses, sleep=0.0)
    assert [message.content for message in model.batch(inputs)] == responses
    assert [message.content for message in asyncio.run(model.abatch(inputs, [{}] * 50))] == responses


def test_messages() -> None:
    model = FakeMessagesListChatModel(responses=[AIMessage("a", id="1"), AIMessage("b")])
    assert [model.invoke("x").content for _ in range(3)] == ["a", "b", "a"]
    assert [type(item) for item in model.stream("x")] == [AIMessage]


def test_an_iterator_of_messages() -> None:
    model = GenericFakeChatModel(
        messages=iter(
            [
                AIMessage("hello big world", id="given"),
                "two words",
                AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": "a,b"}}),
            ]
        )
    )
    chunks = list(model.stream("x"))
    assert [chunk.content for chunk in chunks] == ["hello", " ", "big", " ", "world"]
    assert ({chunk.id for chunk in chunks}, chunks[-1].chunk_position) == ({"given"}, "last")
    assert model.invoke("x").content == "two words"
    assert [chunk.content for chunk in GenericFakeChatModel(messages=iter(["a  b"])).stream("x")][:5] == [
        *["a", " ", "", " ", "b"]
    ]
    pieces = [chunk.additional_kwargs.get("function_call") for chunk in model.stream("x")]
    assert pieces == [{"name": "f"}, {"arguments": "a"}, {"arguments": ","}, {"arguments": "b"}, None]
    with pytest.raises(UsageError, match="no messages left"):
        model.invoke("x")


def test_the_others() -> None:
    assert FakeChatModel().invoke("x").content == "fake response"
    answer = ParrotFakeChatModel().invoke([HumanMessage("echo")])
    assert (type(answer), answer.content) == (HumanMessage, "echo")
