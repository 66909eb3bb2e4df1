"""Watching a runnable: run it with a listener and hand out what a view makes of the events, as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from ..spine.events import Listener, Tap
from ..spine.run import Run
from ..spine.scope import Scope, enter
from ..spine.views.events import EventFilter, EventsView
from ..spine.views.log import Chunk, LogView, RunLogPatch
from .attend import attended_items
from .driver import ASYNC, Driver
from .entry import blocking_scope, with_default_limit
from .mailbox import Mailbox
from .runnable import Runnable, flow_of, once
from .stream import AsyncStream, push

__all__ = ["log_items", "stream_events"]


def stream_events(
    runnable: Runnable[Any, Any],
    input: Any,
    config: Mapping[str, Any] | None,
    chosen: Sequence[Any],
    kwargs: dict[str, Any],
) -> AsyncStream[dict[str, Any]]:
    """The events of one run of `runnable`, filtered; see `Runnable.astream_events`."""
    mailbox: Mailbox[Any] = Mailbox()
    view = EventsView(EventFilter(*chosen), input, runnable.get_name())
    tap = _EventsTap(view, mailbox)
    return AsyncStream(_watched(ASYNC, runnable, input, enter(config), kwargs, mailbox, tap, view.feed, view.failure))


def log_items(
    d: Driver,
    runnable: Runnable[Any, Any],
    input: Any,
    config: Mapping[str, Any] | None,
    view: LogView,
    kwargs: dict[str, Any],
) -> AsyncGenerator[RunLogPatch, None]:
    """The log of one run of `runnable`, as `view` tells it; see `Runnable.astream_log`."""
    scope = blocking_scope(config) if d.sync else enter(config)
    mailbox: Mailbox[Any] = Mailbox()
    tap = Tap(view.interest, mailbox.put)
    return _watched(
        d, runnable, input, scope, kwargs, mailbox, tap, view.feed, take=lambda item: mailbox.put(Chunk(item))
    )


class _EventsTap:
    """The listener of one stream of events."""

    __slots__ = ("_view", "feed", "interest")

    def __init__(self, view: EventsView, mailbox: Mailbox[Any]) -> None:
        self._view = view
        self.interest = view.interest
        self.feed: Any = mailbox.put

    def telling(self, run: Run) -> Callable[[Any], None]:
        return self._view.telling(run, self.feed)


def _watched(
    d: Driver,
    runnable: Runnable[Any, Any],
    input: Any,
    scope: Scope,
    kwargs: dict[str, Any],
    mailbox: Mailbox[Any],
    tap: Listener,
    feed: Callable[[Any], Any],
    failure: Callable[[Exception], Any] | None = None,
    take: Callable[[Any], None] | None = None,
) -> AsyncGenerator[Any, None]:
    """What `feed` makes of what `tap` hears of the run, and of what `take` puts into the mailbox for each item."""
    heard = with_default_limit(scope).with_listener(tap, mailbox)

    waiting, mark = mailbox.items, mailbox.mark

    async def produce() -> None:
        items = attended_items(d, heard, lambda scope: flow_of(runnable)(d, once(input), scope, kwargs, input))
        try:
            async for item in items:
                if take is not None:
                    take(item)
                if len(waiting) >= mark or mailbox.abandoned:  # `behind`, written out: once an item
                    await d.wait_for(mailbox)
        finally:
            await items.aclose()

    return push(d, mailbox, produce, feed, failure)
