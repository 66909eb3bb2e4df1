"""InMemorySaver: threads kept in this process, for tests and for programs that need no more."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from .base import (
    SPECIAL,
    CheckpointTuple,
    Config,
    LogSaver,
    coordinates,
    entry_of,
    matches,
    named,
    shown,
)
from .codec import decode, encode
from .log import Chain, Entry, Loaded, Record, Row, rebuilt, rows_of

__all__ = ["InMemorySaver", "MemorySaver"]


class _Thread:
    """The rows of one thread and namespace, and their ids in order."""

    __slots__ = ("ids", "records", "rows")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.rows: dict[str, Row] = {}
        # By checkpoint: (task path, task id, index) -> (channel, bytes)
        self.records: dict[str, dict[tuple[str, str, int], tuple[str, bytes]]] = {}


class InMemorySaver(LogSaver):
    """Keeps checkpoints in memory, as bytes: what is changed later, by whoever holds a value, does not reach them."""

    inline = True

    def __init__(self) -> None:
        super().__init__()
        self.storage: dict[str, dict[str, _Thread]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> InMemorySaver:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    async def __aenter__(self) -> InMemorySaver:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    # -- the log -----------------------------------------------------------------------------------------------------

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        log = self.storage.get(thread, {}).get(ns)
        if log is None or not log.ids:
            return None
        with self._lock:
            if id is None:
                id = log.ids[-1]
                kept = None if anew else self.kept(thread, ns, id)
                if kept is not None and id not in log.records:
                    return kept
        return self._read(log, id)

    def commit(self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None) -> Chain:
        rows, chain = rows_of(entries, chain)
        with self._lock:
            log = self.storage.setdefault(thread, {}).setdefault(ns, _Thread())
            for row in rows:
                if row.id not in log.rows:
                    if not log.ids or row.id > log.ids[-1]:
                        log.ids.append(row.id)
                    else:
                        insort(log.ids, row.id)
                log.rows[row.id] = row
        return chain

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record]) -> None:
        with self._lock:
            log = self.storage.setdefault(thread, {}).setdefault(ns, _Thread())
            kept = log.records.setdefault(id, {})
            for record in records:
                for index, (channel, value) in enumerate(record.writes):
                    index = SPECIAL.get(channel, index)
                    if index < 0:
                        kept[record.path, record.task_id, index] = channel, encode(value)
                    else:
                        kept.setdefault((record.path, record.task_id, index), (channel, encode(value)))

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        log = self.storage.get(thread, {}).get(ns)
        return [] if log is None else log.ids[::-1]

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        log = self.storage[thread][ns]
        rows = (log.rows[each] for each in log.ids[bisect_left(log.ids, id) :])
        return next((Loaded(row).writes for row in rows if row.parent == id), [])

    def _read(self, log: _Thread, id: str) -> Loaded | None:
        row = log.rows.get(id)
        if row is None:
            return None
        with self._lock:
            first = bisect_left(log.ids, row.chain.base)
            last = bisect_left(log.ids, id)
            rows = [log.rows[each] for each in log.ids[first : last + 1]]
            records = sorted(log.records.get(id, {}).items())
        loaded = rebuilt(rows)
        loaded.records = [(task, channel, decode(data)) for (_, task, _), (channel, data) in records]
        return loaded

    # -- the public methods ------------------------------------------------------------------------------------------

    def get_tuple(self, config: Config) -> CheckpointTuple | None:
        thread, ns, id = coordinates(config)
        log = self.storage.get(thread, {}).get(ns)
        if log is None or not log.ids:
            return None
        loaded = self._read(log, id or log.ids[-1])
        return None if loaded is None else shown(thread, ns, loaded)

    def list(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        configurable = (config or {}).get("configurable") or {}
        bound = None if before is None else (before.get("configurable") or {}).get("checkpoint_id")
        threads = [str(configurable["thread_id"])] if "thread_id" in configurable else [*self.storage]
        for thread in threads:
            for ns, log in [*self.storage.get(thread, {}).items()]:
                if ns != configurable.get("checkpoint_ns", ns):
                    continue
                for id in reversed(log.ids[:]):
                    if (bound is not None and id >= bound) or id != configurable.get("checkpoint_id", id):
                        continue
                    if limit is not None and limit <= 0:
                        return
                    loaded = self._read(log, id)
                    if loaded is not None and matches(found := shown(thread, ns, loaded), filter):
                        limit = None if limit is None else limit - 1
                        yield found

    def put(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        thread, ns, _ = coordinates(config)
        self.commit(thread, ns, [entry_of(config, checkpoint, metadata)], None)
        return named(thread, ns, checkpoint["id"])

    def put_writes(self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        thread, ns, id = coordinates(config)
        if id is not None:
            self.record(thread, ns, id, [Record(task_id, task_path, writes)])

    def delete_thread(self, thread_id: str) -> None:
        self.forget(thread_id)
        self.storage.pop(thread_id, None)

    async def aget_tuple(self, config: Config) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def alist(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        for found in self.list(config, filter=filter, before=before, limit=limit):
            yield found

    async def aput(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        self.delete_thread(thread_id)


MemorySaver = InMemorySaver
