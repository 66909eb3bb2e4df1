"""InMemorySaver: threads kept in this process, for tests and for programs that need no more."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence

from .base import Config
from .codec import decode, encode
from .leases import Grant, Lease, clock, granted, may_store, same_owner
from .log import Chain, Entry, Incomplete, Loaded, Record, Row, following, gone, rebuilt, rows_of, taken, whole
from .log_saver import SPECIAL, LogSaver
from .serde import SerializerProtocol

__all__ = ["InMemorySaver", "MemorySaver"]


class _Log:
    """The rows of one thread and namespace, and their ids in order."""

    __slots__ = ("ids", "records", "rows")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.rows: dict[str, Row] = {}
        # By checkpoint: (task path, task id, index) -> (channel, bytes)
        self.records: dict[str, dict[tuple[str, str, int], tuple[str, bytes]]] = {}

    def add(self, row: Row) -> None:
        if row.id not in self.rows:
            if not self.ids or row.id > self.ids[-1]:
                self.ids.append(row.id)
            else:
                insort(self.ids, row.id)
        self.rows[row.id] = row

    def has_end_of(self, entry: Entry) -> bool:
        """Whether the end of the step that the entry ends is stored, by somebody else."""
        later = self.ids[bisect_right(self.ids, entry.parent or "") :]
        rows = (self.rows[id] for id in later)
        return any(row.once and row.parent == entry.parent and row.id != entry.id for row in rows)


class InMemorySaver(LogSaver):
    """Keeps checkpoints in memory, as bytes: what is changed later, by whoever holds a value, does not reach them.

    A `serde` that encrypts is taken and not used: nothing leaves the process."""

    inline = True

    def __init__(self, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self.storage: dict[str, dict[str, _Log]] = {}
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}

    def __enter__(self) -> InMemorySaver:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    async def __aenter__(self) -> InMemorySaver:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    # -- reading -----------------------------------------------------------------------------------------------------

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        with self._lock:
            log = self.storage.get(thread, {}).get(ns)
            if log is None or not log.ids:
                return None
            newest = log.ids[-1]
            if id is None:
                id = newest
                kept = None if anew else self.kept(thread, ns, id)
                if kept is not None and id not in log.records:
                    return kept
            row = log.rows.get(id)
            if row is None:
                return None
            records = sorted(log.records.get(id, {}).items())
        try:
            loaded = rebuilt(thread, ns, row, log.rows.get)
        except Incomplete:  # rows were forgotten meanwhile
            with self._lock:
                row = log.rows.get(id)
                if row is None:
                    return None
                loaded = rebuilt(thread, ns, row, log.rows.get)
        loaded.newest = newest
        loaded.records = [(task, channel, decode(data)) for (_, task, _), (channel, data) in records]
        return loaded

    def load_all(self, thread: str, ns: str, ids: Sequence[str]) -> Sequence[Loaded]:
        found: list[Loaded] = []
        for id in ids:
            with self._lock:
                log = self.storage.get(thread, {}).get(ns)
                row = None if log is None else log.rows.get(id)
                records = [] if log is None else sorted(log.records.get(id, {}).items())
            if row is None:
                continue
            loaded = following(thread, ns, row, found[-1]) if found else None
            if loaded is None:
                loaded = self.load(thread, ns, id, True)
            else:
                loaded.records = [(task, channel, decode(data)) for (_, task, _), (channel, data) in records]
            if loaded is not None:
                found.append(loaded)
        return found

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        log = self.storage.get(thread, {}).get(ns)
        return [] if log is None else log.ids[::-1]

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[object]:
        with self._lock:
            log = self.storage.get(thread, {}).get(ns) or _Log()
            later = (log.rows[each] for each in log.ids[bisect_right(log.ids, id) :])
            row = next((row for row in later if row.parent == id), None)
        return Loaded(row).writes if row is not None else []

    def find(self, config: Config | None, before: str | None = None) -> Sequence[tuple[str, str, str]]:
        wanted = (config or {}).get("configurable") or {}
        with self._lock:
            found = [
                (thread, ns, id)
                for thread, ns, log in self._logs(wanted.get("thread_id"))
                if wanted.get("checkpoint_ns") in (None, ns)
                for id in log.ids
                if wanted.get("checkpoint_id") in (None, id) and (before is None or id < before)
            ]
        return sorted(found, key=lambda place: place[2], reverse=True)

    def _logs(self, thread: object) -> Iterator[tuple[str, str, _Log]]:
        for each in self.storage if thread is None else [str(thread)]:
            for ns, log in self.storage.get(each, {}).items():
                yield each, ns, log

    # -- writing -----------------------------------------------------------------------------------------------------

    def commit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        rows, after = rows_of(entries, chain)
        first = entries[0]
        with self._lock:
            if lease is not None or self._grants:
                self._check(thread, lease)
            log = self.storage.setdefault(thread, {}).setdefault(ns, _Log())
            if chain is not None and first.parent is not None and first.parent not in log.rows:
                raise gone(thread, first)
            if first.once and log.ids and log.ids[-1] != first.parent and log.has_end_of(first):
                raise taken(thread, first)
            for row in rows:
                log.add(row)
        return after

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None) -> None:
        with self._lock:
            if lease is not None or self._grants:
                self._check(thread, lease)
            log = self.storage.setdefault(thread, {}).setdefault(ns, _Log())
            kept = log.records.setdefault(id, {})
            for record in records:
                for index, (channel, value) in enumerate(record.writes):
                    index = SPECIAL.get(channel, index)
                    if index < 0:
                        kept[record.path, record.task_id, index] = channel, encode(value)
                    else:
                        kept.setdefault((record.path, record.task_id, index), (channel, encode(value)))

    def erase(self, thread: str) -> None:
        with self._lock:
            self.storage.pop(thread, None)
            self._grants.pop(thread, None)

    def drop(self, thread: str, ns: str, ids: Sequence[str]) -> None:
        with self._lock:
            log = self.storage.get(thread, {}).get(ns)
            if log is None:
                return
            dropped = set(ids)
            for row in [*log.rows.values()]:
                if row.parent in dropped and row.id not in dropped:
                    log.rows[row.id] = whole(row, rebuilt(thread, ns, row, log.rows.get))
            log.ids = [id for id in log.ids if id not in dropped]
            for id in dropped:
                log.rows.pop(id, None)
                log.records.pop(id, None)

    def copy(self, source: str, target: str) -> None:
        with self._lock:
            for _, ns, log in [*self._logs(source)]:
                into = self.storage.setdefault(target, {}).setdefault(ns, _Log())
                for row in log.rows.values():
                    into.add(row)
                for id, records in log.records.items():
                    into.records.setdefault(id, {}).update(records)

    # -- leases ------------------------------------------------------------------------------------------------------

    def grant(self, thread: str, token: str, seconds: float) -> int:
        with self._lock:
            grant = granted(thread, self._grants.get(thread), token, seconds, clock())
            self._grants[thread] = grant
            return grant.epoch

    def extend(self, lease: Lease, seconds: float) -> None:
        with self._lock:
            same_owner(lease, self._grants.get(lease.thread_id))
            now = clock()
            self._grants[lease.thread_id] = Grant(lease.epoch, lease.token, now, now + seconds)

    def free(self, lease: Lease) -> None:
        with self._lock:
            grant = self._grants.get(lease.thread_id)
            if grant is not None and grant[:2] == (lease.epoch, lease.token):
                self._grants[lease.thread_id] = Grant(lease.epoch, "", 0, 0)

    def _check(self, thread: str, lease: Lease | None) -> None:
        changed = may_store(thread, lease, self._grants.get(thread), clock())
        if changed is not None:
            self._grants[thread] = changed


MemorySaver = InMemorySaver
