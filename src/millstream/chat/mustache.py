"""Mustache templates, read once when a prompt is built.

Names are looked up in dicts and lists only: no attribute is read, nothing is called, no file is opened, so a template that
comes from outside sees just what it was given. Partials and lambdas, which would need more, are empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import InvalidArgument
from .templates import shortened

__all__ = ["MustacheTemplate"]

_DEEPEST = 64
# Sections multiply: ten of them, one in the other, over a list of ten make ten thousand million pieces.
_MOST_PIECES = 100_000
_MOST_CHARACTERS = 10_000_000
_ABSENT = object()


class MustacheTemplate:
    """A text with `{{name}}` fields (HTML-escaped; `{{{name}}}` is not) and `{{#name}}...{{/name}}` sections.

    `names` are those that must be given: the first parts of all names outside of sections.

    Raises:
        InvalidArgument: (ValueError) a tag or section is not closed, or sections are nested too deep.
    """

    __slots__ = ("_nodes", "literal", "names", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgument(f"a template must be a str, not {text!r}.")
        self.text = text
        self._nodes = _Reader(text).nodes()
        names = (node.name.partition(".")[0] for node in self._nodes if not isinstance(node, str))
        self.names = tuple(dict.fromkeys(name for name in names if name))
        texts = [node for node in self._nodes if isinstance(node, str)]
        self.literal: str | None = "".join(texts) if len(texts) == len(self._nodes) else None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the fields filled in.

        Raises:
            InvalidArgument: (ValueError) sections made it grow beyond all use.
        """
        page = _Page(self.text)
        page.write(self._nodes, (dict(values),))
        return "".join(page.pieces)


@dataclass(slots=True)
class _Field:
    name: str
    escaped: bool


@dataclass(slots=True)
class _Section:
    name: str
    inverted: bool
    nodes: list[_Node] = field(default_factory=list)


_Node: TypeAlias = str | _Field | _Section


