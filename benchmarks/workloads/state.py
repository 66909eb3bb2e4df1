"""A conversation that grows: what a turn costs when the thread is long already, and what it leaves on disk.

A turn is a question and the answer of the one node: 20 times "question ", 50 times "answer ". What the node and the reducer take themselves is subtracted
where the case says "engine and saver".
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from cases import Budget, case, size

TURNS = size(400, 60)
LONG = size(4_000, 120)
WINDOW = size(20, 5)
"""How many turns around the one that is named are measured; the figure is their median."""

Turn = Callable[[], None]


class Clocked:
    """Time spent inside what is called through it."""

    def __init__(self) -> None:
        self.spent = 0.0

    def around(self, function: Any) -> Any:
        def clocked(*args: Any) -> Any:
            start = perf_counter()
            try:
                return function(*args)
            finally:
                self.spent += perf_counter() - start

        return clocked


@contextmanager
def saver_of(kind: str, folder: str) -> Iterator[Any]:
    from names import InMemorySaver, SqliteSaver

    if kind == "memory":
        yield InMemorySaver()
    elif kind == "sqlite":
        with SqliteSaver.from_conn_string(f"{folder}/t.sqlite") as saver:
            yield saver
    else:
        with postgres() as saver:
            yield saver


@contextmanager
def postgres() -> Iterator[Any]:
    """A server of its own, with what it promises of durability switched on."""
    import sys

    sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))
    from cluster import Cluster
    from names import PostgresSaver

    with Cluster() as cluster, PostgresSaver.from_conn_string(cluster.dsn()) as saver:
        saver.setup()
        yield saver


def bytes_in_postgres(saver: Any) -> float:
    """The tables with their indexes and what is stored beside them."""
    import psycopg

    with psycopg.connect(saver.links.source.conninfo) as connection:
        names = ("ms_checkpoints", "ms_threads", "ms_writes", "ms_leases")
        sizes = [connection.execute("SELECT pg_total_relation_size(%s)", (name,)).fetchall()[0][0] for name in names]
    return float(sum(sizes))


def chat(saver: Any, clocked: Clocked | None = None) -> Any:
    from names import START, AIMessage, MessagesState, StateGraph

    def reply(state: Any) -> Any:
        return {"messages": [AIMessage("answer " * 50)]}

    builder = StateGraph(MessagesState)
    builder.add_node("reply", reply if clocked is None else clocked.around(reply))
    builder.add_edge(START, "reply")
    return builder.compile(checkpointer=saver)


def turns_of(app: Any, thread: str = "1") -> Turn:
    from names import HumanMessage

    config = {"configurable": {"thread_id": thread}}

    def turn() -> None:
        app.invoke({"messages": [HumanMessage("question " * 20)]}, config, durability="async")

    return turn


def times(turn: Turn, turns: int, clocked: Clocked | None = None) -> list[float]:
    """Milliseconds of each turn; what was clocked is not counted."""
    found = []
    for _ in range(turns):
        before = clocked.spent if clocked else 0.0
        start = perf_counter()
        turn()
        took = perf_counter() - start
        found.append((took - ((clocked.spent - before) if clocked else 0.0)) * 1e3)
    return found


def around(found: list[float], turn: int) -> float:
    return statistics.median(found[turn - WINDOW : turn + WINDOW])


def exponent(found: list[float]) -> float:
    """The b of turn**b that fits the times best, from turn 20 on."""
    points = [(math.log(n), math.log(t)) for n, t in enumerate(found, 1) if n >= 20]
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


@contextmanager
def own_part() -> Iterator[Clocked]:
    """Clock the reducer as the engine calls it."""
    from millstream.graph import channels, messages

    clocked = Clocked()
    plain = channels.LOGGED_REDUCERS[messages.add_messages]
    channels.LOGGED_REDUCERS[messages.add_messages] = clocked.around(plain)
    try:
        yield clocked
    finally:
        channels.LOGGED_REDUCERS[messages.add_messages] = plain


def late_over_early(kind: str, *, whole: bool) -> float:
    with tempfile.TemporaryDirectory() as folder, saver_of(kind, folder) as saver, own_part() as clocked:
        app = chat(saver, clocked)
        times(turns_of(app, "warm"), 30)
        found = times(turns_of(app), TURNS + WINDOW, None if whole else clocked)
        return around(found, TURNS) / around(found, TURNS // 8)


def fitted(kind: str) -> float:
    with tempfile.TemporaryDirectory() as folder, saver_of(kind, folder) as saver, own_part() as clocked:
        app = chat(saver, clocked)
        times(turns_of(app, "warm"), 30)
        return exponent(times(turns_of(app), TURNS, clocked))


def stored(kind: str, turns: int) -> float:
    """Bytes of a thread: of the files, with the saver closed, or of what is kept in memory or in the server's tables."""
    with tempfile.TemporaryDirectory() as folder:
        with saver_of(kind, folder) as saver:
            times(turns_of(chat(saver)), turns)
            if kind == "memory":
                logs = [log for each in saver.storage.values() for log in each.values()]
                rows = [row for log in logs for row in log.rows.values()]
                return float(sum(len(row.delta) + len(row.snapshot or b"") + 150 for row in rows))
            if kind == "postgres":
                return bytes_in_postgres(saver)
        return float(sum(os.path.getsize(Path(folder) / name) for name in os.listdir(folder)))


