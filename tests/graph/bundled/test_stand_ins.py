"""Other models that help: one picks the tools, one plays them."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import run

from millstream import AIMessage, LLMToolEmulator, LLMToolSelectorMiddleware, create_agent, tool
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]

ASK: Any = {"messages": [("user", "what is the weather?")]}


@tool
def weather() -> str:
    """The weather."""
    raise AssertionError("a real call")


@tool
def news() -> str:
    """The news."""
    return "no news"


@tool
def mail() -> str:
    """The mail."""
    return "no mail"


def choosing(*names: str) -> ScriptedChatModel:
    calls: Any = [{"name": "ToolSelection", "args": {"tools": list(names)}, "id": "1", "type": "tool_call"}]
    return ScriptedChatModel(turns=[AIMessage("", tool_calls=calls)])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, ["weather", "news"]),
        ({"max_tools": 1}, ["news"]),
        ({"max_tools": 1, "always_include": ["mail"]}, ["news", "mail"]),
    ],
)
def test_the_model_is_told_of_the_tools_that_were_picked(options: Any, told: list[str], colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=["ok"])
        pick = LLMToolSelectorMiddleware(model=choosing("news", "weather"), **options)
        app = create_agent(model, [weather, news, mail], middleware=[pick])
        await run(c, app, ASK)
        assert [t.name for t in model.tools] == told

    colour.run(body)


def test_only_tools_that_there_are_can_be_picked(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for pick, name in (
            (LLMToolSelectorMiddleware(model=choosing("stocks")), "stocks"),
            (LLMToolSelectorMiddleware(model=choosing("news"), always_include=["fax"]), "fax"),
        ):
            with pytest.raises(ValueError, match=name):
                await run(c, create_agent(ScriptedChatModel(turns=["ok"]), [weather, news], middleware=[pick]), ASK)

    colour.run(body)


def test_tools_are_played(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        calls: Any = [{"name": n, "args": {}, "id": n, "type": "tool_call"} for n in ("weather", "news")]
        player = ScriptedChatModel(turns=["sunny"])
        emulator = LLMToolEmulator(tools=[weather], model=player)
        model = ScriptedChatModel(turns=[AIMessage("", tool_calls=calls), "end"])
        result = await run(c, create_agent(model, [weather, news], middleware=[emulator]), ASK)
        assert [(m.name, m.text) for m in result["messages"][2:4]] == [("weather", "sunny"), ("news", "no news")]
        assert "Tool: weather\nDescription: The weather." in player.calls[0]["messages"][0].text

    colour.run(body)
    with pytest.raises(ValueError, match="model"):
        LLMToolEmulator()
