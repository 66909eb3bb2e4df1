"""For the whole suite: nothing is left behind, and one body of a test runs on every kind of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import recordings
import uvloop
from cluster import dsn, postgres
from leaks import no_leaks

__all__ = ["dsn", "no_leaks", "postgres", "run_async"]

# uvloop keeps a pipe for the whole process from its first loop on; made here, it is no test's leak.
uvloop.new_event_loop().close()

RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "asyncio-debug", "uvloop"])
def run_async(request: pytest.FixtureRequest) -> RunAsync:
    """Like `asyncio.run`: on a plain loop, on one in debug mode, on uvloop."""
    return partial(_run, request.param)


def _run(kind: str, coro: Coroutine[Any, Any, Any]) -> Any:
    factory = uvloop.new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(debug=kind == "asyncio-debug", loop_factory=factory) as runner:
        return runner.run(coro)


def pytest_report_header() -> str:
    return f"recordings: {recordings.folder() or 'none (MILLSTREAM_RECORDINGS is not set)'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what was parametrised with an empty list: pytest would call it skipped, and we skip nothing."""
    empty = [item for item in items if _has_no_cases(item)]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]


def _has_no_cases(item: pytest.Item) -> bool:
    return any("empty parameter set" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skip"))
