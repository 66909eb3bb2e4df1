"""ToolNode: run the tool calls of the last AI message, at once, and answer each with a ToolMessage."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from ..data.lazy import Lazy
from ..data.messages import AIMessage, BaseMessage, RemoveMessage, ToolMessage
from ..errors import GraphBubbleUp, InvalidArgument, ToolInvocationError, ValidationError
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Kwargs, Runnable, exec_of
from ..flow.step import step
from ..spine.scope import Scope
from .callables import parameter_hints, pure
from .constants import PARENT, REMOVE_ALL_MESSAGES
from .control import Command, Send
from .injected import Filler, fillers_of, runtime_for
from .messages import _identified
from .task import task_of
from .tool_input import TOOL_CALL

if TYPE_CHECKING:
    import asyncio
    import json

    from ..chat.tools import BaseTool
    from .middleware import ToolCallRequest
else:
    asyncio, json = Lazy("asyncio", globals()), Lazy("json", globals())

__all__ = ["ToolNode", "tools_condition"]

Handles: TypeAlias = bool | str | Callable[..., str] | type[Exception] | tuple[type[Exception], ...]


def _only_bad_arguments(error: ToolInvocationError) -> str:
    return str(error)


class ToolNode(Runnable[Any, Any]):
    """A node that runs tools. Its input is a state (or list) whose last AI message has tool calls, or a list of calls.

    It gives `{"messages": [...]}`, for a list of messages a list. Calls run at once and are answered in their order. `handle_tool_errors` says which failures become an error message
    for the model (by default only arguments that do not fit) and which are raised: True for all, a text, a function of
    the exception (its annotation says which), an exception class or several, or False.
    """

    def __init__(
        self,
        tools: Sequence[Any],
        *,
        name: str = "tools",
        tags: list[str] | None = None,
        handle_tool_errors: Handles | None = _only_bad_arguments,
        messages_key: str = "messages",
        wrap_tool_call: Callable[..., Any] | None = None,
        awrap_tool_call: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.tags = tags
        self.messages_key = messages_key
        self.handle_tool_errors: Handles = False if handle_tool_errors is None else handle_tool_errors
        self._wrap = wrap_tool_call
        self._awrap = awrap_tool_call
        self._one = self._answer if wrap_tool_call is None and awrap_tool_call is None else self._wrapped
        self._handled = _handled_types(self.handle_tool_errors)
        self.tools_by_name: dict[str, BaseTool] = {}
        for tool in tools:
            made = _as_tool(tool)
            self.tools_by_name[made.name] = made
        self._tools = tuple(self.tools_by_name.values())
        self._runs = {tool.name: self._run_of(tool) for tool in self._tools}

    def stored_types(self) -> list[Any]:
        """What checkpoints are to hold of calls and results: the types of arguments and of what functions return."""
        functions = [
            getattr(tool, name, None) for tool in self.tools_by_name.values() for name in ("func", "coroutine")
        ]
        hints = [hint for function in functions if function for hint in parameter_hints(function)[1].values()]
        return [*hints, *(tool.__dict__.get("args_schema") for tool in self.tools_by_name.values())]

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        calls, state, as_list = self._parse(input)
        if len(calls) == 1:
            outputs = [await self._one(d, calls[0], state, scope)]
        else:
            found: dict[int, Any] = {}
            running = d.run_all(
                [lambda call=call: self._one(d, call, state, scope) for call in calls],  # type: ignore[misc]
                scope.max_concurrency,
            )
            try:
                async for index, outcome in running:
                    found[index] = outcome.get()
            finally:
                await running.aclose()
            outputs = [found[index] for index in range(len(calls))]
        return self._combined(outputs, as_list)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await self._exec(d, input, scope, kwargs)

    # -- in --------------------------------------------------------------------------------------------------------

    def _parse(self, input: Any) -> tuple[list[dict[str, Any]], Any, bool]:
        """The calls to run, the state for tools that ask for it, and whether the answer is a bare list.

        Raises:
            InvalidArgument: (a ValueError) there is no AI message.
        """
        if isinstance(input, dict) and input.get("__type") == TOOL_CALL:
            return [input["tool_call"]], input["state"], False
        if isinstance(input, list):
            if _are_calls(input):
                return input, input, False
            return self._calls(input), input, True
        messages = input.get(self.messages_key) if isinstance(input, dict) else getattr(input, self.messages_key, None)
        if not messages:
            raise InvalidArgument(f"ToolNode {self.name!r}: no message found under {self.messages_key!r}.")
        return self._calls(messages), input, False

    def _calls(self, messages: Sequence[Any]) -> list[dict[str, Any]]:
        for message in reversed(messages):
            if isinstance(message, AIMessage):
                return list(message.tool_calls)  # type: ignore[arg-type]
        raise InvalidArgument(f"ToolNode {self.name!r}: no AIMessage found in the input, so there is no tool to run.")

    def _run_of(self, tool: BaseTool) -> tuple[Callable[..., Any], dict[str, Filler], frozenset[str]]:
        """How to run a tool, what the graph fills in, and what else a model may not give."""
        from ..chat.tools import injected_args

        fillers = fillers_of(tool, self._tools)
        return exec_of(tool), fillers, frozenset(injected_args(tool)) - fillers.keys()

    # -- one call --------------------------------------------------------------------------------------------------

    async def _answer(
        self, d: Driver, call: dict[str, Any], state: Any, scope: Scope, tool: BaseTool | None = None
    ) -> Any:
        """The answer to a call by the tool of its name, or the one that is given."""
        found = self._runs.get(call["name"])
        if tool is not None and tool is not self.tools_by_name.get(call["name"]):
            found = self._run_of(tool)
        if found is None:
            names = ", ".join(self.tools_by_name)
            return self._error(call, f"Error: {call['name']} is not a valid tool, try one of [{names}].")
        run, fillers, hidden = found
        request = {**call, "type": "tool_call"}
        try:
            if hidden:
                request["args"] = {name: value for name, value in request["args"].items() if name not in hidden}
            if fillers:
                task = task_of(scope)
                seen = {self.messages_key: state} if isinstance(state, list) else state
                request["args"] = {
                    **request["args"],
                    **{name: fill(seen, request, scope, task) for name, fill in fillers.items()},
                }
            try:
                output = await run(d, request, scope, NO_KWARGS)
            except GraphBubbleUp:
                raise
            except Exception as error:
                if not _is_about_arguments(error):
                    raise
                given = {n: value for n, value in call["args"].items() if n not in fillers and n not in hidden}
                raise ToolInvocationError(call["name"], error, given, _details(error, fillers)) from error
        except Exception as error:
            return self._failed(call, error)
        return self._checked(call, output, isinstance(state, list) and not _are_calls(state))

    async def _wrapped(self, d: Driver, call: dict[str, Any], state: Any, scope: Scope) -> Any:
        """The answer to a call as the wrapper makes it: `handler(request)` runs the tool."""
        from .middleware import ToolCallRequest

        runtime = runtime_for(state, call, scope, self._tools)
        request = ToolCallRequest(call, self.tools_by_name.get(call["name"]), state, runtime)

        def run(given: ToolCallRequest) -> Any:
            return self._answer(d, given.tool_call, given.state, scope, given.tool)

        try:
            return await self._around(d, scope, request, run)
        except Exception as error:
            return self._failed(call, error)

    async def _around(
        self, d: Driver, scope: Scope, request: ToolCallRequest, run: Callable[[ToolCallRequest], Any]
    ) -> Any:
        if d.sync:
            return await d.call(scope, self._wrap, self._awrap, request, lambda given: step(run(given)))
        if self._awrap is None:
            wrap, home = self._wrap, asyncio.get_running_loop()
            # The wrapper has a thread to itself, which may wait for what runs here.
            waits = lambda given: asyncio.run_coroutine_threadsafe(run(given), home).result()  # noqa: E731
            return await d.call(scope, wrap, None, request, waits)
        return await d.call(scope, None, self._awrap, request, run)

    def _failed(self, call: dict[str, Any], error: Exception) -> ToolMessage:
        """The answer to a call that failed; an error that is not to be handled is raised."""
        if isinstance(error, GraphBubbleUp) or not isinstance(error, self._handled):
            raise error
        return self._error(call, self._told(error))

    def _told(self, error: Exception) -> str:
        handler = self.handle_tool_errors
        if isinstance(handler, str):
            return handler
        if isinstance(handler, (bool, tuple, type)):
            return f"Error: {error!r}\n Please fix your mistakes."
        return handler(error)

    def _error(self, call: dict[str, Any], text: str) -> ToolMessage:
        return ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error")

    def _checked(self, call: dict[str, Any], output: Any, as_list: bool) -> Any:
        """What a tool returned, if it can stand for an answer to the call.

        Raises:
            InvalidArgument: (a ValueError) a Command without an answer, several answers.
            ValidationError: (a ValueError) something else than a message or Command.
        """
        if isinstance(output, ToolMessage):
            if type(output.content) is list and any(isinstance(each, str) for each in output.content):
                output.content = json.dumps(output.content, ensure_ascii=False)
            return output
        if isinstance(output, Command):
            command, answers = self._checked_command(call, output, as_list)
            if not answers and command.graph is None and command.update is not None:
                raise self._unanswered(call, "a Command")
            return command
        if not isinstance(output, list) or not all(isinstance(o, (ToolMessage, Command)) for o in output):
            raise ValidationError(
                f"the tool {call['name']!r} returned {type(output).__name__}; a tool returns a value, a ToolMessage or a "
                "Command."
            )
        found: list[Any] = []
        count = 0
        for each in output:
            if isinstance(each, Command):
                each, answers = self._checked_command(call, each, as_list)
                count += answers
            else:
                count += each.tool_call_id == call["id"]
            found.append(each)
        if not count and not any(isinstance(each, Command) and each.graph is not None for each in found):
            raise self._unanswered(call, "a list")
        if count > 1:
            raise InvalidArgument(
                f"the tool {call['name']!r} returned {count} answers to its call {call['id']!r}; a call has one."
            )
        return found

    def _unanswered(self, call: dict[str, Any], what: str) -> InvalidArgument:
        return InvalidArgument(
            f"the tool {call['name']!r} returned {what} without an answer to its call: put "
            f"ToolMessage(..., tool_call_id={call['id']!r}) into `update[{self.messages_key!r}]`."
        )

    def _checked_command(self, call: dict[str, Any], command: Command[Any], as_list: bool) -> tuple[Command[Any], int]:
        """The command with whole messages, and how many of them answer the call."""
        update = command.update
        messages: Any = ()
        if isinstance(update, dict) if as_list else isinstance(update, list):
            wanted = "a list of messages" if as_list else "a dict"
            raise InvalidArgument(
                f"the tool {call['name']!r} returned a Command whose update is a {type(update).__name__}; this ToolNode was "
                f"given {wanted[2:] if as_list else 'a state'}, so the update is {wanted}."
            )
        if isinstance(update, dict) and self.messages_key in update:
            messages = _identified(update[self.messages_key])
            command = replace(command, update={**update, self.messages_key: messages})
        elif isinstance(update, list):
            messages = [m for m in update if isinstance(m, BaseMessage)]
        if any(isinstance(m, RemoveMessage) and m.id == REMOVE_ALL_MESSAGES for m in messages):
            return command, 1  # the call goes with the rest, and needs no answer
        answers = [m for m in messages if isinstance(m, ToolMessage) and m.tool_call_id == call["id"]]
        for answer in answers:
            answer.name = call["name"]
        return command, len(answers)

    # -- out -------------------------------------------------------------------------------------------------------

    def _combined(self, outputs: list[Any], as_list: bool) -> Any:
        flat = [each for output in outputs for each in (output if isinstance(output, list) else [output])]
        if not any(isinstance(each, Command) for each in flat):
            return flat if as_list else {self.messages_key: flat}
        combined: list[Any] = []
        parent: Command[Any] | None = None
        for each in flat:
            if not isinstance(each, Command):
                combined.append([each] if as_list else {self.messages_key: [each]})
            elif each.graph == PARENT and isinstance(each.goto, list) and all(isinstance(s, Send) for s in each.goto):
                goto = [*(parent.goto if parent is not None else ()), *each.goto]  # type: ignore[misc]
                parent = Command(graph=PARENT, goto=goto)
            else:
                combined.append(each)
        return combined if parent is None else [*combined, parent]


@pure
def tools_condition(state: Any, messages_key: str = "messages") -> Literal["tools", "__end__"]:
    """Where to go after a model: to the node `tools` if its message calls any, else to END.

    Raises:
        InvalidArgument: (a ValueError) there are no messages.
    """
    if isinstance(state, list):
        messages: Any = state
    elif isinstance(state, dict):
        messages = state.get(messages_key)
    else:
        messages = getattr(state, messages_key, None)
    if not messages:
        raise InvalidArgument(f"tools_condition: no messages under {messages_key!r} in {state!r}.")
    last = messages[-1]
    return "tools" if getattr(last, "tool_calls", None) else "__end__"


def _are_calls(given: list[Any]) -> bool:
    return bool(given) and isinstance(given[-1], dict) and given[-1].get("type") == "tool_call"


def _as_tool(given: Any) -> BaseTool:
    from ..chat.structured_tool import tool
    from ..chat.tools import BaseTool

    return given if isinstance(given, BaseTool) else tool(given)


def _is_about_arguments(error: Exception) -> bool:
    import pydantic

    return isinstance(error, (pydantic.ValidationError, ValidationError))


def _details(error: Any, hidden: dict[str, Filler]) -> list[Any]:
    """What of a validation error the model can mend: nothing about arguments that it did not give."""
    if not hasattr(error, "errors"):
        return []
    return [e for e in error.errors() if not e["loc"] or e["loc"][0] not in hidden]


def _handled_types(handler: Handles) -> tuple[type[Exception], ...]:
    if isinstance(handler, bool):
        return (Exception,) if handler else ()
    if isinstance(handler, str):
        return (Exception,)
    if isinstance(handler, tuple):
        return handler
    if isinstance(handler, type):
        return (handler,)
    if not callable(handler):
        raise InvalidArgument(
            f"handle_tool_errors={handler!r}: it is a bool, a text, a function of the exception, an exception class or a "
            "tuple of those."
        )
    # Of an object that can be called, its method has the annotations.
    function: Any = handler
    if not inspect.isroutine(handler):
        function = function.__call__
    try:
        hints = typing.get_type_hints(function)
        first = next(iter(inspect.signature(function).parameters))
    except (NameError, StopIteration, TypeError, ValueError):
        return (Exception,)
    hint = hints.get(first, Exception)
    found = get_args(hint) if get_origin(hint) is not None else (hint,)
    return tuple(t for t in found if isinstance(t, type) and issubclass(t, Exception)) or (Exception,)
