"""Sync leaves under an event loop never wait for each other, and never begin for somebody who has left."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from millstream import AIMessageChunk, ChatGenerationChunk, RunnableLambda, SimpleChatModel, run_in_executor
from millstream.flow.mailbox import HIGH_WATER
from millstream.flow.workers import workers


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "limit", 3)


def counting() -> Generator[int]:
    yield from range(3 * HIGH_WATER)


class Streaming(SimpleChatModel):
    """A model that streams what an iterator gives, and has no async form of that."""

    source: Callable[[], Generator[int]]

    def _call(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        raise AssertionError("it is streamed")

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        with contextlib.closing(self.source()) as numbers:
            for n in numbers:
                yield ChatGenerationChunk(message=AIMessageChunk(str(n)))


def test_streams_of_sync_iterators_leave_threads_for_what_their_readers_call(run_async: Any) -> None:
    source, step = Streaming(source=counting), RunnableLambda(lambda n: n)

    async def read() -> int:
        seen = 0
        async for chunk in source.astream("go"):
            if chunk.chunk_position == "last":
                continue
            if seen % HIGH_WATER == 0:
                await step.ainvoke(seen)  # meanwhile the source runs into its mark
            seen += 1
        return seen

    async def body() -> None:
        async with asyncio.timeout(20):
            assert await asyncio.gather(*[read() for _ in range(8)]) == [3 * HIGH_WATER] * 8

    run_async(body())


def test_readers_that_never_read_on_do_not_hold_up_others(run_async: Any) -> None:
    source, step = Streaming(source=counting), RunnableLambda(lambda n: n)

    async def body() -> None:
        streams = [source.astream("go") for _ in range(6)]
        for stream in streams:
            assert (await anext(stream)).content == "0"
        async with asyncio.timeout(20):
            assert await step.ainvoke(7) == 7
        for stream in streams:
            await stream.aclose()

    run_async(body())


def test_event_loops_inside_sync_leaves(run_async: Any) -> None:
    inner = RunnableLambda(lambda n: n * 10)
    together = threading.Barrier(3)

    def outer(n: int) -> Any:
        together.wait(10)
        return asyncio.run(inner.ainvoke(n))

    async def body() -> None:
        async with asyncio.timeout(20):
            assert await RunnableLambda(outer).abatch(range(9)) == [n * 10 for n in range(9)]

    run_async(body())


def test_what_was_cancelled_before_it_began_never_begins(run_async: Any) -> None:
    begun: list[int] = []
    full, release = threading.Barrier(4), threading.Event()

    def slow(n: int) -> None:
        begun.append(n)
        full.wait(10)
        assert release.wait(10)

    def slow_stream(n: int) -> Generator[int]:
        slow(n)
        yield n

    async def drained(n: int) -> None:
        async for _ in Streaming(source=lambda: slow_stream(n)).astream("go"):
            pass

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(RunnableLambda(slow).ainvoke(n)) for n in range(6)]
            tasks += [group.create_task(drained(n)) for n in range(6)]
            await asyncio.to_thread(full.wait, 10)
            for task in tasks:
                task.cancel()
        release.set()
        assert await RunnableLambda(lambda n: n).ainvoke(1) == 1  # behind all of them in the queue
        assert len(begun) == 3

    run_async(body())


def test_an_error_in_the_clean_up_of_a_source_that_was_left_is_logged(
    run_async: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def source() -> Generator[int]:
        try:
            yield from counting()
        finally:
            raise OSError("while closing the file")

    async def body() -> None:
        stream = Streaming(source=source).astream("go")
        await anext(stream)
        await stream.aclose()

    run_async(body())
    assert "while closing the file" in caplog.text


def test_a_blocking_function_is_called_beside_the_loop() -> None:
    mark: ContextVar[str] = ContextVar("mark", default="")

    def blocking(a: int, *, b: int) -> tuple[bool, int, str]:
        return threading.get_ident() == here, a + b, mark.get()

    async def body() -> None:
        mark.set("seen")
        assert await run_in_executor(None, blocking, 1, b=2) == (False, 3, "seen")
        with ThreadPoolExecutor(1) as pool:
            assert await run_in_executor(pool, blocking, 1, b=2) == (False, 3, "seen")

    here = threading.get_ident()
    asyncio.run(body())
