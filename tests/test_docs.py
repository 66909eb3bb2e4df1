"""The code in the documentation runs, and prints what the pages say it prints."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import ARGUMENTS, CHROMIUM, Tab
from playwright.sync_api import Browser, sync_playwright
from serving import serving

import millstream
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


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


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
    text = BLOCK.sub("", page.read_text())
    missing = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    assert missing == []


def test_every_name_in_the_table_of_imports_is_there() -> None:
    text = BLOCK.sub("", (ROOT / "docs/lookup/imports.md").read_text())
    rows = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| `")]
    names = {name for _, ours in rows for name in re.findall(r"`(\w+)`", ours)} - {"dict"}
    assert len(names) > 200
    assert sorted(name for name in names if not hasattr(millstream, name)) == []


def test_the_chat_page_of_the_lesson(browser: Browser, tmp_path: Path) -> None:
    """The lesson's two files, served, in a real browser."""
    lesson = blocks(ROOT / "docs/learn/streaming-page.md")
    (html,) = (body for info, body in lesson if info == "html")
    (tmp_path / "chat.html").write_text(html)
    names: dict[str, Any] = {"__name__": "chat", "__file__": str(tmp_path / "chat.py")}
    for info, body in lesson:
        if info == "python" and "asyncio.run" not in body:
            exec(compile(body, "chat.py", "exec", dont_inherit=True), names)
    with serving(names["app"]) as server, Tab(browser, server) as page:
        page.fill("#question", "What should I wear in Oslo? <b>")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Take an umbrella.")
        shown = page.locator("#log p")
        assert shown.all_text_contents() == [
            "What should I wear in Oslo? <b>",
            'weather({"city":"Oslo"})',
            "→ rain in Oslo",
            "Take an umbrella.",
        ]


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
