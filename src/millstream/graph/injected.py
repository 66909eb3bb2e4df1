"""Arguments of tools that the graph fills in and the model never sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from ..chat.marks import InjectedToolArg
from ..errors import InvalidArgument, MissingKey
from ..spine.scope import Scope
from .runtime import ExecutionInfo, silent
from .task import Task, task_of
from .type_vars import ContextT, StateT, all_of

if TYPE_CHECKING:
    from ..chat.tools import BaseTool

__all__ = ["InjectedState", "InjectedStore", "ToolRuntime"]


class InjectedState(InjectedToolArg):
    """Marks an argument that receives the graph's state, or one field of it.

    ```python
    def tool(x: int, state: Annotated[dict, InjectedState], user: Annotated[str, InjectedState("user")]) -> str: ...
    ```
    """

    def __init__(self, field: str | None = None) -> None:
        self.field = field


class InjectedStore(InjectedToolArg):
    """Marks an argument that receives the graph's store: `Annotated[BaseStore, InjectedStore()]`."""


@dataclass(slots=True)
class ToolRuntime(InjectedToolArg, Generic[ContextT, StateT]):
    """What surrounds a tool's call: an argument named `runtime`, or one annotated with this class, receives it."""

    state: StateT
    context: ContextT
    config: Any
    stream_writer: Callable[[Any], None]
    tool_call_id: str | None
    store: Any
    tools: tuple[Any, ...] = ()
    execution_info: Any = None
    server_info: Any = None

    if not TYPE_CHECKING:

        def __class_getitem__(cls, given):
            return super(ToolRuntime, cls).__class_getitem__(all_of(given, 2))

    def emit_output_delta(self, delta: Any) -> None:
        """Put a piece of the tool's output on the `tools` stream."""
        info = self.execution_info
        if info is not None:
            info.task.loop.tool_said({"event": "tool-output-delta", "tool_call_id": self.tool_call_id, "delta": delta})


Filler: TypeAlias = Callable[[Any, dict[str, Any], Scope, Task | None], Any]
"""The value of an argument, from (state, tool call, scope, task)."""


def fillers_of(tool: BaseTool, tools: Iterable[BaseTool]) -> dict[str, Filler]:
    """What fills in each argument of a tool that the graph knows how to fill in."""
    from ..chat.tools import injected_args

    found: dict[str, Filler] = {}
    for name, mark in injected_args(tool).items():
        filler = _filler(tool.name, mark, tuple(tools))
        if filler is not None:
            found[name] = filler
    return found


def _filler(owner: str, mark: Any, tools: tuple[Any, ...]) -> Filler | None:
    cls = mark if isinstance(mark, type) else type(mark)
    if issubclass(cls, InjectedState):
        field = None if isinstance(mark, type) else mark.field
        if field is None:
            return lambda state, call, scope, task: state
        return lambda state, call, scope, task: _field(owner, state, field)
    if issubclass(cls, InjectedStore):
        return lambda state, call, scope, task: _store(owner, task)
    if cls.__name__ in ("ToolRuntime", "InjectedRuntime"):
        return lambda state, call, scope, task: _runtime(state, call, scope, task, tools)
    return None


def _field(owner: str, state: Any, field: str) -> Any:
    try:
        return state[field] if isinstance(state, dict) else getattr(state, field)
    except (KeyError, AttributeError):
        raise MissingKey(f"tool {owner!r} asks for the state's {field!r}, which has no value yet.") from None


def _store(owner: str, task: Task | None) -> Any:
    store = None if task is None else task.loop.store
    if store is None:
        raise InvalidArgument(f"tool {owner!r} asks for a store and the graph has none; use `compile(store=...)`.")
    return store


def _runtime(
    state: Any, call: dict[str, Any], scope: Scope, task: Task | None, tools: tuple[Any, ...]
) -> ToolRuntime[Any, Any]:
    if task is None:
        return ToolRuntime(state, None, scope.config(), silent, call["id"], None, tools)
    loop = task.loop
    return ToolRuntime(
        state, loop.context, scope.config(), task.writer(), call["id"], loop.store, tools, ExecutionInfo(task)
    )


def runtime_for(state: Any, call: dict[str, Any], scope: Scope, tools: tuple[Any, ...]) -> ToolRuntime[Any, Any]:
    """The runtime of a tool call, inside a graph or not."""
    return _runtime(state, call, scope, task_of(scope), tools)
