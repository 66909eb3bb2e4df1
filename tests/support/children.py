"""The processes of `storage_children.py`, as a test uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Children", "children"]

ROOT = Path(__file__).parents[2]


class Children:
    """Runs jobs, one after the other, each in a process of its own."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "support")])
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "storage_children.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def begin(self, name: str, *arguments: Any, limit: float | None = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments, limit]) + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@contextmanager
def children(number: int = 1) -> Iterator[list[Children]]:
    made = [Children() for _ in range(number)]
    try:
        yield made
    finally:
        for each in made:
            each.close()
