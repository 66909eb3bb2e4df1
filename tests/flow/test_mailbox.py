"""The mailbox under many threads: nothing lost, nothing doubled, nobody left asleep."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.flow.mailbox import Abandoned, Mailbox
from millstream.flow.step import step_iter

WRITERS, ITEMS = 6, 500


@pytest.fixture
def jumpy() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def writing(mailbox: Mailbox[Any]) -> list[threading.Thread]:
    """Writers in threads; the last to end closes the mailbox."""
    left = threading.Semaphore(WRITERS - 1)

    def write(writer: int) -> None:
        for number in range(ITEMS):
            mailbox.put((writer, number))
            mailbox.drain_blocking()
        if not left.acquire(blocking=False):
            mailbox.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    return threads


def check(read: list[tuple[int, int]], threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    for writer in range(WRITERS):
        assert [number for who, number in read if who == writer] == list(range(ITEMS))


@pytest.mark.parametrize("mark", [2, 16, 256])
@pytest.mark.usefixtures("jumpy")
def test_threads_to_an_event_loop(mark: int, run_async: Any) -> None:
    async def body() -> None:
        mailbox: Mailbox[Any] = Mailbox(mark)
        threads = writing(mailbox)
        read = [item async for item in mailbox.read()]
        await asyncio.to_thread(check, read, threads)

    run_async(body())


@pytest.mark.parametrize("mark", [2, 16, 256])
@pytest.mark.usefixtures("jumpy")
def test_threads_to_a_thread(mark: int) -> None:
    mailbox: Mailbox[Any] = Mailbox(mark)
    threads = writing(mailbox)
    check(list(step_iter(mailbox.read(sync=True))), threads)


@pytest.mark.usefixtures("jumpy")
def test_tasks_of_other_loops(run_async: Any) -> None:
    """Writers on event loops in other threads wait there, and are woken from here."""
    mailbox: Mailbox[Any] = Mailbox(8)
    left = threading.Semaphore(WRITERS - 1)

    async def write(writer: int) -> None:
        for number in range(ITEMS):
            mailbox.put((writer, number))
            await mailbox.drain()
        if not left.acquire(blocking=False):
            mailbox.close()

    async def body() -> None:
        threads = [threading.Thread(target=asyncio.run, args=(write(writer),)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        read = [item async for item in mailbox.read()]
        await asyncio.to_thread(check, read, threads)

    run_async(body())


def test_a_reader_that_was_cancelled_may_read_again(run_async: Any) -> None:
    async def body() -> None:
        mailbox: Mailbox[int] = Mailbox()
        waiting = mailbox.expect()
        assert waiting is not None
        waiting.cancel()
        again = mailbox.expect()
        assert again is not None
        mailbox.put(1)
        await asyncio.wait_for(again, 10)
        assert mailbox.take() == 1

    run_async(body())


@pytest.mark.parametrize("closed", [False, True])
def test_a_reader_that_goes_frees_its_writers(closed: bool) -> None:
    """It unwinds what was written for it; what outlives the producer goes on, and is not heard."""
    mailbox: Mailbox[int] = Mailbox(mark=2)
    ended: list[str] = []

    def write() -> None:
        try:
            for number in range(5):
                mailbox.put(number)
                mailbox.drain_blocking()
            ended.append("wrote all")
        except Abandoned:
            ended.append("unwound")

    thread = threading.Thread(target=write)
    thread.start()
    while not mailbox.room:
        pass  # it is about to wait
    if closed:
        mailbox.close()
    mailbox.abandon()
    thread.join(10)
    assert ended == ["wrote all" if closed else "unwound"]
    assert not mailbox.items


def test_an_error_that_comes_too_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.abandon()
    mailbox.close(OSError("while closing the file"))
    assert "while closing the file" in caplog.text


def test_an_error_is_raised_once_after_the_items() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.close(OSError("cut"))
    assert not mailbox.ended
    mailbox.take()
    with pytest.raises(OSError, match="cut"):
        assert mailbox.ended
    assert mailbox.ended
