"""create_agent: a model that calls tools, with middleware around every part of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from ..errors import InvalidArgument, InvalidType, Unsupported
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Kwargs, Runnable, exec_of
from ..flow.step import step
from ..spine.scope import Scope
from .agent_schemas import schemas_of
from .answer_forms import (
    ProviderStrategy,
    ToolStrategy,
    from_calls,
    from_text,
    provider_form,
    settled,
    strategy_of,
    tool_forms,
)
from .builder import StateGraph
from .constants import END, START
from .control import All, Command, Send
from .middleware import AgentMiddleware, ExtendedModelResponse, ModelRequest, ModelResponse, has, jumps_of
from .task import task_of
from .tool_input import ToolCallWithContext
from .tool_node import ToolNode

if TYPE_CHECKING:
    from ..chat.caches import BaseCache
    from .compiled import CompiledStateGraph

__all__ = ["create_agent"]

_OURS = __name__.partition(".")[0] + "."


def create_agent(
    model: Any,
    tools: Sequence[Any] | None = None,
    *,
    system_prompt: str | SystemMessage | None = None,
    middleware: Sequence[AgentMiddleware] = (),
    response_format: Any = None,
    state_schema: Any = None,
    context_schema: Any = None,
    checkpointer: Any = None,
    store: Any = None,
    interrupt_before: All | Sequence[str] | None = None,
    interrupt_after: All | Sequence[str] | None = None,
    debug: bool = False,
    name: str | None = None,
    cache: BaseCache | None = None,
    transformers: None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """An agent: `model` asks the chat model, `tools` runs each call that it makes, until there are none.

    `middleware` takes part by hooks and wrappers (see `AgentMiddleware`). `response_format` is a schema, or a
    `ToolStrategy` or `ProviderStrategy` with one; the answer in that form is `structured_response` in the state.

    Raises:
        InvalidArgument: (a ValueError) two middleware of one name.
    """
    if transformers is not None:
        raise Unsupported(
            "create_agent(transformers=...) belongs to event streams of version v3, which do not exist here."
        )
    every = list(middleware)
    names = [each.name for each in every]
    if len(set(names)) < len(names):
        raise InvalidArgument(
            f"the middleware {sorted({n for n in names if names.count(n) > 1})} is there twice; drop one."
        )
    offered = [*(tools or ()), *(tool for each in every for tool in each.tools)]
    wraps = [each for each in every if has(each, "wrap_tool_call") or has(each, "awrap_tool_call")]
    node = ToolNode(
        [tool for tool in offered if not isinstance(tool, dict)],
        wrap_tool_call=_nested([each.wrap_tool_call for each in wraps]),
        awrap_tool_call=_nested([each.awrap_tool_call for each in wraps]),
    )
    offered = [*node.tools_by_name.values(), *(tool for tool in offered if isinstance(tool, dict))]
    strategy = strategy_of(response_format)
    schema, given, result = schemas_of(state_schema, every)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(
        schema, context_schema=context_schema, input_schema=given, output_schema=result
    )
    caller = _Model(_model_of(model), offered, system_prompt, strategy, every, name)
    if not wraps:
        caller.known = frozenset(node.tools_by_name)
    graph.add_node("model", caller)
    has_tools = bool(node.tools_by_name or wraps)  # a wrapper may answer calls of tools that nobody knows
    if has_tools:
        graph.add_node("tools", node)
    hooks = _add_hooks(graph, every)
    entry = hooks["before_model"][0].node if hooks["before_model"] else "model"
    leave = hooks["after_agent"][0].node if hooks["after_agent"] else END
    jumps = {"model": entry, "tools": "tools" if has_tools else leave, "end": leave}
    for chain, then in (
        (hooks["before_agent"], entry),
        (hooks["before_model"], "model"),
        (hooks["after_agent"], END),
    ):
        for hook, following in zip(chain, [*(h.node for h in chain[1:]), then], strict=False):
            _follow(graph, hook, following, jumps)
    graph.add_edge(START, hooks["before_agent"][0].node if hooks["before_agent"] else entry)
    last = "model"
    for hook in hooks["after_model"]:
        if last == "model":
            graph.add_edge(last, hook.node)
        last = hook.node
    for hook, after in zip(hooks["after_model"], hooks["after_model"][1:], strict=False):
        _follow(graph, hook, after.node, jumps)
    by_tool = strategy is not None and not isinstance(strategy, ProviderStrategy)
    path = _Route(entry, leave, has_tools, jumps if hooks["after_model"] else {})
    if has_tools:
        goes_back = strategy is not None or last != "model"
        graph.add_conditional_edges(last, path, _once("tools", *([entry] if goes_back else []), leave))
        direct = {tool.name for tool in node.tools_by_name.values() if tool.return_direct}
        graph.add_conditional_edges(
            "tools", _AfterTools(direct, entry, leave), _once(entry, *([leave] if direct or by_tool else []))
        )
    elif by_tool:
        graph.add_conditional_edges(last, path, _once(entry, leave))
    elif last == "model":
        graph.add_edge(last, leave)
    else:
        _follow(graph, hooks["after_model"][-1], leave, jumps)
    return graph.compile(
        checkpointer=checkpointer,
        cache=cache,
        store=store,
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
        debug=debug,
        name=name,
    )


class _Hook(Runnable[Any, Any]):
    """The node of one hook."""

    def __init__(self, middleware: AgentMiddleware, when: str) -> None:
        self.name = self.node = f"{middleware.name}.{when}"
        self._fn = getattr(middleware, when) if has(middleware, when) else None
        self._afn = getattr(middleware, f"a{when}") if has(middleware, f"a{when}") else None
        self.jumps = jumps_of(middleware, when)

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        task = task_of(scope)
        return await d.call(scope, self._fn, self._afn, input, None if task is None else task.runtime())

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await self._exec(d, input, scope, kwargs)


class _Model(Runnable[Any, Any]):
    """The node `model`: one call of the model, inside the wrappers, and what its answer means for the state."""

    name = "model"

    def __init__(
        self,
        model: Any,
        tools: list[Any],
        prompt: str | SystemMessage | None,
        strategy: Any,
        middleware: Sequence[AgentMiddleware],
        agent: str | None,
    ) -> None:
        self._model = model
        self._tools = tools
        self._system = SystemMessage(prompt) if isinstance(prompt, str) else prompt
        self._strategy = strategy
        self._agent = agent
        wraps = [each for each in middleware if has(each, "wrap_model_call") or has(each, "awrap_model_call")]
        self._wraps = [each.wrap_model_call for each in wraps]
        self._awraps = [each.awrap_model_call for each in wraps]
        # The tools that can be run, where no wrapper may run others.
        self.known: frozenset[str] | None = None
        # What is asked when nothing about the request was changed: bound once.
        self._usual: Any = None

    def stored_types(self) -> list[Any]:
        """What checkpoints are to hold."""
        return [] if self._strategy is None else [self._strategy.schema]

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        if not self._wraps:
            return self._update_of(await self._ask(d, scope, self._request(input, None)))
        task = task_of(scope)
        request = self._request(input, None if task is None else task.runtime())
        if d.sync:
            outer = _Layer.nested(self._wraps, lambda r: step(self._ask(d, scope, r)))
            response = await d.call(scope, outer, None, request)
        else:
            outer = _Layer.nested(self._awraps, lambda r: self._ask(d, scope, r))
            response = await d.call(scope, None, outer, request)
        commands = outer.said()
        update = self._update_of(response)
        return [update, *commands] if commands else update

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await self._exec(d, input, scope, kwargs)

    def _update_of(self, response: ModelResponse) -> dict[str, Any]:
        """What the state is told: where an answer in a form was asked for also that there is none yet."""
        update: dict[str, Any] = {"messages": response.result}
        if self._strategy is not None or response.structured_response is not None:
            update["structured_response"] = response.structured_response
        return update

    def _request(self, state: Any, runtime: Any) -> ModelRequest:
        return ModelRequest(
            model=self._model,
            messages=state["messages"],
            system_message=self._system,
            tools=self._tools,
            response_format=self._strategy,
            state=state,
            runtime=runtime,
        )

    async def _ask(self, d: Driver, scope: Scope, request: ModelRequest) -> ModelResponse:
        """Call the model as the request says."""
        strategy = settled(request.response_format, request.model)
        messages = request.messages
        if request.system_message is not None:
            messages = [request.system_message, *messages]
        answer = await self._bound(request, strategy)(d, messages, scope, NO_KWARGS)
        if self._agent is not None:
            answer.name = self._agent
        if isinstance(strategy, ToolStrategy):
            found = from_calls(strategy, answer)
            if found is not None:
                return ModelResponse([answer, *found[1]], found[0])
        elif isinstance(strategy, ProviderStrategy) and not answer.tool_calls:
            return ModelResponse([answer], from_text(strategy, answer))
        return ModelResponse([answer])

    def _bound(self, request: ModelRequest, strategy: Any) -> Callable[..., Any]:
        usual = (
            request.model is self._model
            and request.tools is self._tools
            and request.tool_choice is None
            and request.response_format is self._strategy
            and not request.model_settings
        )
        if usual and self._usual is not None:
            return self._usual  # type: ignore[no-any-return]
        model: Any = _model_of(request.model)
        tools = list(request.tools)
        if self.known is not None:
            names = [getattr(tool, "name", None) for tool in tools]
            if unknown := sorted(name for name in names if name is not None and name not in self.known):
                raise InvalidArgument(
                    f"middleware offers the tools {unknown} to the model, which the agent cannot run; give them to "
                    "`create_agent(tools=...)` or to a middleware's `tools`, or run them in a `wrap_tool_call`."
                )
        options: dict[str, Any] = {}
        if isinstance(strategy, ToolStrategy):
            tools += tool_forms(strategy.schema)
            options["tool_choice"] = request.tool_choice or "any"
        elif isinstance(strategy, ProviderStrategy):
            options["response_format"] = provider_form(strategy)
            if request.tool_choice is not None:
                options["tool_choice"] = request.tool_choice
        elif tools:
            options["tool_choice"] = request.tool_choice
        options.update(request.model_settings)
        bound = model
        if tools:
            bound = model.bind_tools(tools, **options)
        elif options:
            bound = model.bind(**options)
        ask = exec_of(bound)
        # A user's own `bind_tools` is called for each request: it may look at more than its arguments.
        if usual and getattr(type(model), "bind_tools", _Model._bound).__module__.startswith(_OURS):
            self._usual = ask
        return ask


class _Path(Runnable[Any, Any]):
    """A path of the agent's own: it is no run of its own, so nobody who watches sees it."""

    def choose(self, state: Any) -> Any:
        """Where to go."""
        raise NotImplementedError

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return self.choose(input)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return self.choose(input)


