"""Served runs: they belong to the server, not to the socket that asked for them."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from typing import Any, Literal, Protocol
from uuid import uuid4

from ..errors import GraphInterrupt
from ..spine.events import Event
from ..spine.run import Run
from .dialects.native import NativeView, Record
from .faults import fault_of, reported
from .limits import Limits
from .log import RunLog, Viewer
from .threads import answers_owed

__all__ = ["Agent", "Busy", "Cause", "Draining", "Full", "OnDisconnect", "Runs", "ServedRun"]

Cause = Literal["stop", "disconnect", "drain", "timeout"]
OnDisconnect = Literal["cancel", "continue"]

# Ended runs are remembered so that a late `stop` gets its 202; ids are small.
_REMEMBERED = 10_000


class Agent(Protocol):
    """What can be served: a compiled graph, or any runnable that takes the same input.

    `aget_state` is only asked of agents with memory.
    """

    async def ainvoke(self, input: Any, config: Any = None) -> Any: ...

    async def aget_state(self, config: Any) -> Any: ...


class Full(Exception):
    """As many runs as allowed are under way."""


class Draining(Exception):
    """The server is shutting down."""


class Busy(Exception):
    """Another run is under way on this thread."""


class ServedRun:
    """One run of the agent, its log, and how it ends.

    There are four ways to be stopped, told apart in `done`: a person's `stop`, a `disconnect` of the last viewer, a
    `drain` of the server, a `timeout`.
    """

    def __init__(self, thread_id: str, limits: Limits, on_disconnect: OnDisconnect) -> None:
        self.id = str(uuid4())  # whoever knows it may stop the run: nothing that can be guessed
        self.thread_id = thread_id
        self.log = RunLog()
        self.cause: Cause | None = None
        self._limits = limits
        self._on_disconnect = on_disconnect
        self._view = NativeView()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.task: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, agent: Agent, input: Any, config: dict[str, Any], start: dict[str, Any]) -> asyncio.Task[None]:
        """Say `start` and set the agent to work. The task ends when the agent has, which may be after `ended`."""
        self.log.append([("start", {"run_id": self.id, "thread_id": self.thread_id, **start})])
        config = {**config, "callbacks": [self], "run_id": self.id}
        self.task = asyncio.create_task(self._work(agent, input, config), name=f"millstream-run-{self.id}")
        if self._limits.run_seconds is not None:
            self._timers.append(self._loop.call_later(self._limits.run_seconds, self.stop, "timeout"))
        return self.task

    def stop(self, cause: Cause) -> None:
        """Cancel the run; the first cause is the one that is told. Nothing happens to a run that has ended."""
        if self.task is None or self.log.closed or self.cause is not None:
            return
        self.cause = cause
        self.task.cancel()
        # A tool in a thread cannot be interrupted: it is not waited for, and what it still says is dropped.
        self._timers.append(self._loop.call_later(self._limits.cancel_grace, self.settle))

    def settle(self) -> None:
        """Make sure that the run has said its last word."""
        if not self.log.closed:
            self._stopped()

    def left(self, viewer: Viewer) -> None:
        """A viewer is gone."""
        viewer.close()
        if self._on_disconnect == "cancel" and not self.log.viewers:
            self.stop("disconnect")

    # As a listener

    def interest(self, run: Run) -> int:
        """See `Listener.interest`."""
        return self._view.interest(run)

    def feed(self, event: Event) -> None:
        """Write what the event says to the log. Called from any thread."""
        if threading.get_ident() == self._thread:
            self._record(event)
        else:
            self._loop.call_soon_threadsafe(self._record, event)

    def _record(self, event: Event) -> None:
        if not self.log.closed and (records := self._view.feed(event)):
            self.log.append(records)

    # The end

    async def _work(self, agent: Agent, input: Any, config: dict[str, Any]) -> None:
        try:
            output = await agent.ainvoke(input, config)
        except asyncio.CancelledError:
            if self.cause is None:
                # Cancelled by whoever ends the event loop.
                self.cause = "drain"
                self._stopped()
                raise
            self._stopped()
        except GraphInterrupt:
            self._done("interrupted")
        except Exception as error:
            self._failed(error)
        else:
            self._done("interrupted" if _interrupted(output) else "success")

    def _done(self, status: str) -> None:
        if self.cause is not None:
            self._stopped()  # it ended by itself in the moment it was stopped
        else:
            self._end([("done", {"status": status, "usage": self._view.usage})])

    def _stopped(self) -> None:
        self._end([("done", {"status": "stopped", "cause": self.cause, "usage": self._view.usage})])

    def _failed(self, error: Exception) -> None:
        if self.cause is not None:
            self._stopped()  # what breaks while a run is being cancelled is not what ended it
            return
        error_id = reported(error, f"run {self.id} failed")
        fault = fault_of(error)
        told = {"message": fault.message, "code": fault.code, "retryable": fault.retryable, "error_id": error_id}
        self._end([*self._view.close(), ("error", told)])

    def _end(self, records: list[Record]) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.log.append(records)


class Runs:
    """Every run of one served agent. `memory`: its threads are kept, so one takes one run at a time."""

    def __init__(self, agent: Agent, limits: Limits, *, memory: bool) -> None:
        self.agent = agent
        self.memory = memory
        self.limits = limits
        self.draining = False
        self._active: dict[str, ServedRun] = {}
        self._by_thread: dict[str, ServedRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._past: OrderedDict[str, None] = OrderedDict()

    async def start(
        self,
        input: dict[str, Any],
        *,
        thread_id: str,
        config: dict[str, Any],
        start: dict[str, Any],
        on_disconnect: OnDisconnect = "cancel",
    ) -> tuple[ServedRun, Viewer]:
        """Accept a run and its first viewer; the run is under way when this returns.

        Raises:
            Draining: the server is shutting down.
            Full: too many runs are under way.
            Busy: another run is under way on this thread, and it is not about to end.
        """
        if self.memory:
            await self._await_thread(thread_id)
            input = await self._answering(input, config)
            if thread_id in self._by_thread:
                raise Busy  # another request was quicker
        if self.draining:
            raise Draining
        if len(self._tasks) >= self.limits.concurrent_runs:
            raise Full
        run = ServedRun(thread_id, self.limits, on_disconnect)
        viewer = run.log.viewer(budget=self.limits.viewer_bytes)
        self._active[run.id] = self._by_thread[thread_id] = run
        task = run.begin(self.agent, input, config, start)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(run, task))
        return run, viewer

    def stop(self, run_id: str) -> bool:
        """Stop a run; False when no such run is known. An ended run stays as it is."""
        run = self._active.get(run_id)
        if run is None:
            return run_id in self._past
        run.stop("stop")
        return True

    def on_thread(self, thread_id: str) -> ServedRun | None:
        """The run that is under way on a thread."""
        return self._by_thread.get(thread_id)

    async def drain(self, grace: float | None = None) -> None:
        """Take no more runs, let those under way end, stop what is left after `grace` seconds, and wait for it.

        Returns when no run is left, or after at most `limits.grace` seconds more.
        """
        self.draining = True
        await self._settle(self.limits.grace if grace is None else grace)
        for run in tuple(self._active.values()):
            run.stop("drain")
        await self._settle(self.limits.grace)

    async def _settle(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _await_thread(self, thread_id: str) -> None:
        # Two runs on one conversation would write over each other. One that was just stopped is about to end.
        run = self._by_thread.get(thread_id)
        if run is None:
            return
        if run.cause is not None and run.task is not None:
            await asyncio.wait({run.task}, timeout=self.limits.cancel_grace)
        if thread_id in self._by_thread:
            raise Busy

    async def _answering(self, input: Any, config: dict[str, Any]) -> Any:
        """`input`, with answers to tool calls that a stopped run has left open on the thread."""
        given = input.get("messages")
        if not given:
            return input
        stored = (await self.agent.aget_state(config)).values.get("messages") or ()
        owed = answers_owed(stored, given)
        return {**input, "messages": [*owed, *given]} if owed else input

    def _ended(self, run: ServedRun, task: asyncio.Task[None]) -> None:
        run.settle()  # a task that was cancelled before its first step never ran at all
        self._tasks.discard(task)
        self._active.pop(run.id, None)
        if self._by_thread.get(run.thread_id) is run:
            del self._by_thread[run.thread_id]
        self._past[run.id] = None
        if len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)


def _interrupted(output: Any) -> bool:
    return isinstance(output, dict) and bool(output.get("__interrupt__"))
