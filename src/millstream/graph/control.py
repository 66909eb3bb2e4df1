"""The values with which nodes and callers steer a graph, and those that describe its state."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from ..chat.marks import ToolOutput
from ..errors import MissingKey
from .constants import INTERRUPT, PARENT

if TYPE_CHECKING:
    from .policies import TimeoutPolicy

__all__ = [
    "All",
    "Command",
    "Durability",
    "GraphOutput",
    "Interrupt",
    "Overwrite",
    "PregelTask",
    "Send",
    "StateSnapshot",
    "StateUpdate",
    "StreamMode",
    "StreamWriter",
]

N = TypeVar("N")
T = TypeVar("T")

UNNAMED: Final = "placeholder-id"

All: TypeAlias = Literal["*"]
Durability: TypeAlias = Literal["sync", "async", "exit"]
StreamMode: TypeAlias = Literal["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug", "tools"]
StreamWriter: TypeAlias = Callable[[Any], None]


class Send:
    """Run `node` in the next superstep with `arg` as its whole input, beside whatever else runs then.

    `timeout` bounds this task as `add_node(timeout=...)` bounds all of the node's.

    Returned by a conditional edge (or put in `Command.goto`), once for each task that is wanted.
    """

    __slots__ = ("arg", "node", "timeout")
    __match_args__ = ("node", "arg")

    def __init__(self, /, node: str, arg: Any, *, timeout: float | timedelta | TimeoutPolicy | None = None) -> None:
        self.node = node
        self.arg = arg
        self.timeout = timeout

    def __repr__(self) -> str:
        bound = "" if self.timeout is None else f", timeout={self.timeout!r}"
        return f"Send(node={self.node!r}, arg={self.arg!r}{bound})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Send):
            return False
        return self.node == other.node and self.arg == other.arg and self.timeout == other.timeout

    def __hash__(self) -> int:
        try:
            return hash((self.node, self.arg))
        except TypeError:  # most arguments are dicts
            return hash(self.node)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Command(ToolOutput, Generic[N]):
    """An update and a direction in one: returned by a node or tool, or given to a graph as its input.

    `goto` adds to the static edges of the node, it does not replace them. With `graph=Command.PARENT`
    the enclosing graph takes the command as if the node that runs this graph had returned it.
    `resume` answers interrupts and is meaningful only as input.
    """

    PARENT: ClassVar[Literal["__parent__"]] = PARENT

    graph: str | None = None
    update: Any | None = None
    resume: Any | None = None
    goto: Send | Sequence[Send | N] | N = ()

    def __repr__(self) -> str:
        # Only what is set: a command is read in logs far more often than written.
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name))
        return f"Command({', '.join(shown)})"


def id_of(text: str) -> str:
    """An id that is the same for the same text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question that a node asked. `id` names it when several wait for an answer."""

    value: Any
    id: str = UNNAMED
    response_schema: Any = None

    @property
    def interrupt_id(self) -> str:
        """The former name of `id`."""
        warnings.warn("Interrupt.interrupt_id is deprecated; read `.id`.", DeprecationWarning, stacklevel=2)
        return self.id

    @classmethod
    def from_ns(cls, value: Any, ns: str) -> Interrupt:
        """The first question of the task with this namespace."""
        return cls(value, id_of(ns))


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Written to a key with a reducer: replace the value instead of folding into it."""

    value: Any
    type: Literal["__overwrite__"] = "__overwrite__"


@dataclass(frozen=True, slots=True)
class GraphOutput(Generic[T]):
    """What `invoke(..., version="v2")` gives: the final value and the interrupts that stopped the run."""

    value: T
    interrupts: tuple[Interrupt, ...] = ()

    def __getitem__(self, key: Any) -> Any:
        """A key or field of the value, or `__interrupt__`: as with the dict of version 1."""
        warnings.warn("read `.value[...]` and `.interrupts` of a GraphOutput.", DeprecationWarning, stacklevel=2)
        if key == INTERRUPT:
            return list(self.interrupts)
        if isinstance(self.value, dict):
            return self.value[key]
        try:
            return getattr(self.value, key)
        except AttributeError:
            raise MissingKey(f"the result {self.value!r} has no {key!r}.", key=key) from None

    def __contains__(self, key: object) -> bool:
        warnings.warn("ask `.value` and `.interrupts` of a GraphOutput.", DeprecationWarning, stacklevel=2)
        if key == INTERRUPT:
            return bool(self.interrupts)
        return key in self.value if isinstance(self.value, dict) else isinstance(key, str) and hasattr(self.value, key)


class PregelTask(NamedTuple):
    """One pending or finished task in a `StateSnapshot`."""

    id: str
    name: str
    path: tuple[Any, ...]
    error: Any = None
    interrupts: tuple[Interrupt, ...] = ()
    state: Any = None
    result: Any = None


class StateSnapshot(NamedTuple):
    """The state of a thread at one checkpoint: what it holds and what would run next."""

    values: Any
    next: tuple[str, ...]
    config: dict[str, Any]
    metadata: Mapping[str, Any] | None
    created_at: str | None
    parent_config: dict[str, Any] | None
    tasks: tuple[PregelTask, ...]
    interrupts: tuple[Interrupt, ...]


class StateUpdate(NamedTuple):
    """One update of `bulk_update_state`: `values` as if node `as_node` had returned them."""

    values: Any
    as_node: str | None = None
    task_id: str | None = None


STREAM_MODES: Final = frozenset({"values", "updates", "messages", "custom", "checkpoints", "tasks", "debug", "tools"})
