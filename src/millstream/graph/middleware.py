"""Middleware of agents: hooks before and after the model and the whole run, and wrappers of model and tool calls."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeAlias, TypeVar

from ..data.messages import AIMessage, BaseMessage, SystemMessage
from ..errors import Unsupported
from .control import Command
from .type_vars import ContextT, ResponseT, StateT, all_of

__all__ = [
    "AgentMiddleware",
    "ExtendedModelResponse",
    "ModelRequest",
    "ModelResponse",
    "OmitFromInput",
    "OmitFromOutput",
    "OmitFromSchema",
    "PrivateStateAttr",
    "ToolCallRequest",
    "after_agent",
    "after_model",
    "before_agent",
    "before_model",
    "dynamic_prompt",
    "hook_config",
    "wrap_model_call",
    "wrap_tool_call",
]

F = TypeVar("F", bound=Callable[..., Any])
JumpTo: TypeAlias = Literal["model", "tools", "end"]


@dataclass(frozen=True, slots=True)
class OmitFromSchema:
    """Marks a state key that callers do not give (`input`) or do not get (`output`): `Annotated[int, PrivateStateAttr]`."""

    input: bool = True
    output: bool = True


OmitFromInput: Final = OmitFromSchema(input=True, output=False)
"""Marks a state key that the agent's input cannot set."""

OmitFromOutput: Final = OmitFromSchema(input=False, output=True)
"""Marks a state key that is not in the agent's result."""

PrivateStateAttr: Final = OmitFromSchema()
"""Marks a state key that is the middleware's own."""


@dataclass(slots=True, kw_only=True)
class ModelRequest(Generic[ContextT]):
    """A call of the model that an agent is about to make. `override` gives a changed copy."""

    model: Any
    messages: list[BaseMessage]
    system_message: SystemMessage | None = None
    tools: list[Any] = field(default_factory=list)
    tool_choice: Any = None
    response_format: Any = None
    state: Any = None
    runtime: Any = None
    model_settings: dict[str, Any] = field(default_factory=dict)

    @property
    def system_prompt(self) -> str | None:
        """The text of the system message."""
        return None if self.system_message is None else self.system_message.text

    def override(self, **changes: Any) -> ModelRequest[ContextT]:
        """A copy with some fields changed; `system_prompt="..."` stands for a system message."""
        if "system_prompt" in changes:
            prompt = changes.pop("system_prompt")
            changes["system_message"] = None if prompt is None else SystemMessage(prompt)
        return replace(self, **changes)


@dataclass(slots=True)
class ModelResponse(Generic[ResponseT]):
    """What a call of the model gave: its messages, and the structured response where one was asked for."""

    result: list[BaseMessage]
    structured_response: Any = None


@dataclass(slots=True)
class ExtendedModelResponse(Generic[ResponseT]):
    """A `ModelResponse`, and a command: its `update` is written to the state beside the messages."""

    model_response: ModelResponse[ResponseT]
    command: Command[Any] | None = None


@dataclass(slots=True)
class ToolCallRequest:
    """A call of a tool that an agent is about to make. `tool` is None where there is none of that name."""

    tool_call: dict[str, Any]
    tool: Any
    state: Any
    runtime: Any

    def override(self, **changes: Any) -> ToolCallRequest:
        """A copy with some fields changed."""
        return replace(self, **changes)


ModelAnswer: TypeAlias = ModelResponse | ExtendedModelResponse | AIMessage
ModelHandler: TypeAlias = Callable[[ModelRequest], ModelResponse]
AsyncModelHandler: TypeAlias = Callable[[ModelRequest], Awaitable[ModelResponse]]
ToolHandler: TypeAlias = Callable[[ToolCallRequest], Any]
AsyncToolHandler: TypeAlias = Callable[[ToolCallRequest], Awaitable[Any]]


