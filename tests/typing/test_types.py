"""What users write passes the strict type checker (`api.py` and its like), and what they must not write does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def mypy(*paths: Path) -> subprocess.CompletedProcess[str]:
    # Only what these files say: the library itself is checked by scripts/check.
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_users_write_is_well_typed() -> None:
    done = mypy(*(HERE / name for name in ("api.py", "messages.py", "pipes.py")))
    assert done.returncode == 0, done.stdout


def test_a_wrong_call_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from millstream import AIMessageChunk, RunnableLambda\n"
        "def length(text: str) -> int: return len(text)\n"
        "RunnableLambda(length).invoke(3)\n"
        "AIMessageChunk('a').txet\n"
        "for part in RunnableLambda(length).astream('a'): part.upper()\n"
        "(RunnableLambda(length) | str).invoke('a') + 1\n"
        "RunnableLambda(length).batch(['a'])[0].upper()\n"
    )
    done = mypy(wrong)
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line.partition("wrong.py:")[2][0] for line in lines] == ["3", "4", "5", "6", "7"], done.stdout
