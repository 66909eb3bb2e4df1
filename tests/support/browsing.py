"""The chat page in a real browser: a tab that notices everything that must not happen, and what a person does in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from serving import Running

CHROMIUM = os.environ.get("MILLSTREAM_CHROMIUM") or shutil.which("chromium") or "chromium"
ARTIFACTS = Path(__file__).parents[2] / ".artifacts"

# Runs before anything of the page: notes whatever must not happen.
WATCH = """
window.hits = [];
document.addEventListener("securitypolicyviolation", (event) => window.hits.push("csp " + event.violatedDirective));
window.alert = window.prompt = window.confirm = () => window.hits.push("dialog");
window.hit = () => window.hits.push("script");
"""


ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]


class Tab:
    """A page of the application, and everything that went wrong in it."""

    def __init__(self, browser: Browser, server: Running, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.home = f"http://127.0.0.1:{server.port}/"
        self.page.add_init_script(WATCH)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on(
            "request", lambda asked: None if asked.url.startswith(self.home) else self.outside.append(asked.url)
        )
        self.page.goto(self.home)

    def _note(self, kind: str, text: str) -> None:
        # The browser itself reports every answer that is no 200.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(text)

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                assert self.page.evaluate("window.hits") == []
                assert (self.complaints, self.outside) == ([], [])
        finally:
            self.context.close()


def say(page: Page, text: str) -> None:
    page.fill("#input", text)
    page.keyboard.press("Enter")


def finished(page: Page) -> None:
    page.locator("#send:not([hidden])").wait_for()


def holds(page: Page, expression: str) -> None:
    """Wait until an expression is true. (The browser's own way needs `eval`, which the page's policy forbids.)"""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}")