class AgentMiddleware(Generic[StateT, ContextT, ResponseT]):
    """A part of an agent: override what is to take part; each method has an async twin with `a` before its name.

    Hooks return an update of the state or None; `jump_to` in the update leads to "model", "tools" or "end", where
    `hook_config` allows it. Wrappers call `handler(request)` not at all, once or several times. The hooks "before" run in
    the order of the list, those "after" in reverse; of wrappers the first is the outermost.
    """

    if not TYPE_CHECKING:

        def __class_getitem__(cls, given):
            return super().__class_getitem__(all_of(given, 3) if cls is AgentMiddleware else given)

    state_schema: ClassVar[Any] = None
    """Further keys of the agent's state: a TypedDict."""

    tools: Sequence[Any] = ()
    """Tools that the agent gets with this middleware."""

    @property
    def name(self) -> str:
        """What its nodes are called by: unlike those of the agent's other middleware."""
        return type(self).__name__

    def before_agent(self, state: Any, runtime: Any) -> Any:
        """Runs once, before all else."""

    def before_model(self, state: Any, runtime: Any) -> Any:
        """Runs before each call of the model."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        """Runs after each call of the model, before tools are run."""

    def after_agent(self, state: Any, runtime: Any) -> Any:
        """Runs once, at the end."""

    async def abefore_agent(self, state: Any, runtime: Any) -> Any:
        """`before_agent` in async form."""

    async def abefore_model(self, state: Any, runtime: Any) -> Any:
        """`before_model` in async form."""

    async def aafter_model(self, state: Any, runtime: Any) -> Any:
        """`after_model` in async form."""

    async def aafter_agent(self, state: Any, runtime: Any) -> Any:
        """`after_agent` in async form."""

    def wrap_model_call(self, request: ModelRequest, handler: ModelHandler) -> ModelAnswer:
        """Stands around each call of the model."""
        raise _only_async(self, "wrap_model_call")

    async def awrap_model_call(self, request: ModelRequest, handler: AsyncModelHandler) -> ModelAnswer:
        """`wrap_model_call` in async form."""
        raise _only_sync(self, "wrap_model_call")

    def wrap_tool_call(self, request: ToolCallRequest, handler: ToolHandler) -> Any:
        """Stands around each call of a tool; gives a ToolMessage or Command."""
        raise _only_async(self, "wrap_tool_call")

    async def awrap_tool_call(self, request: ToolCallRequest, handler: AsyncToolHandler) -> Any:
        """`wrap_tool_call` in async form."""
        raise _only_sync(self, "wrap_tool_call")


def has(middleware: AgentMiddleware, method: str) -> bool:
    """Whether it overrides a method."""
    return getattr(type(middleware), method) is not getattr(AgentMiddleware, method)


def jumps_of(middleware: AgentMiddleware, hook: str) -> tuple[JumpTo, ...]:
    """Where a hook may jump, by either of its forms."""
    found = [getattr(getattr(type(middleware), name), "can_jump_to", ()) for name in (hook, f"a{hook}")]
    return tuple(dict.fromkeys(target for targets in found for target in targets))


def hook_config(*, can_jump_to: Sequence[JumpTo] = ()) -> Callable[[F], F]:
    """Declare where a hook may jump."""

    def mark(function: F) -> F:
        function.can_jump_to = tuple(can_jump_to)  # type: ignore[attr-defined]
        return function

    return mark


def _made(
    function: Callable[..., Any],
    method: str,
    body: Callable[..., Any],
    *,
    state_schema: Any = None,
    tools: Sequence[Any] = (),
    name: str | None = None,
) -> AgentMiddleware:
    own = f"a{method}" if inspect.iscoroutinefunction(function) else method
    members = {own: body, "state_schema": state_schema, "tools": tuple(tools), "__doc__": function.__doc__}
    made: AgentMiddleware = type(name or function.__name__, (AgentMiddleware,), members)()
    return made


def _hook(method: str) -> Any:
    def decorator(function: Any = None, /, *, can_jump_to: Sequence[JumpTo] = (), **options: Any) -> Any:
        def make(given: Callable[..., Any]) -> AgentMiddleware:
            def body(self: Any, state: Any, runtime: Any) -> Any:
                return given(state, runtime)

            return _made(given, method, hook_config(can_jump_to=can_jump_to)(body), **options)

        return make if function is None else make(function)

    decorator.__name__ = decorator.__qualname__ = method
    decorator.__doc__ = f"Make a function of (state, runtime) middleware that has it as its `{method}`."
    return decorator


def _wrapper(method: str) -> Any:
    def decorator(function: Any = None, /, **options: Any) -> Any:
        def make(given: Callable[..., Any]) -> AgentMiddleware:
            def body(self: Any, request: Any, handler: Any) -> Any:
                return given(request, handler)

            return _made(given, method, body, **options)

        return make if function is None else make(function)

    decorator.__name__ = decorator.__qualname__ = method
    decorator.__doc__ = f"Make a function of (request, handler) middleware that has it as its `{method}`."
    return decorator


before_agent = _hook("before_agent")
before_model = _hook("before_model")
after_model = _hook("after_model")
after_agent = _hook("after_agent")
wrap_model_call = _wrapper("wrap_model_call")
wrap_tool_call = _wrapper("wrap_tool_call")


def dynamic_prompt(function: Callable[[ModelRequest], Any]) -> AgentMiddleware:
    """Make a function of the request, which gives a text or SystemMessage, the system prompt of each call."""

    def with_prompt(request: ModelRequest, prompt: Any) -> ModelRequest:
        return request.override(system_message=prompt if isinstance(prompt, SystemMessage) else SystemMessage(prompt))

    if inspect.iscoroutinefunction(function):

        async def awrap(self: Any, request: ModelRequest, handler: AsyncModelHandler) -> Any:
            return await handler(with_prompt(request, await function(request)))

        return _made(function, "wrap_model_call", awrap)

    def wrap(self: Any, request: ModelRequest, handler: ModelHandler) -> Any:
        return handler(with_prompt(request, function(request)))

    async def awrap_sync(self: Any, request: ModelRequest, handler: AsyncModelHandler) -> Any:
        return await handler(with_prompt(request, function(request)))

    made = _made(function, "wrap_model_call", wrap)
    type(made).awrap_model_call = awrap_sync  # type: ignore[method-assign]
    return made


def _only_async(middleware: AgentMiddleware, method: str) -> Unsupported:
    return Unsupported(
        f"the middleware {middleware.name!r} has no sync `{method}`; write it, or use `ainvoke` or `astream`."
    )


def _only_sync(middleware: AgentMiddleware, method: str) -> Unsupported:
    return Unsupported(f"the middleware {middleware.name!r} has no `a{method}`; write it, or use `invoke` or `stream`.")
