"""What every saver can do: the public methods, and the log that the loop writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...errors import InvalidArgument, Unsupported
from ..constants import ERROR, INTERRUPT, RESUME
from .codec import register_all
from .ids import made_at
from .log import Chain, Entry, Loaded, Record, needs_values

if TYPE_CHECKING:
    from ..builder import StateGraph

__all__ = ["BaseCheckpointSaver", "CheckpointTuple", "LogSaver"]

Config: TypeAlias = Mapping[str, Any]

SPECIAL: Mapping[str, int] = {ERROR: -1, "__scheduled__": -2, INTERRUPT: -3, RESUME: -4}
"""Writes that replace an earlier one of the same task, and the index under which they are stored."""

KEPT = 64
"""How many threads a saver keeps as they were left, so that their next turn need not read them."""


class CheckpointTuple(NamedTuple):
    """One checkpoint as the public methods of savers show it."""

    config: dict[str, Any]
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    parent_config: dict[str, Any] | None = None
    pending_writes: list[tuple[str, str, Any]] | None = None


class BaseCheckpointSaver:
    """The base of savers. A graph compiled with one remembers its threads."""

    def learn(self, builder: StateGraph[Any, Any, Any, Any]) -> None:
        """Take note of the types that a graph's schemas name, so that their values can be read back."""
        register_all([builder.state_schema, builder.input_schema, builder.output_schema])
        register_all(schema.type for schema in builder.schemas())

    def get_tuple(self, config: Config) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its thread and namespace."""
        raise self._unsupported("get_tuple")

    def list(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first: of one thread, or of all when `config` is None."""
        raise self._unsupported("list")

    def put(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        """Store a whole checkpoint after the one that `config` names; returns the config that names it."""
        raise self._unsupported("put")

    def put_writes(self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        """Store what a task wrote, against the checkpoint that `config` names."""
        raise self._unsupported("put_writes")

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread."""
        raise self._unsupported("delete_thread")

    async def aget_tuple(self, config: Config) -> CheckpointTuple | None:
        """`get_tuple`, awaitable."""
        raise self._unsupported("aget_tuple")

    def alist(
        self,
        config: Config | None,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, for `async for`."""
        raise self._unsupported("alist")

    async def aput(
        self, config: Config, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], new_versions: Any
    ) -> dict[str, Any]:
        """`put`, awaitable."""
        raise self._unsupported("aput")

    async def aput_writes(
        self, config: Config, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, awaitable."""
        raise self._unsupported("aput_writes")

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, awaitable."""
        raise self._unsupported("adelete_thread")

    def get(self, config: Config) -> dict[str, Any] | None:
        """The checkpoint alone."""
        found = self.get_tuple(config)
        return None if found is None else found.checkpoint

    async def aget(self, config: Config) -> dict[str, Any] | None:
        """`get`, awaitable."""
        found = await self.aget_tuple(config)
        return None if found is None else found.checkpoint

    def get_next_version(self, current: int | None, channel: None = None) -> int:
        """The version after `current`."""
        return 1 if current is None else current + 1

    def _unsupported(self, method: str) -> Unsupported:
        return Unsupported(f"{type(self).__name__} has no `{method}`.")


class LogSaver(BaseCheckpointSaver):
    """A saver of logs. The loop uses `load`, `commit` and `record` (or their async twins) and nothing else.

    `inline` ones never block and are quick, so they are called directly whatever the colour of the run. Commits of others
    may go on while the next step runs.
    """

    inline = False
    awaitable = False
    """Whether the async twins of `load`, `commit` and `record` exist; else these run on a worker thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Loaded] = OrderedDict()

    # -- the log -----------------------------------------------------------------------------------------------------

    def detach(self, entries: Sequence[Entry], chain: Chain | None) -> bool:
        """Make entries independent of the values they refer to, so that a commit of them may go on while nodes run.

        False where all values must be read for it: then it is waited for.
        """
        return not needs_values(entries, chain)

    def load(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        """Read a checkpoint: the one named, or the latest; `anew` from what is stored, not as it was left."""
        raise self._unsupported("load")

    def commit(self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None) -> Chain:
        """Store entries, in one transaction; `chain` is that of the first one's parent."""
        raise self._unsupported("commit")

    def record(self, thread: str, ns: str, id: str, records: Sequence[Record]) -> None:
        """Store writes of tasks against the checkpoint `id`. Ordinary writes of a task that has some are left as they are."""
        raise self._unsupported("record")

    def ids(self, thread: str, ns: str) -> Sequence[str]:
        """The checkpoints of a thread and namespace, newest first."""
        raise self._unsupported("ids")

    def writes_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        """What the tasks that waited at a checkpoint wrote, `[task id, path, writes]` each, if the run went on from it."""
        raise self._unsupported("writes_after")

    async def aids(self, thread: str, ns: str) -> Sequence[str]:
        """`ids`, awaitable."""
        raise self._unsupported("aids")

    async def awrites_after(self, thread: str, ns: str, id: str) -> Sequence[Any]:
        """`writes_after`, awaitable."""
        raise self._unsupported("awrites_after")

    async def aload(self, thread: str, ns: str, id: str | None = None, anew: bool = False) -> Loaded | None:
        """`load`, awaitable."""
        raise self._unsupported("aload")

    async def acommit(self, thread: str, ns: str, entries: Sequence[Entry], chain: Chain | None) -> Chain:
        """`commit`, awaitable."""
        raise self._unsupported("acommit")

    async def arecord(self, thread: str, ns: str, id: str, records: Sequence[Record]) -> None:
        """`record`, awaitable."""
        raise self._unsupported("arecord")

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
            del self._kept[key]


def coordinates(config: Config) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint that a config names.

    Raises:
        InvalidArgument: (a ValueError) it names no thread.
    """
    configurable = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    if thread is None:
        raise InvalidArgument('config["configurable"] needs a "thread_id" to say which thread is meant.')
    return str(thread), configurable.get("checkpoint_ns") or "", configurable.get("checkpoint_id")


def shown(thread: str, ns: str, loaded: Loaded) -> CheckpointTuple:
    """A checkpoint in the form of the public methods."""
    extra = dict(loaded.extra)
    own: dict[str, Any] = extra.pop("__checkpoint__", None) or {}
    versions = own.get("channel_versions") or dict.fromkeys(loaded.values, loaded.step + 2)
    checkpoint = {
        "v": 4,
        "ts": own.get("ts") or made_at(loaded.id),
        "channel_versions": versions,
        "versions_seen": own.get("versions_seen") or {},
        "updated_channels": own.get("updated_channels"),
        "id": loaded.id,
        "channel_values": loaded.values,
    }
    metadata = own.get("metadata") or {"source": loaded.source, "step": loaded.step, "parents": loaded.parents, **extra}
    return CheckpointTuple(
        named(thread, ns, loaded.id),
        checkpoint,
        metadata,
        None if loaded.parent is None else named(thread, ns, loaded.parent),
        list(loaded.records),
    )


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
