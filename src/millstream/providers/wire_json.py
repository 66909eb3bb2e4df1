"""JSON as providers write it: fast where it is clean, forgiving where it is not.

Some model servers cut text by UTF-16 units, so that half an emoji stands in one frame and half in the next. Such
halves (lone surrogates) are no Unicode text and a strict parser refuses the whole frame.
"""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("This model needs more packages: pip install 'millstream[openai]'") from error

__all__ = ["SurrogateJoiner", "dumps", "loads", "loads_odd", "scrubbed", "strict_loads"]

strict_loads = orjson.loads
"""Bytes or text to values; ValueError for anything that is not clean JSON."""


def loads(data: bytes) -> Any:
    """Read JSON, clean or odd; lone surrogates become U+FFFD.

    Raises:
        ValueError: it is not JSON at all.
    """
    try:
        return strict_loads(data)
    except ValueError:
        return scrubbed(loads_odd(data))


def loads_odd(data: bytes) -> Any:
    """Read JSON that `strict_loads` refused: lone surrogates (kept), bytes that are not UTF-8 (replaced), NaN.

    Raises:
        ValueError: it is not JSON at all.
    """
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def dumps(value: Any) -> bytes:
    """Write JSON as UTF-8. Lone surrogates are replaced, because no provider could read them."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Lone surrogates, ints above 64 bits, types that are not JSON (those are TypeErrors here as well).
        return json.dumps(scrubbed(value), ensure_ascii=False, separators=(",", ":")).encode()


def scrubbed(value: Any) -> Any:
    """The same value with each pair of surrogates joined and each lone one replaced by U+FFFD, at any depth."""
    if isinstance(value, str):
        return value if value.isascii() else _paired(value)
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(item) for item in value]
    return value


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Joins halves of characters that stand at the end of one piece of text and the start of the next.

    Each text being streamed has a key of its own.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Any, str] = {}
        """For each text the high surrogate that waits for its partner; empty nearly always."""

    def join(self, key: Any, text: str) -> str:
        """The next piece of text that can be handed out; a trailing high surrogate is kept for later."""
        text = self.held.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self.held[key] = text[-1]
            text = text[:-1]
        return _paired(text)

    def rest(self) -> dict[Any, str]:
        """What is still held, given up: a replacement character for each text."""
        given_up = dict.fromkeys(self.held, "\ufffd")
        self.held.clear()
        return given_up
