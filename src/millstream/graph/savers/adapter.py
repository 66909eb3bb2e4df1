"""A saver that has only the public methods (`get_tuple`, `put`, ...), driven as if it kept a log.

Each checkpoint is handed to it whole, so its bytes grow as that saver lets them grow. What waits to run travels in the
checkpoint under a key of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import Unsupported
from .base import BaseCheckpointSaver, CheckpointTuple
from .ids import made_at
from .leases import Lease
from .log import Chain, Entry, Loaded, Record
from .log_saver import LogSaver
from .tuples import named

__all__ = ["PlainSaver", "log_saver"]

WAITS = "millstream_waits"


def log_saver(saver: BaseCheckpointSaver) -> LogSaver:
    """The saver in the form that the loop uses."""
    return saver if isinstance(saver, LogSaver) else PlainSaver(saver)


class PlainSaver(LogSaver):
    """The adapter. It keeps no state but the versions of the last checkpoint that it saw, so it may be made for each run."""

    def __init__(self, saver: BaseCheckpointSaver) -> None:
        super().__init__()
        self.saver = saver
        self.awaitable = type(saver).aput is not BaseCheckpointSaver.aput
        self._seen: tuple[str, dict[str, Any]] = "", {}

    def detach(self, entries: Sequence[Entry], chain: Chain | None) -> bool:
        for entry in entries:
            # Containers are copied, because nodes may add to them; what is in them is as a rule replaced, not changed.
            entry.values = {
                key: value.copy() if type(value) in (list, dict, set) else value for key, value in entry.values.items()
            }
        return True

    def _check(self, lease: Lease | None) -> None:
        if lease is not None:
            raise Unsupported(f"{type(self.saver).__name__} has no leases; use a saver of millstream's.")

    def _loaded(self, found: CheckpointTuple | None) -> Loaded | None:
        if found is not None:
            self._seen = found.checkpoint["id"], dict(found.checkpoint.get("channel_versions") or {})
        return _loaded(found)

    def _put(self, thread: str, ns: str, entry: Entry) -> tuple[Any, ...]:
        """The arguments of `put`. A saver may store only values with a new version, so all others keep theirs."""
        id, seen = self._seen
        before = seen if entry.parent is not None and entry.parent == id else {}
        changed = {key for key, _ in entry.ops}
        version = self.saver.get_next_version(max(before.values(), default=None), None)
        new = {key: version for key in entry.values if key in changed or key not in before}
        versions = {key: new[key] if key in new else before[key] for key in entry.values}
        self._seen = entry.id, versions
        return _put(thread, ns, entry, versions, new)

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return self._loaded(self.saver.get_tuple(_config(thread, ns, id)))

    def commit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        self._check(lease)
        for entry in entries:
            self.saver.put(*self._put(thread, ns, entry))
        return Chain(entries[-1].id, 0, 0)

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None) -> None:
        self._check(lease)
        for record in records:
            self.saver.put_writes(named(thread, ns, id), list(record.writes), record.task_id, record.path)

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        return [found.checkpoint["id"] for found in self.saver.list(_config(thread, ns, None))]

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        after = _After(id)
        for found in self.saver.list(_config(thread, ns, None)):
            if after.passes(found):
                break
        return after.writes

    async def aload(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        return self._loaded(await self.saver.aget_tuple(_config(thread, ns, id)))

    async def acommit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        self._check(lease)
        for entry in entries:
            await self.saver.aput(*self._put(thread, ns, entry))
        return Chain(entries[-1].id, 0, 0)

    async def arecord(
        self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None
    ) -> None:
        self._check(lease)
        for record in records:
            await self.saver.aput_writes(named(thread, ns, id), list(record.writes), record.task_id, record.path)

    async def aids(self, thread: str, ns: str) -> Sequence[str]:
        return [found.checkpoint["id"] async for found in self.saver.alist(_config(thread, ns, None))]

    async def awrites_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        after = _After(id)
        async for found in self.saver.alist(_config(thread, ns, None)):
            if after.passes(found):
                break
        return after.writes


def _config(thread: str, ns: str, id: str | None) -> dict[str, Any]:
    config = named(thread, ns, id or "")
    if id is None:
        del config["configurable"]["checkpoint_id"]
    return config


def _put(thread: str, ns: str, entry: Entry, versions: dict[str, Any], new: dict[str, Any]) -> tuple[Any, ...]:
    checkpoint = {
        "v": 4,
        "id": entry.id,
        "ts": made_at(entry.id),
        "channel_values": dict(entry.values),
        "channel_versions": versions,
        "versions_seen": {},
        "updated_channels": sorted({key for key, _ in entry.ops}),
        WAITS: [entry.waits, [list(record) for record in entry.writes]],
    }
    metadata = {"source": entry.source, "step": entry.step, "parents": entry.parents or {}, **(entry.extra or {})}
    return _config(thread, ns, entry.parent), checkpoint, metadata, new


def _loaded(found: CheckpointTuple | None) -> Loaded | None:
    if found is None:
        return None
    loaded = Loaded.__new__(Loaded)
    checkpoint, metadata = found.checkpoint, dict(found.metadata)
    parent = (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    loaded.id, loaded.parent, loaded.chain = checkpoint["id"], parent, Chain(checkpoint["id"], 0, 0)
    loaded.newest = loaded.id
    loaded.values = dict(checkpoint["channel_values"])
    loaded.waits, loaded.writes = checkpoint.get(WAITS) or ({}, [])
    loaded.records = list(found.pending_writes or ())
    loaded.source, loaded.step = metadata.pop("source", "loop"), metadata.pop("step", 0)
    loaded.parents = metadata.pop("parents", {})
    loaded.extra = metadata
    return loaded


class _After:
    """Looks for what the tasks that waited at a checkpoint wrote: it stands in the first one that has it as its parent.

    Such a saver has no index by parent, so the checkpoints are looked through from the newest on; there are few in the usual case.
    """

    def __init__(self, id: str) -> None:
        self._id = id
        self.writes: list[Any] = []

    def passes(self, found: CheckpointTuple) -> bool:
        """Whether all that come later in the list are older than the one that is looked for."""
        if found.checkpoint["id"] <= self._id:
            return True
        if (found.parent_config or {}).get("configurable", {}).get("checkpoint_id") == self._id:
            self.writes = (found.checkpoint.get(WAITS) or ({}, []))[1]
        return False
