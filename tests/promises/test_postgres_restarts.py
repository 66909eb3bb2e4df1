"""P7 on Postgres: a restart of the server is survived, also one during recovery, and answers that are lost on their way."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from cluster import Cluster
from graph_helpers import graph_of, thread
from promising import FULL, count, quantile, record
from relay import Relay, sometimes

from millstream import (
    AsyncPostgresSaver,
    AsyncPostgresStore,
    PostgresSaver,
    PostgresStore,
    StorageError,
)
from millstream.graph.savers.postgres_links import _Attempt

pytestmark = pytest.mark.timeout(600 if FULL else 60)

RUNS = 50
STEPS = 12


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own, because it is stopped."""
    with Cluster() as made:
        set_up(made.dsn())
        yield made


@pytest.fixture
def place(postgres: Cluster) -> Iterator[Place]:
    """A schema of the test's own, of the server that all tests share."""
    with postgres.schema() as schema:
        set_up(postgres.dsn(schema))
        yield Place(postgres, schema)


class Place(NamedTuple):
    cluster: Cluster
    schema: str

    def dsn(self, port: int | None = None) -> str:
        return self.cluster.dsn(self.schema, port)


def set_up(dsn: str) -> None:
    with PostgresSaver.from_conn_string(dsn) as saver, PostgresStore.from_conn_string(dsn) as store:
        saver.setup()
        store.setup()


class Work:
    """A graph of many short steps, and when each was begun."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.begun: list[float] = []

    async def astep(self, state: Any) -> Any:
        self.begun.append(time.monotonic())
        await asyncio.sleep(self.pause)
        return self.done(state)

    def step(self, state: Any) -> Any:
        self.begun.append(time.monotonic())
        time.sleep(self.pause)
        return self.done(state)

    def done(self, state: Any) -> Any:
        return {"n": state.get("n", 0) + 1, "log": [state.get("n", 0)]}

    def app(self, saver: Any, *, sync: bool = False) -> Any:
        graph = graph_of(step=self.step if sync else self.astep)
        graph.add_conditional_edges("step", lambda state: "step" if state["n"] < STEPS else "__end__")
        return graph.compile(checkpointer=saver)


def wrong(result: Any) -> bool:
    return isinstance(result, BaseException) or result != {"n": STEPS, "log": list(range(STEPS))}


def double_commits(dsn: str) -> int:
    """Checkpoints beyond the one that each step has."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM ms_checkpoints GROUP BY k, step) each"
        ).fetchall()
    return int(found[0][0])


def checkpoints(cluster: Cluster) -> dict[int, int]:
    """How many checkpoints each thread has."""
    with psycopg.connect(cluster.dsn()) as connection:
        return dict(connection.execute("SELECT k, count(*) FROM ms_checkpoints GROUP BY k").fetchall())


async def strike(cluster: Cluster, away: float, *, again: bool) -> tuple[float, dict[int, int]]:
    """Kill the server as a crash would, leave it away, start it (and kill it in its recovery); when it was back, and how far all were."""
    await asyncio.to_thread(cluster.stop, signal.SIGQUIT)
    await asyncio.sleep(away)
    if again:
        await asyncio.to_thread(cluster.start, False)
        await asyncio.sleep(random.uniform(0, 0.05))
        await asyncio.to_thread(cluster.stop, signal.SIGQUIT)
    await asyncio.to_thread(cluster.start)
    return time.monotonic(), await asyncio.to_thread(checkpoints, cluster)


async def progress_after(cluster: Cluster, back: float, stored: dict[int, int]) -> list[float]:
    """For each run that had not ended: the seconds until it stored something more."""
    waiting = {k for k, n in stored.items() if n < STEPS + 2}
    took = []
    while waiting:
        now = await asyncio.to_thread(checkpoints, cluster)
        gone_on = {k for k in waiting if now[k] > stored[k]}
        took += [time.monotonic() - back] * len(gone_on)
        waiting -= gone_on
        assert time.monotonic() - back < 30
        await asyncio.sleep(0.01)
    return took


