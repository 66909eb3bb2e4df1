"""OpenAI chat-completion answers, built: the bytes a server would send, for tests that need no recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .stream_parts import arguments_of, json_of, new_answer_id, pieces_of

__all__ = ["answer_of", "chat_answer", "chat_error", "chat_frame", "chat_stream", "embeddings_answer", "frames_of"]

_ID = "chatcmpl-standin"
_MODEL = "stand-in-1"
_CREATED = 1_700_000_000

# What a call has under the kind of its tool.
_SAID = {"function": "arguments", "custom": "input"}

DONE = b"data: [DONE]\n\n"


def chat_frame(
    delta: Mapping[str, Any] | None = None,
    *,
    index: int = 0,
    finish_reason: str | None = None,
    choices: Sequence[Mapping[str, Any]] | None = None,
    **extra: Any,
) -> bytes:
    """One `data:` frame with one choice (or the `choices` given), plus any further top-level keys.

    Half a character (a lone surrogate, as some servers send) is written as an escape.
    """
    if choices is None:
        choices = [{"index": index, "delta": dict(delta or {}), "logprobs": None, "finish_reason": finish_reason}]
    payload = {
        "id": _ID,
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": _MODEL,
        "system_fingerprint": "fp_standin",
        "choices": list(choices),
        **extra,
    }
    return b"data: " + json_of(payload) + b"\n\n"


def chat_stream(
    text: str | Iterable[str] = (),
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    reasoning: str | Iterable[str] = (),
    usage: tuple[int, int] | Mapping[str, Any] | None = (9, 4),
    finish_reason: str | None = None,
    done: bool = True,
    id: str | None = None,
) -> bytes:
    """A whole streamed answer: reasoning, then text, then tool calls, the closing chunk, usage, `[DONE]`.

    `text` and `reasoning` are given in pieces, or as one string that is cut after each space. `tool_calls` are
    mappings with `name`, `args` (a dict, or JSON text; `input` for a tool that takes free text) and perhaps `id`; several make
    parallel calls. `usage` is
    (prompt, completion) tokens or the whole mapping; None leaves the usage chunk out. Each answer has an `id` of its own.
    """
    extra: dict[str, Any] = {"id": id or new_answer_id(f"{_ID}-"), **({} if usage is None else {"usage": None})}
    out = [chat_frame({"role": "assistant", "content": "", "refusal": None}, **extra)]
    out += [chat_frame({"reasoning_content": piece}, **extra) for piece in pieces_of(reasoning)]
    out += [chat_frame({"content": piece}, **extra) for piece in pieces_of(text)]
    for number, call in enumerate(tool_calls):
        out += [chat_frame({"tool_calls": [piece]}, **extra) for piece in _call_pieces(number, call)]
    ending = finish_reason or ("tool_calls" if tool_calls else "stop")
    out.append(chat_frame({}, finish_reason=ending, **extra))
    if usage is not None:
        out.append(chat_frame(choices=[], **{**extra, "usage": _usage(usage)}))
    if done:
        out.append(DONE)
    return b"".join(out)


def chat_answer(
    text: str | None = None,
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    usage: tuple[int, int] | Mapping[str, Any] | None = (9, 4),
    finish_reason: str | None = None,
    id: str | None = None,
) -> bytes:
    """The JSON of an answer that is not streamed; see `chat_stream` for the arguments."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if tool_calls:
        message["tool_calls"] = [_opening(number, call, _said_to(call)) for number, call in enumerate(tool_calls)]
    answer: dict[str, Any] = {
        "id": id or new_answer_id(f"{_ID}-"),
        "object": "chat.completion",
        "created": _CREATED,
        "model": _MODEL,
        "system_fingerprint": "fp_standin",
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": finish_reason or ("tool_calls" if tool_calls else "stop"),
            }
        ],
    }
    if usage is not None:
        answer["usage"] = _usage(usage)
    return json_of(answer)


def answer_of(stream: bytes) -> bytes:
    """The whole answer that a stream of `chat_stream` (or one like it) adds up to: what `chat_answer` would give."""
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    usage: Mapping[str, Any] | None = None
    finish_reason = id = None
    for line in stream.decode().splitlines():
        frame = json.loads(line[6:]) if line.startswith("data: {") else {}
        usage = frame.get("usage") or usage
        id = frame.get("id") or id
        for choice in frame.get("choices") or ():
            finish_reason = choice.get("finish_reason") or finish_reason
            text.append(choice["delta"].get("content") or "")
            for piece in choice["delta"].get("tool_calls") or ():
                kind = "custom" if "custom" in piece else "function"
                inner, key = piece[kind], "input" if kind == "custom" else "args"
                call = calls.setdefault(piece.get("index", len(calls)), {key: ""})
                given = {"id": piece.get("id"), "name": inner.get("name")}
                call.update({key: value for key, value in given.items() if value})
                call[key] += inner.get(_SAID[kind]) or ""
    return chat_answer(
        "".join(text) or None,
        tool_calls=list(calls.values()),
        usage=usage,
        finish_reason=finish_reason or "stop",
        id=id,
    )


def chat_error(message: str, *, type: str = "invalid_request_error", code: str | int | None = None) -> bytes:
    """The JSON body of an error answer."""
    return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()


def embeddings_answer(vectors: Sequence[Sequence[float] | str]) -> bytes:
    """The JSON of an embeddings answer; a vector is its numbers, or the base64 of them."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json_of({"object": "list", "data": data, "model": _MODEL, "usage": {"prompt_tokens": 1, "total_tokens": 1}})


def frames_of(stream: bytes) -> list[bytes]:
    """Cut a stream whose frames end in a blank line of LFs into those frames."""
    return [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]


def _call_pieces(number: int, call: Mapping[str, Any]) -> list[dict[str, Any]]:
    opening = {"index": number, **_opening(number, call, "")}
    kind, text = opening["type"], _said_to(call)
    return [opening] + [{"index": number, kind: {_SAID[kind]: text[at : at + 5]}} for at in range(0, len(text), 5)]


def _opening(number: int, call: Mapping[str, Any], said: str) -> dict[str, Any]:
    kind = "custom" if "input" in call else "function"
    return {
        "id": call.get("id", f"call_{number + 1}"),
        "type": kind,
        kind: {"name": call["name"], _SAID[kind]: said},
    }


def _said_to(call: Mapping[str, Any]) -> str:
    return str(call["input"]) if "input" in call else arguments_of(call)


def _usage(usage: tuple[int, int] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    prompt, completion = usage
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
