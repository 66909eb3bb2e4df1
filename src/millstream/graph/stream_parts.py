"""What streams yield, for type checkers: the payload of each mode, and the parts of `version="v2"`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NotRequired, TypeAlias, TypedDict, TypeVar

from ..data.messages import BaseMessage
from ..errors import InvalidType
from .constants import START
from .control import Interrupt, StateSnapshot
from .savers.base import BaseCheckpointSaver

__all__ = [
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "Checkpointer",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "MessagesStreamPart",
    "StreamPart",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "UpdatesStreamPart",
    "ValuesStreamPart",
    "coerced",
    "ensure_valid_checkpointer",
]

T = TypeVar("T")

Checkpointer: TypeAlias = BaseCheckpointSaver | bool | None
"""What `compile(checkpointer=...)` takes."""


class TaskPayload(TypedDict):
    """A task that starts."""

    id: str
    name: str
    input: Any
    triggers: tuple[str, ...]
    metadata: NotRequired[dict[str, Any]]


class TaskResultPayload(TypedDict):
    """A task that has ended."""

    id: str
    name: str
    error: BaseException | None
    result: dict[str, Any]
    interrupts: list[dict[str, Any]]


class CheckpointTask(TypedDict):
    """A task that waits at a checkpoint."""

    id: str
    name: str
    interrupts: tuple[Interrupt, ...]
    state: StateSnapshot | dict[str, Any] | None
    error: NotRequired[Any]
    result: NotRequired[Any]


class CheckpointPayload(TypedDict):
    """A checkpoint."""

    config: dict[str, Any]
    parent_config: dict[str, Any] | None
    values: Any
    metadata: dict[str, Any]
    next: list[str]
    tasks: list[CheckpointTask]


class DebugPayload(TypedDict):
    """One item of the `debug` mode."""

    step: int
    timestamp: str
    type: Literal["checkpoint", "task", "task_result"]
    payload: CheckpointPayload | TaskPayload | TaskResultPayload


class ValuesStreamPart(TypedDict, Generic[T]):
    """A part of `values`."""

    type: Literal["values"]
    ns: tuple[str, ...]
    data: T
    interrupts: tuple[Interrupt, ...]


class UpdatesStreamPart(TypedDict):
    """A part of `updates`."""

    type: Literal["updates"]
    ns: tuple[str, ...]
    data: dict[str, Any]


class MessagesStreamPart(TypedDict):
    """A part of `messages`."""

    type: Literal["messages"]
    ns: tuple[str, ...]
    data: tuple[BaseMessage, dict[str, Any]]


class CustomStreamPart(TypedDict):
    """A part of `custom`."""

    type: Literal["custom"]
    ns: tuple[str, ...]
    data: Any


class CheckpointStreamPart(TypedDict):
    """A part of `checkpoints`."""

    type: Literal["checkpoints"]
    ns: tuple[str, ...]
    data: CheckpointPayload


class TasksStreamPart(TypedDict):
    """A part of `tasks`."""

    type: Literal["tasks"]
    ns: tuple[str, ...]
    data: TaskPayload | TaskResultPayload


class DebugStreamPart(TypedDict):
    """A part of `debug`."""

    type: Literal["debug"]
    ns: tuple[str, ...]
    data: DebugPayload


StreamPart: TypeAlias = (
    ValuesStreamPart[Any]
    | UpdatesStreamPart
    | MessagesStreamPart
    | CustomStreamPart
    | CheckpointStreamPart
    | TasksStreamPart
    | DebugStreamPart
)
"""What `stream(..., version="v2")` yields; `part["type"]` says which it is."""


def coerced(mode: str, data: Any, output: Callable[..., Any] | None, state: Callable[..., Any] | None) -> Any:
    """The data of a part with values as instances of the classes of output and state, where these are classes."""
    if mode == "values":
        return data if output is None or not isinstance(data, dict) else output(**data)
    if mode == "debug" and data["type"] == "checkpoint":
        return {**data, "payload": coerced("checkpoints", data["payload"], output, state)}
    if mode == "checkpoints" and state is not None and data["next"] != [START]:  # before it there is no state yet
        return {**data, "values": state(**data["values"])}
    return data


def ensure_valid_checkpointer(checkpointer: Any) -> Checkpointer:
    """`checkpointer`, if `compile` takes it.

    Raises:
        InvalidType: (a TypeError) it is neither a saver nor True, False or None.
    """
    if checkpointer is not None and not isinstance(checkpointer, (bool, BaseCheckpointSaver)):
        raise InvalidType(
            f"checkpointer must be a saver such as InMemorySaver(), True, False or None, not {checkpointer!r}."
        )
    return checkpointer
