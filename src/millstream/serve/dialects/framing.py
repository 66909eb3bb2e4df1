"""Records as bytes: JSON, and the two framings of the native dialect."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from .utf16 import valid

__all__ = ["HEARTBEAT_NDJSON", "HEARTBEAT_SSE", "encode", "ndjson", "sse", "to_json"]

HEARTBEAT_NDJSON = b"\n"
HEARTBEAT_SSE = b": hb\n\n"

# Legal inside JSON, but Python's splitlines and some client libraries take them for line ends.
_LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
_MAX_DEPTH = 100
_OPTIONS = orjson.OPT_NON_STR_KEYS


def encode(type: str, seq: int, ts: int, fields: dict[str, Any]) -> bytes:
    """One record as a JSON object without raw line ends, `type`, `seq` and `ts` first."""
    head = b'{"type":"%b","seq":%d,"ts":%d' % (type.encode(), seq, ts)
    return head + b"," + to_json(fields)[1:] if fields else head + b"}"


def ndjson(body: bytes) -> bytes:
    """A record's JSON as one line."""
    return body + b"\n"


def sse(type: str, seq: int, body: bytes) -> bytes:
    """A record's JSON as one server-sent event."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type.encode(), body)


def to_json(value: Any) -> bytes:
    """`value` as JSON that any client can read; never raises, whatever a model or a tool came up with."""
    try:
        # Dataclasses are not serialised by their fields: what a tool returns may hold what nobody should see.
        body = orjson.dumps(value, option=_OPTIONS | orjson.OPT_PASSTHROUGH_DATACLASS)
    except (TypeError, ValueError, RecursionError):
        # Lone surrogates, integers over 64 bits, deep nesting, objects: rare, so it may be slow.
        body = json.dumps(_plain(value, _MAX_DEPTH), ensure_ascii=False, separators=(",", ":")).encode()
    for raw, escaped in _LINE_ENDS:
        if raw in body:
            body = body.replace(raw, escaped)
    return body


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return valid(str(value))
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {valid(str(key)): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth - 1) for item in value]
    if callable(dump := getattr(value, "model_dump", None)):
        return _dumped(dump, value, depth)
    return valid(str(value))


def _integer(value: int) -> int | str:
    # Python refuses to print integers of more than 4,300 digits unless told otherwise.
    return int(value) if value.bit_length() < 10_000 else f"an integer of {value.bit_length()} bits"


def _dumped(dump: Any, value: Any, depth: int) -> Any:
    try:
        return _plain(dump(), depth - 1)
    except Exception:
        return f"<{type(value).__name__}>"
