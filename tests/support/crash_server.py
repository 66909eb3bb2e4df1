"""The process that crash tests end: it builds a graph with a saver and drives a thread of it to the end.

A server, because starting Python takes far longer than a run: it reads jobs, one JSON object a line, and forks for each. It
makes no thread and opens no file itself, so that a fork of it is like a new process.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import operator
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

import apsw  # noqa: F401 - loaded before the first fork, not after each
import psycopg  # noqa: F401

import millstream.flow
import millstream.graph.savers
from millstream import (
    START,
    AsyncPostgresSaver,
    AsyncSqliteSaver,
    Command,
    PostgresSaver,
    Runtime,
    SqliteSaver,
    StateGraph,
    interrupt,
)
from millstream.testing import Fault, armed, watched_places

ROUNDS = 3


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    rounds: int
    answer: str


class Notes:
    """Files that outlive the process: what nodes did outside, and what the saver said was stored."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.done, self.stored = job["done"], job["stored"]

    def did(self, what: str, runtime: Runtime[Any]) -> None:
        _append(self.done, f"{what} {runtime.execution_info.task_id}\n")

    def saved(self, records: Sequence[Any]) -> None:
        finished = [r.task_id for r in records if not any(c in UNFINISHED for c, _ in r.writes)]
        _append(self.stored, "".join(f"{task}\n" for task in finished))


UNFINISHED = ("__resume__", "__interrupt__", "__error__")


def _append(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, text.encode())
    os.close(file)


def build(notes: Notes, saver: Any, is_async: bool) -> Any:
    """Six nodes: two parallel branches, a loop, a subgraph and a question."""

    def node(name: str, pause: float = 0.0) -> Any:
        def work(state: Any, runtime: Runtime[Any]) -> Any:
            time.sleep(pause)
            notes.did(name, runtime)
            return {"log": [name]}

        async def awork(state: Any, runtime: Runtime[Any]) -> Any:
            await asyncio.sleep(pause)
            notes.did(name, runtime)
            return {"log": [name]}

        return awork if is_async else work

    def turn(state: Any, runtime: Runtime[Any]) -> Any:
        rounds = state.get("rounds", 0) + 1
        notes.did(f"turn{rounds}", runtime)
        return {"log": [f"turn{rounds}"], "rounds": rounds}

    def ask(state: Any, runtime: Runtime[Any]) -> Any:
        answer = interrupt("go on?")
        notes.did("ask", runtime)
        return {"log": ["ask"], "answer": answer}

    inner: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    for name in ("first", "second"):
        inner.add_node(name, node(name))
    inner.add_edge(START, "first").add_edge("first", "second")
    # The outer state has the log already; the subgraph hands back only what it adds.
    small = inner.compile()

    def call(state: Any, runtime: Runtime[Any]) -> Any:
        result = small.invoke({"log": []})
        notes.did("inner", runtime)
        return {"log": result["log"]}

    async def acall(state: Any, runtime: Runtime[Any]) -> Any:
        result = await small.ainvoke({"log": []})
        notes.did("inner", runtime)
        return {"log": result["log"]}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    graph.add_node("begin", node("begin"))
    graph.add_node("left", node("left"))
    graph.add_node("right", node("right", 0.003))
    graph.add_node("turn", turn)
    graph.add_node("inner", acall if is_async else call)
    graph.add_node("ask", ask)
    graph.add_edge(START, "begin").add_edge("begin", "left").add_edge("begin", "right")
    graph.add_edge(["left", "right"], "turn").add_edge("inner", "ask")
    graph.add_conditional_edges("turn", lambda s: "turn" if s["rounds"] < ROUNDS else "inner", ["turn", "inner"])
    return graph.compile(checkpointer=saver)


def thread_of(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def drive(job: dict[str, Any]) -> None:
    """Take the thread from wherever it is to its end, as a worker does that finds it."""
    kind = PostgresSaver if job["db"].startswith("host=") else SqliteSaver
    with kind.from_conn_string(job["db"]) as saver:
        notes = Notes(job)
        app = build(notes, watched(saver, notes, job["forgets"]), False)
        config = thread_of(job["thread"])
        options: Any = {"config": config, "durability": job["durability"]}
        if app.get_state(config).created_at is None:
            app.invoke({"log": []}, **options)
        # Not `next`: a step whose tasks have all ended has none left to run, and is not stored yet.
        while (state := app.get_state(config)).tasks:
            app.invoke(Command(resume="yes") if state.interrupts else None, **options)


async def adrive(job: dict[str, Any]) -> None:
    """`drive` in async form."""
    kind = AsyncPostgresSaver if job["db"].startswith("host=") else AsyncSqliteSaver
    async with kind.from_conn_string(job["db"]) as saver:
        notes = Notes(job)
        app = build(notes, watched(saver, notes, job["forgets"]), True)
        config = thread_of(job["thread"])
        options: Any = {"config": config, "durability": job["durability"]}
        if (await app.aget_state(config)).created_at is None:
            await app.ainvoke({"log": []}, **options)
        while (state := await app.aget_state(config)).tasks:
            await app.ainvoke(Command(resume="yes") if state.interrupts else None, **options)


def watched(saver: Any, notes: Notes, forgets: bool) -> Any:
    """The saver, which notes what it has stored once that is so. `forgets`: it says so of tasks' writes, and stores none."""
    commit, record, acommit, arecord = saver.commit, saver.record, saver.acommit, saver.arecord

    def written(entries: Any) -> list[Any]:
        return [each for entry in entries for each in entry.writes]

    def committed(thread: str, ns: str, entries: Any, *rest: Any) -> Any:
        chain = commit(thread, ns, entries, *rest)
        notes.saved(written(entries))
        return chain

    async def acommitted(thread: str, ns: str, entries: Any, *rest: Any) -> Any:
        chain = await acommit(thread, ns, entries, *rest)
        notes.saved(written(entries))
        return chain

    def recorded(thread: str, ns: str, id: str, records: Any, *rest: Any) -> None:
        if not forgets:
            record(thread, ns, id, records, *rest)
        notes.saved(records)

    async def arecorded(thread: str, ns: str, id: str, records: Any, *rest: Any) -> None:
        if not forgets:
            await arecord(thread, ns, id, records, *rest)
        notes.saved(records)

    saver.commit, saver.acommit, saver.record, saver.arecord = committed, acommitted, recorded, arecorded
    return saver


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in a fork, and end it after `kill_after` seconds if it is given."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faults = [Fault(*fault) for fault in job["faults"]]
            with armed(*faults) if faults else watched_places() as counts:
                asyncio.run(adrive(job)) if job["colour"] == "async" else drive(job)
            if counts is not None:
                _append(job["places"], json.dumps(counts))
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    if job["kill_after"] is not None:
        time.sleep(job["kill_after"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - begin}


def load() -> None:
    """Load what a run loads, so that forks have it."""
    for package in (millstream.graph, millstream.graph.savers, millstream.flow):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)


if __name__ == "__main__":
    load()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
