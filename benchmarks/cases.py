"""What a workload is made of: cases, each measured for us, for the peer and in plain Python.

A workload file holds functions that return one figure. `@case` marks the one written against the public names that we and
the peer share (`names.py`), `@floor` the same work in plain Python. Nothing is imported from either library before a case
runs, so that a process has only what its case needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

QUICK = bool(os.environ.get("BENCH_QUICK"))
"""A smoke run: small sizes, one repetition; its figures say only that the case works."""

Measure = Callable[[], float]
F = TypeVar("F", bound=Measure)
System = Literal["ours", "peer", "floor"]


@dataclass(slots=True)
class Budget:
    """Ours is at most `factor` times another system's figure, or at most `factor` itself (`of=None`)."""

    factor: float
    of: System | None = "peer"

    def __str__(self) -> str:
        factor = f"1/{1 / self.factor:g}" if self.factor < 1 else f"{self.factor:g}"
        return f"≤ {factor} × {self.of}" if self.of else f"≤ {factor}"


@dataclass(slots=True)
class Case:
    workload: str
    name: str
    unit: str
    budgets: tuple[Budget, ...]
    measure: Measure
    floor: Measure | None = None
    repeat: int = field(default=5)
    """How often in one process, after one repetition that does not count. 0: once, in a process that has done nothing yet."""
    alone: bool = False
    """Nobody else is measured: it looks into what only ours stores."""

    @property
    def key(self) -> str:
        return f"{self.workload}/{self.measure.__name__}"


CASES: dict[str, Case] = {}


def case(name: str, unit: str, *budgets: Budget, repeat: int = 5, alone: bool = False) -> Callable[[F], F]:
    """Register a function as a case: its figure's name in the table, its unit, and what it may cost."""

    def register(measure: F) -> F:
        found = Case(measure.__module__.rpartition(".")[2], name, unit, budgets, measure, repeat=repeat, alone=alone)
        CASES[found.key] = found
        return measure

    return register


def floor(of: Measure) -> Callable[[F], F]:
    """Register a function as the plain Python of a case."""

    def register(measure: F) -> F:
        CASES[f"{of.__module__.rpartition('.')[2]}/{of.__name__}"].floor = measure
        return measure

    return register


def size(full: int, quick: int) -> int:
    return quick if QUICK else full