class _Jump(_Path):
    """After a hook: to what follows, or where it says."""

    name = "jump"

    def __init__(self, targets: dict[str, str], following: str) -> None:
        self._targets = targets
        self._following = following

    def choose(self, state: Any) -> str:
        return self._targets.get(state.get("jump_to"), self._following)


class _Route(_Path):
    """Where the agent goes after its model: to the tools, one task a call, back to the model, or to the end."""

    name = "model_to_tools"

    def __init__(self, entry: str, leave: str, tools: bool, jumps: dict[str, str]) -> None:
        self._entry = entry
        self._leave = leave
        self._tools = tools
        self._jumps = jumps

    def choose(self, state: Any) -> Any:
        messages = state["messages"]
        jump = state.get("jump_to")
        if jump is not None and jump != "tools" and jump in self._jumps:
            return self._jumps[jump]
        answered: set[Any] = set()
        last = None
        for message in reversed(messages):
            if isinstance(message, AIMessage):
                last = message
                break
            if isinstance(message, ToolMessage):
                answered.add(message.tool_call_id)
        done = state.get("structured_response") is not None
        if last is None or not last.tool_calls:
            return self._leave if self._tools or done else self._entry  # only the answer's form was left to call
        waiting = [call for call in last.tool_calls if call["id"] not in answered]
        if waiting and self._tools:
            return [Send("tools", ToolCallWithContext.of(call, state=state)) for call in waiting]
        return self._leave if waiting or done else self._entry


