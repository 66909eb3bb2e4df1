"""Google-style docstrings: what a function does, and what each of its arguments is."""

from __future__ import annotations

import inspect
import re
import textwrap

from ..errors import InvalidArgument

__all__ = ["cleaned", "dedented", "google_docstring"]

_ARGS = re.compile(r"^(Args|Arguments|Parameters):\s*$")
# What is of no use to who calls; a note is.
_SECTION = re.compile(r"^(Returns?|Yields?|Raises|Examples?):\s*$")
_ARGUMENT = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def dedented(doc: str | None) -> str:
    """A docstring without the indentation that all its lines share, and outer blank lines.

    Before Python 3.13 the lines after a first one that holds text keep theirs: so descriptions have always been.
    """
    return textwrap.dedent(doc).strip() if doc else ""


def cleaned(doc: str | None) -> str:
    """A docstring without indentation and outer blank lines."""
    return inspect.cleandoc(doc).strip() if doc else ""


def google_docstring(doc: str | None, known: set[str], owner: str) -> tuple[str, dict[str, str]]:
    """The description (what comes before `Args:`, paragraphs joined) and the text of each documented argument.

    Raises:
        InvalidArgument: (a ValueError) `Args:` names an argument that is not among `known`.
    """
    lines = cleaned(doc).splitlines()
    starts = [index for index, line in enumerate(lines) if _ARGS.match(line)]
    head = lines[: starts[0]] if starts else lines
    ends = [index for index, line in enumerate(head) if _SECTION.match(line)]
    paragraphs = re.split(r"\n\s*\n", "\n".join(head[: ends[0] if ends else None]))
    description = " ".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip())
    arguments = _arguments(lines[starts[0] + 1 :]) if starts else {}
    for name in arguments:
        if name not in known:
            raise InvalidArgument(
                f"the docstring of {owner} documents the argument {name!r}, which it does not take; "
                f"it takes {', '.join(sorted(known)) or 'none'}."
            )
    return description, arguments


def _arguments(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    indent: int | None = None
    current: str | None = None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if depth == 0:
            break
        indent = depth if indent is None else indent
        match = _ARGUMENT.match(line.strip()) if depth <= indent else None
        if match:
            current = str(match[1])
            found[current] = match[2].strip()
        elif current is not None:
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found
