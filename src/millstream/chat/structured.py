"""A model made to answer in a given form, by way of a tool that it must call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Kwargs, Runnable, exec_of
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
    """The answer as it came beside what a parser made of it; an answer that does not parse is told, not raised."""

    def __init__(self, answering: Runnable[Any, Any], parser: Runnable[Any, Any]) -> None:
        self.answering = answering
        self.parser = parser

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> dict[str, Any]:
        raw = await exec_of(self.answering)(d, input, scope, kwargs)
        try:
            parsed = await exec_of(self.parser)(d, raw, scope, NO_KWARGS)
        except Exception as error:
            return {"raw": raw, "parsed": None, "parsing_error": error}
        return {"raw": raw, "parsed": parsed, "parsing_error": None}
