"""Old results of tools left out of what the model is sent."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import run

from millstream import AIMessage, ClearToolUsesEdit, ContextEditingMiddleware, HumanMessage, ToolMessage, create_agent
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


def talk(count: int) -> list[Any]:
    messages: list[Any] = [HumanMessage("q")]
    for n in range(count):
        name = "keep" if n == 1 else "look"
        calls: Any = [{"name": name, "args": {"n": n}, "id": str(n), "type": "tool_call"}]
        messages += [AIMessage("", tool_calls=calls), ToolMessage(f"result {n}", tool_call_id=str(n), artifact=n)]
    return messages


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"trigger": 10_000}, ["result 0", "result 1", "result 2", "result 3"]),
        ({}, ["[cleared]", "[cleared]", "[cleared]", "result 3"]),
        ({"keep": 0, "placeholder": "-"}, ["-", "-", "-", "-"]),
        ({"exclude_tools": ["keep"]}, ["[cleared]", "result 1", "[cleared]", "result 3"]),
        ({"clear_at_least": 1, "placeholder": ""}, ["", "result 1", "result 2", "result 3"]),
    ],
)
def test_what_the_model_is_sent(options: Any, sent: list[str], colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=["ok"])
        edit = ClearToolUsesEdit(**{"trigger": 20, "keep": 1, **options})
        app = create_agent(model, middleware=[ContextEditingMiddleware(edits=[edit])])
        result = await run(c, app, {"messages": talk(4)})
        assert [m.text for m in model.calls[0]["messages"] if m.type == "tool"] == sent
        assert [m.text for m in result["messages"] if m.type == "tool"] == [f"result {n}" for n in range(4)]

    colour.run(body)


def test_the_arguments_of_calls_may_go_too(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=["ok"])
        edit = ClearToolUsesEdit(trigger=1, keep=1, clear_tool_inputs=True)
        options: Any = {"edits": [edit], "token_count_method": "model"}
        app = create_agent(model, middleware=[ContextEditingMiddleware(**options)])
        await run(c, app, {"messages": talk(2)})
        sent = model.calls[0]["messages"]
        assert [m.tool_calls[0]["args"] for m in sent if m.type == "ai"] == [{}, {"n": 1}]
        assert sent[2].artifact is None
        assert sent[2].response_metadata == {"context_editing": {"cleared": True, "strategy": "clear_tool_uses"}}

    colour.run(body)


def test_an_unknown_way_to_count_is_refused() -> None:
    with pytest.raises(ValueError, match="token_count_method"):
        ContextEditingMiddleware(token_count_method="exact")  # type: ignore[arg-type]
