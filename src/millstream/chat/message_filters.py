"""Choosing among messages, and joining those that follow one another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Any, Literal

from ..data.chunks import BaseMessageChunk, message_chunk_to_message
from ..data.coercion import convert_to_messages
from ..data.ids import pick_id
from ..data.merging import add_usage, merge_dicts
from ..data.messages import AIMessage, BaseMessage, ChatMessage, FunctionMessage, ToolMessage
from .message_steps import Kinds, Messages, is_of_kind, usable_as_step

__all__ = ["filter_messages", "merge_message_runs"]


@usable_as_step
def filter_messages(
    messages: Messages,
    *,
    include_names: Collection[str] | None = None,
    exclude_names: Collection[str] | None = None,
    include_types: Kinds | None = None,
    exclude_types: Kinds | None = None,
    include_ids: Collection[str] | None = None,
    exclude_ids: Collection[str] | None = None,
    exclude_tool_calls: bool | Collection[str] | None = None,
) -> list[BaseMessage]:
    """Keep the messages that any include names, all where no include names any, and no exclude names.

    `exclude_tool_calls=True` drops messages with tool calls and all tool messages. A collection of ids takes out those
    calls and what answers them; a message left without calls goes too.
    """
    kept: list[BaseMessage] = []
    for message in convert_to_messages(messages):
        if exclude_names and message.name in exclude_names:
            continue
        if exclude_types and is_of_kind(message, exclude_types):
            continue
        if exclude_ids and message.id in exclude_ids:
            continue
        rest = _without_calls(message, exclude_tool_calls) if exclude_tool_calls else message
        if rest is not None and _included(message, include_names, include_types, include_ids):
            kept.append(rest)
    return kept


def _included(
    message: BaseMessage, names: Collection[str] | None, types: Kinds | None, ids: Collection[str] | None
) -> bool:
    if not (names or types or ids):
        return True
    return bool(
        (names and message.name in names) or (types and is_of_kind(message, types)) or (ids and message.id in ids)
    )


def _without_calls(message: BaseMessage, excluded: Literal[True] | Collection[str]) -> BaseMessage | None:
    """The message without these tool calls; None when nothing of it is left."""
    if isinstance(message, ToolMessage):
        return None if excluded is True or message.tool_call_id in excluded else message
    if not isinstance(message, AIMessage) or not message.tool_calls:
        return message
    if excluded is True:
        return None
    calls = [call for call in message.tool_calls if call["id"] not in excluded]
    if len(calls) == len(message.tool_calls):
        return message
    if not calls:
        return None
    content = message.content
    if isinstance(content, list):
        # Some providers have the calls among the content too.
        content = [block for block in content if not _is_call(block, excluded)]
    return message_chunk_to_message(message).model_copy(update={"tool_calls": calls, "content": content})


def _is_call(block: Any, ids: Collection[str]) -> bool:
    return isinstance(block, dict) and block.get("type") in ("tool_use", "tool_call") and block.get("id") in ids


@usable_as_step
def merge_message_runs(messages: Messages, *, chunk_separator: str = "\n") -> list[BaseMessage]:
    """Join neighbours of the same class into one message; tool messages stay apart, since each answers its own call.

    Texts are joined with the separator, lists of blocks and tool calls one after the other, usage is added up. What the provider said of the messages (`response_metadata`) is that of the first; who spoke (`name`) is
    kept only for functions.
    """
    runs: list[list[BaseMessage]] = []
    for message in convert_to_messages(messages):
        if runs and _speaker(runs[-1][-1]) == _speaker(message) and not isinstance(message, ToolMessage):
            runs[-1].append(message)
        else:
            runs.append([message])
    return [run[0] if len(run) == 1 else _joined(run, chunk_separator) for run in runs]


def _speaker(message: BaseMessage) -> tuple[type[BaseMessage], str | None]:
    """Whose message it is; a chunk's is that of its message."""
    cls = message._continues if isinstance(message, BaseMessageChunk) else type(message)
    if isinstance(message, ChatMessage):
        return cls, message.role
    return cls, message.name if isinstance(message, FunctionMessage) else None


def _joined(run: list[BaseMessage], separator: str) -> BaseMessage:
    run = [message_chunk_to_message(message) for message in run]
    first = run[0]
    changes: dict[str, Any] = {
        "content": _joined_content([message.content for message in run], separator),
        "additional_kwargs": _joined_dicts([message.additional_kwargs for message in run]),
        "name": first.name if isinstance(first, FunctionMessage) else None,
    }
    if isinstance(first, AIMessage):
        answers = [message for message in run if isinstance(message, AIMessage)]
        changes["tool_calls"] = [call for message in answers for call in message.tool_calls]
        changes["invalid_tool_calls"] = [call for message in answers for call in message.invalid_tool_calls]
        changes["usage_metadata"] = add_usage(*[message.usage_metadata for message in answers])
        for message in answers[1:]:
            changes["id"] = pick_id(changes.get("id", first.id), message.id)
    return first.model_copy(update=changes)


def _joined_content(contents: Sequence[Any], separator: str) -> Any:
    """Texts with the separator between them; from the first list of blocks on a list, whose last text goes on as it is."""
    texts = list(takewhile(lambda content: isinstance(content, str), contents))
    text = separator.join(text for text in texts if text)
    if len(texts) == len(contents):
        return text
    blocks: list[Any] = [text] if text else []
    for content in contents[len(texts) :]:
        if isinstance(content, list):
            blocks += content
        elif content and blocks and isinstance(blocks[-1], str):
            blocks[-1] += content
        elif content:
            blocks.append(content)
    return blocks


def _joined_dicts(dicts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Joined as pieces are; where two whole messages contradict each other the later one is right."""
    whole: dict[str, Any] = {}
    for each in dicts:
        try:
            whole = merge_dicts(whole, each)
        except TypeError:
            whole = {**whole, **each}
    return whole
