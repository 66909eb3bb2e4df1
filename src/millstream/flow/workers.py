"""Worker threads for sync leaves: at most `limit`, idle ones reused, hopping to one costs a lock and two switches.

The standard executor is not used because its hop costs about four times as much (a future with a condition, a queue
with a semaphore, and asyncio's wrapping of both).
"""

from __future__ import annotations

import atexit
import itertools
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["THREAD_NAME", "Workers", "workers"]

THREAD_NAME = "millstream-worker"
IDLE_SECONDS = 5.0

Job = Callable[[], None]


class _Worker:
    __slots__ = ("job", "wake")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.wake = threading.Lock()
        self.wake.acquire()


class Workers:
    """A pool of daemon threads. Jobs must not raise: they deliver their own outcome.

    Daemons, because a leaf that never returns must not keep the process; idle ones are ended at exit.
    """

    def __init__(self, limit: int = 64) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._backlog: deque[Job] = deque()
        self._count = 0
        self._numbers = itertools.count(1)

    def try_submit(self, job: Job) -> bool:
        """Run `job` on a worker now; return False when all are busy."""
        with self._lock:
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                worker.wake.release()
                return True
            if self._count >= self.limit:
                return False
            self._count += 1
        self._start(job)
        return True

    def submit(self, job: Job) -> None:
        """Run `job` on a worker now, or as soon as one is free; jobs that wait are taken in order."""
        with self._lock:
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                worker.wake.release()
                return
            if self._count >= self.limit:
                self._backlog.append(job)
                return
            self._count += 1
        self._start(job)

    def _start(self, job: Job) -> None:
        worker = _Worker()
        worker.job = job
        name = f"{THREAD_NAME}-{next(self._numbers)}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()

    def _work(self, worker: _Worker) -> None:
        while True:
            job, worker.job = worker.job, None
            if job is not None:
                job()
                del job
            with self._lock:
                if self._backlog:
                    worker.job = self._backlog.popleft()
                    continue
                self._idle.append(worker)
            if worker.wake.acquire(timeout=IDLE_SECONDS):
                if worker.job is None:  # told to end
                    return
                continue
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._count -= 1
                    return
            worker.wake.acquire()  # a job was given just as the wait ran out
            if worker.job is None:
                return

    def end_idle(self) -> None:
        """End the threads that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for worker in idle:
            worker.job = None
            worker.wake.release()


workers = Workers()
atexit.register(workers.end_idle)
