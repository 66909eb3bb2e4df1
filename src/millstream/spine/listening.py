"""What is given as callbacks, as listeners: handlers through one adapter, and listeners of one run alone."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy, running_loop
from ..errors import InvalidType
from .events import Event, Listener
from .run import Run, report
from .views.handler_calls import Call, call_of, fallback_of, kinds_wanted
from .views.handlers import BaseCallbackHandler, overridden

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio", globals())

__all__ = ["Deferred", "HandlerListener", "Once", "as_listener", "as_listeners", "run_to_end"]


class HandlerListener:
    """A handler as a listener: `feed` calls its method at once, in the thread that emits.

    That is what sync runs want. In async runs `attended` (flow/attend.py) puts another listener in its place where this
    one `waits`, that is, where calling the handler could block the event loop.
    """

    __slots__ = ("handler", "methods")

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self.handler = handler
        self.methods = overridden(handler)

    @property
    def waits(self) -> bool:
        """Whether the handler should be called from elsewhere than the event loop's own steps."""
        return not self.handler.run_inline or any(self.methods.values())

    @property
    def raise_error(self) -> bool:
        """Whether a failure of the handler fails the run."""
        return self.handler.raise_error

    @property
    def label(self) -> str:
        """What a log calls it."""
        return type(self.handler).__name__

    def interest(self, run: Run) -> int:
        """The kinds for which the handler has a method that it does not ignore."""
        return kinds_wanted(self.handler, self.methods, run)

    def feed(self, event: Event) -> None:
        """Tell the handler of an event."""
        self.tell(call_of(event, self.methods), event.run)

    def tell(self, call: Call, run: Run) -> None:
        """Call the handler; a coroutine method is run to its end on an event loop of its own."""
        awaitable = self.make(call)
        if awaitable is not None:
            run_to_end(awaitable)

    def make(self, call: Call) -> Awaitable[Any] | None:
        """Call a method; returns what is still to be awaited, where it is a coroutine function."""
        name, given, keywords = call
        try:
            made = getattr(self.handler, name)(*given, **keywords)
        except NotImplementedError:
            if name != "on_chat_model_start":
                raise
            name, given, keywords = fallback_of(call)
            made = getattr(self.handler, name)(*given, **keywords)
        return made if made is not None and isinstance(made, Awaitable) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HandlerListener) and other.handler is self.handler

    def __hash__(self) -> int:
        return hash(id(self.handler))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.handler!r})"


class Deferred(HandlerListener):
    """A handler of an async callback manager that reports runs by hand: coroutine methods wait until it is awaited."""

    __slots__ = ("_calls",)

    def __init__(self, handler: BaseCallbackHandler) -> None:
        super().__init__(handler)
        self._calls: list[Call] = []

    @classmethod
    def of(cls, listener: Listener) -> Listener:
        """`listener` with this in the place of a handler that nobody serves."""
        if isinstance(listener, Once):
            return Once(cls.of(listener.listener))
        return cls(listener.handler) if isinstance(listener, HandlerListener) and listener.waits else listener

    @property
    def waits(self) -> bool:
        """Always: what runs below may serve the handler properly."""
        return True

    def tell(self, call: Call, run: Run) -> None:
        """Call the handler now, or keep the call of a coroutine method for `settle`."""
        if self.methods[call[0]]:
            self._calls.append(call)
        else:
            super().tell(call, run)

    async def settle(self, run: Run) -> None:
        """Make the calls that were kept."""
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                awaitable = self.make(call)
                if awaitable is not None:
                    await awaitable
            except Exception as error:
                report(self, run, error)


class Once:
    """A listener that hears one run only: the first that it is asked about."""

    __slots__ = ("_run", "listener")

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._run: Run | None = None

    @property
    def waits(self) -> bool:
        """As the listener inside."""
        return getattr(self.listener, "waits", False)

    @property
    def raise_error(self) -> bool:
        """As the listener inside."""
        return getattr(self.listener, "raise_error", False)

    @property
    def label(self) -> str:
        """As the listener inside."""
        return getattr(self.listener, "label", type(self.listener).__name__)

    @property
    def spent(self) -> bool:
        """Whether it has its run."""
        return self._run is not None

    def interest(self, run: Run) -> int:
        """What the listener wants of the first run, nothing of those below it."""
        if self._run is None:
            self._run = run
        return self.listener.interest(run) if run is self._run else 0

    def feed(self, event: Event) -> None:
        """Hand on."""
        self.listener.feed(event)


def as_listener(given: Any) -> Listener:
    """A listener as it is, a handler in its adapter.

    Raises:
        InvalidType: (a TypeError) it is neither.
    """
    if isinstance(given, BaseCallbackHandler):
        return HandlerListener(given)
    if isinstance(given, Listener):
        return given
    raise InvalidType(
        f"config['callbacks'] holds {given!r}, which is no callback handler; give instances of BaseCallbackHandler, or "
        "listeners: objects with `interest(run)` and `feed(event)`."
    )


def as_listeners(given: Any) -> list[Listener]:
    """The listeners of one object or several."""
    return [as_listener(each) for each in (given if isinstance(given, (list, tuple)) else (given,))]


def run_to_end(awaitable: Awaitable[Any]) -> None:
    """Run a handler's coroutine on an event loop of its own; never on the one that may be running in this thread."""
    if running_loop() is None:
        _run(_awaited(awaitable))
        return
    failed: list[BaseException] = []
    context = copy_context()

    def apart() -> None:
        try:
            context.run(_run, _awaited(awaitable))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=apart, name="millstream-handler", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _run(coroutine: Coroutine[Any, Any, Any]) -> None:
    # With a factory the runner leaves the thread's current event loop as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)


async def _awaited(awaitable: Awaitable[Any]) -> None:
    await awaitable
