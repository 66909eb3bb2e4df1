"""Parsers of JSON text: the value so far while it streams, the whole at the end."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic import Field

from ..data.json_patch import json_patch
from ..data.partial_json import AROUND, PartialJson, parse_json_markdown
from ..errors import OutputParserException
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .component import is_ours
from .cumulative import BaseCumulativeTransformOutputParser
from .parsers import generation_of

if TYPE_CHECKING:
    # A default, for which the standard library has to be newer, lets `JsonOutputParser()` be a parser of anything.
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["JsonOutputParser", "PydanticOutputParser", "SimpleJsonOutputParser"]


class JsonOutputParser(BaseCumulativeTransformOutputParser[T]):
    """The value of JSON in an answer: bare, in a fenced block, or cut off.

    In a stream it gives the value so far each time that it grows, and nothing where no JSON comes; with `diff` it gives
    what has changed since the last time instead, as a JSON patch. `pydantic_object` only describes the form to the model.

    Example:
        >>> JsonOutputParser().invoke('Here: ```json\\n{"a": [1, 2]}\\n```')
        {'a': [1, 2]}
    """

    pydantic_object: Any = None

    def parse(self, text: str) -> T:
        """The value of the JSON in `text`.

        Raises:
            OutputParserException: (a ValueError) there is none.
        """
        try:
            return parse_json_markdown(text.strip())  # type: ignore[no-any-return]
        except json.JSONDecodeError as error:
            raise OutputParserException(f"the answer is not JSON: {text[:500]!r}", llm_output=text) from error

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        """The value in the text of the first of these generations; with `partial` None where there is none yet."""
        try:
            return self.parse(result[0].text)
        except OutputParserException:
            if partial:
                return None
            raise

    def get_format_instructions(self) -> str:
        """Asks for JSON, in the form of `pydantic_object` where that is given."""
        if self.pydantic_object is None:
            return "Answer with one JSON object and nothing else."
        schema = {k: v for k, v in self.pydantic_object.model_json_schema().items() if k not in ("title", "type")}
        return (
            "Answer with one JSON object and nothing else. It must fit this JSON schema:\n"
            f"```\n{json.dumps(schema, ensure_ascii=False)}\n```"
        )

    def _partial(self, value: Any) -> Any:
        """What a stream shows for a value that is still growing; None: nothing yet."""
        return value

    def _diff(self, prev: Any, next: Any) -> list[dict[str, Any]]:
        return json_patch(_plain(prev), _plain(next))

    def _pour(self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs) -> AsyncGenerator[Any, None]:
        # What the parsers here make of each beginning is known at a cost that grows with the new characters only.
        cls = type(self)
        if all(is_ours(getattr(cls, name)) for name in ("parse_result", "aparse_result", "_diff")):
            return self._values(inputs)
        return super()._pour(d, inputs, scope, kwargs)

    async def _values(self, inputs: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        text = _JsonText()
        shown: Any = None
        try:
            async for item in inputs:
                text.feed(generation_of(item).text)
                value = self._partial(text.value)
                if value is not None and value != shown:
                    yield self._diff(shown, value) if self.diff else value
                    shown = value
        finally:
            await aclose(inputs)


class PydanticOutputParser(JsonOutputParser[T]):
    """The JSON of an answer as an instance of `pydantic_object`; in a stream, every beginning that is valid by itself."""

    pydantic_object: Any = Field()

    if TYPE_CHECKING:

        def __init__(self, *, pydantic_object: type[T], **fields: Any) -> None: ...

    def _output_shape(self) -> Any:
        return self.pydantic_object

    def parse(self, text: str) -> T:
        """The instance.

        Raises:
            OutputParserException: (a ValueError) there is no JSON, or it does not fit.
        """
        value: Any = super().parse(text)
        try:
            return self.pydantic_object.model_validate(value)  # type: ignore[no-any-return]
        except pydantic.ValidationError as error:
            name = self.pydantic_object.__name__
            raise OutputParserException(f"the answer does not fit {name}: {error}", llm_output=text) from error

    def _partial(self, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self.pydantic_object.model_validate(value)
        except pydantic.ValidationError:
            return None


SimpleJsonOutputParser = JsonOutputParser


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, pydantic.BaseModel) else value


class _JsonText:
    """Text with JSON in it, as it arrives: the text itself, else what follows its first fence."""

    __slots__ = ("_begun", "_fenced", "_head", "_parser", "_settled")

    def __init__(self) -> None:
        self._parser = PartialJson()
        self._begun = False  # something came that may be JSON
        self._settled = False  # it is known where the JSON begins
        self._fenced = False
        self._head = ""  # until then: where a fence, or the word after it, may be arriving

    def feed(self, text: str) -> None:
        if self._settled:
            self._parser.feed(text)
            return
        self._head += text
        if not self._fenced:
            if not self._begun:
                text = text.lstrip(AROUND)
                self._begun = bool(text)
            self._parser.feed(text)
            if self.value is not None:
                self._settled = True
                return
            _, fence, rest = self._head.partition("```")
            if not fence:
                self._head = self._head[-2:]
                return
            self._fenced = True
            self._parser = PartialJson()
            self._head = rest
        if not "json".startswith(self._head):
            self._settled = True
            self._parser.feed(self._head.removeprefix("json"))

    @property
    def value(self) -> Any:
        """The value so far, None as long as there is none."""
        try:
            return self._parser.value
        except ValueError:
            return None
