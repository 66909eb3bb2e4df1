"""The control of the leak check: a test that leaves something fails, one that leaves nothing passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import leaks
import pytest

LEAVING = {
    "thread": """
def test(kept):
    thread = threading.Thread(target=kept.wait, args=(5,), name="forgotten", daemon=True)
    thread.start()
""",
    "socket": """
def test(kept):
    kept.socket = socket.socket()
""",
    "file": """
def test(kept):
    kept.file = open(__file__)
""",
    "child": """
def test(kept):
    kept.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"])
""",
    "task": """
def test(kept):
    async def main():
        kept.task = asyncio.create_task(asyncio.sleep(5), name="forgotten")
    asyncio.run(main())
""",
}
SHOWN = {
    "thread": r"thread 'forgotten'",
    "socket": r"open file \d+ -> socket:",
    "file": r"open file \d+ -> .*test_it\.py",
    "child": r"child process \d+: .*python",
    "task": r"task 'forgotten'",
}

CLEAN = """
def test(kept):
    async def main():
        await asyncio.create_task(asyncio.sleep(0))
        ending = asyncio.create_task(asyncio.sleep(0))
    asyncio.run(main())
    thread = threading.Thread(target=lambda: None)
    thread.start()
    pooled = threading.Thread(target=kept.wait, args=(5,), name="millstream-worker-1", daemon=True)
    pooled.start()
    with socket.socket(), open(__file__):
        subprocess.run([sys.executable, "-c", ""])
"""

HEAD = """
import asyncio, socket, subprocess, sys, threading
import leaks, pytest

leaks.GRACE = 0.1  # what is left here is left for good

class Kept(threading.Event):
    pass

@pytest.fixture(scope="session")
def kept():
    yield (it := Kept())
    it.set()
    for name, held in vars(it).items():
        getattr(held, {"child": "kill", "socket": "close", "file": "close"}.get(name, "__str__"))()
        if name == "child":
            held.wait()
"""


def _run(tmp_path: Path, test: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(HEAD + test)
    env = {**os.environ, "PYTHONPATH": str(Path(leaks.__file__).parent), "PYTEST_ADDOPTS": ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "leaks",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    return subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env=env, check=False)


@pytest.mark.parametrize("what", LEAVING)
def test_a_test_that_leaves_something_fails(tmp_path: Path, what: str) -> None:
    result = _run(tmp_path, LEAVING[what])
    assert result.returncode == 1, result.stdout
    assert "the test left behind" in result.stdout
    assert re.search(SHOWN[what], result.stdout), result.stdout


def test_a_test_that_leaves_nothing_passes(tmp_path: Path) -> None:
    result = _run(tmp_path, CLEAN)
    assert result.returncode == 0, result.stdout


def test_the_check_costs_under_a_millisecond() -> None:
    def once() -> float:
        start = time.perf_counter()
        assert leaks.left_since(leaks.snapshot()) == []
        return time.perf_counter() - start

    assert min(once() for _ in range(20)) < 1e-3
