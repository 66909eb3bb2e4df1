"""A model made to answer in a given form, by way of a tool that it must call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..data.addable import AddableDict
from ..flow.driver import Driver
from ..flow.fallbacks import RunnableWithFallbacks
from ..flow.overrides import folded
from ..flow.parallel import RunnableParallel
from ..flow.passthrough import RunnablePassthrough
from ..flow.runnable import Kwargs, Runnable, once
from ..spine.events import MISSING
from ..spine.scope import Scope
from .function_calling import convert_to_openai_tool
from .tool_parsers import JsonOutputKeyToolsParser, PydanticToolsParser

if TYPE_CHECKING:
    from .models import BaseChatModel

__all__ = ["form_parser", "raw_and_parsed", "structured_output"]


def structured_output(model: BaseChatModel, schema: Any, include_raw: bool) -> Runnable[Any, Any]:
    """`model`, bound to a tool of the form `schema` that it must call, and the parser of that call."""
    answering = model.bind_tools([schema], tool_choice="any")
    parser = form_parser(schema)
    return raw_and_parsed(answering, parser) if include_raw else answering | parser


def form_parser(schema: Any) -> Any:
    """The parser of a call of the tool that `schema` is: an instance for a pydantic class, else a dict."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    name = convert_to_openai_tool(schema)["function"]["name"]
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def raw_and_parsed(answering: Runnable[Any, Any], parser: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The answer as it came beside what a parser made of it; an answer that does not parse is told, not raised."""
    read = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableParallel(raw=answering) | _Told(read, [unread], exception_key="parsing_error")


class _Told(RunnableWithFallbacks[Any, Any]):
    """In a stream a parser is silent about an answer that it cannot read; this one asks it again, for the error."""

    name = RunnableWithFallbacks.__name__

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        whole = await folded(inputs)
        if whole is MISSING:
            return
        told: dict[str, Any] = {}
        items = super()._pour(d, once(whole), scope, kwargs)
        try:
            async for item in items:
                told |= item
                if "parsing_error" not in item:
                    yield item
        finally:
            await items.aclose()
        if "parsed" not in told:
            told = await self._body(d, whole, scope, kwargs)
            yield AddableDict(parsed=told["parsed"])
        yield AddableDict(parsing_error=told["parsing_error"])
