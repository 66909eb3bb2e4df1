"""Summaries: when they are made, what stays, and that a tool's result is never parted from its call."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, run

from millstream import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SummarizationMiddleware,
    ToolMessage,
    create_agent,
)
from millstream.graph.bundled.summaries import _without_parting
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


def talk(count: int) -> list[Any]:
    return [HumanMessage(f"h{n}") if n % 2 == 0 else AIMessage(f"a{n}") for n in range(count)]


def said(result: Any) -> list[str]:
    return [message.text for message in result["messages"]]


def agent(**options: Any) -> tuple[Any, ScriptedChatModel]:
    writer = ScriptedChatModel(turns=["in short"], profile=options.pop("profile", None))
    middleware = SummarizationMiddleware(writer, **options)
    return create_agent(ScriptedChatModel(turns=["ok"]), middleware=[middleware]), writer


def test_old_messages_give_way_to_a_summary(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app, writer = agent(trigger=("messages", 6), keep=("messages", 2))
        result = await run(c, app, {"messages": talk(6)})
        assert said(result) == ["Here is a summary of the conversation to date:\n\nin short", "h4", "a5", "ok"]
        assert result["messages"][0].additional_kwargs == {"lc_source": "summarization"}
        [call] = writer.calls
        [prompt] = call["messages"]
        sent = (("human", "h0"), ("ai", "a1"), ("human", "h2"), ("ai", "a3"))
        assert "\n".join(f'<message type="{kind}">{text}</message>' for kind, text in sent) in prompt.text

    colour.run(body)


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({"trigger": ("messages", 7)}, False),
        ({"trigger": ("tokens", 60)}, True),
        ({"trigger": ("tokens", 61)}, False),
        ({"trigger": [("messages", 7), ("tokens", 60)]}, True),
        ({"trigger": ("fraction", 0.5), "profile": {"max_input_tokens": 120}}, True),
        ({"trigger": ("fraction", 0.6), "profile": {"max_input_tokens": 120}}, False),
        ({}, False),
        ({"trigger": ("messages", 1), "keep": ("messages", 6)}, False),
    ],
)
def test_when_it_is_time(options: Any, made: bool, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app, writer = agent(**{"keep": ("messages", 1), "token_counter": lambda found: 10 * len(found), **options})
        await run(c, app, {"messages": talk(6)})
        assert bool(writer.calls) is made

    colour.run(body)


def test_what_stays_may_be_counted_in_tokens(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for keep, left in ((("tokens", 29), 2), (("tokens", 30), 3), (("fraction", 0.25), 3), (("tokens", 9), 0)):
            app, _ = agent(
                trigger=("messages", 1),
                keep=keep,
                token_counter=lambda found: 10 * len(found),
                profile={"max_input_tokens": 120},
            )
            assert len((await run(c, app, {"messages": talk(6)}))["messages"]) == 1 + left + 1

    colour.run(body)


def test_no_more_than_a_bound_is_sent_to_be_summarized(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        options: Any = {"trigger": ("messages", 1), "keep": ("messages", 1), "token_counter": len}
        app, writer = agent(trim_tokens_to_summarize=2, summary_prompt="Of: {messages}", **options)
        await run(c, app, {"messages": talk(6)})
        assert (
            writer.calls[0]["messages"][0].text
            == 'Of: <message type="ai">a3</message>\n<message type="human">h4</message>'
        )

    colour.run(body)


def test_the_summary_is_seen_as_such(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app, _ = agent(trigger=("messages", 1), keep=("messages", 1))
        items = await chunks(c, app, {"messages": talk(3)}, stream_mode="messages")
        tokens = [(chunk.text, meta.get("lc_source")) for chunk, meta in items if isinstance(chunk, AIMessageChunk)]
        assert [each for each in tokens if each[0]] == [
            ("in", "summarization"),
            (" short", "summarization"),
            ("ok", None),
        ]

    colour.run(body)


def test_a_result_stays_with_its_call() -> None:
    calls: Any = [{"name": "t", "args": {}, "id": i, "type": "tool_call"} for i in "12"]
    asked = [HumanMessage("h"), AIMessage("", tool_calls=calls), ToolMessage("1", tool_call_id="1")]
    messages: list[Any] = [*asked, ToolMessage("2", tool_call_id="2"), AIMessage("a")]
    assert [_without_parting(messages, cut) for cut in range(6)] == [0, 1, 1, 1, 4, 5]
    # Where the call is the very first, both go.
    assert [_without_parting(messages[1:], cut) for cut in range(5)] == [0, 3, 3, 3, 4]


@pytest.mark.parametrize(
    "options",
    [
        {"trigger": ("fraction", 0.5)},
        {"trigger": ("fraction", 1.5)},
        {"trigger": ("words", 5)},
        {"keep": ("messages", 0)},
        {"trigger": [("tokens", -1)]},
    ],
)
def test_sizes_that_cannot_be_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"fraction|window|size"):
        SummarizationMiddleware(ScriptedChatModel(turns=["x"]), **options)
