"""P1, P2: a run that was killed anywhere is found and brought to its end; no finished work is done again, no step stored twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from graph_helpers import thread
from promising import FULL, count, record

from millstream import PostgresSaver, SqliteSaver, StateGraph

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
PLACES = ("task.start", "task.done", "writes.before", "writes.after", "commit.before", "commit.after")
SLOW = 0.08
LOG = ["begin", "left", "right", "turn1", "turn2", "turn3", "first", "second", "ask"]


class Server:
    """Runs jobs, each in a process of its own (tests/support/crash_server.py)."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(SUPPORT)])
        self._process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "crash_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # of those that are to fail
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass
class Backend:
    """Where threads are kept: a file for each, or one database for all."""

    name: str
    dsn: str | None = None

    def place(self, folder: Path) -> str:
        return self.dsn or str(folder / "t.sqlite")

    def open(self, place: str) -> Any:
        kind: Any = SqliteSaver if self.dsn is None else PostgresSaver
        return kind.from_conn_string(place)


SQLITE = Backend("sqlite")


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, postgres: Cluster) -> Iterator[Backend]:
    if request.param == "sqlite":
        yield SQLITE
        return
    with postgres.schema() as schema:
        dsn = postgres.dsn(schema)
        with PostgresSaver.from_conn_string(dsn) as saver:
            saver.setup()
        yield Backend("postgres", dsn)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@dataclass
class Found:
    """What went wrong over all attempts, and what is only counted."""

    attempts: int = 0
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    wrong_state: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    other_keys: list[str] = field(default_factory=list)
    double_commits: list[str] = field(default_factory=list)
    unrecorded_reruns: int = 0

    def wrong(self) -> dict[str, list[str]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, list) and value}


class Thread:
    """One thread of one graph, and what can be told of it from outside."""

    def __init__(
        self, server: Server, folder: Path, found: Found, what: str, backend: Backend = SQLITE, **options: Any
    ) -> None:
        folder.mkdir()
        self.backend = backend
        self.db = backend.place(folder)
        self.server = server
        self.found = found
        self.what = what
        self.done, self.stored, self.places = (str(folder / name) for name in ("done", "stored", "places"))
        self.options = {"durability": "async", "forgets": False, "colour": "sync", **options}

    def job(self, faults: Any = (), kill_after: float | None = None) -> dict[str, Any]:
        """What the server is told."""
        return {
            **self.options,
            "db": self.db,
            "thread": self.what,
            "done": self.done,
            "stored": self.stored,
            "places": self.places,
            "faults": list(faults),
            "kill_after": kill_after,
        }

    def go(self, faults: Any = (), kill_after: float | None = None) -> bool:
        """Run until the end or a kill; whether it was killed. Notes what was stored then and is done again later."""
        before = lines(self.done)
        stored = set(lines(self.stored))
        answer = self.server.run(self.job(faults, kill_after))
        anew = [line.split() for line in lines(self.done)[len(before) :]]
        known = {line.split()[1] for line in before}
        for name, key in anew:
            if key in stored:
                self.found.repeated.append(f"{self.what}: {name}")
            elif key in known:
                self.found.unrecorded_reruns += 1
        killed = bool(answer["code"] == -9)
        self.seconds = float(answer["seconds"])
        self.found.kills += killed
        if killed and lines(self.done) and not self._exists():
            self.found.lost.append(self.what)
        if not killed and answer["code"] != 0:
            self.found.unended.append(f"{self.what}: exit code {answer['code']}")
        return killed

    def judge(self) -> None:
        """Compare the end with that of a run that nothing happened to."""
        self.found.attempts += 1
        with self.backend.open(self.db) as saver:
            every = list(saver.list(thread(self.what)))
            state = _graph().compile(checkpointer=saver).get_state(thread(self.what))
        values = state.values
        ends = {**values, "log": sorted(values.get("log", []))}
        if ends != {"log": sorted(LOG), "rounds": 3, "answer": "yes"} or values["log"][:1] != ["begin"]:
            self.found.wrong_state.append(f"{self.what}: {values}")
        commits = Counter((found.config["configurable"]["checkpoint_ns"], found.metadata["step"]) for found in every)
        self.found.double_commits += [f"{self.what}: {key}" for key, times in commits.items() if times != 1]
        keys: dict[str, set[str]] = {}
        for name, key in (line.split() for line in lines(self.done)):
            keys.setdefault(name, set()).add(key)
        self.found.other_keys += [f"{self.what}: {name}" for name, seen in keys.items() if len(seen) > 1]

    def _exists(self) -> bool:
        with self.backend.open(self.db) as saver:
            return saver.get_tuple(thread(self.what)) is not None


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def _graph() -> Any:
    from crash_server import State

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    graph.add_node("begin", lambda state: None)
    graph.set_entry_point("begin")
    return graph


