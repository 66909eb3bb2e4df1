"""What became of channels that a checkpoint holds no value of: the writes since the last one that does."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NotRequired, TypedDict

from .base import CheckpointTuple, Config

__all__ = ["DeltaChannelHistory", "delta_history"]


class DeltaChannelHistory(TypedDict):
    """The way to a channel's value: `seed`, if an earlier checkpoint holds one, then the `writes`, oldest first."""

    seed: NotRequired[Any]
    writes: list[tuple[str, str, Any]]


def delta_history(
    config: Config, channels: Sequence[str]
) -> Generator[Config, CheckpointTuple | None, dict[str, DeltaChannelHistory]]:
    """Goes from a checkpoint to those before it; yields the config of each, and is sent the checkpoint."""
    found: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in channels}
    open_ = set(channels)
    at: Config | None = config
    first = True
    while at is not None and open_:
        each = yield at
        if each is None:
            break
        for channel in tuple(open_):
            if not first:  # what was written at the checkpoint itself is not in its values yet
                writes = [write for write in each.pending_writes or () if write[1] == channel]
                found[channel]["writes"][:0] = writes
            if channel in each.checkpoint.get("channel_values", {}):
                found[channel]["seed"] = each.checkpoint["channel_values"][channel]
                open_.discard(channel)
        at, first = each.parent_config, False
    return found
