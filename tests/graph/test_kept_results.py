"""Caches that outlive the process: on SQLite and in Redis."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import Log, run

from millstream import START, CachePolicy, RedisCache, SqliteCache, StateGraph, entrypoint, task
from millstream.graph import kept_results

__all__ = ["colour"]


class Client:
    """As much of a client of redis-py as is used; values end at a time that the test sets."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[bytes, float | None]] = {}
        self.now = 0.0

    def mget(self, places: list[str]) -> list[bytes | None]:
        return [None if not self._has(place) else self.values[place][0] for place in places]

    def _has(self, place: str) -> bool:
        return place in self.values and (until := self.values[place][1], until is None or until > self.now)[1]

    def pipeline(self) -> Client:
        return self

    def execute(self) -> None: ...

    def set(self, place: str, data: bytes, px: int | None = None) -> None:
        self.values[place] = data, None if px is None else self.now + px / 1000

    def scan_iter(self, match: str) -> Iterator[str]:
        pattern = re.sub(r"\\(.)", lambda found: "[[]" if found[1] == "[" else found[1], match)
        return iter([place for place in self.values if fnmatch.fnmatchcase(place, pattern)])

    def delete(self, place: str) -> None:
        del self.values[place]


@pytest.fixture(params=["sqlite", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cache, and a function that lets time pass."""
    if request.param == "redis":
        client = Client()
        yield RedisCache(client), lambda seconds: setattr(client, "now", client.now + seconds)
        return
    clock = [1000.0]
    monkeypatch.setattr(kept_results.time, "time", lambda: clock[0])
    with SqliteCache(path=str(tmp_path / "cache.sqlite")) as cache:
        yield cache, lambda seconds: clock.__setitem__(0, clock[0] + seconds)


def test_values_last_for_their_time_and_are_forgotten_by_namespace(kept: Any) -> None:
    cache, pass_ = kept
    one, two, other = (("a",), "1"), (("a",), "2"), (("a", "b"), "1")
    assert cache.get([]) == cache.get([one]) == {}
    cache.set({one: ({"x": {1}}, None), two: (None, 10), other: ([1], None)})
    assert cache.get([one, two, other, (("z",), "1")]) == {one: {"x": {1}}, two: None, other: [1]}
    pass_(11)
    assert cache.get([one, two]) == {one: {"x": {1}}}
    cache.clear([("a",)])
    assert cache.get([one, other]) == {other: [1]}
    cache.clear()
    assert cache.get([other]) == {}


def test_nodes_and_tasks_are_not_run_again(kept: Any, colour: Colour) -> None:
    ran: list[Any] = []

    def note(value: Any) -> Any:
        ran.append(value)
        return {"log": ["a"]}

    async def body(c: Colour) -> None:
        graph = StateGraph(Log)
        graph.add_node("a", c.function(note), cache_policy=CachePolicy(ttl=5))
        graph.add_edge(START, "a")
        app = graph.compile(cache=kept[0])
        for _ in range(2):
            assert await run(c, app, {"n": 1, "log": []}) == {"n": 1, "log": ["a"]}

        if c.sync:
            square = task(cache_policy=CachePolicy())(lambda x: ran.append(x) or x * x)
            flow = entrypoint(cache=kept[0])(lambda x: square(x).result())
            assert [await run(c, flow, 3) for _ in range(2)] == [9, 9]

    colour.run(body)
    assert len(ran) == 1 + colour.sync


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.sqlite")
    with SqliteCache(path=path) as cache:
        cache.set({(("a",), "k"): ({"v": 1}, None)})
    with SqliteCache(path=path) as cache:
        assert cache.get([(("a",), "k")]) == {(("a",), "k"): {"v": 1}}
