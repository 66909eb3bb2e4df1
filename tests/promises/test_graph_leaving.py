"""P19 on graphs with a SQLite file: after a run that was left in any way, tasks, threads and memory are as before."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from graph_helpers import graph_of
from promising import FULL, count, record

from millstream import AsyncSqliteSaver, get_stream_writer
from millstream.flow.workers import THREAD_NAME

__all__: list[str] = []

pytestmark = pytest.mark.timeout(1_200 if FULL else 60)


def graph() -> Any:
    async def talk(state: Any) -> Any:
        write = get_stream_writer()
        for word in range(4):
            write(word)
            await asyncio.sleep(0)
        return {"n": state["n"] + 1}

    def threaded(state: Any) -> Any:
        return {"n": state["n"] + 1}

    return graph_of(("a", "b"), ("a", "c"), a=talk, b=lambda s: {"n": s["n"]}, c=lambda s: {}).add_node("d", threaded)


async def read_all(stream: Any) -> None:
    async for _ in stream:
        pass


async def closed(stream: Any) -> None:
    async for _ in stream:
        break
    await stream.aclose()


async def left(stream: Any) -> None:
    async with stream:
        async for _ in stream:
            break


async def dropped(stream: Any) -> None:
    async for _ in stream:
        break
    del stream
    gc.collect()
    await asyncio.sleep(0)  # closed by the loop in its next turns, as fast as the file lets it
    if ending := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(ending, timeout=5)


async def reader_raises(stream: Any) -> None:
    with pytest.raises(KeyError):
        async with stream:
            async for _ in stream:
                raise KeyError


async def cancelled(stream: Any) -> None:
    task = asyncio.create_task(read_all(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


WAYS = [read_all, closed, left, dropped, reader_raises, cancelled]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_p19_a_graph_on_sqlite(way: Any, tmp_path: Path) -> None:
    cycles = count(1_000, 600 if way is cancelled else 120)  # what is just being read when it ends counts once
    before = {t for t in threading.enumerate() if not t.name.startswith(THREAD_NAME)}
    slope = 0.0
    tasks_left = 0

    async def main() -> None:
        nonlocal slope, tasks_left
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
            app = graph().compile(checkpointer=saver)

            async def cycle(number: int) -> None:
                config: Any = {"configurable": {"thread_id": str(number % 3)}}
                await way(app.astream({"n": number}, config, stream_mode=["custom", "values"]))

            for number in range(60):
                await cycle(number)
            gc.collect()
            gc.freeze()  # what the suite has loaded need not be searched in each cycle
            tracemalloc.start()
            first = tracemalloc.get_traced_memory()[0]
            for number in range(cycles):
                await cycle(number)
            await asyncio.sleep(0.05)  # worker threads that were reading for a cancelled run
            gc.collect()
            slope = (tracemalloc.get_traced_memory()[0] - first) / cycles
            tracemalloc.stop()
            gc.unfreeze()
            for _ in range(20):
                await asyncio.sleep(0)
            tasks_left = len(asyncio.all_tasks()) - 1

    asyncio.run(main())
    threads = {t for t in threading.enumerate() if not t.name.startswith(THREAD_NAME)} - before
    record("P19", f"graph on sqlite, {way.__name__}", cycles, tasks_left + len(threads), slope, "bytes a cycle")
    assert tasks_left == 0
    assert threads == set()
    assert slope <= 1_024
