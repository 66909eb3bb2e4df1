"""Caches of what nodes and tasks gave, that outlive the process: in a SQLite file, and in Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..chat.caches import BaseCache, FullKey, Namespace
from .savers.serde import JsonPlusSerializer, SerializerProtocol
from .savers.sql import BEGIN, COMMIT, Plan
from .savers.sqlite_files import opened

__all__ = ["RedisCache", "SqliteCache"]


class SqliteCache(BaseCache):
    """Keeps what nodes and tasks gave in a SQLite file, for all processes that open it. `close()` it, or use it in a `with` block."""

    def __init__(self, *, path: str, serde: SerializerProtocol | None = None) -> None:
        self._serde: SerializerProtocol = JsonPlusSerializer() if serde is None else serde
        self._connection = opened(path)
        self._connection.run(_made())

    def __enter__(self) -> SqliteCache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file up."""
        self._connection.close()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values of those keys that have one which is not too old."""
        found = self._connection.run(_found([(_text(namespace), key) for namespace, key in keys], time.time()))
        at = {(_text(namespace), key): (tuple(namespace), key) for namespace, key in keys}
        return {at[place]: self._serde.loads_typed(stored) for place, stored in found.items()}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """Keep values."""
        now = time.time()
        rows = [
            (_text(namespace), key, None if seconds is None else now + seconds, *self._serde.dumps_typed(value))
            for (namespace, key), (value, seconds) in pairs.items()
        ]
        self._connection.run(_put(rows, now))

    def clear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """Forget the values of some namespaces, or all."""
        self._connection.run(_cleared(None if namespaces is None else [_text(each) for each in namespaces]))


def _text(namespace: Sequence[str]) -> str:
    return json.dumps(list(namespace))


def _made() -> Plan:
    yield (
        "CREATE TABLE IF NOT EXISTS ms_cache (ns TEXT NOT NULL, key TEXT NOT NULL, until REAL, kind TEXT NOT NULL, "
        "value BLOB NOT NULL, PRIMARY KEY (ns, key)) WITHOUT ROWID",
        (),
    )


def _found(places: Sequence[tuple[str, str]], now: float) -> Plan:
    found = {}
    for place in places:
        rows = yield (
            "SELECT kind, value FROM ms_cache WHERE ns = ? AND key = ? AND (until IS NULL OR until > ?)",
            (*place, now),
        )
        if rows:
            kind, value = rows[0]
            found[place] = kind, bytes(value)
    return found


def _put(rows: Sequence[tuple[Any, ...]], now: float) -> Plan:
    yield BEGIN
    yield "DELETE FROM ms_cache WHERE until <= ?", (now,)
    for row in rows:
        yield "INSERT OR REPLACE INTO ms_cache (ns, key, until, kind, value) VALUES (?, ?, ?, ?, ?)", row
    yield COMMIT


def _cleared(namespaces: Sequence[str] | None) -> Plan:
    yield BEGIN
    if namespaces is None:
        yield "DELETE FROM ms_cache", ()
    for namespace in namespaces or ():
        yield "DELETE FROM ms_cache WHERE ns = ?", (namespace,)
    yield COMMIT


class RedisCache(BaseCache):
    """Keeps what nodes and tasks gave in Redis. `redis` is a client of redis-py (`pip install 'millstream[redis]'`), of the sync kind."""

    def __init__(
        self, redis: Any, *, serde: SerializerProtocol | None = None, prefix: str = "millstream:cache:"
    ) -> None:
        self._redis = redis
        self._serde: SerializerProtocol = JsonPlusSerializer() if serde is None else serde
        self._prefix = prefix

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values of those keys that have one which is not too old."""
        if not keys:
            return {}
        found = self._redis.mget([self._place(key) for key in keys])
        return {
            (tuple(namespace), key): self._read(data)
            for (namespace, key), data in zip(keys, found, strict=True)
            if data is not None
        }

    def _read(self, data: bytes) -> Any:
        kind, _, value = data.partition(b":")
        return self._serde.loads_typed((kind.decode(), value))

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """Keep values."""
        pipeline = self._redis.pipeline()
        for key, (value, seconds) in pairs.items():
            kind, data = self._serde.dumps_typed(value)
            until = None if seconds is None else max(1, round(seconds * 1000))
            pipeline.set(self._place(key), kind.encode() + b":" + data, px=until)
        pipeline.execute()

    def clear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """Forget the values of some namespaces, or all under the prefix."""
        for begin in [""] if namespaces is None else [_text(namespace) for namespace in namespaces]:
            pattern = "".join(f"\\{char}" if char in "*?[]\\" else char for char in self._prefix + begin)
            for place in self._redis.scan_iter(match=pattern + "*"):
                self._redis.delete(place)

    def _place(self, key: FullKey) -> str:
        return f"{self._prefix}{_text(key[0])}{key[1]}"
