"""Crash tests: end a child process, or make it fail or wait, at one of the named places in the code.

The places are those of `millstream.spine.fault_points`: `run.accepted`, `task.start`, `task.done`, `writes.before`, `writes.after`,
`commit.before`, `commit.after`, `events.before`, `events.after`, `finish.before`, `finish.after`. A parent arms its child by the
environment, and the child calls `arm_faults()` when it is ready to be hit:

```python
subprocess.Popen([sys.executable, "child.py"], env={**os.environ, **Fault("commit.before", hit=2).environment()})
```
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import InvalidArgument
from ..spine import fault_points

__all__ = ["FAULT_PLACES", "Fault", "arm_faults", "armed", "watched_places"]

FAULT_PLACES = (
    "run.accepted",
    "task.start",
    "task.done",
    "writes.before",
    "writes.after",
    "commit.before",
    "commit.after",
    "events.before",
    "events.after",
    "finish.before",
    "finish.after",
)

_VARIABLE = "MILLSTREAM_FAULT"

Action: TypeAlias = Literal["kill", "wait", "raise"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a place: `"kill"` ends the process with SIGKILL (nothing is cleaned up), `"wait"` sleeps, `"raise"` fails.

    It happens at the `hit`-th time that the place is reached, counted over all threads; `hit=0`: each time.
    """

    place: str
    hit: int = 1
    action: Action = "kill"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.place not in FAULT_PLACES:
            raise InvalidArgument(f"there is no place {self.place!r}; places are {', '.join(FAULT_PLACES)}.")
        if self.action not in ("kill", "wait", "raise"):
            raise InvalidArgument(f"action must be 'kill', 'wait' or 'raise', not {self.action!r}.")

    def environment(self) -> dict[str, str]:
        """The environment variable that tells a child process of it."""
        return {_VARIABLE: f"{self.place} {self.hit} {self.action} {self.seconds}"}

    def happen(self) -> None:
        if self.action == "kill":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            threading.Event().wait()  # until the signal is here
        elif self.action == "wait":
            time.sleep(self.seconds)
        else:
            raise RuntimeError(f"fault at {self.place}")


def arm_faults(environment: Mapping[str, str] | None = None) -> Fault | None:
    """Arm the fault that this process was told of by its environment; None if it was told of none."""
    told = (os.environ if environment is None else environment).get(_VARIABLE)
    if not told:
        return None
    place, hit, action, seconds = told.split()
    fault = Fault(place, int(hit), action, float(seconds))  # type: ignore[arg-type]
    fault_points.strike = _striker((fault,))
    return fault


@contextmanager
def armed(*faults: Fault) -> Iterator[None]:
    """Let faults happen in this process, for as long as the block lasts."""
    before, fault_points.strike = fault_points.strike, _striker(faults)
    try:
        yield
    finally:
        fault_points.strike = before


@contextmanager
def watched_places() -> Iterator[Counter[str]]:
    """Count how often each place is reached, so that a test knows which hits there are."""
    lock, counts = threading.Lock(), Counter[str]()

    def count(place: str) -> None:
        with lock:
            counts[place] += 1

    before, fault_points.strike = fault_points.strike, count
    try:
        yield counts
    finally:
        fault_points.strike = before


def _striker(faults: tuple[Fault, ...]) -> Callable[[str], None]:
    lock, counts = threading.Lock(), Counter[str]()

    def strike(place: str) -> None:
        with lock:
            counts[place] += 1
            count = counts[place]
        for fault in faults:
            if fault.place == place and fault.hit in (0, count):
                fault.happen()

    return strike
