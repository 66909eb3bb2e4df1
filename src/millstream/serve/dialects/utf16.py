"""Text that a provider may have cut inside an emoji, made whole again."""

from __future__ import annotations

import re

__all__ = ["Utf16Joiner", "valid"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def valid(text: str) -> str:
    """`text` as it can be encoded: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Utf16Joiner:
    """Makes the text of one message valid, chunk by chunk.

    Some model servers cut by UTF-16 units, so that one chunk ends with the first half of a pair and the next begins
    with the second. A trailing first half is held back until its partner comes or the message ends.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that may be shown now; may be empty."""
        if not self._held and text.isascii():
            return text
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held = text[-1]
            text = text[:-1]
        return valid(text)

    def close(self) -> str:
        """What was still held back: U+FFFD when the partner never came."""
        held, self._held = self._held, ""
        return valid(held)
