"""A model that is asked the same again after its stream broke off: whoever was shown the first tokens is told to drop them.

Nothing here asks again: retry policies, retries of runnables, middleware and users' own loops do. They all lead to another call
with the same messages inside the same node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..spine.events import CUSTOM

if TYPE_CHECKING:
    from ..spine.run import Run

__all__ = ["MESSAGE_RESET", "note_broken_stream", "tell_restart"]

MESSAGE_RESET = "message_reset"
"""The name of the custom event. Its value: `message_id`, of the message that counts no more, and `attempt`, 2, 3, …"""

_KEY = "broken_stream"


class _Broken(NamedTuple):
    message_id: str
    messages: list[Any]
    attempt: int


def note_broken_stream(run: Run | None, message_id: str, messages: list[Any], attempt: int) -> None:
    """Remember, on the runs around a call of which something was shown, that its stream broke off."""
    for around in _around(run):
        around.extra[_KEY] = _Broken(message_id, messages, attempt)


def tell_restart(run: Run | None, messages: list[Any]) -> int:
    """The number of the attempt that a call with these messages is; one that is made again is told as a custom event."""
    broken = next((broken for around in _around(run) if (broken := _of(around)) is not None), None)
    if run is None or broken is None or broken.messages != messages:
        return 1
    for around in _around(run):
        if _of(around) is broken:
            del around.extra[_KEY]
    attempt = broken.attempt + 1
    if run.mask & CUSTOM:
        run.emit(CUSTOM, (MESSAGE_RESET, {"message_id": broken.message_id, "attempt": attempt}))
    return attempt


def _around(run: Run | None) -> Iterator[Run]:
    """The run and those around it, as far as the node of a graph: beside that others may ask the same."""
    while run is not None:
        yield run
        if run.metadata.get("langgraph_node") == run.name:
            return
        run = run.parent


def _of(run: Run) -> _Broken | None:
    # Not by `extra`, which would make one for every run.
    return None if run._extra is None else run._extra.get(_KEY)
