"""The code in the documentation runs, and prints what the pages say it prints."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream.providers.clients import close_clients

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.fixture(autouse=True)
def closed_clients(no_leaks: None) -> Iterator[None]:
    """The connections of sync clients are kept for the next call; here there is none."""
    yield
    close_clients()


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match["info"].strip(), match["body"]) for match in BLOCK.finditer(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_print_what_the_page_says(page: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    printed: str | None = None
    for info, body in blocks(page):
        if info == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, str(page), "exec", dont_inherit=True), names)
            printed = out.getvalue()
        elif info == "text" and printed is not None:
            assert _lines(printed) == _lines(body)
            printed = None
        elif info.startswith("python"):
            compile(body, str(page), "exec", flags=0x2000)  # top-level await is fine; it is not run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
