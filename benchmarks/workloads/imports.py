"""What an import costs a fresh process whose bytecode is warm, less an empty program."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from cases import Budget, case, floor, size

TIMES = size(5, 1)
MEMORY = f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r}); import memory; print(memory.peak())"


def program() -> str:
    """The names of the main job, as a user of each library imports them."""
    from names import MODULE_OF, SYSTEM

    names = ["create_react_agent", "StateGraph", "ChatOpenAI"]
    return "\n".join(f"from {'millstream' if SYSTEM == 'ours' else MODULE_OF[name]} import {name}" for name in names)


def seconds(source: str) -> float:
    def once() -> float:
        start = perf_counter()
        subprocess.run([sys.executable, "-c", source], check=True)
        return perf_counter() - start

    once()
    return statistics.median(once() for _ in range(TIMES))


def megabytes(source: str) -> float:
    done = subprocess.run([sys.executable, "-c", f"{source}\n{MEMORY}"], check=True, capture_output=True, text=True)
    return float(done.stdout) / 1024


@case("import create_react_agent, StateGraph, ChatOpenAI", "ms", Budget(1 / 10), repeat=0)
def agent_and_model() -> float:
    return max(0.0, seconds(program()) - seconds("pass")) * 1e3


@case("the same, peak RSS", "MB", Budget(40, of=None), repeat=0)
def agent_and_model_memory() -> float:
    return megabytes(program())


@case("import millstream alone (peer: the three names)", "ms", Budget(1 / 100), repeat=0)
def root() -> float:
    from names import SYSTEM

    source = "import millstream" if SYSTEM == "ours" else program()
    return max(0.0, seconds(source) - seconds("pass")) * 1e3


@floor(agent_and_model_memory)
def memory_floor() -> float:
    return megabytes("pass")