def judged(found: Found, test: str, backend: Backend) -> None:
    wrong = found.wrong()
    figure = {
        "kills": found.kills,
        "unrecorded_reruns": found.unrecorded_reruns,
        **{k: len(v) for k, v in wrong.items()},
    }
    for promise in ("P1", "P2"):
        what = f"{test} ({backend.name})"
        record(promise, what, found.attempts, sum(map(len, wrong.values())), figure, "violations by kind")


def hits_of(server: Server, folder: Path, backend: Backend, colour: str) -> dict[str, int]:
    """How often each place is reached by a run that nothing happens to."""
    found = Found()
    run = Thread(server, folder / f"oracle-{colour}", found, "oracle", backend, colour=colour)
    assert run.go() is False
    run.judge()
    assert found.wrong() == {}
    counts: dict[str, int] = json.loads(Path(run.places).read_text())
    return counts


@pytest.mark.timeout(600)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_run_killed_at_any_place_is_brought_to_its_end(
    server: Server, tmp_path: Path, backend: Backend, colour: str
) -> None:
    """The first, second and last time that each place is reached; and the run that goes on is killed there too."""
    found = Found()
    hits = hits_of(server, tmp_path, backend, colour)
    struck = Counter[str]()
    for place in PLACES:
        for hit in sorted({1, 2, hits[place]} if FULL or backend is SQLITE else {1, hits[place]}):
            for durability in ("async", "sync") if FULL else ("async" if hit != 2 else "sync",):
                what = f"{place} {hit} {durability}"
                folder = tmp_path / what.replace(" ", "-")
                run = Thread(server, folder, found, what, backend, colour=colour, durability=durability)
                struck[place] += run.go([(place, hit)])
                run.go([(place, 1)])
                run.go()
                run.judge()
    judged(found, f"killed at every place, {colour}", backend)
    assert found.wrong() == {}
    assert all(struck[place] for place in PLACES), struck


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("slow", [None, "writes.before", "commit.before"])
def test_a_run_killed_at_any_time_is_brought_to_its_end(
    server: Server, tmp_path: Path, backend: Backend, colour: str, slow: str | None
) -> None:
    """As it is, and with storing slowed in one of its two orders. The run that goes on is killed at a random time too."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    found = Found()
    faults: Any = [] if slow is None else [(slow, 0, "wait", SLOW)]
    oracle = Thread(server, tmp_path / "oracle", found, "oracle", backend, colour=colour)
    assert not oracle.go(faults)
    lasts = oracle.seconds
    for attempt in range(count(100, 5) if slow is None else count(50, 1)):
        what = f"seed {seed} attempt {attempt}"
        run = Thread(server, tmp_path / str(attempt), found, what, backend, colour=colour)
        run.go(faults, chance.uniform(0.002, lasts))
        run.go(faults, chance.uniform(0.002, lasts))
        run.go()
        run.judge()
    judged(found, f"killed at random times, {colour}, slow {slow}", backend)
    assert found.wrong() == {}
    assert found.kills > 0


@pytest.mark.timeout(600)
def test_two_workers_at_once_store_each_step_once(server: Server, tmp_path: Path, backend: Backend) -> None:
    """A run that two workers found and continue at the same time: who comes second with a step is told so, and stops."""
    found = Found()
    other = Server()
    refused = 0
    try:
        for attempt in range(count(50, 10)):
            if refused >= count(50, 1):
                break  # on a busy machine they may miss each other: that is no attempt
            colour = ("sync", "async")[attempt % 2]
            run = Thread(server, tmp_path / str(attempt), found, str(attempt), backend, colour=colour)
            assert run.go([("task.done", 1 + attempt % 6)])
            with ThreadPoolExecutor(2) as both:
                # The first task of each takes a while, so that both have read the same step.
                job = run.job([("task.done", 1, "wait", 0.1)])
                ended = [each.result()["code"] for each in [both.submit(s.run, job) for s in (server, other)]]
            assert set(ended) <= {0, 1}
            refused += ended.count(1)
            run.go()
            run.judge()
    finally:
        other.close()
    judged(found, "two workers at once", backend)
    assert {name: what for name, what in found.wrong().items() if name != "repeated"} == {}
    assert refused > 0


def test_a_run_that_stores_nothing_before_its_end_would_be_lost(server: Server, tmp_path: Path) -> None:
    """Control: durability `exit` promises nothing, and the tests see it."""
    found = Found()
    run = Thread(server, tmp_path / "exit", found, "exit", durability="exit")
    assert run.go([("task.done", 3)])
    run.go()
    run.judge()
    assert found.lost == ["exit"]
    assert len(found.other_keys) >= 2


def test_work_whose_writes_were_not_stored_would_be_done_again(server: Server, tmp_path: Path) -> None:
    """Control: a saver that says that it has stored what one of two branches wrote, and has not."""
    found = Found()
    for forgets in (False, True):
        run = Thread(server, tmp_path / str(forgets), found, f"forgets={forgets}", forgets=forgets)
        assert run.go([("writes.after", 1)])
        run.options["forgets"] = False
        run.go()
        run.judge()
    assert found.repeated == ["forgets=True: left"]
