"""XMLOutputParser: XML in a model's answer as nested dicts."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal

from ..data.xml_events import GrowingXml, parse_xml
from ..errors import InvalidArgument, OutputParserException
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .parsers import BaseTransformOutputParser, generation_of

__all__ = ["XMLOutputParser"]

_FENCED = re.compile(r"```(?:xml)?(.*)```", re.DOTALL)


class XMLOutputParser(BaseTransformOutputParser[dict[str, Any]]):
    """XML in an answer, bare or in a fenced block, as `{tag: text}` or `{tag: [children]}`.

    In a stream it gives each leaf when it ends, as a dict that shows where it stands, whatever comes before the first tag.
    Entities are refused, and nothing is fetched; so both values of `parser` mean the same.

    Example:
        >>> XMLOutputParser().invoke("<film><title>Mill</title><year>1999</year></film>")
        {'film': [{'title': 'Mill'}, {'year': '1999'}]}
    """

    tags: list[str] | None = None
    parser: Literal["defusedxml", "xml"] = "defusedxml"

    def parse(self, text: str) -> dict[str, Any]:
        """The root element.

        Raises:
            OutputParserException: (a ValueError) this is not well-formed XML, or declares entities.
        """
        fenced = _FENCED.search(text)
        try:
            return parse_xml((fenced[1] if fenced is not None else text).strip())
        except InvalidArgument as error:
            raise OutputParserException(f"the answer cannot be read: {error}", llm_output=text) from error

    def get_format_instructions(self) -> str:
        """Asks for XML, with these tags where `tags` are given."""
        asked = "Answer with one XML document and nothing else. Open and close every tag."
        if self.tags:
            asked += f" Use these tags: {', '.join(self.tags)}."
        return asked

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        xml = GrowingXml()
        try:
            async for item in inputs:
                text = generation_of(item).text
                try:
                    leaves = xml.feed(text)
                except InvalidArgument as error:
                    raise OutputParserException(f"the answer cannot be read: {error}", llm_output=text) from error
                for leaf in leaves:
                    yield leaf
        finally:
            await aclose(inputs)
