"""Ctrl-C may strike between any two steps of the thread that waits for its parts: it never waits for ever."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from millstream import RunnableGenerator, RunnableLambda, RunnableParallel
from millstream.flow import mailbox as mailbox_module
from millstream.flow.driver import SYNC
from millstream.flow.mailbox import HIGH_WATER, Mailbox
from millstream.flow.parts import Parts
from millstream.flow.step import step
from millstream.flow.workers import workers


def three(log: list[str]) -> RunnableParallel[Any]:
    def branch(value: Any) -> Any:
        log.append("begun")
        return value

    return RunnableParallel(a=branch, b=branch, c=branch)


def test_an_interrupt_while_a_part_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Any] = []

    def interrupted(job: Any) -> bool:
        submitted.append(job)
        if len(submitted) == 2:
            raise KeyboardInterrupt
        return original(job)

    original = workers.try_submit
    monkeypatch.setattr(workers, "try_submit", interrupted)
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        three(log).invoke(1)
    began = len(log)
    submitted[1]()  # it had been taken by a worker after all, which was slow: too late
    assert len(log) == began


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_interrupt_when_a_part_has_been_received(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    received: list[Any] = []

    def interrupted(self: Parts) -> Any:
        received.append(original(self))
        if len(received) == nth:
            raise KeyboardInterrupt
        return received[-1]

    original = Parts.wait
    monkeypatch.setattr(Parts, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        three([]).invoke(1)


def test_an_interrupt_while_the_producer_of_a_stream_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows of the producer that was started: it finds out itself that it has no reader."""
    ended = threading.Event()

    def started_and_interrupted(job: Any) -> None:
        original(lambda: (job(), ended.set()))  # type: ignore[arg-type, func-returns-value]
        raise KeyboardInterrupt

    original = workers.start
    monkeypatch.setattr(workers, "start", started_and_interrupted)

    def endless(inputs: Any) -> Any:
        while True:
            yield 1

    branches = RunnableParallel(a=RunnableGenerator(endless), b=RunnableGenerator(endless))
    with pytest.raises(KeyboardInterrupt):
        next(branches.stream(1))
    assert ended.wait(10)


def test_an_interrupt_between_waking_a_writer_and_saying_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "PATIENCE", 0.01)
    mailbox: Mailbox[int] = Mailbox()
    for number in range(HIGH_WATER):
        mailbox.put(number)
    writer = threading.Thread(target=mailbox.drain_blocking)
    writer.start()
    while not mailbox.room:
        pass  # it is about to wait
    mailbox.room.clear()  # taken out, and never woken
    mailbox.close()
    mailbox.abandon()
    writer.join(10)
    assert not writer.is_alive() and not mailbox.room


def test_parts_that_run_here_are_counted_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "limit", 1)
    assert RunnableLambda(lambda x: x * 2).batch(range(20), {"max_concurrency": 5}) == [n * 2 for n in range(20)]


def test_what_was_started_runs_although_another_part_has_failed() -> None:
    """A sync part cannot be cancelled; what a sibling of the failed one gives may be worth keeping."""
    log: list[str] = []
    release = threading.Event()

    async def failing() -> None:
        raise ValueError("at once")

    async def other() -> None:
        assert release.wait(5)
        log.append("ran")

    async def body() -> None:
        running = SYNC.run_all([failing, other])
        async for _, outcome in running:
            assert isinstance(outcome.error, ValueError)
            break
        threading.Timer(0.02, release.set).start()
        await running.aclose()

    step(body())
    assert log == ["ran"]
