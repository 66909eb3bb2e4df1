"""What a node can ask of the run that it is in: context, store, writer, and who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..errors import InvalidType, OutsideRun
from ..spine.scope import current_scope

if TYPE_CHECKING:
    from .draining import RunControl
    from .limits import Watch
    from .task import Task

__all__ = ["BaseUser", "ExecutionInfo", "Runtime", "ServerInfo", "get_runtime", "get_store", "get_stream_writer"]

ContextT = TypeVar("ContextT")


class ExecutionInfo:
    """Where in a run a node is. Each fact is worked out when it is read."""

    __slots__ = ("_given", "task")

    def __init__(self, task: Task, given: Mapping[str, Any] | None = None) -> None:
        self.task = task
        self._given = given

    def patch(self, **facts: Any) -> ExecutionInfo:
        """A copy in which some facts are others.

        Raises:
            InvalidType: (a TypeError) there is no such fact.
        """
        for name in facts:
            if name not in _FACTS:
                raise InvalidType(f"ExecutionInfo has no {name!r}; its facts are {sorted(_FACTS)}.")
        return ExecutionInfo(self.task, {**(self._given or {}), **facts})

    def __getattribute__(self, name: str) -> Any:
        if name in _FACTS:
            given = object.__getattribute__(self, "_given")
            if given and name in given:
                return given[name]
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"ExecutionInfo({', '.join(f'{name}={getattr(self, name)!r}' for name in sorted(_FACTS))})"

    @property
    def thread_id(self) -> str | None:
        """The thread of the run, where it has one."""
        return self.task.loop.scope.configurable.get("thread_id")

    @property
    def checkpoint_id(self) -> str:
        """The checkpoint that the step started from."""
        return self.task.loop.origin

    @property
    def checkpoint_ns(self) -> str:
        """The namespace of the task."""
        return self.task.ns

    @property
    def task_id(self) -> str:
        """The id of the task: the same however often it is run (after a failure, a crash, an answer), and no other's.

        So it is the key to give to whatever must happen once outside: a payment, a message.
        """
        return self.task.id

    @property
    def run_id(self) -> str | None:
        """The id of the graph's run; None where nobody watches it."""
        parent = self.task.loop.scope.parent
        return None if parent is None else parent.id

    @property
    def node_attempt(self) -> int:
        """How many times the node was started for this task, this time included."""
        return self.task.attempt

    @property
    def node_first_attempt_time(self) -> float | None:
        """When the first of them began, in seconds since the epoch."""
        return self.task.begun


_FACTS = frozenset(
    {
        "checkpoint_id",
        "checkpoint_ns",
        "node_attempt",
        "node_first_attempt_time",
        "run_id",
        "task_id",
        "thread_id",
    }
)


class BaseUser(Protocol):
    """Who asks, where a server has found out."""

    @property
    def identity(self) -> str:
        """What the user is known by."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server that runs the graph says of itself."""

    assistant_id: str = ""
    graph_id: str = ""
    user: BaseUser | None = None


def server_info(configurable: Mapping[str, Any]) -> ServerInfo | None:
    """What the configurable values of a run say of a server; None for one that runs by itself."""
    if "assistant_id" not in configurable and "graph_id" not in configurable:
        return None
    return ServerInfo(
        assistant_id=str(configurable.get("assistant_id") or ""),
        graph_id=str(configurable.get("graph_id") or ""),
        user=configurable.get("langgraph_auth_user"),
    )


def silent(value: Any) -> None:
    """The stream writer where nobody asked for the `custom` stream."""


def idle() -> None:
    """The heartbeat of a node that has no timeout."""


def heard(write: Callable[[Any], None], watch: Watch) -> Callable[[Any], None]:
    """A stream writer whose use is a sign of life."""

    def wrote(value: Any) -> None:
        watch.heard()
        write(value)

    return wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Generic[ContextT]):
    """What surrounds a node: asked for by a parameter named `runtime`, or with `get_runtime()`."""

    context: ContextT = None  # type: ignore[assignment]
    store: Any = None
    stream_writer: Callable[[Any], None] = silent
    previous: Any = None
    execution_info: Any = None
    server_info: Any = None
    heartbeat: Callable[[], None] = idle
    control: RunControl | None = None

    @property
    def drain_requested(self) -> bool:
        """Whether the run is to end at the next step's boundary."""
        return self.control is not None and self.control.drain_requested

    @property
    def drain_reason(self) -> str | None:
        """Why it is to end."""
        return None if self.control is None else self.control.drain_reason

    def override(self, **changes: Any) -> Runtime[ContextT]:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def patch_execution_info(self, **facts: Any) -> Runtime[ContextT]:
        """A copy whose `execution_info` says something else in some facts."""
        return replace(self, execution_info=self.execution_info.patch(**facts))

    def merge(self, other: Runtime[ContextT]) -> Runtime[ContextT]:
        """A copy in which what `other` sets wins."""
        return replace(
            self,
            context=other.context or self.context,
            store=other.store or self.store,
            stream_writer=self.stream_writer if other.stream_writer is silent else other.stream_writer,
            previous=self.previous if other.previous is None else other.previous,
            control=other.control or self.control,
        )


def current_task(asked: str) -> Task:
    task: Task | None = getattr(current_scope(), "task", None)
    if task is None:
        raise OutsideRun(
            f"{asked} was called outside of a graph's run. Call it inside a node or a tool; in a thread of your own, "
            "run the function in a copy of the context (`contextvars.copy_context().run(...)`)."
        )
    return task


def get_runtime(context_schema: type[ContextT] | None = None) -> Runtime[ContextT]:
    """The Runtime of the surrounding node.

    Raises:
        OutsideRun: (a RuntimeError) there is none.
    """
    return current_task("get_runtime()").runtime()


def get_stream_writer() -> Callable[[Any], None]:
    """A function that puts a value on the `custom` stream; it does nothing when nobody asked for that.

    Raises:
        OutsideRun: (a RuntimeError) there is no surrounding node.
    """
    return current_task("get_stream_writer()").writer()


def get_store() -> Any:
    """The store of the surrounding graph, None where it was compiled without one.

    Raises:
        OutsideRun: (a RuntimeError) there is no surrounding node.
    """
    return current_task("get_store()").loop.store
