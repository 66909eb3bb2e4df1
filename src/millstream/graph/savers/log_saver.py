"""A saver that keeps logs: the few methods that the loop uses, and the public ones built on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, TypeAlias

from ...errors import CorruptCheckpoint
from ...flow.driver import in_worker
from .base import BaseCheckpointSaver, CheckpointTuple, Config, Strategy
from .ids import next_version
from .leases import Lease
from .log import Chain, Entry, Loaded, Record, needs_values
from .retention import pruned, without_runs
from .serde import CipherProtocol, SerializerProtocol, cipher_of
from .tuples import SPECIAL, bound_of, coordinates, entry_of, lease_of, matches, named, shown

__all__ = ["SPECIAL", "LogSaver", "Work"]

KEPT = 64
"""How many threads a saver keeps as they were left, so that their next turn need not read them."""

Work: TypeAlias = Generator[tuple[Any, ...], Any, None]
"""Several calls of a saver's own methods: yields the name and the arguments of each, and is sent its result."""


class LogSaver(BaseCheckpointSaver):
    """A saver of logs. A subclass writes the methods of the first part; those marked so with an async twin where it is `awaitable`.

    `inline` ones never block and are quick, so they are called directly whatever the colour of the run. Commits of others
    may go on while the next step runs.
    """

    inline = False
    awaitable = False
    """Whether the async twins of the first part exist; else these run on a worker thread."""

    def __init__(self, *, serde: SerializerProtocol | None = None) -> None:
        cipher_of(serde)
        super().__init__(serde=serde)
        self._kept: OrderedDict[tuple[str, str], Loaded] = OrderedDict()

    @property
    def cipher(self) -> CipherProtocol | None:
        """What bytes are encrypted with on their way to a database: that of the `serde` given."""
        return cipher_of(self._serde)

    def get_next_version(self, current: Any, channel: Any = None) -> str:
        """The version after `current`, as text that sorts in order."""
        return next_version(current)

    # -- what a subclass writes, each with an `a...` twin if it is awaitable -------------------------------------------

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        """Read a checkpoint: the one named, or the latest; `anew` from what is stored, not as it was left."""
        raise self._unsupported("load")

    def commit(
        self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None, lease: Lease | None = None
    ) -> Chain:
        """Store entries, in one transaction; `chain` is that of the first one's parent, None where it builds on none.

        Entries that are there already (with the same id) are replaced, so a commit whose answer was lost may be made again.

        Raises:
            StepAlreadyCommitted: the first one is marked `once`, and another child of its parent is stored that is so too.
            CheckpointGone: the parent was erased since it was read.
            LeaseLost, LeaseHeld: see `leases.may_store`.
        """
        raise self._unsupported("commit")

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record], lease: Lease | None = None) -> None:
        """Store writes of tasks against the checkpoint `id`. Ordinary writes of a task that has some are left as they are."""
        raise self._unsupported("record")

    def load_all(self, thread: str, ns: str, ids: Sequence[str]) -> Sequence[Loaded]:
        """Checkpoints that follow each other, oldest first; a saver that can reads what they share once."""
        found = (self.load(thread, ns, id, True) for id in ids)
        return [loaded for loaded in found if loaded is not None]

    async def aload_all(self, thread: str, ns: str, ids: Sequence[str]) -> Sequence[Loaded]:
        """`load_all`, awaitable."""
        found = [await self.twin("load", thread, ns, id, True) for id in ids]
        return [loaded for loaded in found if loaded is not None]

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        """The checkpoints of a thread and namespace, newest first."""
        raise self._unsupported("ids")

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        """What the tasks that waited at a checkpoint wrote, `[task id, path, writes]` each, if the run went on from it."""
        raise self._unsupported("writes_after")

    def find(self, config: Config | None, before: str | None = None) -> Sequence[tuple[str, str, str]]:
        """Thread, namespace and id of the checkpoints that a config names (as far as it does), newest first."""
        raise self._unsupported("find")

    def erase(self, thread: str) -> None:
        """Forget all of a thread, and its lease."""
        raise self._unsupported("erase")

    def drop(self, thread: str, ns: str, ids: Sequence[str]) -> None:
        """Forget checkpoints, in one transaction; those that were built on them get a snapshot and no parent."""
        raise self._unsupported("drop")

    def copy(self, source: str, target: str) -> None:
        """Store all of a thread under another name too."""
        raise self._unsupported("copy")

    def give_back(self) -> None:
        """Give the space of what was forgotten back to the system, where that is not done by itself."""

    def grant(self, thread: str, token: str, seconds: float) -> int:
        """Make `token` the owner of a thread; the epoch of its lease (see `leases.granted`)."""
        raise self._unsupported("acquire_lease")

    def extend(self, lease: Lease, seconds: float) -> None:
        """Let a lease last for `seconds` from now, if it is still the thread's (see `leases.same_owner`)."""
        raise self._unsupported("acquire_lease")

    def free(self, lease: Lease) -> None:
        """End a lease, if it is still the thread's."""
        raise self._unsupported("acquire_lease")

    def detach(self, entries: Sequence[Entry], chain: Chain | None) -> bool:
        """Make entries independent of the values they refer to, so that a commit of them may go on while nodes run.

        False where all values must be read for it: then it is waited for.
        """
        return not needs_values(entries, chain)

    # -- threads as they were left -----------------------------------------------------------------------------------

    def keep(self, thread: str, ns: str, loaded: Loaded) -> None:
        """Remember how a run left a thread: its values are the caller's no more."""
        kept = self._kept
        kept[thread, ns] = loaded
        kept.move_to_end((thread, ns))
        if len(kept) > KEPT:
            kept.popitem(last=False)

    def kept(self, thread: str, ns: str, newest: str) -> Loaded | None:
        """The thread as it was left, if `newest` is where that was. Given out once."""
        loaded = self._kept.pop((thread, ns), None)
        return loaded if loaded is not None and loaded.id == newest else None

    def forget(self, thread: str) -> None:
        """Drop what is remembered of a thread."""
        for key in [key for key in self._kept if key[0] == thread]:
            self._kept.pop(key, None)

    # -- leases ------------------------------------------------------------------------------------------------------

    def acquire_lease(self, thread_id: str, *, seconds: float = 30) -> Lease:
        """Become the one owner of a thread for `seconds`, or until the lease is released.

        As long as it is held (or nobody else came after it ran out), commits under another lease or none are refused.

        Raises:
            LeaseHeld: another owner has one.
        """
        thread, token = str(thread_id), token_hex(8)
        return Lease(thread, self.grant(thread, token, seconds), token, seconds, self)

    async def aacquire_lease(self, thread_id: str, *, seconds: float = 30) -> Lease:
        """`acquire_lease`, awaitable."""
        thread, token = str(thread_id), token_hex(8)
        return Lease(thread, await self.twin("grant", thread, token, seconds), token, seconds, self)

    # -- the public methods ------------------------------------------------------------------------------------------

    def get_tuple(self, config: Config) -> CheckpointTuple | None:
        thread, ns, id = coordinates(config)
        loaded = self.load(thread, ns, id, True)
        return None if loaded is None else self._shown(thread, ns, loaded)

    def list(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        for thread, ns, id in self.find(config, bound_of(config, before, limit, filter)):
            if limit is not None and limit <= 0:
                return
            loaded = self.load(thread, ns, id, True)
            if loaded is not None and matches(found := self._shown(thread, ns, loaded), filter):
                limit = None if limit is None else limit - 1
                yield found

    def put(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        thread, ns, _ = coordinates(config)
        self.commit(thread, ns, [entry_of(config, checkpoint, metadata)], None, lease_of(config))
        return named(thread, ns, checkpoint["id"])

    def put_writes(self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        thread, ns, id = coordinates(config)
        if id is not None:
            self.record(thread, ns, id, [Record(task_id, task_path, writes)], lease_of(config))

    def delete_thread(self, thread_id: str) -> None:
        self.forget(str(thread_id))
        self.erase(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._do(without_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.copy(str(source_thread_id), str(target_thread_id))

    def prune(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        strategy: Strategy = "keep_latest",
        keep: int = 1,
        older_than: datetime | timedelta | None = None,
    ) -> None:
        self._do(pruned(thread_ids, strategy, keep, older_than))

    async def aget_tuple(self, config: Config) -> CheckpointTuple | None:
        self._check_awaitable("aget_tuple")
        thread, ns, id = coordinates(config)
        loaded = await self.twin("load", thread, ns, id, True)
        return None if loaded is None else await self._ashown(thread, ns, loaded)

    async def alist(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        self._check_awaitable("alist")
        for thread, ns, id in await self.twin("find", config, bound_of(config, before, limit, filter)):
            if limit is not None and limit <= 0:
                return
            loaded = await self.twin("load", thread, ns, id, True)
            if loaded is not None and matches(found := await self._ashown(thread, ns, loaded), filter):
                limit = None if limit is None else limit - 1
                yield found

    async def aput(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        self._check_awaitable("aput")
        thread, ns, _ = coordinates(config)
        await self.twin("commit", thread, ns, [entry_of(config, checkpoint, metadata)], None, lease_of(config))
        return named(thread, ns, checkpoint["id"])

    async def aput_writes(
        self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._check_awaitable("aput_writes")
        thread, ns, id = coordinates(config)
        if id is not None:
            await self.twin("record", thread, ns, id, [Record(task_id, task_path, writes)], lease_of(config))

    async def adelete_thread(self, thread_id: str) -> None:
        self._check_awaitable("adelete_thread")
        self.forget(str(thread_id))
        await self.twin("erase", str(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._check_awaitable("adelete_for_runs")
        await self._ado(without_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._check_awaitable("acopy_thread")
        await self.twin("copy", str(source_thread_id), str(target_thread_id))

    async def aprune(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        strategy: Strategy = "keep_latest",
        keep: int = 1,
        older_than: datetime | timedelta | None = None,
    ) -> None:
        self._check_awaitable("aprune")
        await self._ado(pruned(thread_ids, strategy, keep, older_than))

    def _shown(self, thread: str, ns: str, loaded: Loaded) -> CheckpointTuple:
        after: Sequence[Any] = ()
        if loaded.id != loaded.newest:
            with suppress(CorruptCheckpoint):  # the next one is damaged, and this one is not
                after = self.writes_after(thread, ns, loaded.id)
        return shown(thread, ns, loaded, after)

    async def _ashown(self, thread: str, ns: str, loaded: Loaded) -> CheckpointTuple:
        after: Sequence[Any] = ()
        if loaded.id != loaded.newest:
            with suppress(CorruptCheckpoint):
                after = await self.twin("writes_after", thread, ns, loaded.id)
        return shown(thread, ns, loaded, after)

    # -- two colours -------------------------------------------------------------------------------------------------

    async def twin(self, method: str, *args: Any) -> Any:
        """One of the saver's own methods, awaited."""
        if self.inline:
            return getattr(self, method)(*args)
        if self.awaitable:
            return await getattr(self, f"a{method}")(*args)
        return await in_worker(copy_context(), getattr(self, method), *args)

    def _check_awaitable(self, method: str) -> None:
        if not self.inline and not self.awaitable:
            raise self._unsupported(method)

    def _do(self, work: Work) -> None:
        result = None
        while True:
            try:
                method, *args = work.send(result)
            except StopIteration:
                return
            result = getattr(self, method)(*args)

    async def _ado(self, work: Work) -> None:
        result = None
        while True:
            try:
                method, *args = work.send(result)
            except StopIteration:
                return
            result = await self.twin(method, *args)
