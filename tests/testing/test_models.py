"""The scripted model plays its script, in every form, over and over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk, HumanMessage, InvalidArgument
from millstream.testing import ScriptedChatModel

CALL = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1"}])


async def acollect(stream: Any) -> list[Any]:
    return [item async for item in stream]


@pytest.mark.parametrize(
    ("turn", "texts"),
    [
        ("hello big world", ["hello", " big", " world", ""]),
        (["a", AIMessageChunk("b")], ["a", "b", ""]),
        (AIMessage("whole message"), ["whole message", ""]),
    ],
)
def test_turns(turn: Any, texts: list[str]) -> None:
    model = ScriptedChatModel(turns=[turn])
    assert [chunk.content for chunk in model.stream("x")] == texts
    assert [chunk.content for chunk in asyncio.run(acollect(model.astream("x")))] == texts
    assert model.invoke("x").content == asyncio.run(model.ainvoke("x")).content == "".join(texts)


def test_a_message_with_calls_is_streamed_whole() -> None:
    model = ScriptedChatModel(turns=[CALL])
    chunks = list(model.stream("x"))
    assert chunks[0].tool_calls == CALL.tool_calls == model.invoke("x").tool_calls
    assert (chunks[0] + chunks[1:]).tool_calls == CALL.tool_calls


def test_errors_at_their_place() -> None:
    model = ScriptedChatModel(turns=[["a", OSError("cut")], OSError("whole")])
    got = []
    with pytest.raises(OSError, match="cut"):
        for chunk in model.stream("x"):
            got.append(chunk.content)
    assert got == ["a"]
    with pytest.raises(OSError, match="whole"):
        model.invoke("x")


def test_it_starts_over_with_fresh_chunks() -> None:
    model = ScriptedChatModel(turns=["a"])
    first, second = next(iter(model.stream("x"))), next(iter(model.stream("x")))
    assert first.content == second.content
    assert first.id != second.id


def test_it_notes_its_calls_and_tools() -> None:
    model = ScriptedChatModel(turns=["a"], pause=0.0)
    assert model.bind_tools([len]) is model
    model.bind(k=1).invoke("x", stop=["s"])
    list(model.stream("y"))
    assert model.tools == [len]
    assert model.calls == [
        {"how": "generate", "messages": [HumanMessage("x")], "stop": ["s"], "kwargs": {"k": 1}},
        {"how": "stream", "messages": [HumanMessage("y")], "stop": None, "kwargs": {}},
    ]
    assert ScriptedChatModel(turns=["a"]).calls == []


def test_no_turns() -> None:
    with pytest.raises(InvalidArgument, match="no turns"):
        ScriptedChatModel().invoke("x")