def loading(kind: str, turns: int) -> tuple[float, float]:
    """Seconds that reading the latest state of a thread takes, and those of decoding its messages wherever they come from.

    The least of several, by turns: what one of them leaves to the garbage collector would count for the other.
    """
    from millstream.graph.savers.codec import decode, encode

    config: Any = {"configurable": {"thread_id": "1"}}
    with tempfile.TemporaryDirectory() as folder, saver_of(kind, folder) as saver:
        times(turns_of(chat(saver)), turns)
        messages = saver.get_tuple(config).checkpoint["channel_values"]["messages"]
        assert len(messages) == 2 * turns
        data = encode({"messages": messages})
        del messages
        load, bare = [], []
        for _ in range(15):
            for found, read in (load, partial(saver.get_tuple, config)), (bare, partial(decode, data)):
                start = perf_counter()
                result = read()
                found.append(perf_counter() - start)
                del result
        return min(load), min(bare)


def load_over_decoding(kind: str, turns: int) -> float:
    """Reading the latest state of a thread, over decoding its messages."""
    load, decode = loading(kind, turns)
    return load / decode


def rest_of_loading(kind: str) -> float:
    """What reading a long thread takes apart from decoding its messages, over the same of one a hundredth as long."""
    (long, its_messages), (short, few_messages) = loading(kind, LONG), loading(kind, LONG // 100)
    return max(0.0, long - its_messages) / (short - few_messages)


KINDS = {"memory": "in memory", "sqlite": "on SQLite", "postgres": "on Postgres"}


def cases_of(kind: str, where: str) -> None:
    def add(name: str, unit: str, measure: Callable[[], float], budget: float, key: str) -> None:
        measure.__name__ = f"{kind}_{key}"
        case(f"conversation {where}: {name}", unit, Budget(budget, of=None), repeat=1, alone=True)(measure)

    add(
        "engine and saver, turn 400 over turn 50",
        "×",
        lambda: late_over_early(kind, whole=False),
        1.1,
        "late_over_early",
    )
    add("the same with the reducer", "×", lambda: late_over_early(kind, whole=True), 1.25, "whole_late_over_early")
    add("bytes after 400 turns", "MB", lambda: stored(kind, TURNS) / 2**20, 3, "bytes")
    if kind == "postgres":  # starting a server takes longer than all that is measured
        return
    add("bytes of 4,000 turns over 400", "×", lambda: stored(kind, LONG) / stored(kind, TURNS), 11, "bytes_growth")
    add("time of a turn ~ turns**b, b", "", lambda: max(0.0, fitted(kind)), 0.1, "exponent")
    add("loading 4,000 turns, over decoding them", "×", lambda: load_over_decoding(kind, LONG), 3, "load")
    add("loading 4,000 turns over 40, apart from decoding them", "×", lambda: rest_of_loading(kind), 3, "load_rest")


for _kind, _where in KINDS.items():
    cases_of(_kind, _where)
