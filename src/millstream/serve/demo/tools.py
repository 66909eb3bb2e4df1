"""The demo's tools, as a model sees them."""

from __future__ import annotations

from typing import Any

from ...chat.structured_tool import tool
from ...errors import ToolException
from .calculator import CalculationError, calculate
from .clock import UnknownPlace, tell_time
from .search import excerpt, load_docs

__all__ = ["calculator", "clock", "search_docs", "tools"]


@tool(parse_docstring=True)
def calculator(expression: str) -> str:
    """Work out an arithmetic expression exactly.

    Args:
        expression: For example 12 * (3 + 4), 2^10, 15% * 240, sqrt(2), 20!
    """
    try:
        return calculate(expression)
    except CalculationError as error:
        raise ToolException(str(error)) from None


@tool(parse_docstring=True)
def clock(place: str = "UTC") -> str:
    """Tell the date and the time of day in a place.

    Args:
        place: A large city, a time zone such as Europe/Berlin, or an offset such as UTC+2.
    """
    try:
        return tell_time(place)
    except UnknownPlace as error:
        raise ToolException(str(error)) from None


@tool(parse_docstring=True)
def search_docs(query: str) -> list[dict[str, Any]]:
    """Search the documentation of Millstream, the library that this demo is made with.

    Args:
        query: A few words to look for.
    """
    found = load_docs().search(query)
    if not found:
        raise ToolException(f"Nothing in the documentation is about {query[:100]!r}.")
    return [{"page": each.page, "section": each.title, "text": excerpt(each, query)} for each in found]


# What goes wrong in a tool is told to the model, which may try again or say so.
tools = [calculator, clock, search_docs]
for _tool in tools:
    _tool.handle_tool_error = True
