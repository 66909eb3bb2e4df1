"""A list of things to do, kept by the model."""

from __future__ import annotations

from typing import Any

from colours import Colour, colour
from graph_helpers import run

from millstream import AIMessage, TodoListMiddleware, create_agent
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]

TODOS = [{"content": "grind", "status": "in_progress"}, {"content": "bake", "status": "pending"}]


def writes(*ids: str) -> AIMessage:
    calls: Any = [{"name": "write_todos", "args": {"todos": TODOS}, "id": i, "type": "tool_call"} for i in ids]
    return AIMessage("", tool_calls=calls)


def test_the_list_is_in_the_state(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=[writes("1"), "done"])
        app = create_agent(model, system_prompt="Be brief.", middleware=[TodoListMiddleware()])
        result = await run(c, app, {"messages": [("user", "bread, please")], "todos": ["mine"]})
        assert result["todos"] == TODOS
        assert result["messages"][2].text == f"Updated todo list to {TODOS}"
        system = model.calls[0]["messages"][0].text
        assert [block["type"] for block in model.calls[0]["messages"][0].content] == ["text", "text"]
        assert system.startswith("Be brief.\n\n") and "write_todos" in system
        [tool] = model.tools[:1]
        todo = tool.tool_call_schema.model_json_schema()["$defs"]["Todo"]
        assert todo["properties"]["status"]["enum"] == ["pending", "in_progress", "completed"]

    colour.run(body)


def test_several_lists_at_once_are_refused(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_agent(ScriptedChatModel(turns=[writes("1", "2"), "done"]), middleware=[TodoListMiddleware()])
        result = await run(c, app, {"messages": [("user", "bread, please")]})
        assert "todos" not in result
        assert [(m.tool_call_id, m.status) for m in result["messages"][2:4]] == [("1", "error"), ("2", "error")]

    colour.run(body)
