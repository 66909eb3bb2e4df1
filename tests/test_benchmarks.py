"""Every case of the benchmarks runs, small; what its figures are is for `scripts/bench` to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent.parent / "benchmarks" / "run.py"


def run(
    tmp_path: Path, *arguments: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, dict[str, dict[str, float]]]]:
    report = tmp_path / "bench.json"
    command = [sys.executable, str(RUN), "--quick", "--json", str(report), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, json.loads(report.read_text())["cases"] if report.exists() else {}


@pytest.mark.timeout(180)
def test_every_case_gives_a_figure(tmp_path: Path) -> None:
    done, cases = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name: case["errors"] for name, case in cases.items() if case["errors"]} == {}
    assert all(case["medians"]["ours"] >= 0 for case in cases.values())
    assert all(f"| {case['name']} |" in done.stdout for case in cases.values())


def test_a_case_of_ours_that_fails_fails_the_run(tmp_path: Path) -> None:
    done, cases = run(tmp_path, "-k", "joining/text", "--only", "ours", "--ours", "false")
    assert done.returncode == 1
    assert cases["joining/text"]["errors"] == {"ours": "exit status 1"}
    assert "| failed |" in done.stdout
