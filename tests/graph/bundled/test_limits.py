"""Limits of model and tool calls: by run and by thread, and what happens at them."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import run, thread

from millstream import (
    AIMessage,
    InMemorySaver,
    ModelCallLimitExceededError,
    ModelCallLimitMiddleware,
    ToolCallLimitExceededError,
    ToolCallLimitMiddleware,
    create_agent,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


@tool
def echo(text: str) -> str:
    """Echo."""
    return text


@tool
def other() -> str:
    """Other."""
    return "other"


def calls(*texts: str, name: str = "echo") -> AIMessage:
    return AIMessage(
        "", tool_calls=[{"name": name, "args": {"text": t}, "id": f"id-{t}", "type": "tool_call"} for t in texts]
    )


ASK: Any = {"messages": [("user", "q")]}


def agent(middleware: Any, *turns: Any, saver: Any = None) -> Any:
    every = middleware if isinstance(middleware, list) else [middleware]
    return create_agent(ScriptedChatModel(turns=list(turns)), [echo, other], middleware=every, checkpointer=saver)


def said(result: Any) -> list[str]:
    return [message.text for message in result["messages"]]


def test_a_run_ends_at_its_limit_of_model_calls(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = agent(ModelCallLimitMiddleware(run_limit=2), calls("a"), calls("b"), "late")
        result = await run(c, app, ASK)
        assert said(result) == ["q", "", "a", "", "b", "Model call limits exceeded: run limit (2/2)"]
        assert list(result) == ["messages"]
        assert said(await run(c, app, ASK))[-1] == "late"  # the next run starts at nothing

    colour.run(body)


def test_a_thread_has_a_limit_of_its_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        limit = ModelCallLimitMiddleware(thread_limit=2, run_limit=5)
        app = agent(limit, "one", "two", "three", saver=InMemorySaver())
        for _ in range(2):
            await run(c, app, ASK, thread())
        result = await run(c, app, ASK, thread())
        assert said(result) == ["q", "one", "q", "two", "q", "Model call limits exceeded: thread limit (2/2)"]
        assert said(await run(c, app, ASK, thread("2")))[-1] == "three"

    colour.run(body)


def test_the_limit_of_model_calls_may_raise(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = agent(ModelCallLimitMiddleware(run_limit=1, exit_behavior="error"), calls("a"), "late")
        with pytest.raises(ModelCallLimitExceededError, match=r"run limit \(1/1\)") as caught:
            await run(c, app, ASK)
        assert (caught.value.run_count, caught.value.run_limit, caught.value.thread_limit) == (1, 1, None)

    colour.run(body)


def test_tool_calls_beyond_the_limit_are_refused_to_the_model(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = agent(ToolCallLimitMiddleware(run_limit=2), calls("a", "b", "c"), calls("d"), "done")
        result = await run(c, app, ASK)
        refused = "Tool call limit exceeded. Do not make additional tool calls."
        assert said(result) == ["q", "", refused, "a", "b", "", refused, "done"]
        assert [m.status for m in result["messages"] if m.type == "tool"] == ["error", "success", "success", "error"]

    colour.run(body)


def test_one_tool_has_a_limit_and_so_have_all(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        both = [ToolCallLimitMiddleware(run_limit=3), ToolCallLimitMiddleware(tool_name="echo", run_limit=1)]
        free = AIMessage("", tool_calls=[{"name": "other", "args": {}, "id": "o", "type": "tool_call"}])
        app = agent(both, calls("a", "b"), free, "done")
        result = await run(c, app, ASK)
        assert said(result) == [
            "q",
            "",
            "Tool call limit exceeded. Do not call 'echo' again.",
            "a",
            "",
            "other",
            "done",
        ]

    colour.run(body)


def test_the_limit_of_tool_calls_may_end_the_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        limit = ToolCallLimitMiddleware(tool_name="echo", run_limit=1, exit_behavior="end")
        app = agent(limit, calls("a"), calls("b"), "late")
        assert said(await run(c, app, ASK)) == [
            *["q", "", "a", "", "Tool call limit exceeded. Do not call 'echo' again."],
            "'echo' tool call limit reached: run limit exceeded (2/1 calls).",
        ]
        mixed = calls("a", "b")
        mixed.tool_calls.append({"name": "other", "args": {}, "id": "o", "type": "tool_call"})
        result = await run(c, agent(limit, mixed), ASK)  # what is called beside does not run either
        assert [(m.tool_call_id, m.text[:7]) for m in result["messages"] if m.type == "tool"] == [
            *[(mixed.tool_calls[1]["id"], "Tool ca"), (mixed.tool_calls[0]["id"], "Not run"), ("o", "Not run")]
        ]

    colour.run(body)


def test_the_limit_of_tool_calls_may_raise(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        limit = ToolCallLimitMiddleware(thread_limit=3, run_limit=1, exit_behavior="error")
        with pytest.raises(ToolCallLimitExceededError, match=r"run limit \(2/1\)") as caught:
            await run(c, agent(limit, calls("a", "b")), ASK)
        assert caught.value.tool_name is None

    colour.run(body)


def test_tool_calls_of_a_thread_are_counted_over_its_runs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = agent(
            ToolCallLimitMiddleware(thread_limit=2), calls("a"), "one", calls("b", "c"), "two", saver=InMemorySaver()
        )
        await run(c, app, ASK, thread())
        result = await run(c, app, ASK, thread())
        refused = "Tool call limit exceeded. Do not make additional tool calls."
        assert said(result)[4:] == ["q", "", refused, "b", "two"]

    colour.run(body)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ModelCallLimitMiddleware, {}),
        (ModelCallLimitMiddleware, {"run_limit": 1, "exit_behavior": "continue"}),
        (ToolCallLimitMiddleware, {"tool_name": "echo"}),
        (ToolCallLimitMiddleware, {"run_limit": 2, "thread_limit": 1}),
        (ToolCallLimitMiddleware, {"run_limit": 2, "exit_behavior": "stop"}),
    ],
)
def test_limits_that_cannot_be_are_refused(kind: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"limit|exit_behavior"):
        kind(**options)
