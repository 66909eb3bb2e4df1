"""Recorded provider streams, where the machine has them: the folder named by MILLSTREAM_RECORDINGS.

A test over them is parametrised with what is there. Without the folder there are no such tests (they are deselected, not
skipped), so every test over recordings stands next to one over streams of our own.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Recording(NamedTuple):
    name: str
    path: Path
    expected: dict[str, Any]
    """What the provider's own client made of the stream."""

    def __str__(self) -> str:
        return self.name


def folder() -> Path | None:
    """The folder of recordings; None where none is named. A name that leads nowhere is an error."""
    named = os.environ.get("MILLSTREAM_RECORDINGS")
    if not named:
        return None
    path = Path(named)
    if not (path / "index.json").is_file():
        raise FileNotFoundError(
            f"MILLSTREAM_RECORDINGS={named}: there is no index.json; unset it or name the right folder"
        )
    return path


def recorded(kind: str) -> list[Recording]:
    """All recordings of one wire ("openai-chat", "openai-responses", "anthropic"), for `parametrize(..., ids=str)`."""
    return [entry for wire, entry in _index() if wire == kind]


@cache
def _index() -> list[tuple[str, Recording]]:
    root = folder()
    if root is None:
        return []
    streams = json.loads((root / "index.json").read_text(encoding="utf-8"))["streams"]
    return [(s["kind"], Recording(s["name"], root / s["file"], s["expected"])) for s in streams]
