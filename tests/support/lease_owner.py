"""The process that tests of ownership stop: it owns a thread on Postgres and stores step after step, until it may not.

Arguments: how to connect, the thread, the seconds of its lease (0: it takes none), and the longest pause before each statement.
It says `ready` when it has begun, and in the end the name of the error that ended it.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Any

from graph_helpers import graph_of

from millstream import PostgresSaver
from millstream.graph.savers import postgres_sql


def main(dsn: str, thread: str, seconds: float, pause: float) -> None:
    ended = threading.Event()
    with PostgresSaver.from_conn_string(dsn) as saver:
        if pause:
            hesitate(saver, pause)
        config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 1_000_000}
        if seconds:
            lease = config["configurable"]["lease"] = saver.acquire_lease(thread, seconds=seconds)

            def renew() -> None:
                while not ended.wait(seconds / 4):
                    try:
                        lease.renew()
                    except Exception:  # the run will notice
                        return

            threading.Thread(target=renew, daemon=True).start()

        def step(state: Any) -> Any:
            if state["n"] == 3:
                print("ready", flush=True)
            time.sleep(0.002)
            return {"n": state["n"] + 1}

        app = graph_of(("step", "step"), step=step).compile(checkpointer=saver)
        try:
            app.invoke({"n": 0}, config, durability="sync")
        except Exception as error:
            print(type(error).__name__, flush=True)
        ended.set()


def hesitate(saver: Any, pause: float) -> None:
    """Pause before each statement, and go the long way, on which a lease is looked at long before the commit."""
    send = saver.links.source.send

    async def late(raw: Any, statements: Any) -> Any:
        time.sleep(random.uniform(0, pause))  # noqa: ASYNC251 - sync all the same
        return await send(raw, statements)

    def no_short_way(*args: Any) -> Any:
        yield from ()

    saver.links.source.send = late
    postgres_sql.commit = no_short_way


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