@pytest.mark.parametrize(
    ("colour", "durability"),
    [("async", "async"), ("sync", "sync"), *([("async", "sync"), ("sync", "async")] if FULL else [])],
)
def test_p7_a_restart_is_survived(cluster: Cluster, colour: str, durability: str) -> None:
    rounds = count(5, 1)
    away = 2.0 if FULL else 0.3
    failures = doubles = attempts = 0
    took: list[float] = []

    async def one(runs: Any) -> None:
        nonlocal failures, doubles, attempts
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("TRUNCATE ms_checkpoints, ms_leases, ms_threads, ms_writes")
        running = asyncio.ensure_future(runs())
        while sum(checkpoints(cluster).values()) < RUNS * 3:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
        back, stored = await strike(cluster, away, again=False)
        took.extend(await progress_after(cluster, back, stored))
        back, stored = await strike(cluster, away / 4, again=True)
        took.extend(await progress_after(cluster, back, stored))
        async with asyncio.timeout(30):
            results = await running
        attempts += len(results)
        failures += sum(map(wrong, results))
        doubles += double_commits(cluster.dsn())
        assert not failures, [result for result in results if wrong(result)][:2]

    async def in_async() -> None:
        async with AsyncPostgresSaver.from_conn_string(cluster.dsn()) as saver:
            app = Work(0.1).app(saver)
            for _ in range(rounds):

                async def runs() -> Any:
                    work = [app.ainvoke({"log": []}, thread(str(n)), durability=durability) for n in range(RUNS)]
                    return await asyncio.gather(*work, return_exceptions=True)

                await one(runs)

    async def in_sync() -> None:
        with PostgresSaver.from_conn_string(cluster.dsn()) as saver:
            app = Work(0.1).app(saver, sync=True)
            for _ in range(rounds):

                async def runs() -> Any:
                    results: list[Any] = []

                    def talk(n: int) -> None:
                        try:
                            results.append(app.invoke({"log": []}, thread(str(n)), durability=durability))
                        except BaseException as error:
                            results.append(error)

                    workers = [threading.Thread(target=talk, args=(n,)) for n in range(RUNS)]
                    for worker in workers:
                        worker.start()
                    for worker in workers:
                        await asyncio.to_thread(worker.join)
                    return results

                await one(runs)

    asyncio.run(in_async() if colour == "async" else in_sync())
    slowest = quantile(took, 0.99)
    record(
        "P7",
        f"postgres restart/{colour}/{durability}",
        attempts,
        failures + doubles,
        round(slowest, 2),
        "s to go on, p99",
    )
    assert not doubles
    assert slowest <= (2.0 if FULL else 15.0), took  # a busy machine's own delays are in it


def test_p7_control_without_patience_runs_are_lost(cluster: Cluster) -> None:
    async def main() -> list[Any]:
        async with AsyncPostgresSaver.from_conn_string(cluster.dsn()) as saver:
            saver.links.patience = -1
            app = Work(0.05).app(saver)
            runs = asyncio.gather(
                *[app.ainvoke({"log": []}, thread(str(n))) for n in range(10)], return_exceptions=True
            )
            while sum(checkpoints(cluster).values()) < 30:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)
            await strike(cluster, 0.1, again=False)
            return list(await runs)

    assert all(isinstance(result, StorageError) for result in asyncio.run(main()))


# -- answers that are lost -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def relayed(place: Place, share: float, seed: int) -> AsyncIterator[tuple[Any, Any, Relay]]:
    """A saver and a store whose server's answers are lost now and then, once they are connected."""
    connected = threading.Event()
    chance = sometimes(share, seed)
    with Relay(place.cluster.port, lambda: connected.is_set() and chance()) as relay:
        dsn = place.dsn(relay.port)
        async with AsyncPostgresSaver.from_conn_string(dsn) as saver, AsyncPostgresStore.from_conn_string(dsn) as store:
            connected.set()
            yield saver, store, relay


def test_p7_lost_answers_are_asked_for(place: Place) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rounds = count(10, 1)

    async def main() -> tuple[int, int, int]:
        failures = doubles = cuts = 0
        async with relayed(place, 0.08, seed) as (saver, _, relay):
            app = Work(0.001).app(saver)
            for _ in range(rounds):
                with psycopg.connect(place.dsn(), autocommit=True) as connection:
                    connection.execute("TRUNCATE ms_checkpoints, ms_leases, ms_threads, ms_writes")
                results = await asyncio.gather(
                    *[app.ainvoke({"log": []}, thread(str(n))) for n in range(RUNS)], return_exceptions=True
                )
                failures += sum(map(wrong, results))
                doubles += double_commits(place.dsn())
                assert not failures, [result for result in results if wrong(result)][:2]
            cuts = relay.cuts
        return failures, doubles, cuts

    failures, doubles, cuts = asyncio.run(main())
    record("P7", "postgres answers lost", cuts, failures + doubles, RUNS * rounds, "runs finished")
    assert cuts >= 20 * rounds
    assert (failures, doubles) == (0, 0)


def put_while_another_puts(place: Place) -> Any:
    """Lose the answer to a COMMIT, let another one put after it, and see whose item is there in the end."""
    with PostgresStore.from_conn_string(place.dsn()) as other:
        lost: list[bool] = []

        def once() -> bool:
            return not lost

        def meanwhile() -> None:
            lost.append(True)
            other.put(("a",), "k", {"by": "another"})

        with (
            Relay(place.cluster.port, once, mark=b"COMMIT", lost=meanwhile) as relay,
            PostgresStore.from_conn_string(place.dsn(relay.port)) as store,
        ):
            store.put(("a",), "k", {"by": "the one who lost the answer"})
            assert relay.cuts == 1
        found = other.get(("a",), "k")
    assert found is not None
    return found.value["by"]


def test_p7_a_commit_without_an_answer_is_not_repeated(place: Place) -> None:
    attempts = count(50, 3)
    failures = sum(put_while_another_puts(place) != "another" for _ in range(attempts))
    record("P7", "postgres COMMIT without an answer", attempts, failures, failures, "repeated")
    assert failures == 0


def test_p7_control_a_blind_repetition_is_seen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is remembered of what was being committed: so it is done again.
    monkeypatch.setattr(_Attempt, "committing", property(lambda self: None, lambda self, value: None), raising=False)
    assert put_while_another_puts(place) == "the one who lost the answer"
