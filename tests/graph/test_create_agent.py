"""create_agent: hooks, jumps, wrappers, decorators and forms of the answer."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from answering import ASK, add, calling, model, texts
from colours import Colour, colour
from graph_helpers import chunks, run
from pydantic import BaseModel

from millstream import (
    AgentMiddleware,
    AgentState,
    AIMessage,
    Command,
    ExtendedModelResponse,
    InvalidArgument,
    ModelRequest,
    ModelResponse,
    OmitFromInput,
    OmitFromOutput,
    PrivateStateAttr,
    ToolMessage,
    ToolStrategy,
    Unsupported,
    after_agent,
    after_model,
    before_agent,
    before_model,
    create_agent,
    dynamic_prompt,
    tool,
    wrap_model_call,
    wrap_tool_call,
)

__all__ = ["colour"]


def test_the_agent_calls_tools_until_there_is_an_answer(colour: Colour) -> None:
    scripted = model(calling(("add", {"a": 1, "b": 2}, "1"), ("add", {"a": 3, "b": 4}, "2")), AIMessage("done"))
    app = create_agent(scripted, [add], system_prompt="be brief", name="bot")
    result = colour.run(lambda c: run(c, app, ASK))
    assert texts(result) == ["q", "", "3", "7", "done"]
    assert scripted.seen == [["be brief", "q"], ["be brief", "q", "", "3", "7"]]
    assert [message.name for message in result["messages"]] == [None, "bot", "add", "add", "bot"]
    assert [options for _, options in scripted.bound] == [{"tool_choice": None}] * 2  # of a class of the user's own


def test_hooks_run_in_order_before_and_in_reverse_after(colour: Colour) -> None:
    class Noting(AgentMiddleware):
        def __init__(self, own: str) -> None:
            self.own = own

        @property
        def name(self) -> str:
            return self.own

        def before_agent(self, state: Any, runtime: Any) -> Any: ...
        def before_model(self, state: Any, runtime: Any) -> Any: ...
        def after_model(self, state: Any, runtime: Any) -> Any: ...
        def after_agent(self, state: Any, runtime: Any) -> Any: ...

    app = create_agent(
        model(calling(("add", {"a": 1, "b": 2}, "1")), AIMessage("end")),
        [add],
        middleware=[Noting("A"), Noting("B")],
    )
    order = [next(iter(chunk)) for chunk in colour.run(lambda c: chunks(c, app, ASK))]
    turn = ["A.before_model", "B.before_model", "model", "B.after_model", "A.after_model"]
    assert order == [
        *["A.before_agent", "B.before_agent", *turn, "tools", *turn, "B.after_agent", "A.after_agent"],
    ]
    hooks = [
        f"{name}.{when}" for name in "AB" for when in ("before_agent", "before_model", "after_model", "after_agent")
    ]
    assert list(app.get_graph().nodes) == ["__start__", "model", "tools", *hooks, "__end__"]


def test_hooks_jump_where_they_declared(colour: Colour) -> None:
    @before_model(can_jump_to=["end"])
    def stop(state: Any, runtime: Any) -> Any:
        if len(state["messages"]) > 1:
            return {"jump_to": "end", "messages": [AIMessage("stopped")]}
        return None

    class Again(TypedDict, total=False):
        tries: int

    @after_model(can_jump_to=["model"], state_schema=Again)
    def again(state: Any, runtime: Any) -> Any:
        tries = state.get("tries", 0) + 1
        return {"tries": tries, "jump_to": "model"} if tries < 2 else {"tries": tries}

    app = create_agent(model(AIMessage("one")), middleware=[stop, again])
    result = colour.run(lambda c: run(c, app, ASK))
    assert texts(result) == ["q", "one", "stopped"]
    assert result["tries"] == 1


def test_a_hook_may_answer_in_the_models_place(colour: Colour) -> None:
    @before_agent(can_jump_to=["end"])
    def refuse(state: Any, runtime: Any) -> Any:
        return {"jump_to": "end", "messages": [AIMessage("no")]}

    ended = []

    @after_agent
    def note(state: Any, runtime: Any) -> None:
        ended.append(len(state["messages"]))

    scripted = model()
    app = create_agent(scripted, [add], middleware=[refuse, note])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "no"]
    assert (scripted.seen, ended) == ([], [2])


def wrapper(c: Colour, name: str, body: Any, kind: Any = wrap_model_call) -> Any:
    """Middleware in the form of the colour; `body(request, handler)` is a coroutine function."""
    if c.sync:

        def sync_form(request: Any, handler: Any) -> Any:
            from millstream.flow.step import step

            async def handled(given: Any) -> Any:
                return handler(given)

            return step(body(request, handled))

        return kind(sync_form, name=name)

    async def async_form(request: Any, handler: Any) -> Any:
        return await body(request, handler)

    return kind(async_form, name=name)


def test_wrappers_nest_and_may_change_try_again_or_answer(colour: Colour) -> None:
    log = []

    async def outer(request: ModelRequest, handler: Any) -> Any:
        log.append("outer")
        response = await handler(request.override(system_prompt="wrapped"))
        assert isinstance(response, ModelResponse)
        return AIMessage(response.result[0].text + "!")

    async def inner(request: ModelRequest, handler: Any) -> Any:
        log.append("inner")
        try:
            return await handler(request)
        except ConnectionError:
            return (await handler(request)).result[0]

    scripted = model(ConnectionError(), AIMessage("ok"))
    app = create_agent(scripted, middleware=[wrapper(colour, "outer", outer), wrapper(colour, "inner", inner)])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "ok!"]
    assert log == ["outer", "inner"]
    assert scripted.seen == [["wrapped", "q"]] * 2


def test_a_request_may_name_another_model_and_other_tools(colour: Colour) -> None:
    other = model(AIMessage("other"))

    async def swap(request: ModelRequest, handler: Any) -> Any:
        return await handler(request.override(model=other, tools=[], model_settings={"stop": ["x"]}))

    app = create_agent(model(), [add], middleware=[wrapper(colour, "swap", swap)])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "other"]
    assert other.bound == []


def test_tool_calls_are_wrapped(colour: Colour) -> None:
    async def guard(request: Any, handler: Any) -> Any:
        if request.tool_call["args"]["a"] == 0:
            return ToolMessage("refused", tool_call_id=request.tool_call["id"])
        assert request.tool is add
        answer = await handler(request.override(tool_call={**request.tool_call, "args": {"a": 10, "b": 1}}))
        answer.content += "!"
        return answer

    calls = calling(("add", {"a": 0, "b": 2}, "1"), ("add", {"a": 3, "b": 4}, "2"))
    app = create_agent(model(calls, AIMessage("end")), [add], middleware=[wrapper(colour, "g", guard, wrap_tool_call)])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "", "refused", "11!", "end"]


def test_the_prompt_may_depend_on_the_request(colour: Colour) -> None:
    @dynamic_prompt
    def prompt(request: ModelRequest) -> str:
        return f"{len(request.messages)} so far"

    scripted = model(AIMessage("ok"))
    app = create_agent(scripted, middleware=[prompt])
    colour.run(lambda c: run(c, app, ASK))
    assert scripted.seen == [["1 so far", "q"]]


class Total(BaseModel):
    """The total."""

    total: int


def test_what_cannot_work_is_refused() -> None:
    @wrap_model_call
    def only_sync(request: Any, handler: Any) -> Any:
        return handler(request)

    with pytest.raises(InvalidArgument, match="only_sync"):
        create_agent(model(), middleware=[only_sync, only_sync])
    app = create_agent(model(AIMessage("x")), middleware=[only_sync])
    with pytest.raises(Unsupported, match="awrap_model_call"):
        asyncio.run(app.ainvoke(ASK))


def edges(app: Any) -> list[str]:
    return [line.strip() for line in app.get_graph().draw_mermaid(with_styles=False).splitlines()[1:] if line]


def test_what_an_agent_looks_like() -> None:
    @after_model
    def look(state: Any, runtime: Any) -> None: ...

    assert edges(create_agent(model())) == ["__start__ --> model;", "model --> __end__;"]
    with_tools = ["__start__ --> model;", "model -.-> __end__;", "model -.-> tools;", "tools -.-> model;"]
    assert edges(create_agent(model(), [add])) == with_tools
    assert edges(create_agent(model(), middleware=[look])) == [
        *["__start__ --> model;", "model --> look\\2eafter_model;", "look\\2eafter_model --> __end__;"],
    ]
    assert edges(create_agent(model(), response_format=Total)) == [
        *["__start__ --> model;", "model -.-> __end__;", "model -.-> model;"],
    ]
    with_form = [*with_tools, "model -.-> model;", "tools -.-> __end__;"]
    assert sorted(edges(create_agent(model(), [add], response_format=Total))) == sorted(with_form)


def test_a_wrapper_may_add_to_the_state(colour: Colour) -> None:
    class Counting(TypedDict, total=False):
        asked: int
        hidden: Annotated[int, PrivateStateAttr]
        given: Annotated[int, OmitFromOutput]
        found: Annotated[int, OmitFromInput]

    class Count(AgentMiddleware):
        state_schema = Counting

    async def outer(request: Any, handler: Any) -> Any:
        await handler(request)  # its commands are those of an attempt that was given up
        response = await handler(request)
        return ExtendedModelResponse(response, Command(update={"asked": request.state["given"] + 1}))

    async def inner(request: Any, handler: Any) -> Any:
        assert "hidden" not in request.state and "found" not in request.state
        response = await handler(request)
        return ExtendedModelResponse(response, Command(update={"hidden": 5, "found": 6}))

    async def body(c: Colour) -> None:
        scripted = model(AIMessage("one"), AIMessage("two"))
        app = create_agent(scripted, middleware=[Count(), wrapper(c, "outer", outer), wrapper(c, "inner", inner)])
        given = {**ASK, "given": 1, "hidden": 9, "found": 9}
        [update] = await chunks(c, app, given)
        assert sorted(update["model"]) == ["asked", "found", "hidden", "messages"]
        scripted.seen.clear()
        result = await run(c, app, given)
        assert {key: value for key, value in result.items() if key != "messages"} == {"asked": 2, "found": 6}

    colour.run(body)


def test_a_wrapper_gives_an_answer(colour: Colour) -> None:
    async def wrong(request: Any, handler: Any) -> Any:
        return "text"

    async def goes(request: Any, handler: Any) -> Any:
        return ExtendedModelResponse(await handler(request), Command(goto="tools"))

    async def body(c: Colour) -> None:
        with pytest.raises(TypeError, match="returned str"):
            await run(c, create_agent(model(), middleware=[wrapper(c, "wrong", wrong)]), ASK)
        with pytest.raises(Unsupported, match="update"):
            await run(c, create_agent(model(AIMessage("x")), middleware=[wrapper(c, "goes", goes)]), ASK)

    colour.run(body)


def test_the_run_ends_where_all_that_was_called_gives_the_answer(colour: Colour) -> None:
    @tool(return_direct=True)
    def direct() -> str:
        """Direct."""
        return "straight"

    async def body(c: Colour) -> None:
        app = create_agent(model(calling(("direct", {}, "1"))), [direct, add])
        assert texts(await run(c, app, ASK)) == ["q", "", "straight"]
        both = model(calling(("direct", {}, "1"), ("add", {"a": 1, "b": 1}, "2")), AIMessage("end"))
        assert texts(await run(c, create_agent(both, [direct, add]), ASK)) == ["q", "", "straight", "2", "end"]

    colour.run(body)


def test_the_schemas_of_an_agent_can_be_read() -> None:
    class Counting(TypedDict, total=False):
        asked: int
        hidden: Annotated[int, PrivateStateAttr]

    class Count(AgentMiddleware):
        state_schema = Counting

    app = create_agent(model(), middleware=[Count()], response_format=Total)
    given, result = app.get_input_jsonschema(), app.get_output_jsonschema()
    assert sorted(given["properties"]) == ["asked", "messages"]
    assert sorted(result["properties"]) == ["asked", "messages", "structured_response"]
    assert given["required"] == ["messages"]


def test_an_agents_own_paths_are_no_runs() -> None:
    @before_model(can_jump_to=["end"])
    def look(state: Any, runtime: Any) -> None: ...

    app = create_agent(model(calling(("add", {"a": 1, "b": 2}, "1")), AIMessage("end")), [add], middleware=[look])

    async def names() -> set[str]:
        return {event["name"] async for event in app.astream_events(ASK)}

    assert asyncio.run(names()) == {"LangGraph", "look.before_model", "model", "Model", "tools", "add"}


def test_classes_may_say_their_types(colour: Colour) -> None:
    class State(AgentState[Any]):
        told: NotRequired[int]

    class One(AgentMiddleware[State]):
        state_schema = State

        def before_model(self, state: Any, runtime: Any) -> Any:
            assert state["remaining_steps"] > 0
            return {"told": 1}

        async def abefore_model(self, state: Any, runtime: Any) -> Any:
            return self.before_model(state, runtime)

    class Two(AgentMiddleware[State, None]): ...

    def wrap(request: ModelRequest[None], handler: Any) -> ModelResponse[Any]:
        response: ModelResponse[Any] = handler(request)
        return response

    answer = calling(("Total", {"total": 1}, "1"))
    app = create_agent(model(answer), middleware=[One(), Two()], response_format=ToolStrategy[Total](Total))
    result = colour.run(lambda c: run(c, app, ASK))
    assert (result["told"], sorted(result)) == (1, ["messages", "structured_response", "told"])
    assert wrap.__annotations__["request"] == "ModelRequest[None]"


def test_settings_of_a_request_are_bound_with_its_tools(colour: Colour) -> None:
    class Warm(AgentMiddleware):
        def wrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return handler(request.override(model_settings={"temperature": 1}))

        async def awrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return await handler(request.override(model_settings={"temperature": 1}))

    scripted = model(AIMessage("done"))
    colour.run(lambda c: run(c, create_agent(scripted, [add], middleware=[Warm()]), ASK))
    assert scripted.bound[0][1] == {"tool_choice": None, "temperature": 1}


def test_a_wrapper_may_give_an_answer_in_a_form_that_nobody_asked_for(colour: Colour) -> None:
    class Giving(AgentMiddleware):
        def wrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return ModelResponse([AIMessage("given")], structured_response={"k": 1})

        async def awrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return ModelResponse([AIMessage("given")], structured_response={"k": 1})

    app = create_agent(model(), middleware=[Giving()])
    assert colour.run(lambda c: run(c, app, ASK))["structured_response"] == {"k": 1}


def test_a_wrapper_answers_calls_of_tools_that_nobody_knows(colour: Colour) -> None:
    class Answering(AgentMiddleware):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return ToolMessage(f"no {request.tool}", tool_call_id=request.tool_call["id"])

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return self.wrap_tool_call(request, handler)

    app = create_agent(model(calling(("unknown", {}, "1")), AIMessage("end")), middleware=[Answering()])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "", "no None", "end"]


def test_a_tool_that_is_offered_can_be_run(colour: Colour) -> None:
    @tool
    def late(x: int) -> str:
        """Late."""
        return f"late {x}"

    class Offering(AgentMiddleware):
        def wrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return handler(request.override(tools=[*request.tools, late]))

        async def awrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return await handler(request.override(tools=[*request.tools, late]))

    class Running(Offering):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tool=request.tool or late))

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(tool=request.tool or late))

    with pytest.raises(InvalidArgument, match="'late'"):
        colour.run(lambda c: run(c, create_agent(model(AIMessage("x")), [add], middleware=[Offering()]), ASK))
    calls = calling(("late", {"x": 1}, "1"), ("add", {"a": 1, "b": 2}, "2"))
    app = create_agent(model(calls, AIMessage("end")), [add], middleware=[Running()])
    assert texts(colour.run(lambda c: run(c, app, ASK))) == ["q", "", "late 1", "3", "end"]
