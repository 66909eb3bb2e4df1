"""What a run tells its stream: the payloads of the stream modes, and the readers that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import InvalidArgument, InvalidType
from .constants import ERROR, INTERRUPT
from .control import STREAM_MODES, Interrupt

if TYPE_CHECKING:
    from .ledger import Ledger
    from .loop import Loop
    from .task import Task

__all__ = [
    "BITS",
    "CHECKPOINTS",
    "CUSTOM",
    "DEBUG",
    "LIVE",
    "MESSAGES",
    "TASKS",
    "TOOLS",
    "UPDATES",
    "VALUES",
    "Item",
    "Keys",
    "Out",
]

VALUES: Final = 1
UPDATES: Final = 2
MESSAGES: Final = 4
CUSTOM: Final = 8
CHECKPOINTS: Final = 16
TASKS: Final = 32
DEBUG: Final = 64
TOOLS: Final = 128

BITS: Final[Mapping[str, int]] = {
    "values": VALUES,
    "updates": UPDATES,
    "messages": MESSAGES,
    "custom": CUSTOM,
    "checkpoints": CHECKPOINTS,
    "tasks": TASKS,
    "debug": DEBUG,
    "tools": TOOLS,
}
# Modes with something to say while a node runs: their stream has several writers and a mailbox.
LIVE: Final = MESSAGES | CUSTOM | TOOLS

Keys: TypeAlias = str | tuple[str, ...]
Item: TypeAlias = tuple[tuple[str, ...], str, Any]
"""One thing on a stream: namespace, mode, payload."""


def mask_of(modes: Iterable[str]) -> int:
    """The modes as bits.

    Raises:
        InvalidArgument: (a ValueError) an unknown mode.
        InvalidType: (a TypeError) something that is no mode at all.
    """
    mask = 0
    for mode in modes:
        if not isinstance(mode, str):
            raise InvalidType(f"stream_mode must be a mode or a list of modes, not {mode!r}.")
        if mode not in STREAM_MODES:
            raise InvalidArgument(f"unknown stream mode {mode!r}; modes are {sorted(STREAM_MODES)}.")
        mask |= BITS[mode]
    return mask


class Out:
    """One reader of a run: which modes it wants, under which namespace, and where to put them."""

    __slots__ = ("keys", "keyset", "mask", "ns", "put", "subgraphs")

    def __init__(
        self, mask: int, put: Callable[[Item], Any], keys: Keys, *, ns: tuple[str, ...] = (), subgraphs: bool = False
    ) -> None:
        self.mask = mask
        self.put = put
        self.keys = keys
        self.keyset = frozenset((keys,) if isinstance(keys, str) else keys)
        self.ns = ns
        self.subgraphs = subgraphs

    def inside(self, ns: tuple[str, ...], keys: Keys) -> Out:
        """The same reader for a graph inside a task."""
        return Out(self.mask, self.put, keys, ns=ns, subgraphs=True)

    def values(self, values: dict[str, Any], changed: Iterable[str] | None) -> None:
        """Say the values, if any that this reader sees changed (None: say them anyway)."""
        if self.mask & VALUES and (changed is None or not self.keyset.isdisjoint(changed)):
            self.put((self.ns, "values", read_keys(values, self.keys)))

    def update(self, name: str, writes: Sequence[tuple[str, Any]], cached: bool = False) -> None:
        """Say what a task wrote."""
        payload: dict[str, Any] = {name: update_of(writes, self.keys, self.keyset)}
        if cached:
            payload["__metadata__"] = {"cached": True}
        self.put((self.ns, "updates", payload))

    def interrupted(self, values: dict[str, Any], interrupts: tuple[Any, ...]) -> None:
        """Say that the run waits for a person; no interrupts: at a breakpoint."""
        if self.mask & UPDATES:
            self.put((self.ns, "updates", {INTERRUPT: interrupts}))
        if self.mask & VALUES and interrupts:
            shown = read_keys(values, self.keys)
            shown = {**shown, INTERRUPT: interrupts} if isinstance(shown, dict) else {INTERRUPT: interrupts}
            self.put((self.ns, "values", shown))

    def task(self, step: int, payload: dict[str, Any], kind: str) -> None:
        """Say that a task starts or has ended."""
        if self.mask & TASKS:
            self.put((self.ns, "tasks", payload))
        if self.mask & DEBUG:
            self.put((self.ns, "debug", _debug(step, kind, payload)))

    def checkpoint(self, step: int, payload: dict[str, Any]) -> None:
        """Say that a checkpoint was made."""
        if self.mask & CHECKPOINTS:
            self.put((self.ns, "checkpoints", payload))
        if self.mask & DEBUG:
            self.put((self.ns, "debug", _debug(step, "checkpoint", payload)))


def read_keys(values: dict[str, Any], keys: Keys) -> Any:
    """The values of some keys: those that have one as a dict, or the bare value of a single key."""
    if isinstance(keys, str):
        return values.get(keys)
    return {key: values[key] for key in keys if key in values}


def update_of(writes: Sequence[tuple[str, Any]], keys: Keys, keyset: frozenset[str]) -> Any:
    """Writes as the `updates` mode shows them: a dict, None for nothing, a list where a key came twice."""
    seen = [pair for pair in writes if pair[0] in keyset]
    if isinstance(keys, str):
        found = [value for _, value in seen]
        return None if not found else found[0] if len(found) == 1 else found
    if not seen:
        return None
    whole = dict(seen)
    return whole if len(whole) == len(seen) else [{key: value} for key, value in seen]


def started_payload(task: Task) -> dict[str, Any]:
    """The `tasks` payload of a task that starts."""
    payload: dict[str, Any] = {
        "id": task.id,
        "name": task.node.name,
        "input": task.input,
        "triggers": task.triggers,
    }
    scope = task.loop.scope
    own = {k: v for k, v in scope.metadata.items() if k not in _SYSTEM and not k.startswith("langgraph_")}
    own.update(task.node.metadata or {})
    if scope.shown_tags:
        own["tags"] = list(scope.shown_tags)
    if own:
        payload["metadata"] = own
    return payload


def ended_payload(task: Task) -> dict[str, Any]:
    """The `tasks` payload of a task that has ended."""
    return {
        "id": task.id if task.failure is None else task.handlers_id(),
        "name": task.node.name,
        "error": task.error,
        "result": result_of(task.writes, task.loop.plan.shown),
        "interrupts": list(map(question_payload, task.interrupts)),
    }


def result_of(writes: Iterable[tuple[str, Any]], channels: Mapping[str, Any]) -> dict[str, Any]:
    """Writes by channel; several of one as `{"$writes": [...]}`."""
    result: dict[str, Any] = {}
    for key, value in writes:
        if key not in channels:
            continue
        if key not in result:
            result[key] = value
        elif isinstance(result[key], dict) and result[key].keys() == {"$writes"}:
            result[key]["$writes"].append(value)
        else:
            result[key] = {"$writes": [result[key], value]}
    return result


def checkpoint_payload(loop: Loop, ledger: Ledger, tasks: Sequence[Task]) -> dict[str, Any]:
    """The `checkpoints` payload of the checkpoint that a step starts from, with the tasks of that step."""
    parent = ledger.known_parent
    return {
        "config": loop.config_at(loop.origin),
        "parent_config": None if parent is None else loop.config_at(parent),
        "values": read_keys(loop.seen, loop.plan.stream_keys),
        "metadata": ledger.metadata(loop),
        "next": [task.node.name for task in tasks],
        "tasks": [_waiting_payload(task, ledger.records) for task in tasks],
    }


def _waiting_payload(task: Task, records: Sequence[tuple[str, str, Any]]) -> dict[str, Any]:
    """A task that waits at a checkpoint, with what is known of it from a run that was cut."""
    own = [(channel, value) for id, channel, value in records if id == task.id]
    facts: dict[str, Any] = {"id": task.id, "name": task.node.name}
    errors = [value for channel, value in own if channel == ERROR]
    if errors:
        return {**facts, "error": errors[-1], "state": task.inner_config()}
    if result := result_of(own, task.loop.plan.shown):
        facts["result"] = result
    asked = [question for channel, value in own if channel == INTERRUPT for question in value]
    return {**facts, "interrupts": tuple(map(question_payload, asked)), "state": task.inner_config()}


def question_payload(question: Interrupt) -> dict[str, Any]:
    """A question as the payloads of tasks show it."""
    return {"value": question.value, "id": question.id, "response_schema": question.response_schema}


_SYSTEM = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "task_id", "run_id", "assistant_id", "graph_id"})


def _debug(step: int, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"step": step, "timestamp": now, "type": kind, "payload": payload}
