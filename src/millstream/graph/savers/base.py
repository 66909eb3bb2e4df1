"""The base of every saver: the public methods, each with an awaitable twin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ...errors import Unsupported

if TYPE_CHECKING:
    from .deltas import DeltaChannelHistory
    from .serde import SerializerProtocol

__all__ = ["BaseCheckpointSaver", "CheckpointTuple", "Config"]

Config: TypeAlias = Mapping[str, Any]
Strategy: TypeAlias = Literal["keep_latest", "delete"]


class CheckpointTuple(NamedTuple):
    """One checkpoint as the public methods of savers show it."""

    config: dict[str, Any]
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    parent_config: dict[str, Any] | None = None
    pending_writes: list[tuple[str, str, Any]] | None = None


class BaseCheckpointSaver:
    """The base of savers. A graph compiled with one remembers its threads."""

    _serde: SerializerProtocol | None = None

    def __init__(self, *, serde: SerializerProtocol | None = None) -> None:
        self._serde = serde

    @property
    def serde(self) -> SerializerProtocol:
        """Turns values into bytes: what was given, or a `JsonPlusSerializer`."""
        if self._serde is None:
            from .serde import JsonPlusSerializer  # brings the codec, which not every saver needs

            self._serde = JsonPlusSerializer()
        return self._serde

    @serde.setter
    def serde(self, given: SerializerProtocol) -> None:
        self._serde = given

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

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Forget the checkpoints whose metadata names one of these runs."""
        raise self._unsupported("delete_for_runs")

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread to another one."""
        raise self._unsupported("copy_thread")

    def prune(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        strategy: Strategy = "keep_latest",
        keep: int = 1,
        older_than: datetime | timedelta | None = None,
    ) -> None:
        """Forget checkpoints of the threads (None: of all), and give their space back.

        `"keep_latest"` keeps the newest `keep` of each namespace; `"delete"` erases whole threads. With `older_than` (a moment, or
        an age) only what was stored before it is forgotten, and only threads that nothing was stored on since are erased.
        """
        raise self._unsupported("prune")

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

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, awaitable."""
        raise self._unsupported("adelete_for_runs")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, awaitable."""
        raise self._unsupported("acopy_thread")

    async def aprune(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        strategy: Strategy = "keep_latest",
        keep: int = 1,
        older_than: datetime | timedelta | None = None,
    ) -> None:
        """`prune`, awaitable."""
        raise self._unsupported("aprune")

    def get(self, config: Config) -> dict[str, Any] | None:
        """The checkpoint alone."""
        found = self.get_tuple(config)
        return None if found is None else found.checkpoint

    async def aget(self, config: Config) -> dict[str, Any] | None:
        """`get`, awaitable."""
        found = await self.aget_tuple(config)
        return None if found is None else found.checkpoint

    def get_next_version(self, current: Any, channel: Any = None) -> Any:
        """The version after `current`; None stands before the first."""
        return 1 if current is None else current + 1

    def get_delta_channel_history(self, *, config: Config, channels: Sequence[str]) -> dict[str, DeltaChannelHistory]:
        """How the values of channels at a checkpoint came to be: the last one that is stored, and the writes since then."""
        from .deltas import delta_history

        walk = delta_history(config, channels)
        try:
            asked = next(walk)
            while True:
                asked = walk.send(self.get_tuple(asked))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def aget_delta_channel_history(
        self, *, config: Config, channels: Sequence[str]
    ) -> dict[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, awaitable."""
        from .deltas import delta_history

        walk = delta_history(config, channels)
        try:
            asked = next(walk)
            while True:
                asked = walk.send(await self.aget_tuple(asked))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _unsupported(self, method: str) -> Unsupported:
        return Unsupported(f"{type(self).__name__} has no `{method}`.")
