"""Human in the loop: what is asked, and what each decision does."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, run, thread

from millstream import (
    AIMessage,
    Command,
    HITLResponse,
    HumanInTheLoopMiddleware,
    InMemorySaver,
    InvalidArgument,
    create_agent,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]

UNLESS = "Nothing was run. Call it again only if the user asks for it."

RAN: list[Any] = []


@tool
def send(to: str) -> str:
    """Send."""
    RAN.append(to)
    return f"sent to {to}"


@tool
def look(what: str) -> str:
    """Look."""
    return f"saw {what}"


def calling(*calls: tuple[str, dict[str, Any], str]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": n, "args": a, "id": i, "type": "tool_call"} for n, a, i in calls])


TWO = calling(("send", {"to": "Ann"}, "1"), ("look", {"what": "sea"}, "2"), ("send", {"to": "Bob"}, "3"))


def agent(interrupt_on: Any = None, *, turns: Any = (TWO, "done"), **options: Any) -> Any:
    RAN.clear()
    middleware = HumanInTheLoopMiddleware(interrupt_on or {"send": True, "look": False}, **options)
    return create_agent(
        ScriptedChatModel(turns=list(turns)), [send, look], middleware=[middleware], checkpointer=InMemorySaver()
    )


ASK: Any = {"messages": [("user", "q")]}


async def answered(c: Colour, app: Any, *decisions: Any) -> Any:
    await run(c, app, ASK, thread())
    return await run(c, app, Command(resume={"decisions": list(decisions)}), thread())


def said(result: Any) -> list[tuple[Any, ...]]:
    return [(m.tool_call_id, m.text, m.status) for m in result["messages"] if m.type == "tool"]


def test_the_calls_that_wait_are_asked_about_at_once(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = agent(description_prefix="Please look")
        items = await chunks(c, app, ASK, thread())
        assert [next(iter(item)) for item in items] == ["model", "__interrupt__"]
        [question] = items[-1]["__interrupt__"]
        assert question.value == {
            "action_requests": [
                {
                    "name": "send",
                    "args": {"to": to},
                    "description": f"Please look\n\nTool: send\nArgs: {{'to': {to!r}}}",
                }
                for to in ("Ann", "Bob")
            ],
            "review_configs": [
                {"action_name": "send", "allowed_decisions": ["approve", "edit", "reject", "respond"]} for _ in range(2)
            ],
        }
        assert RAN == []

    colour.run(body)


def test_approved_and_edited_calls_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        edit: HITLResponse = {
            "decisions": [
                {"type": "approve"},
                {"type": "edit", "edited_action": {"name": "send", "args": {"to": "Cyd"}}},
            ]
        }
        result = await answered(c, agent(), *edit["decisions"])
        assert said(result) == [
            ("1", "sent to Ann", "success"),
            ("2", "saw sea", "success"),
            ("3", "sent to Cyd", "success"),
        ]
        assert [call["args"] for call in result["messages"][1].tool_calls][2] == {"to": "Cyd"}
        assert result["messages"][-1].text == "done"

    colour.run(body)


def test_rejected_and_answered_calls_do_not_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        result = await answered(c, agent(), {"type": "reject"}, {"type": "respond", "message": "I told him"})
        assert said(result) == [
            ("1", f"User rejected the tool call for `send` with id 1. {UNLESS}", "error"),
            ("3", "I told him", "success"),
            ("2", "saw sea", "success"),
        ]
        assert (RAN, result["messages"][-1].text) == ([], "done")
        refused = await answered(
            c, agent(turns=[calling(("send", {"to": "Ann"}, "1")), "ok"]), {"type": "reject", "message": "Ann is away"}
        )
        assert said(refused) == [("1", "User rejected the tool call for `send` with reason: Ann is away", "error")]
        assert refused["messages"][-1].text == "ok"

    colour.run(body)


def test_a_configuration_says_what_waits_and_how_it_is_shown(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen = []

        def describe(call: Any, state: Any, runtime: Any) -> str:
            seen.append((call["id"], len(state["messages"]), runtime.context))
            return f"send to {call['args']['to']}?"

        config = {
            "allowed_decisions": ["approve", "reject"],
            "description": describe,
            "args_schema": {"type": "object"},
            "when": lambda request: request.tool_call["args"]["to"] == "Bob",
        }
        app = agent({"send": config})
        result = await run(c, app, ASK, thread())
        [question] = result["__interrupt__"]
        assert question.value == {
            "action_requests": [{"name": "send", "args": {"to": "Bob"}, "description": "send to Bob?"}],
            "review_configs": [
                {"action_name": "send", "allowed_decisions": ["approve", "reject"], "args_schema": {"type": "object"}}
            ],
        }
        assert seen == [("3", 2, None)]
        with pytest.raises(InvalidArgument, match=r"'edit' is not allowed.*'send'"):
            await run(c, app, Command(resume={"decisions": [{"type": "edit"}]}), thread())
        done = await run(c, app, Command(resume={"decisions": [{"type": "approve"}]}), thread())
        assert (sorted(RAN), done["messages"][-1].text) == (["Ann", "Bob"], "done")

    colour.run(body)


def test_each_call_needs_a_decision(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        with pytest.raises(InvalidArgument, match="1 decisions were given and 2"):
            await answered(c, agent(), {"type": "approve"})
        with pytest.raises(InvalidArgument, match="decisions"):
            app = agent()
            await run(c, app, ASK, thread())
            await run(c, app, Command(resume="yes"), thread())

    colour.run(body)


def test_calls_that_nobody_reviews_run_at_once(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        result = await run(c, agent(turns=[calling(("look", {"what": "sky"}, "1")), "done"]), ASK, thread())
        assert (said(result), "__interrupt__" in result) == ([("1", "saw sky", "success")], False)

    colour.run(body)


def test_a_configuration_that_allows_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'send'.*allowed_decisions"):
        HumanInTheLoopMiddleware({"send": {"description": "x"}})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="ignore"):
        HumanInTheLoopMiddleware({"send": {"allowed_decisions": ["ignore"]}})  # type: ignore[dict-item]