class _Reader:
    """Reads a template into its tree, in one pass."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.open, self.close = "{{", "}}"
        self.at = 0
        self.blank = True  # the line so far holds nothing but blanks
        self.stack: list[tuple[str, list[_Node]]] = [("", [])]

    def nodes(self) -> list[_Node]:
        while (start := self.text.find(self.open, self.at)) >= 0:
            self._take_text(self.text[self.at : start])
            self._take_tag(start)
        self._take_text(self.text[self.at :])
        if len(self.stack) > 1:
            raise self._wrong(f"the section {self.stack[-1][0]!r} is not closed")
        return self.stack[0][1]

    def _take_text(self, text: str) -> None:
        if not text:
            return
        self.stack[-1][1].append(text)
        _, newline, line = text.rpartition("\n")
        self.blank = (self.blank or bool(newline)) and not line.strip(" \t")

    def _take_tag(self, start: int) -> None:
        inside = start + len(self.open)
        sigil = self.text[inside : inside + 1]
        close = "}" + self.close if sigil == "{" else "=" + self.close if sigil == "=" else self.close
        end = self.text.find(close, inside)
        if end < 0:
            raise self._wrong(f"a tag is not closed: {shortened(self.text[start:])}")
        kind = sigil if sigil and sigil in "{&#^/!>=" else ""
        name = self.text[inside + len(kind) : end].strip()
        self.at = end + len(close)
        if kind and kind in "#^/!>=":
            self._take_lonely_line()
        else:
            self.blank = False
        self._take(kind, name)

    def _take_lonely_line(self) -> None:
        """A tag without output that stands alone on its line takes the line with it."""
        rest = _REST_OF_LINE.match(self.text, self.at)
        if not self.blank or rest is None:
            self.blank = False
            return
        nodes = self.stack[-1][1]
        if nodes and isinstance(nodes[-1], str):
            nodes[-1] = nodes[-1].rstrip(" \t")
        self.at = rest.end()

    def _take(self, kind: str, name: str) -> None:
        nodes = self.stack[-1][1]
        if kind in ("", "{", "&"):
            if not name:
                raise self._wrong("a tag has no name")
            nodes.append(_Field(name, escaped=not kind))
        elif kind in ("#", "^"):
            if len(self.stack) > _DEEPEST:
                raise self._wrong(f"sections are nested deeper than {_DEEPEST}")
            section = _Section(name, inverted=kind == "^")
            nodes.append(section)
            self.stack.append((name, section.nodes))
        elif kind == "/":
            if len(self.stack) == 1 or self.stack[-1][0] != name:
                raise self._wrong(f"{{{{/{shortened(name)[1:-1]}}}}} closes no section that is open there")
            self.stack.pop()
        elif kind == "=":
            delimiters = name.split()
            if len(delimiters) != 2 or "=" in name:
                raise self._wrong(f"{shortened(name)} are no two delimiters")
            self.open, self.close = delimiters

    def _wrong(self, what: str) -> InvalidArgument:
        return InvalidArgument(f"template {shortened(self.text)} is not a valid mustache template: {what}.")


_REST_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\Z)")


class _Page:
    """What is rendered, piece by piece, as long as it keeps within bounds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces: list[str] = []
        self.left_pieces = _MOST_PIECES
        self.left_characters = _MOST_CHARACTERS

    def write(self, nodes: list[_Node], context: tuple[Any, ...]) -> None:
        for node in nodes:
            if isinstance(node, str):
                self._put(node)
            elif isinstance(node, _Field):
                value = _look_up(node.name, context)
                text = "" if _is_nothing(value) else str(value)
                self._put(text.translate(_ESCAPES) if node.escaped else text)
            else:
                self._write_section(node, context)

    def _write_section(self, section: _Section, context: tuple[Any, ...]) -> None:
        value = _look_up(section.name, context)
        if section.inverted:
            if not _holds(value):
                self.write(section.nodes, context)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._count(0)
                self.write(section.nodes, (*context, item))
        elif _holds(value):
            self.write(section.nodes, (*context, value))

    def _put(self, text: str) -> None:
        self._count(len(text))
        self.pieces.append(text)

    def _count(self, characters: int) -> None:
        self.left_pieces -= 1
        self.left_characters -= characters
        if self.left_pieces < 0 or self.left_characters < 0:
            raise InvalidArgument(
                f"template {shortened(self.text)} was given values with which it grows beyond {_MOST_PIECES:,} pieces "
                f"or {_MOST_CHARACTERS:,} characters."
            )


def _is_nothing(value: Any) -> bool:
    """Whether a field shows nothing for this value; an empty list is no text, while 0 and False are."""
    return value is _ABSENT or value is None or (isinstance(value, (list, tuple, dict, set)) and not value)


_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def _look_up(name: str, context: tuple[Any, ...]) -> Any:
    """The value of a dotted name: its first part from the innermost dict that has it, the others from there."""
    value: Any = _ABSENT
    if name == ".":
        value = context[-1]
    else:
        first, *rest = name.split(".")
        for around in reversed(context):
            value = _item(around, first)
            if value is not _ABSENT:
                break
        for part in rest:
            value = _item(value, part)
    return _ABSENT if callable(value) else value


def _item(value: Any, key: str) -> Any:
    # By the methods of dict and list themselves: those of a subclass may do anything.
    if isinstance(value, dict):
        return dict.get(value, key, _ABSENT)
    if isinstance(value, list) and key.isdecimal() and len(key) < 9 and int(key) < list.__len__(value):
        return list.__getitem__(value, int(key))
    return _ABSENT


def _holds(value: Any) -> bool:
    """Whether a section over this value is shown. An object's own idea of its truth is not asked for."""
    if value is _ABSENT or value is None:
        return False
    if isinstance(value, (bool, int, float, str, bytes, dict, list, tuple, set, frozenset)):
        return bool(value)
    return True
