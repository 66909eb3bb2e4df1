"""The run log: numbers without gaps, readers from a cursor, slow readers dropped, nobody waited for."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from millstream.serve.log import Behind, RunLog, Viewer


def token(text: str) -> tuple[str, dict[str, str]]:
    return "token", {"content": text}


async def read_all(viewer: Viewer, pause: float = 0) -> list[int]:
    seqs: list[int] = []
    while not viewer.ended:
        seqs += [entry.seq for entry in await viewer.read(5)]
        await asyncio.sleep(pause)
    return seqs


def test_records_are_numbered_and_timed() -> None:
    now = [100.0]
    log = RunLog(clock=lambda: now[0])
    viewer = log.viewer()
    log.append([("start", {"run_id": "r"})])
    now[0] += 0.0259
    assert log.append([token("a"), ("done", {})]) == 3
    entries = asyncio.run(viewer.read(1))
    assert [json.loads(entry.body) for entry in entries] == [
        {"type": "start", "seq": 1, "ts": 0, "run_id": "r"},
        {"type": "token", "seq": 2, "ts": 25, "content": "a"},
        {"type": "done", "seq": 3, "ts": 25},
    ]


def test_nothing_follows_the_terminal_record() -> None:
    log = RunLog()
    assert log.append([token("a"), ("done", {}), token("late")]) == 2
    assert log.append([("error", {})]) == 2
    assert log.closed


def test_a_late_viewer_reads_what_a_live_one_reads(run_async: Any) -> None:
    async def main() -> None:
        log = RunLog()
        live = log.viewer()
        log.append([token(str(index)) for index in range(30)])
        late = log.viewer(after=10)
        reading = asyncio.gather(read_all(live), read_all(late))
        for index in range(30):
            log.append([token(str(index))])
            await asyncio.sleep(0)
        log.append([("done", {})])
        assert await reading == [list(range(1, 62)), list(range(11, 62))]
        live.close()
        late.close()

    run_async(main())


def test_what_is_ready_is_read_at_once() -> None:
    async def main() -> None:
        log = RunLog()
        viewer = log.viewer()
        reading = asyncio.create_task(viewer.read(5))
        await asyncio.sleep(0)
        log.append([token("a")])
        log.append([token("b"), token("c")])
        assert [entry.seq for entry in await reading] == [1, 2, 3]

    asyncio.run(main())


def test_silence_ends_a_read_without_records() -> None:
    async def main() -> None:
        log = RunLog()
        viewer = log.viewer()
        assert await viewer.read(0.01) == []
        assert await viewer.read(0.01) == []
        asyncio.get_running_loop().call_later(0.005, log.append, [token("a")])
        assert len(await viewer.read(5)) == 1
        viewer.close()
        assert await viewer.read(5) == []

    asyncio.run(main())


def test_one_timer_serves_many_waits() -> None:
    """A record every 10 ms for longer than the silence: none of the reads comes back empty."""

    async def main() -> None:
        log = RunLog()
        viewer = log.viewer()

        async def write() -> None:
            for _ in range(10):
                await asyncio.sleep(0.01)
                log.append([token("a")])
            log.append([("done", {})])

        writing = asyncio.create_task(write())
        while not viewer.ended:
            assert await viewer.read(0.05)
        await writing
        viewer.close()

    asyncio.run(main())


def test_a_viewer_that_does_not_read_is_dropped_and_the_others_get_everything() -> None:
    async def main() -> None:
        log = RunLog()
        fast = log.viewer()
        slow = [log.viewer(budget=10_000) for _ in range(100)]
        dropped: list[Viewer] = []
        for viewer in slow:
            viewer.on_drop = lambda viewer=viewer: dropped.append(viewer)
        reading = asyncio.create_task(read_all(fast))
        for _ in range(1_000):
            log.append([token("x" * 100)])
            await asyncio.sleep(0)
        log.append([("done", {})])
        assert await reading == list(range(1, 1_002))
        assert set(dropped) == set(slow) and log.viewers == 1
        with pytest.raises(Behind):
            await slow[0].read(1)
        fast.close()

    asyncio.run(main())


def test_what_all_have_read_is_let_go() -> None:
    async def main() -> None:
        log = RunLog()
        viewer = log.viewer()
        for _ in range(10_000):
            log.append([token("x" * 100)])
            await viewer.read(1)
        first, last = log.bounds()
        assert last - first < 200
        with pytest.raises(Behind):
            log.viewer(after=0)
        viewer.close()
        log.append([token("y")])
        assert log.bounds() == (10_002, 10_001)

    asyncio.run(main())


def test_one_record_larger_than_the_budget_drops_nobody_who_reads() -> None:
    async def main() -> None:
        log = RunLog()
        viewer = log.viewer(budget=1_000)
        reading = asyncio.create_task(read_all(viewer))
        await asyncio.sleep(0)
        log.append([token("x" * 50_000)])
        log.append([token("x" * 50_000)])
        log.append([("done", {})])
        assert await reading == [1, 2, 3]

    asyncio.run(main())


def test_a_read_is_bounded() -> None:
    async def main() -> None:
        log = RunLog()
        viewer = log.viewer(budget=10**9)
        for _ in range(1_000):
            log.append([token("x" * 1_000)])
        assert sum(len(entry.body) for entry in await viewer.read(1)) < 70_000

    asyncio.run(main())


@pytest.mark.parametrize("cursor", [-1, 3, 10**30])
def test_a_cursor_that_was_never_given_is_refused(cursor: int) -> None:
    log = RunLog()
    log.viewer()
    log.append([token("a"), token("b")])
    with pytest.raises(Behind):
        log.viewer(after=cursor)


def test_a_log_is_garbage_when_its_run_is_over() -> None:
    async def main() -> int:
        log = RunLog()
        viewer = log.viewer()
        waiting = asyncio.create_task(viewer.read(1))
        await asyncio.sleep(0)
        log.append([("done", {})])
        await waiting
        viewer.close()
        return id(log)

    gone = asyncio.run(main())
    gc.collect()
    assert gone not in {id(each) for each in gc.get_objects() if type(each) is RunLog}
