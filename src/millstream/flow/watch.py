"""Watching a runnable: run it with a listener and hand out what a view makes of the events, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ..spine.events import Tap
from ..spine.scope import enter
from ..spine.views.events import EventFilter, EventsView
from .batch import with_default_limit
from .driver import ASYNC
from .mailbox import Mailbox
from .runnable import Runnable, flow_of, once
from .stream import AsyncStream, push

__all__ = ["stream_events"]


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
    scope = with_default_limit(enter(config)).with_listener(Tap(view.interest, mailbox.put), mailbox)

    async def produce() -> None:
        items = flow_of(runnable)(ASYNC, once(input), scope, kwargs, input)
        try:
            async for _ in items:
                if mailbox.behind:
                    await mailbox.drain()
        finally:
            await items.aclose()

    return AsyncStream(_until_error(push(ASYNC, mailbox, produce, view.feed), view))


async def _until_error(
    items: AsyncGenerator[dict[str, Any], None], view: EventsView
) -> AsyncGenerator[dict[str, Any], None]:
    failed: Exception | None = None
    try:
        async for item in items:
            yield item
    except asyncio.CancelledError:
        raise
    except Exception as error:
        failed = error
    finally:
        await items.aclose()
    if failed is not None:
        yield view.failure(failed)
        raise failed
