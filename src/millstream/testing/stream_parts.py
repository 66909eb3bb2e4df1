"""What the builders of all wires' streams need: JSON as servers write it, text and arguments in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

_numbers = count(1)


def new_answer_id(prefix: str) -> str:
    """An id that no other answer of this process has, as no two of a real provider have the same."""
    return f"{prefix}{next(_numbers)}"


def json_of(value: Any) -> bytes:
    """JSON in UTF-8; half a character (a lone surrogate, as some servers send) is written as an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def pieces_of(text: str | Iterable[str]) -> list[str]:
    """The pieces given, or one string cut after each space."""
    if not isinstance(text, str):
        return list(text)
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + [word for word in words[-1:] if word]


def arguments_of(call: Mapping[str, Any]) -> str:
    """The arguments of a call as JSON text; they may be given as such."""
    args = call.get("args", {})
    return args if isinstance(args, str) else json.dumps(args, ensure_ascii=False)
