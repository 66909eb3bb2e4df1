"""The memory of this process: what it holds, and the most that it has held."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident() -> float:
    """KB now; on systems without /proc, the most so far."""
    return _status("VmRSS") if STATUS.exists() else peak()


def peak() -> float:
    """KB at most since the process began. (`ru_maxrss` also counts the parent at the time of the fork.)"""
    if STATUS.exists():
        return _status("VmHWM")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024 if sys.platform == "darwin" else most


def _status(field: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return float(line.split()[1])
