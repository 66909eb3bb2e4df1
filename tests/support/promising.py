"""Promises and their figures: how often a test of one is run, and one JSON line a run in .artifacts/promises.jsonl."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

FULL = bool(os.environ.get("MILLSTREAM_FULL"))
RECORD = Path(__file__).parents[2] / ".artifacts" / "promises.jsonl"


def count(full: int, small: int) -> int:
    """The count that the promise names with `scripts/test --full`, else a small one."""
    return full if FULL else small


def record(promise: str, test: str, attempts: int, failures: int, figure: Any, unit: str) -> None:
    """Note what was found, before the test judges it."""
    RECORD.parent.mkdir(exist_ok=True)
    line = {
        "promise": promise,
        "test": test,
        "attempts": attempts,
        "failures": failures,
        "figure": figure,
        "unit": unit,
        "python": platform.python_version(),
        "full": FULL,
    }
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(line)


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
