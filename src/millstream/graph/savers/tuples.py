"""Checkpoints as the public methods show them, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import InvalidArgument
from ..constants import ERROR, INPUT, INTERRUPT, NO_WRITES, RESUME
from .base import CheckpointTuple, Config
from .ids import made_at, version_of
from .leases import Lease
from .log import Entry, Loaded

__all__ = ["SPECIAL", "bound_of", "coordinates", "entry_of", "lease_of", "matches", "named", "shown"]

SPECIAL: Final[Mapping[str, int]] = {ERROR: -1, "__scheduled__": -2, INTERRUPT: -3, RESUME: -4, INPUT: -5}
"""Writes that replace an earlier one of the same task, and the index under which they are stored."""

_KEY: Final = re.compile("[A-Za-z0-9_.-]{1,512}")


def coordinates(config: Config) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint that a config names.

    Raises:
        InvalidArgument: (a ValueError) it names no thread, or one of the others by something that is no text.
    """
    configurable = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    if thread is None:
        raise InvalidArgument('config["configurable"] needs a "thread_id" to say which thread is meant.')
    return str(thread), _text(configurable, "checkpoint_ns") or "", _text(configurable, "checkpoint_id")


def bound_of(
    config: Config | None, before: Config | None, limit: int | None, filter: Mapping[str, Any] | None = None
) -> str | None:
    """The id that those which `list` shows must be before.

    Raises:
        InvalidArgument: (a ValueError) one of the four is not of its kind.
    """
    for key in filter or ():
        if not isinstance(key, str) or _KEY.fullmatch(key) is None:
            raise InvalidArgument(f"the keys of a filter have letters, digits, '_', '.' and '-', and not {key!r:.80}.")
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise InvalidArgument(f"`limit` is a whole number from 0 on, or None for all, not {limit!r}.")
    configurable = (config or {}).get("configurable") or {}
    for name in ("checkpoint_ns", "checkpoint_id"):
        _text(configurable, name)
    return None if before is None else _text(before.get("configurable") or {}, "checkpoint_id")


def _text(configurable: Mapping[str, Any], name: str) -> str | None:
    text = configurable.get(name)
    if text is not None and not isinstance(text, str):
        raise InvalidArgument(f'config["configurable"]["{name}"] must be a text, not {text!r}.')
    return text


def shown(thread: str, ns: str, loaded: Loaded, after: Sequence[Any] = ()) -> CheckpointTuple:
    """A checkpoint in the form of the public methods; `after` is what the tasks that waited there wrote, where the run went on."""
    extra = dict(loaded.extra)
    own: dict[str, Any] = extra.pop("__checkpoint__", None) or {}
    versions = own.get("channel_versions")
    if versions is None:
        changed = loaded.changed
        versions = {key: version_of(changed.get(key, loaded.step) + 2, key) for key in loaded.values}
    checkpoint = {
        "v": 4,
        "ts": own.get("ts") or made_at(loaded.id),
        "channel_versions": versions,
        "versions_seen": own.get("versions_seen") or {},
        "updated_channels": own.get("updated_channels") if own else loaded.updated,
        "id": loaded.id,
        "channel_values": loaded.values,
    }
    metadata = own.get("metadata") or {"source": loaded.source, "step": loaded.step, "parents": loaded.parents, **extra}
    return CheckpointTuple(
        named(thread, ns, loaded.id),
        checkpoint,
        metadata,
        None if loaded.parent is None else named(thread, ns, loaded.parent),
        _pending(loaded.records, after),
    )


def _pending(records: Sequence[tuple[str, str, Any]], after: Sequence[Any]) -> list[tuple[str, str, Any]]:
    """All that tasks wrote at a checkpoint: what they left while the step went on, and what its end stored."""
    by_task: dict[str, list[tuple[str, str, Any]]] = {}
    for record in records:
        by_task.setdefault(record[0], []).append(record)
    ended = {task for task, channel, _ in records if channel not in SPECIAL}
    for task, _, writes in after:
        if task not in ended:
            found = [(task, channel, value) for channel, value in writes] or [(task, NO_WRITES, None)]
            by_task[task] = [*by_task.pop(task, ()), *found]
    return [write for writes in by_task.values() for write in writes]


def named(thread: str, ns: str, id: str) -> dict[str, Any]:
    """The config that names a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}


def entry_of(config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any]) -> Entry:
    """A whole checkpoint, given through `put`, as an entry that sets every value."""
    own = {k: v for k, v in checkpoint.items() if k not in ("id", "channel_values")}
    values = dict(checkpoint.get("channel_values") or {})
    return Entry(
        checkpoint["id"],
        coordinates(config)[2],
        source=metadata.get("source", "loop"),
        step=metadata.get("step", 0),
        ops=[(key, ("set", value)) for key, value in values.items()],
        waits={},
        parents=metadata.get("parents"),
        extra={"__checkpoint__": {**own, "metadata": dict(metadata)}},
        values=values,
    )


def matches(found: CheckpointTuple, filter: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint's metadata has all that `filter` asks for."""
    return not filter or all(key in found.metadata and found.metadata[key] == want for key, want in filter.items())


def lease_of(config: Config) -> Lease | None:
    """The lease that a config brings.

    Raises:
        InvalidArgument: (a ValueError) what it brings is none.
    """
    lease = (config.get("configurable") or {}).get("lease")
    if lease is not None and not isinstance(lease, Lease):
        raise InvalidArgument(
            f'config["configurable"]["lease"] must be a Lease from saver.acquire_lease(), not {lease!r}.'
        )
    return lease
