"""create_react_agent: a model that calls tools until it has an answer, as a graph of the public parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NotRequired, TypedDict, get_type_hints

from ..data.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from ..errors import ErrorCode, InvalidArgument, InvalidType, OutsideRun
from ..flow.binding import RunnableBinding
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Kwargs, Runnable, exec_of
from ..flow.sequence import RunnableSequence
from ..spine.scope import Scope
from .builder import StateGraph
from .callables import Call
from .constants import END, START
from .control import All, Send
from .managed import RemainingSteps
from .messages import add_messages
from .task import task_of
from .tool_input import ToolCallWithContext
from .tool_node import ToolNode
from .type_vars import ResponseT

if TYPE_CHECKING:
    from .compiled import CompiledStateGraph

__all__ = ["AgentState", "create_react_agent"]

OUT_OF_STEPS = "Sorry, need more steps to process this request."


class AgentState(TypedDict, Generic[ResponseT]):
    """The state of an agent: its messages, and how many supersteps are left."""

    messages: Annotated[list[BaseMessage], add_messages]
    remaining_steps: NotRequired[RemainingSteps]


class _AnsweringState(AgentState):
    structured_response: NotRequired[Any]


def create_react_agent(
    model: Any,
    tools: Sequence[Any] | ToolNode,
    *,
    prompt: Any = None,
    response_format: Any = None,
    pre_model_hook: Any = None,
    post_model_hook: Any = None,
    state_schema: Any = None,
    context_schema: Any = None,
    checkpointer: Any = None,
    store: Any = None,
    interrupt_before: All | Sequence[str] | None = None,
    interrupt_after: All | Sequence[str] | None = None,
    debug: bool = False,
    version: Literal["v1", "v2"] = "v2",
    name: str | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """An agent: `agent` asks the model, `tools` runs the calls that it makes (all at once), until there are none.

    `model` is a chat model, a `"provider:model"` string, or a function of `(state, runtime)` that gives one. `prompt` is a
    text or SystemMessage put before the messages, or a function or runnable that makes the model's input from the state.
    `version="v2"` runs each tool call as a task of its own, `"v1"` all of them in one.

    Raises:
        InvalidArgument: (a ValueError) unknown `version`, a state schema without `messages`, a model bound to other tools.
    """
    if version not in ("v1", "v2"):
        raise InvalidArgument(f"version must be 'v1' or 'v2', not {version!r}.")
    node = tools if isinstance(tools, ToolNode) else ToolNode([t for t in tools if not isinstance(t, dict)])
    offered = [
        *node.tools_by_name.values(),
        *([] if isinstance(tools, ToolNode) else [t for t in tools if isinstance(t, dict)]),
    ]
    schema = _checked_schema(state_schema, response_format)
    caller = _CallModel(_model_of(model, offered), _prompt_of(prompt), name, pre_model_hook is not None)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(schema, context_schema=context_schema)
    entry, after = "agent", "agent"
    if pre_model_hook is not None:
        entry = "pre_model_hook"
        graph.add_node(entry, pre_model_hook)
        graph.add_edge(entry, "agent")
    graph.add_node("agent", caller, input_schema=_with_prepared(schema) if pre_model_hook is not None else schema)
    graph.add_edge(START, entry)
    if post_model_hook is not None:
        after = "post_model_hook"
        graph.add_node(after, post_model_hook)
        graph.add_edge("agent", after)
    last: str = END
    if response_format is not None:
        last = "generate_structured_response"
        graph.add_node(last, _Structured(caller, response_format))
    if node.tools_by_name:
        graph.add_node("tools", node)
        route = _Route(version, entry, last, pending_only=post_model_hook is not None)
        ends = ["tools", last] if post_model_hook is None else [entry, "tools", last]
        graph.add_conditional_edges(after, route, ends)
        if after != "agent":
            graph.add_conditional_edges("agent", _ToHook())
        for source in {after, "agent"}:
            (branch,) = graph.branches[source].values()
            branch.input_type = schema  # not what is prepared for the model
        direct = {tool.name for tool in node.tools_by_name.values() if tool.return_direct}
        if direct:
            graph.add_conditional_edges("tools", _AfterTools(direct, entry), [entry, END])
        else:
            graph.add_edge("tools", entry)
    elif last != END:
        graph.add_edge(after, last)
    return graph.compile(
        checkpointer=checkpointer,
        store=store,
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
        debug=debug,
        name=name,
    )


class _Step(Runnable[Any, Any]):
    """What a node of the agent does: a run, and the models that it calls are seen beside that run, not below it."""

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        run = scope.begin(self.get_name(), "chain", input) if scope.heard("chain") else None
        try:
            output = await self._work(d, input, scope)
        except BaseException as error:
            if run is not None:
                run.fail(error)
            raise
        if run is not None:
            run.end(output)
        return output

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await self._exec(d, input, scope, kwargs)

    async def _work(self, d: Driver, input: Any, scope: Scope) -> Any:
        raise NotImplementedError


class _CallModel(_Step):
    """The node `agent`: prompt and model, and what an agent must see to around them."""

    name = "call_model"

    def __init__(self, model: Any, prompt: Runnable[Any, Any], agent: str | None, prepared: bool) -> None:
        self._choose: Call | None = None
        self._prompt = prompt
        self._agent = agent
        self._key = "llm_input_messages" if prepared else "messages"
        if isinstance(model, _Chosen):
            self._choose = model.call
            model = None
        self.model = model
        self._run: Any = None if model is None else exec_of(RunnableSequence(prompt, model))

    async def _work(self, d: Driver, input: Any, scope: Scope) -> Any:
        messages = self.messages(input)
        _check_history(messages)
        ask = self._run
        if self._choose is not None:
            ask = exec_of(RunnableSequence(self._prompt, await self._chosen(d, input, scope)))
        answer = await ask(d, self.with_messages(input, messages), scope, NO_KWARGS)
        answer.name = self._agent
        if answer.tool_calls and _starves(input):
            answer = AIMessage(OUT_OF_STEPS, id=answer.id)
        return {"messages": [answer]}

    def messages(self, state: Any) -> list[BaseMessage]:
        """The messages for the model."""
        found = _get(state, self._key) or _get(state, "messages")
        if found is None:
            raise InvalidArgument(f"the agent's state has no {self._key!r}; its schema needs them.")
        return found  # type: ignore[no-any-return]

    def with_messages(self, state: Any, messages: list[BaseMessage]) -> Any:
        """The state for the prompt, with the messages that a hook prepared in their usual place."""
        if self._key == "messages":
            return state
        if isinstance(state, dict):
            return {**state, "messages": messages}
        state.messages = messages
        return state

    async def _chosen(self, d: Driver, state: Any, scope: Scope) -> Any:
        """The model that the user's function gives for this state."""
        assert self._choose is not None
        call = self._choose
        if d.sync and call.fn is None:
            raise OutsideRun(f"the model function {call.name!r} is async; use `ainvoke` or `astream`.")
        task = task_of(scope)
        return await d.call(scope, call.fn, call.afn, state, None if task is None else task.runtime())


