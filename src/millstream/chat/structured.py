"""A model made to answer in a given form, by way of a tool that it must call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..data.addable import AddableDict, fold_chunks
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of
from ..spine.scope import Scope
from .function_calling import convert_to_openai_tool
from .tool_parsers import JsonOutputKeyToolsParser, PydanticToolsParser

if TYPE_CHECKING:
    from .models import BaseChatModel

__all__ = ["RawAndParsed", "form_parser", "structured_output"]


def structured_output(model: BaseChatModel, schema: Any, include_raw: bool) -> Runnable[Any, Any]:
    """`model`, bound to a tool of the form `schema` that it must call, and the parser of that call."""
    answering = model.bind_tools([schema], tool_choice="any")
    parser = form_parser(schema)
    return RawAndParsed(answering, parser) if include_raw else answering | parser


def form_parser(schema: Any) -> Any:
    """The parser of a call of the tool that `schema` is: an instance for a pydantic class, else a dict."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    name = convert_to_openai_tool(schema)["function"]["name"]
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


class RawAndParsed(Runnable[Any, dict[str, Any]]):
    """The answer as it came beside what a parser made of it; an answer that does not parse is told, not raised.

    In a stream the pieces of the answer come first, each as `{"raw": piece}`, then what was made of it; added up they
    are what `invoke` gives.
    """

    def __init__(self, answering: Runnable[Any, Any], parser: Runnable[Any, Any]) -> None:
        self.answering = answering
        self.parser = parser

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return (self.answering, self.parser)

    def _input_shape(self) -> Any:
        return self.answering._input_shape()

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> dict[str, Any]:
        raw = await exec_of(self.answering)(d, input, scope, kwargs)
        return {"raw": raw, **await self._made_of(d, raw, scope)}

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        pieces: list[Any] = []
        answer = flow_of(self.answering)(d, inputs, scope, kwargs)
        try:
            async for piece in answer:
                pieces.append(piece)
                yield AddableDict(raw=piece)
        finally:
            await answer.aclose()
        if pieces:
            yield AddableDict(await self._made_of(d, fold_chunks(pieces), scope))

    async def _made_of(self, d: Driver, raw: Any, scope: Scope) -> dict[str, Any]:
        try:
            parsed = await exec_of(self.parser)(d, raw, scope, NO_KWARGS)
        except Exception as error:
            return {"parsed": None, "parsing_error": error}
        return {"parsed": parsed, "parsing_error": None}
