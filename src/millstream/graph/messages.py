"""The reducer of message lists: append, replace by id, remove."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Annotated, Any, TypedDict

from ..data.chunks import BaseMessageChunk, message_chunk_to_message
from ..data.coercion import convert_to_messages
from ..data.ids import new_id
from ..data.messages import AIMessage, BaseMessage, RemoveMessage
from ..errors import InvalidArgument
from .channels import JOINED_WRITES, LOGGED_REDUCERS, Op
from .constants import REMOVE_ALL_MESSAGES
from .known_ids import only_new

__all__ = ["MessagesState", "add_messages"]


def add_messages(left: Any = None, right: Any = None, *, format: str | None = None) -> Any:
    """`left` with the messages of `right`: each replaces the one with its id, or is appended.

    Both may be one message or a list, as messages, tuples, dicts or strings. Messages without an id get one, on the
    object itself. `RemoveMessage(id)` removes; `RemoveMessage(REMOVE_ALL_MESSAGES)` drops all that came before it.
    With `format` alone, or nothing, returns a reducer.

    Raises:
        InvalidArgument: (a ValueError) only one side was given, an unknown `format`, or the id to remove is not there.
    """
    if format not in (None, "langchain-openai"):
        raise InvalidArgument(f"format must be 'langchain-openai' or None, not {format!r}.")
    if left is None and right is None:
        return partial(add_messages, format=format)
    if left is None or right is None:
        raise InvalidArgument("add_messages needs both sides, the old messages and the new ones; one of them is None.")
    merged, _ = _merge(_identified(left), _identified(right))
    return merged if format is None else _in_openai_form(merged)


def _logged(left: Any, right: Any) -> tuple[list[BaseMessage], list[Op]]:
    """`add_messages` for a channel, whose old value has been through it already."""
    if type(left) is not list or (left and not isinstance(left[-1], BaseMessage)):
        left = _identified(left)
        merged, _ = _merge(left, _identified(right))
        return merged, [("set", merged)]
    return _merge(left, _identified(right))


def _identified(given: Any) -> list[BaseMessage]:
    """Messages from one or several message-likes, chunks as whole messages, each with an id."""
    if not isinstance(given, list):
        given = [given]
    messages = []
    for message in given if all(isinstance(m, BaseMessage) for m in given) else convert_to_messages(given):
        if isinstance(message, BaseMessageChunk):
            message = message_chunk_to_message(message)
        if message.id is None:
            message.id = new_id()
        messages.append(message)
    return messages


def _merge(left: list[BaseMessage], right: list[BaseMessage]) -> tuple[list[BaseMessage], list[Op]]:
    for index in range(len(right) - 1, -1, -1):
        if right[index].id == REMOVE_ALL_MESSAGES and isinstance(right[index], RemoveMessage):
            rest = right[index + 1 :]
            return rest, [("set", rest)]
    ids = {message.id for message in right}
    if len(ids) == len(right) and not any(isinstance(m, RemoveMessage) for m in right) and only_new(left, right):
        return left + right, [("append", right)] if right else []
    where: dict[str | None, int] = {m.id: i for i, m in enumerate(left) if m.id in ids}
    merged = left.copy()
    count = len(left)
    removed: set[int] = set()
    for message in right:
        place = where.get(message.id)
        if isinstance(message, RemoveMessage):
            if place is None:
                raise InvalidArgument(
                    f"Attempting to delete a message with an ID that doesn't exist ({message.id!r}); "
                    "RemoveMessage takes the id of a message in the list."
                )
            removed.add(place)
        elif place is None:
            where[message.id] = len(merged)
            merged.append(message)
        else:
            removed.discard(place)
            merged[place] = message
    if (not where or min(where.values()) >= count) and not removed:
        return merged, [("append", merged[count:])] if len(merged) > count else []
    ops: list[Op] = [("put", (i, merged[i])) for i in sorted(where.values()) if i < count and i not in removed]
    ops += [("drop", i) for i in sorted(removed, reverse=True) if i < count]
    added = [message for i, message in enumerate(merged[count:], count) if i not in removed]
    if added:
        ops.append(("append", added))
    if removed:
        merged = [message for i, message in enumerate(merged) if i not in removed]
    return merged, ops


def _in_openai_form(messages: list[BaseMessage]) -> list[BaseMessage]:
    from ..data.openai_format import convert_to_openai_messages

    found: list[BaseMessage] = []
    for message in messages:
        forms: Any = convert_to_openai_messages([message])
        if len(forms) == 1 and forms[0].get("content") == message.content:
            found.append(message)
            continue
        # One message may be several: results of tools stand apart. The messages given are left as they are.
        own = convert_to_messages(forms)
        if len(own) == 1 and type(own[0]) is type(message):
            new = copy(message)
            new.content = own[0].content
            if isinstance(new, AIMessage) and isinstance(own[0], AIMessage):
                new.tool_calls = new.tool_calls or own[0].tool_calls
            own = [new]
        for each in own:
            each.id = message.id if each is own[0] else f"{message.id}-{own.index(each)}"
        found += own
    return found


def _joined(writes: Sequence[Any]) -> Sequence[Any]:
    """The messages that many tasks of a step wrote as one write, if none of them removes or replaces."""
    messages: list[Any] = []
    for write in writes:
        found = write if type(write) is list else [write]
        if not all(isinstance(m, BaseMessage) and not isinstance(m, RemoveMessage) for m in found):
            return writes
        messages += found
    return [messages]


LOGGED_REDUCERS[add_messages] = _logged
JOINED_WRITES[add_messages] = _joined


class MessagesState(TypedDict):
    """A state with one key, `messages`, that `add_messages` folds."""

    messages: Annotated[list[BaseMessage], add_messages]


AnyMessages = Annotated[list[BaseMessage], add_messages]
