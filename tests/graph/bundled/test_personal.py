"""Personal data: what is found, and what becomes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import run

from millstream import AIMessage, HumanMessage, PIIDetectionError, PIIMiddleware, ToolMessage, create_agent
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("email", "to a.b+c@mill.example.org, not @x or a@b", ["a.b+c@mill.example.org"]),
        ("credit_card", "4111 1111 1111 1111, 4111111111111112, 5555-5555-5555-4444", ["4111 1111 1111 1111", "5555-5555-5555-4444"]),
        ("ip", "10.0.0.1 and 300.1.1.1 and v1.2.3.4.5", ["10.0.0.1"]),
        ("mac_address", "00:1A:2b:3c:4D:5e", ["00:1A:2b:3c:4D:5e"]),
        ("url", "see https://mill.example/a?b=c now", ["https://mill.example/a?b=c"]),
    ],
)  # fmt: skip
def test_what_is_found(kind: str, text: str, found: list[str]) -> None:
    matches = PIIMiddleware(kind).find(text)
    assert [match["value"] for match in matches] == found
    assert all(text[m["start"] : m["end"]] == m["value"] and m["type"] == kind for m in matches)


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        ("redact", r"\[REDACTED_CREDIT_CARD\]"),
        ("mask", r"\*{4} \*{4} \*{4} 1111"),
        ("hash", "<credit_card_hash:[0-9a-f]{8}>"),
    ],
)
def test_what_becomes_of_it(strategy: Any, shown: str, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=["ok"])
        app = create_agent(model, middleware=[PIIMiddleware("credit_card", strategy=strategy)])
        result = await run(c, app, {"messages": [HumanMessage("it is 4111 1111 1111 1111.", id="h")]})
        assert re.fullmatch(f"it is {shown}.", result["messages"][0].text)
        assert (result["messages"][0].id, len(result["messages"])) == ("h", 2)
        assert model.calls[0]["messages"][0].text == result["messages"][0].text

    colour.run(body)


def test_where_it_is_looked_for(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        mail = "x@mill.example"
        calls: Any = [{"name": "t", "args": {}, "id": "1", "type": "tool_call"}]
        talk = [HumanMessage(mail), AIMessage(mail, tool_calls=calls), ToolMessage(mail, tool_call_id="1")]
        for options, left in (
            ({}, [False, True, True, True]),
            ({"apply_to_input": False, "apply_to_tool_results": True}, [True, True, False, True]),
            ({"apply_to_input": False, "apply_to_output": True}, [True, True, True, False]),
        ):
            app = create_agent(ScriptedChatModel(turns=[mail]), middleware=[PIIMiddleware("email", **options)])
            result = await run(c, app, {"messages": [m.model_copy() for m in talk]})
            assert [m.text == mail for m in result["messages"]] == left

    colour.run(body)


def test_it_may_be_refused(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_agent(ScriptedChatModel(turns=["ok"]), middleware=[PIIMiddleware("email", strategy="block")])
        with pytest.raises(PIIDetectionError, match="email") as caught:
            await run(c, app, {"messages": [HumanMessage([{"type": "text", "text": "x@mill.example"}])]})
        assert [match["value"] for match in caught.value.matches] == ["x@mill.example"]

    colour.run(body)


def test_kinds_of_ones_own(colour: Colour) -> None:
    def keys(text: str) -> list[dict[str, Any]]:
        return [{"text": m.group(), "start": m.start(), "end": m.end()} for m in re.finditer("sk-[a-z]+", text)]

    async def body(c: Colour) -> None:
        both = [PIIMiddleware("key", detector=keys), PIIMiddleware("badge", detector=r"B\d{3}", strategy="mask")]
        app = create_agent(ScriptedChatModel(turns=["ok"]), middleware=both)
        result = await run(c, app, {"messages": [("user", "sk-abc of B123")]})
        assert result["messages"][0].text == "[REDACTED_KEY] of ****"

    colour.run(body)
    with pytest.raises(ValueError, match="'badge'"):
        PIIMiddleware("badge")
    with pytest.raises(ValueError, match="strategy"):
        PIIMiddleware("email", strategy="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("email", "x.y+z@mail.example.org", "x.y+z@****.org"),
        ("ip", "10.0.0.255", "*.*.*.255"),
        ("mac_address", "aa-bb-cc-dd-ee-ff", "**-**-**-**-**-ff"),
        ("url", "https://a.example/b?c=1", "[MASKED_URL]"),
        ("badge", "B12345", "****2345"),
    ],
)
def test_what_a_mask_leaves(kind: str, text: str, shown: str, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        mask = PIIMiddleware(kind, detector=r"B\d+" if kind == "badge" else None, strategy="mask")
        result = await run(c, create_agent(ScriptedChatModel(turns=["ok"]), middleware=[mask]), {"messages": text})
        assert result["messages"][0].text == shown

    colour.run(body)