class _AfterTools(_Path):
    """After the tools: on, unless all that were run give the answer themselves, or the answer is there."""

    name = "tools_to_model"

    def __init__(self, direct: set[str], entry: str, leave: str) -> None:
        self._direct = direct
        self._entry = entry
        self._leave = leave

    def choose(self, state: Any) -> str:
        if state.get("structured_response") is not None:
            return self._leave
        asked = (
            next((m for m in reversed(state["messages"]) if isinstance(m, AIMessage)), None) if self._direct else None
        )
        if asked is not None and asked.tool_calls and all(call["name"] in self._direct for call in asked.tool_calls):
            return self._leave
        return self._entry


def _add_hooks(graph: StateGraph[Any, Any, Any, Any], every: Sequence[AgentMiddleware]) -> dict[str, list[_Hook]]:
    """A node for each hook that a middleware has; the hooks by when they run, in the order in which they do."""
    hooks: dict[str, list[_Hook]] = {"before_agent": [], "before_model": [], "after_model": [], "after_agent": []}
    for each in every:
        for when, found in hooks.items():
            if has(each, when) or has(each, f"a{when}"):
                hook = _Hook(each, when)
                graph.add_node(hook.node, hook)
                found.insert(0 if when.startswith("after") else len(found), hook)
    return hooks


