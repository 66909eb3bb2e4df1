"""ToolNode: what it takes, what it answers, which errors it tells the model, what it fills in."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from colours import Colour, colour
from graph_helpers import graph_of, run, thread
from pydantic import BaseModel

from millstream import (
    REMOVE_ALL_MESSAGES,
    AIMessage,
    Command,
    HumanMessage,
    InjectedState,
    InjectedStore,
    InjectedToolArg,
    InjectedToolCallId,
    InMemorySaver,
    InvalidArgument,
    MessagesState,
    RemoveMessage,
    ToolException,
    ToolInvocationError,
    ToolMessage,
    ToolNode,
    ToolRuntime,
    ValidationNode,
    interrupt,
    tool,
    tools_condition,
)

__all__ = ["colour"]


@tool
def div(a: int, b: int) -> float:
    "Divide."
    return a / b


@tool
def lookup(key: str) -> dict[str, Any]:
    "Look up."
    return {"key": key, "ü": [1, 2]}


def call(*calls: tuple[str, dict[str, Any], str]) -> AIMessage:
    return AIMessage("", id="a", tool_calls=[{"name": n, "args": a, "id": i, "type": "tool_call"} for n, a, i in calls])


async def answers(c: Colour, node: ToolNode, *calls: tuple[str, dict[str, Any], str]) -> list[tuple[Any, ...]]:
    app = graph_of(state=MessagesState, tools=node).compile()
    result = await run(c, app, {"messages": [call(*calls)]})
    return [(m.name, m.content, m.status, m.tool_call_id) for m in result["messages"][1:]]


ZERO = ("div", {"a": 1, "b": 0}, "c1")
GOOD = ("div", {"a": 6, "b": 3}, "c2")


def test_results_are_text_or_json(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        assert await answers(c, ToolNode([div, lookup]), ("lookup", {"key": "k"}, "c1"), GOOD) == [
            ("lookup", '{"key": "k", "ü": [1, 2]}', "success", "c1"),
            ("div", "2.0", "success", "c2"),
        ]

    colour.run(body)


def test_an_unknown_tool_is_told_to_the_model(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        found = await answers(c, ToolNode([div, lookup]), ("nope", {}, "c1"), GOOD)
        assert found[0] == ("nope", "Error: nope is not a valid tool, try one of [div, lookup].", "error", "c1")
        assert found[1][1] == "2.0"

    colour.run(body)


def test_arguments_that_do_not_fit_are_told_to_the_model(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        bad = ("div", {"a": "x", "b": 1}, "c1")
        [(_, text, status, _)] = await answers(c, ToolNode([div]), bad)
        assert status == "error"
        assert text.startswith("Error invoking tool 'div' with kwargs {'a': 'x', 'b': 1} with error:\n a: Input should")
        with pytest.raises(ToolInvocationError, match="'div'") as caught:
            await answers(c, ToolNode([div], handle_tool_errors=False), bad)
        assert isinstance(caught.value, ToolException)

    colour.run(body)


def on_zero(error: ZeroDivisionError) -> str:
    return f"zero: {error}"


def on_value(error: ValueError) -> str:
    return "value"


REPR = "Error: ZeroDivisionError('division by zero')\n Please fix your mistakes."


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (True, REPR),
        ("Oops", "Oops"),
        (on_zero, "zero: division by zero"),
        (ZeroDivisionError, REPR),
        ((KeyError, ZeroDivisionError), REPR),
        (False, None),
        (on_value, None),
        (KeyError, None),
    ],
)
def test_which_errors_of_tools_are_told(handler: Any, text: str | None, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        node = ToolNode([div], handle_tool_errors=handler)
        if text is None:
            with pytest.raises(ZeroDivisionError):
                await answers(c, node, ZERO)
        else:
            assert await answers(c, node, ZERO, GOOD) == [("div", text, "error", "c1"), ("div", "2.0", "success", "c2")]

    colour.run(body)


def test_by_default_a_tools_own_error_is_raised(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        with pytest.raises(ZeroDivisionError):
            await answers(c, ToolNode([div]), ZERO)

    colour.run(body)


def test_forms_of_input() -> None:
    node = ToolNode([div])
    assert [m.content for m in node.invoke([call(GOOD)])] == ["2.0"]
    assert [m.content for m in node.invoke(call(GOOD).tool_calls)["messages"]] == ["2.0"]
    with_context = {"__type": "tool_call_with_context", "tool_call": call(GOOD).tool_calls[0], "state": {}}
    assert node.invoke(with_context)["messages"][0].content == "2.0"
    with pytest.raises(ValueError, match="no AIMessage"):
        node.invoke({"messages": [HumanMessage("x")]})
    with pytest.raises(ValueError, match="'messages'"):
        node.invoke({"other": []})


def test_the_condition() -> None:
    assert tools_condition({"messages": [call(GOOD)]}) == "tools"
    assert tools_condition({"messages": [AIMessage("x")]}) == "__end__"
    assert tools_condition([call(GOOD)]) == "tools"
    with pytest.raises(ValueError, match="no messages"):
        tools_condition({"messages": []})


class State(MessagesState):
    user: str
    total: int


@dataclass
class Context:
    tenant: str


@tool
def whole(x: int, state: Annotated[dict[str, Any], InjectedState]) -> str:
    "W."
    return f"{x}:{sorted(state)}:{state['user']}"


@tool
def one_field(who: Annotated[str, InjectedState("user")], x: int) -> str:
    "F."
    return f"{who}{x}"


@tool
def add_total(
    n: int, call_id: Annotated[str, InjectedToolCallId], state: Annotated[dict[str, Any], InjectedState]
) -> Command[Any]:
    "A."
    return Command(update={"total": state["total"] + n, "messages": [ToolMessage("added", tool_call_id=call_id)]})


@tool
def surroundings(x: int, runtime: ToolRuntime[Any, Any]) -> str:
    "R."
    runtime.stream_writer("said")
    return f"{runtime.context.tenant} {runtime.tool_call_id} {runtime.state['user']} {runtime.config['metadata']['langgraph_node']}"


@tool
def stores(k: str, store: Annotated[Any, InjectedStore()]) -> str:
    "S."
    return "stored"


def test_what_the_graph_fills_in(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        tools = [whole, one_field, add_total, surroundings]
        app = graph_of(state=State, tools=ToolNode(tools)).compile()
        calls = call(
            ("whole", {"x": 1}, "c1"),
            ("one_field", {"x": 2, "who": "evil"}, "c2"),
            ("add_total", {"n": 5}, "c3"),
            ("surroundings", {"x": 0}, "c4"),
        )
        result = await run(c, app, {"messages": [calls], "user": "u", "total": 1}, context=Context("t1"))
        assert [m.content for m in result["messages"][1:]] == [
            "1:['messages', 'total', 'user']:u",
            "u2",
            "added",
            "t1 c4 u tools",
        ]
        assert result["total"] == 6
        assert [sorted(t.tool_call_schema.model_json_schema()["properties"]) for t in tools] == [
            ["x"],
            ["x"],
            ["n"],
            ["x"],
        ]

    colour.run(body)


def test_a_store_that_is_not_there_is_named(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        with pytest.raises(ValueError, match=r"'stores'.*compile\(store="):
            await answers(c, ToolNode([stores]), ("stores", {"k": "x"}, "c"))

    colour.run(body)


def test_a_command_without_an_answer_is_refused(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def silent() -> Command[Any]:
            "S."
            return Command(update={"messages": []})

        with pytest.raises(ValueError, match=r"'silent'.*tool_call_id='c'"):
            await answers(c, ToolNode([silent]), ("silent", {}, "c"))

    colour.run(body)


def test_a_tool_may_give_several_things_and_one_answer(colour: Colour) -> None:
    own = ToolMessage("x", tool_call_id="c")

    async def body(c: Colour) -> None:
        async def given(*parts: Any) -> Any:
            @tool
            def several() -> Any:
                "S."
                return list(parts)

            return await answers(c, ToolNode([several]), ("several", {}, "c"))

        assert [text for _, text, _, _ in await given(Command(update={"messages": []}), own)] == ["x"]
        with pytest.raises(ValueError, match=r"'several'.*without an answer"):
            await given(Command(update={"messages": []}))
        with pytest.raises(ValueError, match="2 answers"):
            await given(Command(update={"messages": [ToolMessage("y", tool_call_id="c")]}), own)

    colour.run(body)


def test_a_command_that_removes_all_needs_no_answer(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def forget() -> Command[Any]:
            "F."
            return Command(update={"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)]})

        app = graph_of(state=MessagesState, tools=ToolNode([forget])).compile()
        assert await run(c, app, {"messages": [call(("forget", {}, "c"))]}) == {"messages": []}

    colour.run(body)


def test_the_update_of_a_command_has_the_form_of_the_input() -> None:
    @tool
    def gives(update: Any) -> Command[Any]:
        "G."
        return Command(update=update)

    with pytest.raises(ValueError, match="list of messages"):
        ToolNode([gives]).invoke([call(("gives", {"update": {"messages": []}}, "c"))])
    with pytest.raises(ValueError, match="a dict"):
        ToolNode([gives]).invoke({"messages": [call(("gives", {"update": []}, "c"))]})


def test_what_the_graph_fills_in_is_not_told_to_the_model(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(state=State, tools=ToolNode([one_field])).compile()
        calls = call(("one_field", {"x": "many", "who": "evil"}, "c1"))
        result = await run(c, app, {"messages": [calls], "user": "private"})
        text = result["messages"][1].text
        assert "with kwargs {'x': 'many'} with error" in text
        assert "evil" not in text and "private" not in text

    colour.run(body)


def test_wrappers_know_the_tools_surroundings(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[Any] = []

        def note(request: Any) -> Any:
            runtime = request.runtime
            seen.append((type(runtime).__name__, runtime.tool_call_id, runtime.state["user"], runtime.context))
            return request

        def wrap(request: Any, handler: Any) -> Any:
            return handler(note(request))

        async def awrap(request: Any, handler: Any) -> Any:
            return await handler(note(request))

        node = ToolNode([div], wrap_tool_call=wrap, awrap_tool_call=awrap)
        app = graph_of(state=State, tools=node).compile()
        await run(c, app, {"messages": [call(GOOD)], "user": "u"}, context="ctx")
        assert seen == [("ToolRuntime", "c2", "u", "ctx")]

    colour.run(body)


def test_arguments_are_checked_by_a_node_of_their_own() -> None:
    class Total(BaseModel):
        amount: int

    node = ValidationNode([Total, div])
    messages = [call(("Total", {"amount": "3"}, "1"), ("Total", {"amount": "x"}, "2"), ("div", {"a": 1, "b": 2}, "3"))]
    found = node.invoke({"messages": messages})["messages"]
    assert [(m.name, m.tool_call_id, m.additional_kwargs) for m in found] == [
        *[("Total", "1", {}), ("Total", "2", {"is_error": True}), ("div", "3", {})],
    ]
    assert (found[0].text, found[2].text) == ('{"amount":3}', '{"a":1,"b":2}')
    assert found[1].text.endswith("Respond after fixing all validation errors.")
    told = ValidationNode([Total], format_error=lambda error, call, schema: f"{call['id']} {schema.__name__}")
    assert [m.text for m in told.invoke([call(("Total", {"amount": "x"}, "2"))])] == ["2 Total"]
    with pytest.raises(ValueError, match="not an AIMessage"):
        node.invoke([HumanMessage("x")])
    with pytest.raises(KeyError, match="nope"):
        node.invoke([call(("nope", {}, "1"))])


def test_a_runtime_may_say_its_context_alone(colour: Colour) -> None:
    @tool
    def whose(runtime: ToolRuntime[Context]) -> str:
        "W."
        return runtime.context.tenant

    async def body(c: Colour) -> None:
        app = graph_of(state=MessagesState, tools=ToolNode([whose])).compile()
        result = await run(c, app, {"messages": [call(("whose", {}, "c"))]}, context=Context("t"))
        assert result["messages"][1].text == "t"

    colour.run(body)
    assert whose.args == {}


def test_a_list_of_messages_is_a_state_too() -> None:
    @tool
    def sees(state: Annotated[dict[str, Any], InjectedState], all_: Annotated[Any, InjectedState("messages")]) -> str:
        "S."
        return f"{sorted(state)} {len(all_)}"

    assert [m.text for m in ToolNode([sees]).invoke([call(("sees", {}, "c"))])] == ["['messages'] 1"]


def test_whichever_of_two_questions_is_heard_first_its_answer_is_taken(request: pytest.FixtureRequest) -> None:
    interval = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(interval))
    sys.setswitchinterval(1e-6)  # so that one tool in twenty overtakes the other between counting and asking

    @tool
    def ask(q: str) -> str:
        "Ask somebody."
        return f"{q}={interrupt(q)}"

    app = graph_of(state=MessagesState, tools=ToolNode([ask])).compile(checkpointer=InMemorySaver())
    for each in range(100):
        asking = call(("ask", {"q": "a"}, "1"), ("ask", {"q": "b"}, "2"))
        assert "__interrupt__" in app.invoke({"messages": [asking]}, thread(str(each)))
        assert "__interrupt__" in app.invoke(Command(resume="yes"), thread(str(each)))
        assert "__interrupt__" not in app.invoke(Command(resume="yes"), thread(str(each)))


def test_tools_that_ask_at_once_are_asked_one_after_the_other_and_no_error_is_logged(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    def ask(q: str) -> str:
        "Ask somebody."
        return f"{q}={interrupt(q)}"

    async def body(c: Colour) -> None:
        app = graph_of(state=MessagesState, tools=ToolNode([ask])).compile(checkpointer=InMemorySaver())
        asking = call(("ask", {"q": "a"}, "1"), ("ask", {"q": "b"}, "2"))
        found = await run(c, app, {"messages": [asking]}, thread())
        rounds = 0
        while "__interrupt__" in found:
            rounds += 1
            found = await run(c, app, Command(resume="yes"), thread())
        assert rounds == 2
        assert [m.content for m in found["messages"][1:]] == ["a=yes", "b=yes"]

    colour.run(body)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_model_cannot_give_an_argument_that_is_hidden_from_it(colour: Colour) -> None:
    @tool
    def pay(amount: int, account: Annotated[str, InjectedToolArg] = "own") -> str:
        "Pay."
        return f"{amount} from {account}"

    async def body(c: Colour) -> None:
        (answer,) = await answers(c, ToolNode([pay]), ("pay", {"amount": 3, "account": "of others"}, "c1"))
        assert answer[1] == "3 from own"

    colour.run(body)


def test_a_list_with_bare_texts_is_json_and_blocks_stay(colour: Colour) -> None:
    @tool
    def words() -> list[Any]:
        "Words."
        return ["a", {"type": "text", "text": "b"}]

    @tool
    def blocks() -> list[Any]:
        "Blocks."
        return [{"type": "text", "text": "b"}]

    async def body(c: Colour) -> None:
        found = await answers(c, ToolNode([words, blocks]), ("words", {}, "c1"), ("blocks", {}, "c2"))
        assert [each[1] for each in found] == ['["a", {"type": "text", "text": "b"}]', [{"type": "text", "text": "b"}]]

    colour.run(body)


def test_what_handles_errors_is_checked_at_once() -> None:
    bad: Any = [ValueError]
    with pytest.raises(InvalidArgument, match="handle_tool_errors"):
        ToolNode([div], handle_tool_errors=bad)


def test_no_handler_and_a_handler_with_a_method(colour: Colour) -> None:
    class OfValues:
        def __call__(self, error: ValueError) -> str:
            return "told"

    async def body(c: Colour) -> None:
        for handler in (None, OfValues()):
            with pytest.raises(ZeroDivisionError):
                await answers(c, ToolNode([div], handle_tool_errors=handler), ZERO)

    colour.run(body)


def test_a_wrapper_may_put_another_tool_in_the_place_of_one(colour: Colour) -> None:
    def wrap(request: Any, handler: Any) -> Any:
        return handler(request.override(tool=lookup))

    async def awrap(request: Any, handler: Any) -> Any:
        return await handler(request.override(tool=lookup))

    async def body(c: Colour) -> None:
        node = ToolNode([div], wrap_tool_call=wrap, awrap_tool_call=awrap)
        assert await answers(c, node, ("search", {"key": "k"}, "c1")) == [
            ("lookup", '{"key": "k", "ü": [1, 2]}', "success", "c1")
        ]

    colour.run(body)


def test_errors_of_a_wrapper_are_told_as_those_of_tools(colour: Colour) -> None:
    def wrap(request: Any, handler: Any) -> Any:
        raise KeyError("wrapper")

    async def awrap(request: Any, handler: Any) -> Any:
        raise KeyError("wrapper")

    async def body(c: Colour) -> None:
        node = ToolNode([div], handle_tool_errors=True, wrap_tool_call=wrap, awrap_tool_call=awrap)
        ((_, text, status, _),) = await answers(c, node, GOOD)
        assert (text, status) == ("Error: KeyError('wrapper')\n Please fix your mistakes.", "error")
        with pytest.raises(KeyError):
            await answers(c, ToolNode([div], wrap_tool_call=wrap, awrap_tool_call=awrap), GOOD)

    colour.run(body)


def test_a_command_that_updates_nothing_needs_no_answer(colour: Colour) -> None:
    @tool
    def leave() -> Command[Any]:
        "Leave."
        return Command(goto="other")

    async def body(c: Colour) -> None:
        seen: list[int] = []
        graph = graph_of(state=MessagesState, tools=ToolNode([leave]))
        graph.add_node("other", lambda state: seen.append(len(state["messages"])))
        await run(c, graph.compile(), {"messages": [call(("leave", {}, "c1"))]})
        assert seen == [1]

    colour.run(body)


def test_a_field_of_the_state_that_is_not_there_is_named(colour: Colour) -> None:
    @tool
    def ask(user: Annotated[str, InjectedState("user")]) -> str:
        "Ask."
        return user

    with pytest.raises(KeyError, match="user"):
        colour.run(lambda c: answers(c, ToolNode([ask]), ("ask", {}, "c1")))


def test_all_that_is_wrong_about_arguments_is_told(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ((_, text, _, _),) = await answers(c, ToolNode([div]), ("div", {"a": "x"}, "c1"))
        wrong = "a: Input should be a valid integer, unable to parse string as an integer\nb: Field required"
        assert f" with error:\n {wrong}\n Please fix" in text

    colour.run(body)
