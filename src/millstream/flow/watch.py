"""Watching a runnable: run it with a listener and hand out what a view makes of the events, as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from ..spine.events import Tap
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
    chosen: EventFilter,
    kwargs: dict[str, Any],
) -> AsyncStream[dict[str, Any]]:
    """The events of one run of `runnable`, filtered; see `Runnable.astream_events`."""
    mailbox: Mailbox[Any] = Mailbox()
    view = EventsView(chosen, input, runnable.get_name())
    return AsyncStream(_watched(ASYNC, runnable, input, enter(config), kwargs, mailbox, view))


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
    return _watched(d, runnable, input, scope, kwargs, mailbox, view, lambda item: mailbox.put(Chunk(item)))


def _watched(
    d: Driver,
    runnable: Runnable[Any, Any],
    input: Any,
    scope: Scope,
    kwargs: dict[str, Any],
    mailbox: Mailbox[Any],
    view: EventsView | LogView,
    take: Callable[[Any], None] | None = None,
) -> AsyncGenerator[Any, None]:
    """What `view` makes of the run's events, and of what `take` puts into the mailbox for each item."""
    heard = with_default_limit(scope).with_listener(Tap(view.interest, mailbox.put), mailbox)

    async def produce() -> None:
        items = attended_items(d, heard, lambda scope: flow_of(runnable)(d, once(input), scope, kwargs, input))
        try:
            async for item in items:
                if take is not None:
                    take(item)
                if mailbox.behind or mailbox.abandoned:
                    await d.wait_for(mailbox)
        finally:
            await items.aclose()

    return push(d, mailbox, produce, view.feed, view.failure if isinstance(view, EventsView) else None)
