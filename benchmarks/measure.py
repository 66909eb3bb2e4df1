"""Measure one case in this process: `python measure.py WORKLOAD/FUNCTION`, with BENCH_SYSTEM=ours|peer|floor.

Prints one JSON line. The runner (`run.py`) starts one such process for each case, system and round.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import warnings

from cases import CASES, QUICK


def main(key: str) -> None:
    importlib.import_module(f"workloads.{key.partition('/')[0]}")
    case = CASES[key]
    measure = case.floor if os.environ.get("BENCH_SYSTEM") == "floor" else case.measure
    if measure is None:
        raise SystemExit(f"{key} has no floor")
    warnings.simplefilter("ignore")
    repeat = min(case.repeat, 1) if QUICK else case.repeat
    if repeat:
        measure()
    figures = [measure() for _ in range(max(1, repeat))]
    print(json.dumps({"case": key, "value": statistics.median(figures), "figures": figures}))


if __name__ == "__main__":
    main(sys.argv[1])
