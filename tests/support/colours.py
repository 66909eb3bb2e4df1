"""The colours that a behaviour is tested in. A test body is one coroutine function, run by each of them.

Under the sync colour the body is stepped, so it may only await what never suspends: the verbs of its `Colour`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from millstream.flow.driver import as_async
from millstream.flow.step import step

# uvloop keeps a pipe for the whole process from its first loop on; made here, it is no test's leak.
uvloop.new_event_loop().close()

Body = Callable[["Colour"], Awaitable[Any]]


class Colour:
    """`invoke` and `stream` of a runnable, a pause, and how to run a test's body."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sync = name == "sync"

    def run(self, body: Body) -> Any:
        if self.sync:
            return step(body(self))  # type: ignore[arg-type]
        factory = uvloop.new_event_loop if self.name == "uvloop" else None
        with asyncio.Runner(debug=self.name == "asyncio-debug", loop_factory=factory) as runner:
            return runner.run(self._checked(body))

    async def _checked(self, body: Body) -> Any:
        result = await body(self)
        for _ in range(20):  # a stream that was dropped is closed by the loop in its next turns
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        return result

    async def invoke(self, runnable: Any, value: Any, config: Any = None) -> Any:
        return runnable.invoke(value, config) if self.sync else await runnable.ainvoke(value, config)

    def stream(self, runnable: Any, value: Any, config: Any = None) -> AsyncIterator[Any]:
        """The stream, with `aclose`."""
        if self.sync:
            return as_async(iter(runnable.stream(value, config)))
        return runnable.astream(value, config)

    async def collect(self, runnable: Any, value: Any, config: Any = None) -> list[Any]:
        return [item async for item in self.stream(runnable, value, config)]

    def closing(self, runnable: Any, value: Any, config: Any = None) -> Any:
        return contextlib.aclosing(self.stream(runnable, value, config))  # type: ignore[type-var]

    def function(self, body: Callable[[Any], Any]) -> Any:
        """`body` in the form of the colour: a function, or a coroutine function."""
        if self.sync:
            return body

        async def form(value: Any) -> Any:
            return body(value)

        return form

    def generator(self, *items: Any, log: list[str] | None = None, fail: BaseException | None = None) -> Any:
        """A generator function of the colour that yields `items`, then raises `fail`; `log` gets `closed` at its end."""
        log = [] if log is None else log

        def sync_form(inputs: Any) -> Any:
            try:
                for _ in inputs:
                    pass
                for item in items:
                    log.append(f"make {item}")
                    yield item
                if fail is not None:
                    raise fail
            finally:
                log.append("closed")

        async def async_form(inputs: Any) -> Any:
            try:
                async for _ in inputs:
                    pass
                for item in items:
                    log.append(f"make {item}")
                    await asyncio.sleep(0)
                    yield item
                if fail is not None:
                    raise fail
            finally:
                log.append("closed")

        return sync_form if self.sync else async_form

    def waiting(self, event: threading.Event, then: Any, log: list[str]) -> Any:
        """A function of the colour that waits for `event` (checked every few ms), and logs how it ended."""

        def sync_form(value: Any) -> Any:
            assert event.wait(10)
            log.append("waited")
            return then

        async def async_form(value: Any) -> Any:
            try:
                end = time.monotonic() + 10
                while not event.is_set():
                    assert time.monotonic() < end
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                log.append("cancelled")
                raise
            log.append("waited")
            return then

        return sync_form if self.sync else async_form


@pytest.fixture(params=["sync", "asyncio", "asyncio-debug", "uvloop"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)
