"""push_message: say a message before the node that made it has ended."""

from __future__ import annotations

from typing import Any

from ..data.coercion import convert_to_messages
from ..data.messages import BaseMessage
from ..errors import InvalidArgument
from .heard import MessagesTap
from .runtime import current_task

__all__ = ["push_message"]


def push_message(message: Any, *, state_key: str | None = "messages") -> BaseMessage:
    """Put a message on the `messages` stream at once, and write it to a key of the state (None: to none); returns it.

    The node may return it too: it is told once, and a reducer such as `add_messages` knows it by its id.

    Raises:
        InvalidArgument: (a ValueError) the message has no id.
        OutsideRun: (a RuntimeError) called outside of a node.
    """
    [whole] = convert_to_messages([message])
    if whole.id is None:
        raise InvalidArgument("push_message needs a message with an id, by which it is known when it comes again.")
    task = current_task("push_message()")
    for listener in task.loop.scope.listeners:
        if isinstance(listener, MessagesTap):
            listener.say(task, whole)
    if state_key is not None and state_key in task.loop.plan.channels:
        task.writes.append((state_key, whole))
    return whole
