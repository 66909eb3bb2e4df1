"""Answers of Anthropic's messages API, built: the bytes a server would send, for tests that need no recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .stream_parts import arguments_of, json_of, new_answer_id, pieces_of

__all__ = ["message_answer", "message_block", "message_error", "message_frame", "message_of", "message_stream"]

_MODEL = "stand-in-1"

# How the text of a block is streamed: the kind of delta, and its key there and in the block.
_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


def message_frame(type: str, **rest: Any) -> bytes:
    """One event. Half a character (a lone surrogate) is written as an escape."""
    return f"event: {type}\ndata: ".encode() + json_of({"type": type, **rest}) + b"\n\n"


def message_block(index: int, block: Mapping[str, Any], pieces: Iterable[str] = ()) -> bytes:
    """The events of one block: `pieces` are of its text, thought or arguments; all else comes with its start."""
    kind = block["type"]
    delta, key = _DELTAS.get(kind, ("input_json_delta", "partial_json"))
    signature = block.get("signature")
    first = {**block, key: ""} if kind in _DELTAS else dict(block)
    if signature:
        first["signature"] = ""
    out = [message_frame("content_block_start", index=index, content_block=first)]
    deltas: list[dict[str, Any]] = [{"type": delta, key: piece} for piece in pieces]
    deltas += [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
    if signature:
        deltas.append({"type": "signature_delta", "signature": signature})
    out += [message_frame("content_block_delta", index=index, delta=each) for each in deltas]
    out.append(message_frame("content_block_stop", index=index))
    return b"".join(out)


def message_stream(
    text: str | Iterable[str] = (),
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    thinking: str | Iterable[str] = (),
    usage: tuple[int, int] | Mapping[str, Any] = (9, 4),
    stop_reason: str | None = None,
    id: str | None = None,
) -> bytes:
    """A whole streamed message: a thought with its signature, text, tool calls, each as a block, and the end.

    `text` and `thinking` are given in pieces, or as one string that is cut after each space. `tool_calls` are mappings with
    `name`, `args` (a dict, or JSON text) and perhaps `id`. `usage` is (input, output) tokens or the whole mapping. Each
    message has an `id` of its own.
    """
    blocks: list[bytes] = []
    if thought := pieces_of(thinking):
        blocks.append(message_block(0, {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}, thought))
    if said := pieces_of(text):
        blocks.append(message_block(len(blocks), {"type": "text", "text": ""}, said))
    for number, call in enumerate(tool_calls):
        block = {"type": "tool_use", "id": call.get("id", f"toolu_{number + 1}"), "name": call["name"], "input": {}}
        args = arguments_of(call)
        pieces = ["", *(args[at : at + 5] for at in range(0, len(args), 5))]
        blocks.append(message_block(len(blocks), block, pieces))
    told = _usage(usage)
    message = {**_message([], None, id), "usage": {**told, "output_tokens": 1}}
    delta = {"stop_reason": stop_reason or ("tool_use" if tool_calls else "end_turn"), "stop_sequence": None}
    return b"".join(
        [
            message_frame("message_start", message=message),
            message_frame("ping"),
            *blocks,
            message_frame("message_delta", delta=delta, usage={"output_tokens": told["output_tokens"]}),
            message_frame("message_stop"),
        ]
    )


def message_answer(
    text: str | None = None,
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    usage: tuple[int, int] | Mapping[str, Any] = (9, 4),
    stop_reason: str | None = None,
    id: str | None = None,
) -> bytes:
    """The JSON of a message that is not streamed; see `message_stream` for the arguments."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for number, call in enumerate(tool_calls):
        args = call.get("args", {})
        input = json.loads(args) if isinstance(args, str) else dict(args)
        block = {"type": "tool_use", "id": call.get("id", f"toolu_{number + 1}"), "name": call["name"], "input": input}
        content.append(block)
    reason = stop_reason or ("tool_use" if tool_calls else "end_turn")
    return json_of({**_message(content, reason, id), "usage": _usage(usage)})


def message_of(stream: bytes) -> bytes:
    """The whole message that a stream of `message_stream` (or one like it) adds up to."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for line in stream.decode().splitlines():
        event: dict[str, Any] = json.loads(line[5:]) if line.startswith("data:") else {"type": ""}
        kind = event["type"]
        if kind == "message_start":
            message = event["message"]
        elif kind == "content_block_start":
            message["content"].append(event["content_block"])
        elif kind == "content_block_delta":
            _add(message["content"][event["index"]], event["delta"], inputs, event["index"])
        elif kind == "message_delta":
            message.update(event["delta"])
            message["usage"].update(event["usage"])
    for index, text in inputs.items():
        message["content"][index]["input"] = json.loads(text or "{}")
    return json_of(message)


def message_error(message: str, *, type: str = "invalid_request_error") -> bytes:
    """The JSON body of an error answer, and the data of an `error` event."""
    return json_of({"type": "error", "error": {"type": type, "message": message}, "request_id": "req_standin"})


def _add(block: dict[str, Any], delta: Mapping[str, Any], inputs: dict[int, str], index: int) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        key = kind.removesuffix("_delta")
        block[key] = (block.get(key) or "") + delta[key]


def _message(content: list[dict[str, Any]], stop_reason: str | None, id: str | None) -> dict[str, Any]:
    return {
        "id": id or new_answer_id("msg_standin_"),
        "type": "message",
        "role": "assistant",
        "model": _MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
    }


def _usage(usage: tuple[int, int] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    given, made = usage
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": made,
    }
