"""What a saver forgets: old checkpoints, those of some runs, whole threads."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ...errors import CorruptCheckpoint, InvalidArgument
from .ids import made_at

__all__ = ["pruned", "without_runs"]


def pruned(
    thread_ids: Sequence[str] | None, strategy: str, keep: int, older_than: datetime | timedelta | None
) -> Generator[tuple[Any, ...], Any, None]:
    """`prune` as calls of a saver's methods.

    A namespace of a task (`node:id`) is needed as long as the checkpoint is there that its task belongs to; one that is kept for the
    thread keeps its newest checkpoints, as the root does.
    """
    if strategy not in ("keep_latest", "delete"):
        raise InvalidArgument(f"strategy must be 'keep_latest' or 'delete', not {strategy!r}.")
    if keep < 1:
        raise InvalidArgument(f"keep must be at least 1, not {keep}; strategy='delete' keeps nothing.")
    if isinstance(thread_ids, str):
        raise InvalidArgument(f"thread_ids is a list of ids, not one text: [{thread_ids!r}].")
    if thread_ids is None:
        found = yield "find", None
        thread_ids = list(dict.fromkeys(thread for thread, _, _ in found))
    limit = _moment(older_than)
    for thread in map(str, thread_ids):
        found = yield "find", {"configurable": {"thread_id": thread}}
        by_ns: dict[str, list[str]] = {}
        for _, ns, id in found:
            by_ns.setdefault(ns, []).append(id)
        if strategy == "delete":
            if all(_is_older(ids[0], limit) for ids in by_ns.values()):
                yield "delete_thread", thread
            continue
        gone: set[str] = set()
        for ns in sorted(by_ns, key=lambda ns: ns.count("|") if ns else -1):
            ids = by_ns[ns]
            if ":" in ns:
                drop = []
                for id in ids:
                    if (yield from _outlived(thread, ns, id, gone)):
                        drop.append(id)
            else:
                drop = [id for id in ids[keep:] if _is_older(id, limit)]
            gone.update(drop)
            if drop:
                yield "drop", thread, ns, drop
    yield ("give_back",)


def without_runs(run_ids: Sequence[str]) -> Generator[tuple[Any, ...], Any, None]:
    """`delete_for_runs` as calls of a saver's methods."""
    runs = {str(run) for run in run_ids}
    found = yield "find", None
    drop: dict[tuple[str, str], list[str]] = {}
    for thread, ns, id in found:
        loaded = yield "load", thread, ns, id, True
        if loaded is not None and str(_metadata(loaded).get("run_id")) in runs:
            drop.setdefault((thread, ns), []).append(id)
    for (thread, ns), ids in drop.items():
        yield "drop", thread, ns, ids
    yield ("give_back",)


def _outlived(thread: str, ns: str, id: str, gone: set[str]) -> Generator[tuple[Any, ...], Any, bool]:
    """Whether the checkpoint around a task's own one was dropped."""
    try:
        loaded = yield "load", thread, ns, id, True
    except CorruptCheckpoint:
        return False
    return loaded is not None and not gone.isdisjoint(loaded.parents.values())


def _metadata(loaded: Any) -> Mapping[str, Any]:
    whole: Mapping[str, Any] = loaded.extra.get("__checkpoint__") or {}
    found: Mapping[str, Any] = whole.get("metadata") or loaded.extra
    return found


def _moment(older_than: datetime | timedelta | None) -> datetime | None:
    if older_than is None:
        return None
    if isinstance(older_than, timedelta):
        return datetime.now(UTC) - older_than
    return older_than.astimezone(UTC)


def _is_older(id: str, limit: datetime | None) -> bool:
    if limit is None:
        return True
    made = made_at(id)
    return made is not None and datetime.fromisoformat(made) < limit
