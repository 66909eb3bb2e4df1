"""What a test leaves behind: threads, open files and sockets, child processes, and tasks of an event loop.

A pytest plugin (`tests/conftest.py` loads it): every test of the suite is checked, without asking for it. What was there
before the test is not counted, so a server of a fixture of wider scope is nobody's leak. A test that leaves nothing
pays two listings of a few dozen names; only a suspect costs a garbage collection and a wait.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import gc
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Idle ones are kept and used again, by design: they are nobody's leak (`millstream/flow/workers.py`).
POOLED = "millstream-worker"
# How long whatever is just ending may take: a thread after its last statement, a child after its exit.
GRACE = 1.0

FD_FOLDER = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


@dataclass(frozen=True, slots=True)
class Snapshot:
    threads: frozenset[threading.Thread]
    files: frozenset[str]
    children: frozenset[str]


def snapshot() -> Snapshot:
    threads = frozenset(t for t in threading.enumerate() if not t.name.startswith(POOLED))
    return Snapshot(threads, frozenset(_files()), frozenset(_children()))


def _files() -> Iterator[str]:
    for number in os.listdir(FD_FOLDER):
        try:
            target = os.readlink(f"{FD_FOLDER}/{number}")
        except OSError:  # the listing's own, closed by now; or a system without links there
            target = "?" if FD_FOLDER == "/dev/fd" else ""
        if target and not target.startswith("/dev/"):
            yield f"{number} -> {target}"


def _children() -> Iterator[str]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # no children at all: the common case, in one system call
        return
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            yield from path.read_text().split()
        except OSError:  # that thread has just ended
            pass


def left_since(before: Snapshot) -> list[str]:
    """What is there now and was not before, one line each; empty as soon as there is nothing."""
    end = time.monotonic() + GRACE
    pause = 0.0
    while found := _new(before):
        if time.monotonic() > end:
            return found
        gc.collect()
        time.sleep(pause)
        pause = 0.01
    return []


def _new(before: Snapshot) -> list[str]:
    now = snapshot()
    lines = [f"thread {thread.name!r}" for thread in now.threads - before.threads]
    lines += [f"open file {file}" for file in now.files - before.files]
    lines += [f"child process {pid}{_command(pid)}" for pid in now.children - before.children]
    return sorted(lines)


def _command(pid: str) -> str:
    try:
        return ": " + Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:100]
    except OSError:
        return ""


# A runner cancels the tasks that are left when its main task has ended, and they are gone when a fixture could look: so
# they are noted just before.
_tasks_left: list[str] = []
_cancel_all_tasks = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]


def _note_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
    _tasks_left.extend(tasks_left(loop))
    _cancel_all_tasks(loop)


asyncio.runners._cancel_all_tasks = _note_and_cancel  # type: ignore[attr-defined]


def tasks_left(loop: asyncio.AbstractEventLoop) -> list[str]:
    """The tasks of a loop whose main task has ended, after a few turns for those that are just ending."""
    for turn in range(20):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return []
        if turn == 1:
            gc.collect()  # an abandoned async generator is closed by a task of the loop
        loop.run_until_complete(asyncio.sleep(0 if turn < 10 else 0.005))
    return [f"task {task.get_name()!r}: {task.get_coro()!r}" for task in asyncio.all_tasks(loop)]


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fails a test that leaves a thread, file, socket, child process or task."""
    _tasks_left.clear()
    before = snapshot()
    yield
    if left := [*_tasks_left, *left_since(before)]:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)