class _Prompt(Runnable[Any, Any]):
    """What turns the state into the model's input."""

    name = "Prompt"

    def __init__(self, prompt: Any) -> None:
        self._before: list[BaseMessage] = []
        self._call: Call | None = None
        if isinstance(prompt, str):
            self._before = [SystemMessage(prompt)]
        elif isinstance(prompt, SystemMessage):
            self._before = [prompt]
        elif prompt is not None:
            if not callable(prompt):
                raise InvalidArgument(
                    f"prompt must be a text, a SystemMessage, a function or a runnable, not {prompt!r}."
                )
            self._call = Call(prompt)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if self._call is None:
            messages: list[BaseMessage] = _get(input, "messages")
            return [*self._before, *messages] if self._before else messages
        assert self._call.run is not None
        return await self._call.run(d, input, scope)


class _Route(Runnable[Any, Any]):
    """Where the agent goes after its model: to the tools, one task a call, or to the end."""

    name = "should_continue"

    def __init__(self, version: str, entry: str, last: str, pending_only: bool) -> None:
        self._version = version
        self._entry = entry
        self._last = last
        self._pending_only = pending_only
        if pending_only:
            self.name = "post_model_hook_router"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        messages = _get(input, "messages")
        calls: list[Any] = []
        if self._pending_only:
            calls = _pending_calls(messages)
            if not calls and isinstance(messages[-1], ToolMessage):
                return self._entry
        elif isinstance(messages[-1], AIMessage):
            calls = messages[-1].tool_calls
        if not calls:
            return self._last
        if self._version == "v1":
            return "tools"
        return [Send("tools", ToolCallWithContext.of(call, state=input)) for call in calls]


class _ToHook(Runnable[Any, Any]):
    """From the model to the hook after it, which whoever watches sees as a decision."""

    name = "should_continue"

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return "post_model_hook"


class _AfterTools(Runnable[Any, Any]):
    """After the tools: on, unless a tool that gives the answer itself was called, among others or not."""

    name = "route_tool_responses"

    def __init__(self, direct: set[str], entry: str) -> None:
        self._direct = direct
        self._entry = entry

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        for message in reversed(_get(input, "messages")):
            if not isinstance(message, ToolMessage):
                # A task of its own for each call sees only its own result: the others stand in what was asked.
                asked = message.tool_calls if isinstance(message, AIMessage) else ()
                return END if any(call["name"] in self._direct for call in asked) else self._entry
            if message.name in self._direct:
                return END
        return self._entry


class _Structured(_Step):
    """A last call of the model that puts the answer into the form that was asked for."""

    name = "generate_structured_response"

    def __init__(self, caller: _CallModel, wanted: Any) -> None:
        self._caller = caller
        self._before: list[BaseMessage] = []
        if isinstance(wanted, tuple):
            self._before = [SystemMessage(wanted[0])]
            wanted = wanted[1]
        self._wanted = wanted

    def stored_types(self) -> list[Any]:
        """What checkpoints are to hold."""
        return [self._wanted]

    async def _work(self, d: Driver, input: Any, scope: Scope) -> Any:
        caller = self._caller
        model: Any = caller.model if caller._choose is None else await caller._chosen(d, input, scope)
        while isinstance(model, RunnableBinding):
            model = model.bound
        answer = await exec_of(model.with_structured_output(self._wanted))(
            d, [*self._before, *_get(input, "messages")], scope, NO_KWARGS
        )
        return {"structured_response": answer}


