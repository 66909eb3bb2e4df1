"""The pool of worker threads: its limit, and who does not count; threads that cannot be had; forks."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from millstream.flow import workers as module
from millstream.flow.workers import Workers

Holding = Callable[[], threading.Event]


@pytest.fixture
def pool() -> Iterator[Workers]:
    pool = Workers(limit=2)
    yield pool
    pool.end_idle()


def holding(pool: Workers) -> threading.Event:
    """Make one worker busy; setting the event ends its job."""
    begun, release = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        assert release.wait(10)

    assert pool.try_submit(job)
    assert begun.wait(10)
    return release


def test_at_most_limit_jobs_run_at_once_and_others_wait_in_order(pool: Workers) -> None:
    first, second = holding(pool), holding(pool)
    order: list[int] = []
    done = threading.Event()
    assert not pool.try_submit(lambda: order.append(0))
    pool.submit(lambda: order.append(1))
    pool.submit(lambda: order.append(2))
    pool.submit(done.set)
    assert order == []
    first.set()
    assert done.wait(10)
    assert order == [1, 2]
    second.set()


def test_an_idle_thread_is_used_again_and_ends_after_a_while(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    for _ in range(3):
        done = threading.Event()
        pool.submit(lambda done=done: (names.add(threading.current_thread().name), done.set()))  # type: ignore[misc]
        assert done.wait(10)
        while not pool._idle:
            pass  # it is just lying down
    assert len(names) == 1
    pool.end_idle()
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    done = threading.Event()
    threads: list[threading.Thread] = []
    pool.submit(lambda: (threads.append(threading.current_thread()), done.set()))  # type: ignore[arg-type]
    assert done.wait(10)
    threads[0].join(10)
    assert not threads[0].is_alive() and not pool._idle


def test_a_worker_that_rests_does_not_count(pool: Workers) -> None:
    others = holding(pool)
    answer = threading.Event()
    done = threading.Event()

    def waits_for_another() -> None:
        pool.submit(lambda: None)
        with pool.resting():
            assert answer.wait(10)
        done.set()

    pool.submit(waits_for_another)
    pool.submit(answer.set)  # waits, until the one above rests
    assert done.wait(10)
    others.set()


def test_what_a_worker_submits_never_waits(pool: Workers) -> None:
    """The worker may be blocked in an event loop of its own that needs the result."""
    other = holding(pool)
    done = threading.Event()

    def outer() -> None:
        inner = threading.Event()
        pool.submit(inner.set)
        assert inner.wait(10)
        done.set()

    pool.submit(outer)
    assert done.wait(10)
    other.set()


def test_the_limit_holds_again_after_it_was_passed(pool: Workers) -> None:
    held = [holding(pool), holding(pool)]
    extra, begun = threading.Event(), threading.Event()
    pool.start(lambda: (begun.set(), extra.wait(10)))  # type: ignore[arg-type, func-returns-value]
    assert begun.wait(10)
    ran = threading.Event()
    pool.submit(ran.set)
    extra.set()  # three were busy: this one ends, and may not take the next job
    while not pool._idle:
        pass
    assert not ran.is_set()
    held[0].set()
    assert ran.wait(10)
    held[1].set()


def test_a_system_without_threads_makes_the_caller_run_the_job(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    busy = holding(pool)
    ran = threading.Event()
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", none_left)
        for _ in range(5):
            assert not pool.try_submit(lambda: None)
        pool.submit(ran.set)  # the busy one will do it
    assert not ran.is_set()
    busy.set()
    assert ran.wait(10)
    while not pool._idle:
        pass
    pool.end_idle()
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(lambda: None)
    holding(pool).set()  # none of those that were not started is counted


def test_a_forked_child_has_workers_of_its_own() -> None:
    program = """
import os, signal, sys
from millstream import RunnableParallel
both = RunnableParallel(a=lambda x: x + 1, b=lambda x: x + 2)
assert both.invoke(1) == {"a": 2, "b": 3}
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(0 if both.invoke(1) == {"a": 2, "b": 3} else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], env={"PYTHONPATH": ":".join(sys.path)})
    assert ended.returncode == 0


class Reordering(Workers):
    """The worker that is woken first comes last, as the system may have it."""

    def __init__(self) -> None:
        self.late: object = None
        self.go = threading.Event()
        super().__init__(limit=2)

    def _called(self, worker: module._Worker) -> bool:
        called = super()._called(worker)
        if worker is self.late:
            assert self.go.wait(10)
        return called


def test_the_oldest_job_is_taken_first_whichever_worker_wakes_first() -> None:
    pool = Reordering()
    releases = [holding(pool), holding(pool)]
    for release in releases:
        release.set()
    while len(pool._idle) < 2:
        pass
    pool.late = pool._idle[-1]
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()
    pool.submit(partial(begun.put, 1))
    pool.submit(partial(begun.put, 2))
    assert begun.get(timeout=10) == 1
    assert begun.empty()
    pool.go.set()
    assert begun.get(timeout=10) == 2
    pool.end_idle()


def test_a_thread_that_is_started_takes_what_was_given_before() -> None:
    pool = Reordering()
    holding(pool).set()
    while not pool._idle:
        pass
    pool.late = pool._idle[-1]
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()
    pool.submit(partial(begun.put, 1))
    pool.submit(partial(begun.put, 2))
    assert begun.get(timeout=10) == 1
    pool.go.set()
    assert begun.get(timeout=10) == 2
    pool.end_idle()


def test_a_job_whose_giving_was_interrupted_shifts_no_other(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(deque[module.Job]):
        def append(self, item: module.Job) -> None:
            monkeypatch.setattr(pool, "_given", deque())
            raise KeyboardInterrupt

    holding(pool).set()
    while not pool._idle:
        pass
    monkeypatch.setattr(pool, "_given", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        pool.submit(lambda: None)
    for _ in range(5):
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(10)
