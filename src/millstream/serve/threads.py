"""A stored conversation as a client may see it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["answers_owed", "public_messages", "thread_view"]

_ROLES = {"human": "user", "ai": "assistant", "tool": "tool"}


def thread_view(thread_id: str, snapshot: Any, *, running: bool, state_keys: Collection[str]) -> dict[str, Any] | None:
    """What `GET /threads/{thread_id}` tells of a state snapshot, or None when nothing is stored.

    System messages are internals and left out, and so is every part of the state that `state_keys` does not name.
    """
    values = snapshot.values
    if not values and snapshot.created_at is None:
        return None
    if not isinstance(values, dict):
        values = {}
    interrupts = [{"id": item.id, "value": item.value} for item in snapshot.interrupts or ()]
    return {
        "thread_id": thread_id,
        "status": "running" if running else "interrupted" if interrupts else "idle",
        "messages": public_messages(values.get("messages") or ()),
        "state": {key: values[key] for key in state_keys if key in values and key != "messages"},
        "interrupts": interrupts,
    }


def public_messages(messages: Any) -> list[dict[str, Any]]:
    """Messages in the words of the native dialect."""
    return [shown for message in messages if (shown := _message(message)) is not None]


def answers_owed(stored: Sequence[Any], given: Sequence[Any]) -> list[dict[str, Any]]:
    """Tool messages for the calls at the end of a conversation that were never answered.

    A run that is stopped while its tools work leaves such calls, and no model takes a conversation with a call left
    open. `given` are the messages about to be added: calls that they answer are not owed.
    """
    answered = {message["tool_call_id"] for message in given if message["role"] == "tool"}
    for message in reversed(stored):
        if message.type == "tool":
            answered.add(message.tool_call_id)
        elif message.type == "ai":
            return [_cancelled(call) for call in message.tool_calls if call["id"] not in answered]
        else:
            break
    return []


def _cancelled(call: Any) -> dict[str, Any]:
    text = "The call was cancelled before it gave a result."
    return {"role": "tool", "content": text, "tool_call_id": call["id"], "name": call["name"], "status": "error"}


def _message(message: Any) -> dict[str, Any] | None:
    role = _ROLES.get(getattr(message, "type", ""))
    if role is None:
        return None
    shown: dict[str, Any] = {"message_id": message.id, "role": role, "content": message.content}
    if role == "tool":
        shown.update(tool_call_id=message.tool_call_id, name=message.name, status=message.status)
    elif role == "assistant":
        calls = [{"id": call.get("id"), "name": call["name"], "args": call["args"]} for call in message.tool_calls]
        shown.update(tool_calls=calls, status="complete", usage=_usage(message))
    return shown


def _usage(message: Any) -> dict[str, int] | None:
    usage = message.usage_metadata
    return usage and {key: usage.get(key) or 0 for key in ("input_tokens", "output_tokens", "total_tokens")}
