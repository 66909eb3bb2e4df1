"""Failing models and tools: further tries, other models, and what the model is told."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import run

from millstream import (
    AIMessage,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
    create_agent,
    interrupt,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]

ASK: Any = {"messages": [("user", "q")]}
NOW: Any = {"initial_delay": 0.0, "jitter": False}


def said(result: Any) -> list[str]:
    return [message.text for message in result["messages"]]


def model(*turns: Any) -> ScriptedChatModel:
    return ScriptedChatModel(turns=list(turns))


def test_a_model_that_fails_is_asked_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        asked = model(ConnectionError("1"), ConnectionError("2"), "ok")
        app = create_agent(asked, middleware=[ModelRetryMiddleware(**NOW)])
        assert said(await run(c, app, ASK)) == ["q", "ok"]
        assert len(asked.calls) == 3

    colour.run(body)


def upper(error: Exception) -> str:
    return str(error).upper()


@pytest.mark.parametrize(
    ("on_failure", "text"),
    [("continue", "Model call failed after 2 attempts with OSError: down"), (upper, "DOWN"), ("error", None)],
)
def test_what_a_failing_model_comes_to(on_failure: Any, text: str | None, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        retry = ModelRetryMiddleware(max_retries=1, on_failure=on_failure, **NOW)
        app = create_agent(model(OSError("down")), middleware=[retry])
        if text is None:
            with pytest.raises(OSError, match="down"):
                await run(c, app, ASK)
        else:
            assert said(await run(c, app, ASK)) == ["q", text]

    colour.run(body)


def test_only_some_failures_are_worth_another_try(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for on_failure in ("continue", "error"):  # what is not worth another try is no failure of all tries
            for retry_on in ((KeyError, OSError), lambda error: isinstance(error, OSError)):
                asked = model(OSError("passing"), ValueError("wrong"), "late")
                retry = ModelRetryMiddleware(retry_on=retry_on, on_failure=on_failure, **NOW)
                with pytest.raises(ValueError, match="wrong"):
                    await run(c, create_agent(asked, middleware=[retry]), ASK)
                assert len(asked.calls) == 2

    colour.run(body)


def test_another_model_is_asked_where_one_fails(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        fallback = ModelFallbackMiddleware(model(OSError("second")), model("third"))
        assert said(await run(c, create_agent(model(OSError("first")), middleware=[fallback]), ASK)) == ["q", "third"]
        bad = ModelFallbackMiddleware(model(OSError("second")))
        with pytest.raises(OSError, match="second"):
            await run(c, create_agent(model(OSError("first")), middleware=[bad]), ASK)

    colour.run(body)


def flaky(*outcomes: Any, name: str = "fetch") -> Any:
    left = list(outcomes)

    @tool(name)
    def fetch() -> str:
        """Fetch."""
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    return fetch


def calling(name: str = "fetch") -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": {}, "id": "1", "type": "tool_call"}])


async def with_tool(c: Colour, middleware: Any, *outcomes: Any) -> Any:
    app = create_agent(model(calling(), "done"), [flaky(*outcomes)], middleware=[middleware])
    message = (await run(c, app, ASK))["messages"][2]
    return message.text, message.status


def test_a_tool_that_fails_is_run_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        retry = ToolRetryMiddleware(**NOW)
        assert await with_tool(c, retry, OSError("1"), OSError("2"), "ok") == ("ok", "success")
        told = "Tool 'fetch' failed after 3 attempts with OSError: 3. Please try again."
        assert await with_tool(c, retry, OSError("1"), OSError("2"), OSError("3")) == (told, "error")
        assert await with_tool(c, ToolRetryMiddleware(tools=["fetch"], **NOW), OSError(), "ok") == ("ok", "success")
        for unwanted in (
            ToolRetryMiddleware(tools=[flaky(name="other")], **NOW),
            ToolRetryMiddleware(max_retries=0, on_failure="error", **NOW),
        ):
            with pytest.raises(OSError, match="1"):
                await with_tool(c, unwanted, OSError("1"), "late")

    colour.run(body)


def test_the_model_is_told_of_the_failures_that_the_handler_wants(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def told(error: Exception, request: Any) -> str | None:
            return f"{request.tool_call['name']}: {error}" if isinstance(error, OSError) else None

        async def later(error: Exception, request: Any) -> str:
            return "later"

        assert await with_tool(c, ToolErrorMiddleware(told), OSError("down")) == ("fetch: down", "error")
        both = "fetch: down" if c.sync else "later"
        assert await with_tool(c, ToolErrorMiddleware(told, aon_error=later), OSError("down")) == (both, "error")
        with pytest.raises(KeyError):
            await with_tool(c, ToolErrorMiddleware(told), KeyError("mine"))

    colour.run(body)


def test_questions_to_a_person_are_no_failures(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def fetch() -> str:
            """Fetch."""
            return str(interrupt("which?"))

        for middleware in (ToolRetryMiddleware(**NOW), ToolErrorMiddleware(lambda error, request: "no")):
            app = create_agent(model(calling(), "done"), [fetch], middleware=[middleware])
            assert [question.value for question in (await run(c, app, ASK))["__interrupt__"]] == ["which?"]

    colour.run(body)


def test_pauses_grow_up_to_a_bound() -> None:
    tries = ModelRetryMiddleware(initial_delay=1.0, max_delay=5.0, jitter=False)._tries
    assert [tries.pause(n) for n in range(4)] == [1.0, 2.0, 4.0, 5.0]
    steady = ToolRetryMiddleware(initial_delay=1.0, backoff_factor=0.0)._tries
    pauses = [steady.pause(3) for _ in range(200)]
    assert 0.75 <= min(pauses) < 0.9 and 1.1 < max(pauses) <= 1.25


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        ModelRetryMiddleware(max_retries=-1)
    with pytest.raises(ValueError, match="on_failure"):
        ToolRetryMiddleware(on_failure="stop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error"):
        ToolErrorMiddleware()
    with pytest.warns(DeprecationWarning, match="'error'"):
        ToolRetryMiddleware(on_failure="raise")


def test_the_handler_may_be_about_some_tools(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        about = ToolErrorMiddleware(lambda error, request: "told", tools=["fetch"])
        assert await with_tool(c, about, OSError("1")) == ("told", "error")
        with pytest.raises(OSError, match="1"):
            await with_tool(c, ToolErrorMiddleware(lambda error, request: "told", tools=["other"]), OSError("1"))

    colour.run(body)
