"""create_react_agent: the loop of model and tools, its versions and hooks, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, run, stream, thread
from pydantic import BaseModel

from millstream import (
    AIMessage,
    HumanMessage,
    InjectedState,
    InMemorySaver,
    MessagesState,
    RemainingSteps,
    RunnableLambda,
    Runtime,
    SystemMessage,
    ToolMessage,
    add_messages,
    create_react_agent,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


def call(*calls: tuple[str, dict[str, Any], str], text: str = "", id: str = "a1") -> AIMessage:
    return AIMessage(
        text, id=id, tool_calls=[{"name": n, "args": a, "id": i, "type": "tool_call"} for n, a, i in calls]
    )


@tool
def add(a: int, b: int) -> int:
    "Add."
    return a + b


@tool(return_direct=True)
def shout(text: str) -> str:
    "Shout."
    return text.upper()


ASK = {"messages": [HumanMessage("go", id="h")]}


def brief(messages: Any) -> list[str]:
    return [f"{m.type}:{m.content}" for m in messages]


def nodes(updates: list[Any]) -> list[tuple[str, list[str]]]:
    return [(name, brief((update or {}).get("messages", []))) for chunk in updates for name, update in chunk.items()]


def scripted(*turns: Any) -> Any:
    return ScriptedChatModel(list(turns))


TWO = [call(("add", {"a": 1, "b": 2}, "c1"), ("add", {"a": 3, "b": 4}, "c2")), AIMessage("3 and 7", id="a2")]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_calls_are_answered_in_their_order(version: Any, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        result = await run(c, create_react_agent(scripted(*TWO), [add], version=version), ASK)
        assert brief(result["messages"]) == ["human:go", "ai:", "tool:3", "tool:7", "ai:3 and 7"]
        assert [m.tool_call_id for m in result["messages"] if m.type == "tool"] == ["c1", "c2"]
        updates = nodes(await chunks(c, create_react_agent(scripted(*TWO), [add], version=version), ASK))
        tools = [("tools", ["tool:3", "tool:7"])] if version == "v1" else [("tools", ["tool:3"]), ("tools", ["tool:7"])]
        assert sorted(updates[1:-1]) == tools
        assert (updates[0], updates[-1]) == (("agent", ["ai:"]), ("agent", ["ai:3 and 7"]))

    colour.run(body)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_tools_run_at_once(version: Any, colour: Colour) -> None:
    async def body(c: Colour) -> None:
        meet = threading.Barrier(2)
        both = asyncio.Event()
        inside = 0

        def sync_form(n: int) -> int:
            "Meet."
            meet.wait(5)  # returns only when both calls are here
            return n

        async def async_form(n: int) -> int:
            "Meet."
            nonlocal inside
            inside += 1
            if inside == 2:
                both.set()
            await asyncio.wait_for(both.wait(), 5)
            return n

        meeting = tool("meet")(sync_form if c.sync else async_form)
        turns = [call(("meet", {"n": 1}, "c1"), ("meet", {"n": 2}, "c2")), "done"]
        result = await run(c, create_react_agent(scripted(*turns), [meeting], version=version), ASK)
        assert brief(result["messages"])[2:4] == ["tool:1", "tool:2"]

    colour.run(body)


def test_prompts(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        for prompt in (
            "Be kind.",
            SystemMessage("Be kind."),
            c.function(lambda state: [SystemMessage("Be kind."), *state["messages"]]),
            RunnableLambda(lambda state: [SystemMessage("Be kind."), *state["messages"]]),
        ):
            model = scripted("ok")
            result = await run(c, create_react_agent(model, [], prompt=prompt), ASK)
            assert brief(model.calls[0]["messages"]) == ["system:Be kind.", "human:go"]
            assert brief(result["messages"]) == ["human:go", "ai:ok"]

    colour.run(body)


def test_the_name_is_on_the_graph_and_its_answers(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_react_agent(scripted(*TWO), [add], name="calc")
        assert app.name == "calc"
        result = await run(c, app, ASK)
        assert [m.name for m in result["messages"]] == [None, "calc", "add", "add", "calc"]

    colour.run(body)


def test_hooks_prepare_and_follow(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = scripted(call(("add", {"a": 1, "b": 2}, "c1")), "end")
        app = create_react_agent(
            model,
            [add],
            pre_model_hook=c.function(lambda s: {"llm_input_messages": [SystemMessage("pre"), *s["messages"][-2:]]}),
            post_model_hook=c.function(lambda s: None),
        )
        names = [name for name, _ in nodes(await chunks(c, app, ASK))]
        once = ["pre_model_hook", "agent", "post_model_hook"]
        assert names == [*once, "tools", *once]
        assert [brief(each["messages"]) for each in model.calls] == [
            ["system:pre", "human:go"],
            ["system:pre", "ai:", "tool:3"],
        ]

    colour.run(body)


def test_a_tool_that_answers_by_itself_ends_the_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_react_agent(scripted(call(("shout", {"text": "abc"}, "c1")), "never"), [add, shout])
        assert brief((await run(c, app, ASK))["messages"]) == ["human:go", "ai:", "tool:ABC"]

    colour.run(body)


class Total(BaseModel):
    total: int


class Structured(ScriptedChatModel):
    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        return RunnableLambda(lambda messages: schema(total=len(messages)))


def test_a_structured_answer_is_one_more_call(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_react_agent(Structured(["ok"]), [add], response_format=Total)
        result = await run(c, app, ASK)
        assert result["structured_response"] == Total(total=2)
        assert [name for name, _ in nodes(await chunks(c, app, ASK))] == ["agent", "generate_structured_response"]

    colour.run(body)


def test_too_few_steps_are_told_instead_of_raised(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        result = await run(c, create_react_agent(scripted(*TWO), [add]), ASK, {"recursion_limit": 2})
        assert brief(result["messages"]) == ["human:go", "ai:Sorry, need more steps to process this request."]
        assert result["messages"][-1].id == "a1"

    colour.run(body)


def test_the_model_may_be_chosen_for_each_call(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        models = {"one": scripted("from one"), "two": scripted("from two")}

        def choose(state: Any, runtime: Runtime) -> Any:
            return models[runtime.context]

        app = create_react_agent(choose, [])
        assert brief((await run(c, app, ASK, context="two"))["messages"]) == ["human:go", "ai:from two"]

    colour.run(body)


class Remembering(MessagesState):
    user: str
    remaining_steps: int


def test_a_state_of_ones_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def who(state: Annotated[dict[str, Any], InjectedState]) -> str:
            "Who."
            return str(state["user"])

        app = create_react_agent(scripted(call(("who", {}, "c1")), "done"), [who], state_schema=Remembering)
        result = await run(c, app, {**ASK, "user": "ann"})
        assert brief(result["messages"])[2] == "tool:ann"
        assert result["user"] == "ann"

    colour.run(body)


def test_a_conversation_is_remembered_by_its_thread(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = scripted("first", "second", "third")
        app = create_react_agent(model, [], checkpointer=InMemorySaver())
        await run(c, app, {"messages": "a"}, thread("1"))
        await run(c, app, {"messages": "b"}, thread("2"))
        result = await run(c, app, {"messages": "c"}, thread("1"))
        assert brief(result["messages"]) == ["human:a", "ai:first", "human:c", "ai:third"]
        assert brief(model.calls[2]["messages"]) == ["human:a", "ai:first", "human:c"]

    colour.run(body)


def test_the_program_of_the_chat_endpoint(colour: Colour) -> None:
    """Tokens of the answer alone: those of the node `agent`."""

    async def body(c: Colour) -> None:
        app = create_react_agent(scripted(call(("add", {"a": 1, "b": 2}, "c1")), "it is three"), [add])
        text = ""
        for message, metadata in await chunks(c, app, ASK, stream_mode="messages"):
            if metadata["langgraph_node"] == "agent" and message.content:
                text += message.content
        assert text == "it is three"

    colour.run(body)


def test_what_it_refuses() -> None:
    model = scripted("x")
    with pytest.raises(ValueError, match="'v9'"):
        create_react_agent(model, [add], version="v9")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="5"):
        create_react_agent(5, [])
    with pytest.raises(TypeError, match="temperature"):
        create_react_agent(model, [], temperature=0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="messages"):
        create_react_agent(model, [], state_schema=Total)
    with pytest.raises(ValueError, match=r"bound to the tools \['other'\]"):
        create_react_agent(model.bind(tools=[{"type": "function", "function": {"name": "other"}}]), [add])
    broken = {"messages": [HumanMessage("a", id="1"), call(("add", {"a": 1, "b": 1}, "c9"))]}
    with pytest.raises(ValueError, match="'c9'"):
        create_react_agent(model, [add]).invoke(broken)


def test_an_async_tool_under_sync_is_named() -> None:
    @tool
    async def later(n: int) -> int:
        "Later."
        return n

    app = create_react_agent(scripted(call(("later", {"n": 1}, "c1")), "x"), [later])
    with pytest.raises(NotImplementedError, match=r"'later'.*ainvoke"):
        app.invoke(ASK)


def test_a_tool_message_answers_as_an_agents_tool_would(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = create_react_agent(scripted(*TWO), [add])
        seen: list[Any] = []
        for message, metadata in await chunks(c, app, ASK, stream_mode="messages"):
            if isinstance(message, ToolMessage):
                seen.append((metadata["langgraph_node"], message.name, message.content))
        assert sorted(seen) == [("tools", "add", "3"), ("tools", "add", "7")]

    colour.run(body)


def test_calls_that_wait_are_stored_without_the_state_that_they_have(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def seen(state: Annotated[dict[str, Any], InjectedState]) -> str:
            "S."
            return f"{brief(state['messages'])} {sorted(state)}"

        model = ScriptedChatModel(turns=[call(("seen", {}, "1"), ("seen", {}, "2")), "end"])
        app = create_react_agent(model, [seen], checkpointer=InMemorySaver(), interrupt_before=["tools"])
        whole = create_react_agent(ScriptedChatModel(turns=model.turns), [seen])
        told = brief((await run(c, whole, ASK))["messages"])
        [started] = [item async for item in stream(c, app, ASK, thread(), stream_mode="tasks") if "input" in item][:1]
        assert started["name"] == "agent"
        starts = [t for t in await chunks(c, app, None, thread(), stream_mode="tasks") if "input" in t]
        assert [(t["name"], sorted(t["input"])) for t in starts[:2]] == [
            ("tools", ["__type", "state", "tool_call"]),
        ] * 2
        assert starts[0]["input"]["state"]["messages"][1].tool_calls[0]["id"] == "1"
        result = app.get_state(thread()).values if c.sync else (await app.aget_state(thread())).values
        assert brief(result["messages"]) == told

    colour.run(body)


def test_a_state_of_ones_own_has_what_an_agent_needs() -> None:
    with pytest.raises(ValueError, match=r"Missing required key\(s\) \['remaining_steps'\]"):
        create_react_agent(ScriptedChatModel(turns=["x"]), [], state_schema=MessagesState)


def test_debug_prints_what_happens(colour: Colour, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_react_agent(ScriptedChatModel(turns=["x"]), [], debug=True)
    colour.run(lambda c: run(c, app, ASK))
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0].strip("\033[01m") for line in printed] == ["values]", "updates]", "values]"]


class Model(BaseModel):
    messages: Annotated[list[Any], add_messages]
    remaining_steps: RemainingSteps = 25
    user: str = "nobody"


@dataclass
class Record:
    messages: Annotated[list[Any], add_messages]
    remaining_steps: RemainingSteps = 25
    user: str = "nobody"


@pytest.mark.parametrize("schema", [Model, Record])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_state_may_be_a_class(schema: Any, version: Any, colour: Colour) -> None:
    @tool
    def who(user: Annotated[str, InjectedState("user")], state: Annotated[Any, InjectedState]) -> str:
        "W."
        return f"{user} {type(state).__name__} {len(state.messages)}"

    def last(state: Any) -> Any:
        return {"llm_input_messages": state.messages[-1:]}

    def none(state: Any) -> Any:
        return {"messages": []}

    async def body(c: Colour) -> None:
        for hook, sent in ((None, [2, 4]), (last, [2, 2]), (none, [2, 4])):
            model = ScriptedChatModel(turns=[call(("who", {}, "1")), "end"])
            saver = InMemorySaver()
            app = create_react_agent(
                model, [who], prompt="P", state_schema=schema, version=version, pre_model_hook=hook, checkpointer=saver
            )
            result = await run(c, app, {**ASK, "user": "ann"}, thread())
            assert result["messages"][2].text == f"ann {schema.__name__} 2"
            assert [len(asked["messages"]) for asked in model.calls] == sent

    colour.run(body)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_tool_that_answers_by_itself_ends_the_run_among_others_too(version: Any, colour: Colour) -> None:
    class Form(BaseModel):
        total: int

    async def body(c: Colour) -> None:
        for calls in ((SHOUT, ADD), (ADD, SHOUT)):
            model = scripted(call(*calls), AIMessage("not asked", id="a2"))
            app = create_react_agent(model, [add, shout], version=version, response_format=Form)
            result = await run(c, app, ASK)
            assert sorted(brief(result["messages"])[2:]) == ["tool:3", "tool:HEY"]
            assert "structured_response" not in result  # the tool gave the answer

    colour.run(body)


SHOUT = ("shout", {"text": "hey"}, "c1")
ADD = ("add", {"a": 1, "b": 2}, "c2")


def test_too_few_steps_for_a_tool_that_answers_by_itself(colour: Colour) -> None:
    app = create_react_agent(scripted(call(SHOUT)), [shout])
    result = colour.run(lambda c: run(c, app, ASK, {"recursion_limit": 2}))
    assert brief(result["messages"])[1:] == ["ai:Sorry, need more steps to process this request."]


@pytest.mark.parametrize("given", [{}, {"messages": []}])
def test_a_conversation_may_begin_with_the_model(given: Any, colour: Colour) -> None:
    result = colour.run(lambda c: run(c, create_react_agent(scripted(AIMessage("hello")), []), given))
    assert brief(result["messages"]) == ["ai:hello"]


def test_a_prompt_is_a_system_message() -> None:
    wrong: list[Any] = [HumanMessage("x"), [SystemMessage("x")], 5]
    for prompt in wrong:
        with pytest.raises(ValueError, match="prompt"):
            create_react_agent(scripted(), [], prompt=prompt)


def test_the_way_to_the_hook_after_the_model_is_a_decision() -> None:
    app = create_react_agent(scripted(AIMessage("hi")), [add], post_model_hook=lambda state: None)

    async def body() -> list[Any]:
        events = [event async for event in app.astream_events(ASK)]
        return [(e["name"], e["metadata"]["langgraph_node"]) for e in events if e["tags"][:1] == ["seq:step:4"]]

    assert asyncio.run(body()) == [("should_continue", "agent")] * 2
