"""Processes for tests of storage: `python storage_children.py` forks one for each job that it reads, and answers with a line each."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from millstream import SqliteSaver, StateGraph, StorageError
from millstream.graph.savers.ids import checkpoint_id


def steps(path: str, log: str, durability: Any) -> None:
    """Take one step after the other. At its start each writes its number down, so all before that one have been completed."""
    out = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def node(state: Any) -> Any:
        os.write(out, f"{state['n'] + 1}\n".encode())
        return {"n": state["n"] + 1, "text": [f"{state['n']} " + "long " * 50]}

    graph = StateGraph(Steps)
    graph.add_node("node", node)
    graph.add_edge("__start__", "node")
    graph.add_conditional_edges("node", lambda state: "node", ["node"])
    with SqliteSaver.from_conn_string(path) as saver:
        app = graph.compile(checkpointer=saver)
        app.invoke({"n": 0}, {"configurable": {"thread_id": "1"}, "recursion_limit": 100_000}, durability=durability)


def commits(path: str, name: str, threads: int, each: int) -> None:
    """Many threads that commit on one file; prints how long each commit waited, in milliseconds, and the errors."""
    waits: list[float] = []
    errors: list[str] = []

    def work(number: int) -> None:
        for turn in range(each):
            begun = time.perf_counter()
            try:
                saver.put(
                    {"configurable": {"thread_id": f"{name}-{number}", "checkpoint_ns": ""}},
                    {"id": f"{turn:08d}", "channel_values": {"turn": turn, "text": "x" * 300}},
                    {"source": "loop", "step": turn},
                    {},
                )
            except StorageError as error:
                errors.append(repr(error))
            waits.append((time.perf_counter() - begun) * 1e3)

    with SqliteSaver.from_conn_string(path) as saver:
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    print(json.dumps({"waits": waits, "errors": errors}), flush=True)


def hold(path: str, seconds: float) -> None:
    """Keep the file locked for writing."""
    import apsw

    connection = apsw.Connection(path)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    time.sleep(seconds)
    connection.execute("COMMIT")
    connection.close()


def read_slowly(path: str, seconds: float) -> None:
    """Hold an iterator over the history open."""
    with SqliteSaver.from_conn_string(path) as saver:
        history = saver.list(None)
        next(history)
        print("open", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(seconds / 20)
            next(history, None)


def own(path: str, seconds: float, guarded: bool) -> None:
    """Own a thread (or only believe so) and commit to it without end; says who it is, and when it has lost it."""
    with SqliteSaver.from_conn_string(path) as saver:
        lease = saver.acquire_lease("1", seconds=seconds)
        if not guarded:
            lease.release()
        print(f"{os.getpid()}", flush=True)
        turn = 0
        while True:
            turn += 1
            configurable = {"thread_id": "1", "checkpoint_ns": "", **({"lease": lease} if guarded else {})}
            try:
                saver.put(
                    {"configurable": configurable},
                    {"id": checkpoint_id(), "channel_values": {"owner": lease.epoch}},
                    {"source": "loop", "step": turn},
                    {},
                )
                if guarded:
                    lease.renew()
            except StorageError as error:
                print(type(error).__name__, flush=True)
                return
            time.sleep(0.003)


JOBS = {"own": own, "steps": steps, "commits": commits, "hold": hold, "read": read_slowly}


def main() -> None:
    """A job is a line of JSON: its name, its arguments, and after how many seconds it is to be killed (null: never)."""
    for line in sys.stdin:
        name, arguments, limit = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                JOBS[name](*arguments)
            finally:
                os._exit(0)
        if limit is not None:
            time.sleep(limit)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("done", flush=True)


if __name__ == "__main__":
    import operator
    from typing import Annotated, TypedDict

    class Steps(TypedDict):
        n: int
        text: Annotated[list[str], operator.add]

    main()
