"""Output parsers: what stands after a model and makes something of its answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, ClassVar, TypeVar

from ..data.ai_chunk import AIMessageChunk
from ..data.any_message import AnyMessage
from ..data.messages import BaseMessage
from ..data.outputs import ChatGeneration, Generation
from ..errors import Unsupported, ValidationError
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..flow.schemas import function_output
from ..spine.events import MISSING
from ..spine.scope import Scope
from .component import Component, is_ours, whole_of

__all__ = [
    "BaseGenerationOutputParser",
    "BaseOutputParser",
    "BaseTransformOutputParser",
    "StrOutputParser",
    "generation_of",
]

T = TypeVar("T")


def generation_of(input: Any) -> Any:
    """A model's answer, or a text, in the form that parsers work on.

    Raises:
        ValidationError: (a ValueError) it is neither.
    """
    if isinstance(input, BaseMessage):
        return ChatGeneration(message=input)
    if isinstance(input, str):
        return Generation(text=input)
    raise _unparsable(input)


class BaseGenerationOutputParser(Component[Any, T]):
    """A parser that works on whole generations. A subclass writes `parse_result`."""

    run_type = "parser"

    @abstractmethod
    def parse_result(self, result: list[Any], *, partial: bool = False) -> T:
        """Parse the first of these generations; `partial` says that more of it is to come."""

    async def aparse_result(self, result: list[Any], *, partial: bool = False) -> T:
        """The same in async form; without an override `parse_result` is used."""
        return self.parse_result(result, partial=partial)

    def _input_shape(self) -> Any:
        return str | AnyMessage

    def _output_shape(self) -> Any:
        made = function_output(getattr(self, self._written[0]))
        return Any if _is_open(made) else made

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await self._parsed(d, scope, [generation_of(input)])

    async def _parsed(self, d: Driver, scope: Scope, generations: list[Any], **partial: Any) -> Any:
        """Parse, at once where the method is ours; a user's own is a leaf like any other."""
        cls = type(self)
        if all(is_ours(getattr(cls, name)) for name in self._written):
            return self.parse_result(generations, **partial)
        own_async = not all(is_ours(getattr(cls, name)) for name in self._written_async)
        afn = self.aparse_result if own_async else None
        return await d.call(scope, self.parse_result, afn, generations, **partial)

    # The methods that a user's class may override.
    _written: ClassVar[tuple[str, ...]] = ("parse_result", "aparse_result")
    _written_async: ClassVar[tuple[str, ...]] = ("aparse_result",)

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        if given is MISSING and self._streams():
            return super()._flow(d, inputs, scope, kwargs, given)
        return self._flow_whole(d, inputs, scope, kwargs, given)

    async def _flow_whole(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any
    ) -> AsyncGenerator[Any, None]:
        # On a whole value a parser has one result, and its run no chunk.
        whole = await whole_of(inputs, given)
        if whole is not MISSING:
            yield await self._exec(d, whole, scope, kwargs)

    def _streams(self) -> bool:
        """Whether it can say something before its input has ended."""
        return False


class BaseOutputParser(BaseGenerationOutputParser[T]):
    """A parser of the text of an answer. A subclass writes `parse`.

    Example:
        >>> class Lines(BaseOutputParser[list[str]]):
        ...     def parse(self, text):
        ...         return text.splitlines()
        >>> Lines().invoke("a\\nb")
        ['a', 'b']
    """

    @abstractmethod
    def parse(self, text: str) -> T:
        """Parse a text."""

    async def aparse(self, text: str) -> T:
        """The same in async form; without an override `parse` is used."""
        return self.parse(text)

    def parse_result(self, result: list[Any], *, partial: bool = False) -> T:
        """Parse the text of the first of these generations."""
        return self.parse(result[0].text)

    async def aparse_result(self, result: list[Any], *, partial: bool = False) -> T:
        """The same in async form."""
        if type(self).aparse is not BaseOutputParser.aparse:
            return await self.aparse(result[0].text)
        return self.parse_result(result, partial=partial)

    def parse_with_prompt(self, completion: str, prompt: Any) -> T:
        """Parse a text with the prompt that led to it at hand; parsers that do not need the prompt ignore it."""
        return self.parse(completion)

    def get_format_instructions(self) -> str:
        """What to tell a model so that its answer can be parsed."""
        raise Unsupported(f"{type(self).__name__} has no format instructions; override `get_format_instructions`.")

    _written: ClassVar[tuple[str, ...]] = ("parse", "aparse", "parse_result", "aparse_result")
    _written_async: ClassVar[tuple[str, ...]] = ("aparse", "aparse_result")


class BaseTransformOutputParser(BaseOutputParser[T]):
    """A parser that parses each chunk by itself, so that it streams what is streamed into it."""

    def _streams(self) -> bool:
        return True

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        try:
            async for item in inputs:
                yield await self._parsed(d, scope, [generation_of(item)])
        finally:
            await aclose(inputs)


class StrOutputParser(BaseTransformOutputParser[str]):
    """The text of an answer; in a stream one string for each chunk, empty ones included."""

    def parse(self, text: str) -> str:
        """The text itself."""
        return text

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return _text_of(input) if self._is_plain() else await super()._body(d, input, scope, kwargs)

    def _each_item(self) -> Callable[[Any], Any] | None:
        return _text_in_stream if self._is_plain() else None

    def _is_plain(self) -> bool:
        cls = type(self)
        return cls is StrOutputParser or all(
            getattr(cls, name) is getattr(StrOutputParser, name) for name in self._written
        )


def _is_open(annotation: Any) -> bool:
    """Whether a type has a variable in it, which says nothing here."""
    return isinstance(annotation, TypeVar) or bool(getattr(annotation, "__parameters__", ()))


def _text_in_stream(item: Any) -> str:
    # These lines run for each token of most chains: no generation is made, no method called.
    if item.__class__ is AIMessageChunk:
        content: Any = item._content
        if content.__class__ is str:
            return content
    return _text_of(item)


def _text_of(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, BaseMessage):
        return item.text
    raise _unparsable(item)


def _unparsable(item: Any) -> ValidationError:
    return ValidationError(f"an output parser takes a message or a text, not {type(item).__name__}.")