class _Chosen:
    """A function that gives the model for a state."""

    def __init__(self, call: Call) -> None:
        self.call = call


def _model_of(model: Any, tools: Sequence[Any]) -> Any:
    if isinstance(model, str):
        import millstream

        model = millstream.init_chat_model(model)
    if not isinstance(model, Runnable):
        if not callable(model):
            raise InvalidType(f"model must be a chat model, a 'provider:model' text or a function, not {model!r}.")
        return _Chosen(Call(model))
    bound = _bound_tools(model)
    if bound is not None:
        _check_bound(bound, tools)
        return model
    return _bind(model, tools) if tools else model


def _bind(given: Any, tools: Sequence[Any]) -> Any:
    """The model told of the tools; in a sequence its (first) chat model is."""
    model: Any = given
    if isinstance(given, RunnableSequence):
        part: Any
        for index, part in enumerate(model.steps):
            if hasattr(part, "bind_tools"):
                return RunnableSequence(*model.steps[:index], part.bind_tools(tools), *model.steps[index + 1 :])
    return model.bind_tools(tools)


def _bound_tools(model: Any) -> list[Any] | None:
    """The tools that the model was told of already."""
    if isinstance(model, RunnableSequence):
        return next((found for part in model.steps if (found := _bound_tools(part)) is not None), None)
    if isinstance(model, RunnableBinding):
        return model.kwargs.get("tools")
    return None


def _check_bound(bound: list[Any], tools: Sequence[Any]) -> None:
    def named(tool: Any) -> str | None:
        if not isinstance(tool, dict):
            return str(tool.name)
        return tool["function"]["name"] if tool.get("type") == "function" else tool.get("name")

    told, given = {named(t) for t in bound} - {None}, {named(t) for t in tools} - {None}
    if told != given:
        raise InvalidArgument(
            f"the model is bound to the tools {sorted(map(str, told))} and the agent has {sorted(map(str, given))}; give both the same, "
            "or pass the model without bound tools."
        )


def _prompt_of(prompt: Any) -> Runnable[Any, Any]:
    return prompt if isinstance(prompt, Runnable) else _Prompt(prompt)


def _checked_schema(given: Any, response_format: Any) -> Any:
    if given is None:
        return AgentState if response_format is None else _AnsweringState
    required = {"messages", "remaining_steps"} | ({"structured_response"} if response_format is not None else set())
    missing = sorted(required - get_type_hints(given).keys())
    if missing:
        raise InvalidArgument(f"Missing required key(s) {missing} in the state schema {given.__name__}; add them.")
    return given


def _with_prepared(schema: Any) -> Any:
    """The schema of the model node where a hook prepares its messages."""
    if isinstance(schema, type) and issubclass(schema, dict):
        hints = get_type_hints(schema, include_extras=True)
        make: Any = TypedDict  # with fields that are known only now
        return make("CallModelInput", {**hints, "llm_input_messages": list[BaseMessage]})
    prepared: Any = list[BaseMessage] | None
    if dataclasses.is_dataclass(schema):
        bases: Any = (schema,)
        added = [("llm_input_messages", prepared, dataclasses.field(default=None))]
        return dataclasses.make_dataclass("CallModelInput", added, bases=bases)
    make_model: Any = type(schema)
    members = {"__annotations__": {"llm_input_messages": prepared}, "llm_input_messages": None}
    return make_model("CallModelInput", (schema,), members)


def _starves(state: Any) -> bool:
    """Whether too few supersteps are left to run tools."""
    left = _get(state, "remaining_steps")
    return left is not None and bool(left < 2)


def _get(state: Any, key: str) -> Any:
    return state.get(key) if isinstance(state, dict) else getattr(state, key, None)


def _pending_calls(messages: Sequence[Any]) -> list[Any]:
    """The calls of the last AI message that no ToolMessage answers."""
    answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
    last = next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)
    return [] if last is None else [call for call in last.tool_calls if call["id"] not in answered]


def _check_history(messages: Sequence[Any]) -> None:
    """Raise where a call of a tool was never answered: providers refuse such a history."""
    calls = [call for m in messages if isinstance(m, AIMessage) and m.tool_calls for call in m.tool_calls]
    if not calls:
        return
    answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
    open_calls = [call for call in calls if call["id"] not in answered]
    if open_calls:
        raise InvalidArgument(
            "Found AIMessages with tool_calls that do not have a corresponding ToolMessage: "
            f"{[(c['name'], c['id']) for c in open_calls[:3]]}. Every tool call needs an answer before the model is called "
            "again; add the ToolMessages, or remove the message.",
            code=ErrorCode.INVALID_CHAT_HISTORY,
        )
