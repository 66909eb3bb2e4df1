"""Parsers of lists in a model's answer; in a stream they give each item as soon as it is whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

from ..data.list_items import MARKED_LINES, NUMBERED_LINES, CommaItems, LineItems
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .parsers import BaseTransformOutputParser, generation_of

__all__ = [
    "CommaSeparatedListOutputParser",
    "ListOutputParser",
    "MarkdownListOutputParser",
    "NumberedListOutputParser",
]


class ItemReader(Protocol):
    """Finds items in a text that is arriving."""

    def feed(self, text: str) -> list[str]:
        """The items that are whole now."""
        ...

    def end(self) -> list[str]:
        """The items that are left."""
        ...


class ListOutputParser(BaseTransformOutputParser[list[str]]):
    """A parser of a list of texts. A subclass writes `parse`; its items are streamed when the answer is whole.

    Each item is streamed as a list of its own, so that all chunks added up are the list.
    """

    @abstractmethod
    def parse(self, text: str) -> list[str]:
        """The items."""

    def _reader(self) -> ItemReader:
        return _AtTheEnd(self)

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        # A subclass of a user that overrides `parse` has the say of what an item is.
        ours = type(self).parse.__module__ == __name__
        reader = self._reader() if ours else _AtTheEnd(self)
        try:
            async for item in inputs:
                for found in reader.feed(generation_of(item).text):
                    yield [found]
        finally:
            await aclose(inputs)
        for found in reader.end():
            if found or not ours:  # after a last comma there is nothing
                yield [found]


class CommaSeparatedListOutputParser(ListOutputParser):
    """The items of a list separated by commas; an item in double quotes may hold commas.

    Example:
        >>> CommaSeparatedListOutputParser().invoke('red, "green, dark", blue')
        ['red', 'green, dark', 'blue']
    """

    def parse(self, text: str) -> list[str]:
        """The items."""
        return _all(CommaItems(), text)

    def get_format_instructions(self) -> str:
        """Asks for items separated by commas."""
        return "Answer with the items alone, separated by commas, such as: `red, green, blue`"

    def _reader(self) -> ItemReader:
        return CommaItems()


class NumberedListOutputParser(ListOutputParser):
    """The items of a list whose lines are numbered, such as `1. red`; other lines are passed over."""

    def parse(self, text: str) -> list[str]:
        """The items."""
        return NUMBERED_LINES.findall(text)

    def get_format_instructions(self) -> str:
        """Asks for numbered lines."""
        return "Answer with a numbered list, each item on a line of its own, such as:\n\n1. red\n\n2. green\n\n3. blue"

    def _reader(self) -> ItemReader:
        return LineItems(NUMBERED_LINES)


class MarkdownListOutputParser(ListOutputParser):
    """The items of a list whose lines begin with `-` or `*`; other lines are passed over."""

    def parse(self, text: str) -> list[str]:
        """The items."""
        return MARKED_LINES.findall(text)

    def get_format_instructions(self) -> str:
        """Asks for a Markdown list."""
        return "Answer with a Markdown list, such as:\n\n- red\n- green\n- blue"

    def _reader(self) -> ItemReader:
        return LineItems(MARKED_LINES)


class _AtTheEnd:
    """For parsers that can only tell items apart in the whole text."""

    def __init__(self, parser: ListOutputParser) -> None:
        self.parser = parser
        self.texts: list[str] = []

    def feed(self, text: str) -> list[str]:
        self.texts.append(text)
        return []

    def end(self) -> list[str]:
        return self.parser.parse("".join(self.texts))


def _all(reader: ItemReader, text: str) -> list[str]:
    return reader.feed(text) + reader.end()
