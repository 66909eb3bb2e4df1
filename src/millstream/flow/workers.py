"""Worker threads for sync leaves: at most `limit` busy ones, idle ones reused; hopping to one costs a lock and two switches.

The standard executor is not used because its hop costs about four times as much (a future with a condition, a queue
with a semaphore, and asyncio's wrapping of both), and because its jobs can wait for each other for ever.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["THREAD_NAME", "Workers", "workers"]

THREAD_NAME = "millstream-worker"
IDLE_SECONDS = 5.0

Job = Callable[[], None]


class _Worker:
    __slots__ = ("ended", "wake")

    def __init__(self) -> None:
        self.ended = False
        self.wake = threading.Lock()
        self.wake.acquire()


class Workers:
    """A pool of daemon threads. Jobs must not raise: they deliver their own outcome.

    The limit is on threads that work. One that waits for others (`resting`) does not count, so that the others always
    find a thread. Which worker takes which job is open until one of them runs: it takes the oldest. The system wakes threads
    in any order, and jobs that take no time should end in the order in which they were given. Daemons, because a leaf that
    never returns must not keep the process; idle ones are ended at exit.
    """

    def __init__(self, limit: int = 64) -> None:
        self.limit = limit
        self._here = threading.local()
        self._numbers = itertools.count(1)
        self.forget()

    def forget(self) -> None:
        """Begin anew without threads: for a forked child, in which those of its parent do not live."""
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._given: deque[Job] = deque()  # for each, a worker has been woken
        self._backlog: deque[Job] = deque()
        self._busy = 0 if not self._is_worker() else 1  # those that have a job and do not rest

    def try_submit(self, job: Job) -> bool:
        """Run `job` on a worker now; return False when all are busy, or the system gives no more threads."""
        with self._lock:
            if self._busy >= self.limit:
                return False
            reused = self._reuse(job)
        if not reused:
            try:
                self._start(job)
            except RuntimeError:
                return False
        return True

    def submit(self, job: Job) -> None:
        """Run `job` on a worker now, or as soon as one is free; jobs that wait are taken in order.

        A job that a worker submits (from an event loop of its own) never waits: that worker may be waiting for it.

        Raises:
            RuntimeError: the system gives no thread at all.
        """
        if self.try_submit(job):
            return
        with self._lock:
            if self._busy and not self._is_worker():
                self._backlog.append(job)
                return
        self.start(job)

    def start(self, job: Job) -> None:
        """Run `job` on a worker now, however many are busy.

        Raises:
            RuntimeError: the system gives no more threads.
        """
        with self._lock:
            reused = self._reuse(job)
        if not reused:
            self._start(job)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Inside, this thread waits for others: if it is a worker, another may take its place."""
        if not self._is_worker():
            yield
            return
        with self._lock:
            self._busy -= 1
            job = self._backlog.popleft() if self._backlog and self._busy < self.limit else None
            reused = job is None or self._reuse(job)
        if job is not None and not reused:
            try:
                self._start(job)
            except RuntimeError:  # no thread to be had: it waits on
                self._backlog.appendleft(job)
        try:
            yield
        finally:
            with self._lock:
                self._busy += 1

    def end_idle(self) -> None:
        """End the threads that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.ended = True
            worker.wake.release()

    def _is_worker(self) -> bool:
        return getattr(self._here, "working", False)

    def _reuse(self, job: Job) -> bool:
        """Give `job` to an idle worker, if there is one. It is busy from now on, or the one that is to be started is."""
        self._busy += 1
        if not self._idle:
            return False
        self._give(job, self._idle.pop())
        return True

    def _give(self, job: Job, worker: _Worker) -> None:
        worker.wake.release()  # first: if Ctrl-C strikes here, a worker finds no job, but no job is left without a worker
        self._given.append(job)

    def _start(self, job: Job) -> None:
        name = f"{THREAD_NAME}-{next(self._numbers)}"
        try:
            threading.Thread(target=self._work, args=(job,), name=name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._busy -= 1
            raise

    def _work(self, given: Job) -> None:
        self._here.working = True
        worker = _Worker()
        with self._lock:
            self._given.append(given)  # others may have been given before to workers that are not awake yet
            del given
            job: Job | None = self._given.popleft()
        while True:
            while job is not None:
                job()
                job = self._freed(worker)
            if not self._called(worker):
                return
            with self._lock:  # the job is there when who gives it has left the lock
                job = self._given.popleft() if self._given else None
            if job is None:  # it was not: giving it was interrupted
                job = self._freed(worker)

    def _called(self, worker: _Worker) -> bool:
        """Block until the worker is woken; return False when it is to end."""
        if not worker.wake.acquire(timeout=IDLE_SECONDS):
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    return False
            worker.wake.acquire()  # it was woken just as the wait ran out
        return not worker.ended

    def _freed(self, worker: _Worker) -> Job | None:
        """A worker has nothing to do any more: the next one that waits for a worker, or None: it is idle."""
        with self._lock:
            self._busy -= 1
            if self._backlog and self._busy < self.limit:
                self._busy += 1
                return self._backlog.popleft()
            self._idle.append(worker)
        return None


workers = Workers()
atexit.register(workers.end_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.forget)
