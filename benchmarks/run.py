"""Ours, the peer and plain Python, side by side: a table to standard output, everything to .artifacts/bench.json.

    python benchmarks/run.py --peer .bench-venv/bin/python [-k NAME]... [--rounds N] [--quick] [--only ours]...

Every figure is measured in a process of its own. A round measures each system once for a case, one right after the
other, and rounds begin with another system each time, so that what else the machine does falls on all alike. A figure is the
median of its rounds; a ratio is one of medians. Exit status 1 if a case of ours failed or, with --strict, is over budget.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cases import CASES, Budget, Case, System

HERE = Path(__file__).parent
ROOT = HERE.parent
SYSTEMS: tuple[System, ...] = ("ours", "peer", "floor")
LIMIT = 300  # seconds for one process


@dataclass(slots=True)
class Row:
    case: Case
    figures: dict[System, list[float]] = field(default_factory=dict)
    errors: dict[System, str] = field(default_factory=dict)

    def median(self, system: System) -> float | None:
        return statistics.median(self.figures[system]) if system in self.figures else None

    def ratio(self, of: System | None) -> float | None:
        """Ours over another system, or ours alone; None where either has no figure."""
        ours, other = self.median("ours"), self.median(of) if of else 1.0
        return ours / other if ours is not None and other else None

    def met(self, budget: Budget) -> bool | None:
        ratio = self.ratio(budget.of)
        return None if ratio is None else ratio <= budget.factor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "-k", dest="names", action="append", default=[], help="only cases whose key or name contains this"
    )
    parser.add_argument("--only", action="append", choices=SYSTEMS, help="only this system")
    parser.add_argument("--rounds", type=int, help="how often each case is measured (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small sizes, figures that mean little")
    parser.add_argument("--strict", action="store_true", help="fail if a budget is not met")
    parser.add_argument("--ours", default=sys.executable, help="the interpreter with millstream and its extras")
    parser.add_argument("--peer", help="the interpreter with the peer; without it the peer is left out")
    parser.add_argument("--json", type=Path, default=ROOT / ".artifacts" / "bench.json")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    for path in sorted((HERE / "workloads").glob("*.py")):
        importlib.import_module(f"workloads.{path.stem}")
    cases = [c for c in CASES.values() if not args.names or any(n in c.key or n in c.name for n in args.names)]
    if not cases:
        sys.exit(f"no case has {' or '.join(args.names)} in its name; there are: {', '.join(CASES)}")
    systems = [s for s in args.only or SYSTEMS if s != "peer" or args.peer]
    rows = [Row(case) for case in cases]
    for row in rows:
        for number in range(args.rounds or (1 if args.quick else 3)):
            turn = number % len(systems)
            for system in systems[turn:] + systems[:turn]:
                measure(row, system, args)
        print(f"{row.case.key}: {said(row)}", file=sys.stderr, flush=True)
    print(table(rows))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report(rows, args), indent=1) + "\n", encoding="utf-8")
    over = [row for row in rows if any(row.met(budget) is False for budget in row.case.budgets)]
    return int(any("ours" in row.errors for row in rows) or (args.strict and bool(over)))


def measure(row: Row, system: System, args: argparse.Namespace) -> None:
    if (system == "floor" and row.case.floor is None) or system in row.errors:
        return
    if row.case.alone and system != "ours":
        return
    python = args.peer if system == "peer" else args.ours
    env = {**os.environ, "BENCH_SYSTEM": system, "BENCH_QUICK": "1" if args.quick else "", "PYTHONPATH": ""}
    # Else our sources would be compiled at each start, while the peer's were when it was installed.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    if system == "ours":
        env["PYTHONPATH"] = str(ROOT / "src")
    command = [python, str(HERE / "measure.py"), row.case.key]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        row.errors[system] = f"no answer in {LIMIT} s"
        return
    if done.returncode:
        row.errors[system] = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return
    row.figures.setdefault(system, []).append(json.loads(done.stdout.splitlines()[-1])["value"])


def said(row: Row) -> str:
    figures = [f"{system} {number(row.median(system))}" for system in SYSTEMS if system in row.figures]
    return ", ".join([*figures, *(f"{system} failed: {error}" for system, error in row.errors.items())])


def number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def share(ratio: float | None) -> str:
    """A ratio as one reads it: 1/23 below one, 1.4 above."""
    if ratio is None:
        return ""
    return f"1/{1 / ratio:.3g}" if 0 < ratio < 1 else f"{ratio:.3g}"


def table(rows: list[Row]) -> str:
    lines = [
        "| work | unit | ours | peer | floor | ours/peer | ours/floor | budget | |",
        "|---|---|--:|--:|--:|--:|--:|---|---|",
    ]
    for row in rows:
        shown = ["failed" if system in row.errors else number(row.median(system)) for system in SYSTEMS]
        budgets = ", ".join(str(budget) for budget in row.case.budgets)
        met = [row.met(budget) for budget in row.case.budgets]
        verdict = "" if None in met else "ok" if all(met) else "**over**"
        cells = [
            row.case.name,
            row.case.unit,
            *shown,
            share(row.ratio("peer")),
            share(row.ratio("floor")),
            budgets,
            verdict,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def report(rows: list[Row], args: argparse.Namespace) -> dict[str, object]:
    return {
        "quick": args.quick,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()},
        "versions": {"ours": versions(args.ours), **({"peer": versions(args.peer)} if args.peer else {})},
        "cases": {
            row.case.key: {
                "name": row.case.name,
                "unit": row.case.unit,
                "medians": {system: row.median(system) for system in row.figures},
                "figures": row.figures,
                "errors": row.errors,
                "ratios": {of: row.ratio(of) for of in ("peer", "floor") if row.ratio(of) is not None},
                "budgets": [{"budget": str(budget), "met": row.met(budget)} for budget in row.case.budgets],
            }
            for row in rows
        },
    }


def versions(python: str) -> dict[str, str]:
    names = "millstream langchain langchain-core langgraph langchain-openai openai httpx2 orjson pydantic uvloop"
    source = f"""
import json, platform
from importlib.metadata import PackageNotFoundError, version
found = {{"python": platform.python_version()}}
for name in {names.split()!r}:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))"""
    done = subprocess.run([python, "-c", source], capture_output=True, text=True, check=False)
    found: dict[str, str] = json.loads(done.stdout) if done.stdout else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
