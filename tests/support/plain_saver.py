"""A saver of somebody else: it has only the public methods, and keeps what it is given, copied."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from millstream import BaseCheckpointSaver, CheckpointTuple

__all__ = ["PlainSaver"]

SPECIAL = {"__error__": -1, "__scheduled__": -2, "__interrupt__": -3, "__resume__": -4}


class PlainSaver(BaseCheckpointSaver):
    copied = staticmethod(deepcopy)

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes: dict[tuple[str, str, str], dict[tuple[str, str, int], Any]] = {}

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        where = config["configurable"]
        thread, ns = where["thread_id"], where.get("checkpoint_ns", "")
        kept = self.kept.get((thread, ns), {})
        id = where.get("checkpoint_id") or max(kept, default=None)
        if id not in kept:
            return None
        parent, checkpoint, metadata = self.copied(kept[id])
        own = {"thread_id": thread, "checkpoint_ns": ns}
        writes = sorted(self.writes.get((thread, ns, id), {}).items())
        pending = [(task, channel, self.copied(value)) for (_, task, _), (channel, value) in writes]
        before = {"configurable": {**own, "checkpoint_id": parent}} if parent else None
        return CheckpointTuple({"configurable": {**own, "checkpoint_id": id}}, checkpoint, metadata, before, pending)

    def list(
        self, config: Any, *, filter: Any = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        where = config["configurable"]
        kept = self.kept.get((where["thread_id"], where.get("checkpoint_ns", "")), {})
        bound = before["configurable"]["checkpoint_id"] if before else None
        found = 0
        for id in sorted(kept, reverse=True):
            one = self.get_tuple({"configurable": {**where, "checkpoint_id": id}})
            assert one is not None
            if (bound is not None and id >= bound) or not (filter or {}).items() <= one.metadata.items():
                continue
            if limit is not None and found >= limit:
                return
            found += 1
            yield one

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        where = config["configurable"]
        kept = self.kept.setdefault((where["thread_id"], where.get("checkpoint_ns", "")), {})
        kept[checkpoint["id"]] = self.copied((where.get("checkpoint_id"), dict(checkpoint), dict(metadata)))
        return {"configurable": {**where, "checkpoint_id": checkpoint["id"]}}

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        where = config["configurable"]
        kept = self.writes.setdefault((where["thread_id"], where.get("checkpoint_ns", ""), where["checkpoint_id"]), {})
        for index, (channel, value) in enumerate(writes):
            key = task_path, task_id, SPECIAL.get(channel, index)
            if key not in kept or key[2] < 0:
                kept[key] = channel, self.copied(value)

    def delete_thread(self, thread_id: str) -> None:
        for kept in (self.kept, self.writes):
            for key in [key for key in kept if key[0] == thread_id]:
                del kept[key]  # type: ignore[arg-type]
