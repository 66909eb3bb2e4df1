"""XML as nested dicts, whole or while it arrives. What could make it grow or reach outside is refused."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from ..errors import InvalidArgument
from .addable import AddableDict

__all__ = ["GrowingXml", "parse_xml"]

# Each leaf of a stream is shown with the way to it, so depth is paid for once a leaf; answers are some levels deep.
_DEEPEST = 200
_FIRST_TAG = re.compile(r"<[A-Za-z_:]")


def parse_xml(text: str) -> dict[str, Any]:
    """The root as `{tag: text}` or `{tag: [children]}`, children likewise; an empty child is `{tag: None}`.

    Text beside child elements is left out.

    Raises:
        InvalidArgument: (ValueError) it is not well-formed, declares entities, or is nested too deep.
    """
    tree = _Tree()
    tree.feed(text, last=True)
    root = tree.root
    assert root is not None  # a document without a root is not well-formed
    value = root.value()
    return {root.tag: [] if value is None or (isinstance(value, str) and value.isspace()) else value}


class GrowingXml:
    """XML that is arriving, perhaps after other text, and followed by other text."""

    def __init__(self) -> None:
        self._before: str | None = ""  # until the first tag is seen: where one may be arriving
        self._tree = _Tree()

    def feed(self, text: str) -> list[AddableDict]:
        """Each leaf that ended, in dicts and lists that show under which elements it stands.

        Raises:
            InvalidArgument: (ValueError) as of `parse_xml`.
        """
        if self._before is not None:
            text = self._before + text
            first = _FIRST_TAG.search(text)
            if first is None:
                self._before = text[-1:]
                return []
            self._before = None
            text = text[first.start() :]
        if self._tree.root is None:
            self._tree.feed(text)
        leaves, self._tree.leaves = self._tree.leaves, []
        return leaves


class _Element:
    __slots__ = ("children", "tag", "texts")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.texts: list[str] = []
        self.children: list[dict[str, Any]] = []

    def value(self) -> Any:
        return self.children or "".join(self.texts) or None


class _Tree:
    """Collects elements as the parser tells of them, and the leaves among them."""

    def __init__(self) -> None:
        self.root: _Element | None = None  # once it has ended
        self.leaves: list[AddableDict] = []
        self._open: list[_Element] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, text: str, *, last: bool = False) -> None:
        try:
            self._parser.Parse(text, last)
        except expat.ExpatError as error:
            if self.root is not None and not last:
                return  # what stands after the root is no matter of ours
            raise InvalidArgument(f"this is not well-formed XML: {error}.") from None
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"this is not XML: {error}.") from None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= _DEEPEST:
            raise InvalidArgument(f"the XML is nested deeper than {_DEEPEST} levels.")
        self._open.append(_Element(tag))

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        value = element.value()
        if not element.children:
            leaf = AddableDict({tag: value})
            for above in reversed(self._open):
                leaf = AddableDict({above.tag: [leaf]})
            self.leaves.append(leaf)
        if self._open:
            self._open[-1].children.append({tag: value})
        else:
            self.root = element

    def _refuse(self, *declaration: Any) -> None:
        raise InvalidArgument(f"the XML declares the entity {declaration[0]!r}; entities are not allowed.")
