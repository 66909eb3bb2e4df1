"""The items of a list in a text that is arriving: separated by commas, or on lines with a mark.

Each reader gives the same items however the text is cut: `feed` those that are known to be whole, `end` the rest.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["CommaItems", "LineItems", "MARKED_LINES", "NUMBERED_LINES"]


class CommaItems:
    """Items as in a CSV file: separated by commas and line ends, in double quotes where they hold such.

    Blanks before an item do not count, nor do empty lines.
    """

    __slots__ = ("_item", "_state")

    def __init__(self) -> None:
        self._item: list[str] = []
        # At the start of a row, of an item, inside one, inside quotes, after a quote in quotes, after a carriage return.
        self._state: Literal["row", "item", "plain", "quoted", "quote", "return"] = "row"

    def feed(self, text: str) -> list[str]:
        """The items that end in `text`."""
        found: list[str] = []
        for char in text:
            state = self._state
            if state == "quoted":
                self._state = "quote" if char == '"' else "quoted"
                if char != '"':
                    self._item.append(char)
            elif char in "\r\n":
                if not (state == "row" or (state == "return" and char == "\n")):
                    found.append(self._taken())
                self._state = "return" if char == "\r" else "row"
            elif char == ",":
                found.append(self._taken())
                self._state = "item"
            elif state in ("row", "item", "return"):
                self._state = "quoted" if char == '"' else "item" if char == " " else "plain"
                if self._state == "plain":
                    self._item.append(char)
            else:
                # A quote in quotes stands for itself; after closing quotes anything else is taken as it comes.
                self._state = "quoted" if state == "quote" and char == '"' else "plain"
                self._item.append(char)
        return found

    def end(self) -> list[str]:
        """The item that the end of the text ends."""
        return [] if self._state in ("row", "return") else [self._taken()]

    def _taken(self) -> str:
        item = "".join(self._item)
        self._item.clear()
        return item


# Both are tried at few places and look at nothing twice, so a flood of digits or blank lines takes linear time.
NUMBERED_LINES = re.compile(r"(?<!\d)\d+\.\s([^\n]+)")
MARKED_LINES = re.compile(r"^[^\S\n]*[-*]\s([^\n]+)$", re.MULTILINE)


class LineItems:
    """Items that `pattern` finds, each the end of a line; an item is given once the next one begins.

    The cost is linear in the text: a line is looked through when it is whole, and before that only as long as it is short.
    """

    __slots__ = ("_item", "_line", "_pattern", "_rest", "_size")

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._item: str | None = None  # the last item found
        self._rest = ""  # whole lines after it that may be the beginning of one
        self._line: list[str] = []  # the line that is arriving
        self._size = 0

    def feed(self, text: str) -> list[str]:
        """The items that another one follows."""
        lines, newline, tail = text.rpartition("\n")
        found: list[str] = []
        if newline:
            found = self._take("".join([self._rest, *self._line, lines, newline]))
            self._line.clear()
            self._size = 0
        self._line.append(tail)
        self._size += len(tail)
        if self._item is not None and self._size <= _SHORT and self._pattern.match("".join(self._line)):
            found.append(self._item)
            self._item = None
        return found

    def end(self) -> list[str]:
        """The items that are left."""
        found = self._take("".join([self._rest, *self._line]))
        return found if self._item is None else [*found, self._item]

    def _take(self, text: str) -> list[str]:
        """Look through whole lines: the items found but the last, and with the one found before."""
        found: list[str] = []
        end = 0
        for match in self._pattern.finditer(text):
            if self._item is not None:
                found.append(self._item)
            self._item = match[1]
            end = match.end()
        # A mark may stand on a line of its own before the line of its item.
        self._rest = text[max(end, text.rfind("\n", 0, -1) + 1) :]
        return found


# A line that begins an item shows it in its first few characters.
_SHORT = 80
