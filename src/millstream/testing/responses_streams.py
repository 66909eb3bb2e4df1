"""Answers of OpenAI's responses API, built: the bytes a server would send, for tests that need no recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .stream_parts import arguments_of, json_of, new_answer_id, pieces_of

__all__ = ["response_answer", "response_frame", "response_item", "response_of", "response_stream"]

_MODEL = "stand-in-1"
_CREATED = 1_700_000_000

Pieces = str | Iterable[str]


def response_frame(type: str, **rest: Any) -> bytes:
    """One event. Half a character (a lone surrogate) is written as an escape."""
    return f"event: {type}\ndata: ".encode() + json_of({"type": type, **rest}) + b"\n\n"


def response_item(index: int, item: Mapping[str, Any], pieces: Iterable[str] = ()) -> bytes:
    """The events of one output item, whole as it is at its end; `pieces` are those of its text, summary or arguments.

    An item whose kind is not streamed comes with its first and its last event.
    """
    place = {"item_id": item.get("id"), "output_index": index}
    events: list[bytes] = []
    match item["type"]:
        case "message":
            first = {**item, "content": []}
            part = {"type": "output_text", "text": "", "annotations": []}
            events.append(response_frame("response.content_part.added", **place, content_index=0, part=part))
            kind, more = "response.output_text.delta", {"content_index": 0}
            for number, annotation in enumerate(item["content"][0].get("annotations") or ()):
                told = {**place, **more, "annotation_index": number, "annotation": annotation}
                events.append(response_frame("response.output_text.annotation.added", **told))
        case "reasoning":
            first = {**item, "summary": []}
            kind, more = "response.reasoning_summary_text.delta", {"summary_index": 0}
        case "function_call":
            first = {**item, "arguments": ""}
            kind, more = "response.function_call_arguments.delta", {}
        case "custom_tool_call":
            first = {**item, "input": ""}
            kind, more = "response.custom_tool_call_input.delta", {}
        case other:
            first, kind, more = dict(item), f"response.{other}.delta", {}
    deltas = [response_frame(kind, **place, **more, delta=piece) for piece in pieces]
    begin = response_frame("response.output_item.added", output_index=index, item={**first, "status": "in_progress"})
    return b"".join([begin, *events[:1], *deltas, *events[1:], _done(index, item)])


def _done(index: int, item: Mapping[str, Any]) -> bytes:
    return response_frame("response.output_item.done", output_index=index, item={**item, "status": "completed"})


def response_stream(
    text: Pieces = (),
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    reasoning: Pieces = (),
    usage: tuple[int, int] | Mapping[str, Any] = (9, 4),
    end: str = "response.completed",
    **response: Any,
) -> bytes:
    """A whole streamed response: a reasoning summary, a message, function calls, and the end.

    `text` and `reasoning` are given in pieces, or as one string that is cut after each space. `tool_calls` are mappings with
    `name`, `args` (a dict, or JSON text) and perhaps `id`. `usage` is (input, output) tokens or the whole mapping. `end` is
    the last event's type, and all else goes into its response.
    """
    items: list[tuple[dict[str, Any], list[str]]] = []
    if thought := pieces_of(reasoning):
        summary = [{"type": "summary_text", "text": "".join(thought)}]
        items.append(
            ({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "c2VjcmV0"}, thought)
        )
    if said := pieces_of(text):
        items.append((_message("".join(said)), said))
    for number, call in enumerate(tool_calls):
        args = arguments_of(call)
        items.append((_call(number, call), [args[at : at + 5] for at in range(0, len(args), 5)]))
    begun = {**_response([], "in_progress"), "usage": None, **({"id": response["id"]} if "id" in response else {})}
    status = end.removeprefix("response.")
    whole = {**_response([item for item, _ in items], status), "id": begun["id"]}
    ended = {**whole, "usage": _usage(usage), **response}
    return b"".join(
        [
            response_frame("response.created", response=begun),
            response_frame("response.in_progress", response=begun),
            *(response_item(index, item, pieces) for index, (item, pieces) in enumerate(items)),
            response_frame(end, response=ended),
        ]
    )


def response_answer(
    text: str | None = None,
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    usage: tuple[int, int] | Mapping[str, Any] = (9, 4),
    **response: Any,
) -> bytes:
    """The JSON of a response that is not streamed; see `response_stream` for the arguments."""
    items = [_message(text)] if text else []
    items += [_call(number, call) for number, call in enumerate(tool_calls)]
    return json_of({**_response(items, "completed"), "usage": _usage(usage), **response})


def response_of(stream: bytes) -> bytes:
    """The whole response that a stream of `response_stream` (or one like it) adds up to: its last event has it."""
    last = next(line for line in reversed(stream.splitlines()) if line.startswith(b"data: {"))
    return json_of(json.loads(last[6:])["response"])


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}


def _call(number: int, call: Mapping[str, Any]) -> dict[str, Any]:
    id = call.get("id", f"call_{number + 1}")
    return {
        "type": "function_call",
        "id": f"fc_{number + 1}",
        "call_id": id,
        "name": call["name"],
        "arguments": arguments_of(call),
    }


def _response(output: Sequence[Mapping[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": new_answer_id("resp_standin_"),
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": _MODEL,
        "output": [{**item, "status": "completed"} for item in output],
        "service_tier": "default",
    }


def _usage(usage: tuple[int, int] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    given, made = usage
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + made,
    }