def _follow(graph: StateGraph[Any, Any, Any, Any], hook: _Hook, following: str, jumps: dict[str, str]) -> None:
    """Go on after a hook: to what follows, or where it says."""
    if not hook.jumps:
        graph.add_edge(hook.node, following)
        return
    targets = {str(jump): jumps[jump] for jump in hook.jumps}

    graph.add_conditional_edges(hook.node, _Jump(targets, following), _once(following, *targets.values()))


class _Layer:
    """One wrapper of model calls around what is inside it, in either colour."""

    def __init__(self, wrap: Callable[..., Any], inside: Callable[[ModelRequest], Any]) -> None:
        self._wrap = wrap
        self._inside = inside
        self._command: Command[Any] | None = None

    @classmethod
    def nested(cls, wraps: Sequence[Callable[..., Any]], ask: Callable[[ModelRequest], Any]) -> _Layer:
        """Several wrappers, the first outermost, around the call itself."""
        inside: Any = ask
        for wrap in reversed(wraps):
            inside = cls(wrap, inside)
        assert isinstance(inside, cls)
        return inside

    def __call__(self, request: ModelRequest) -> Any:
        self._command = None  # of an attempt that was given up
        answer = self._wrap(request, self._inside)
        return self._later(answer) if hasattr(answer, "__await__") else self._taken(answer)

    def said(self) -> list[Command[Any]]:
        """The commands of the wrappers, the innermost first."""
        inner = self._inside.said() if isinstance(self._inside, _Layer) else []
        return inner if self._command is None else [*inner, self._command]

    async def _later(self, answer: Any) -> ModelResponse:
        return self._taken(await answer)

    def _taken(self, answer: Any) -> ModelResponse:
        if isinstance(answer, ExtendedModelResponse):
            command = answer.command
            if command is not None and (command.goto or command.resume is not None or command.graph is not None):
                raise Unsupported("the Command of an ExtendedModelResponse can only have an `update`.")
            self._command = command
            return answer.model_response
        if isinstance(answer, BaseMessage):
            return ModelResponse([answer])
        if not isinstance(answer, ModelResponse):
            raise InvalidType(
                f"a wrapper of model calls returned {type(answer).__name__}; it returns what `handler(request)` gave, a "
                "ModelResponse, an ExtendedModelResponse or an AIMessage."
            )
        return answer


def _once(*names: str) -> list[str]:
    return list(dict.fromkeys(names))


def _nested(wrappers: Sequence[Callable[..., Any]]) -> Any:
    """Several wrappers of tool calls as one, the first outermost; None without any."""
    if not wrappers:
        return None
    first, rest = wrappers[0], _nested(wrappers[1:])
    return first if rest is None else lambda request, handler: first(request, lambda changed: rest(changed, handler))


def _model_of(model: Any) -> Any:
    if isinstance(model, str):
        import millstream

        model = millstream.init_chat_model(model)
    if not isinstance(model, Runnable):
        raise InvalidType(f"model must be a chat model or a 'provider:model' text, not {model!r}.")
    return model
