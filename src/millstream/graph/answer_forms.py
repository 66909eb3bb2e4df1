"""How an agent's answer is put into a form: by a tool that the model calls, or by the provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, Union, get_args, get_origin

from ..data.messages import AIMessage, ToolMessage
from ..errors import InvalidArgument, MillstreamError, Unsupported
from .type_vars import ResponseT

if TYPE_CHECKING:
    from ..chat.tools import BaseTool

__all__ = [
    "AutoStrategy",
    "MultipleStructuredOutputsError",
    "ProviderStrategy",
    "StructuredOutputError",
    "StructuredOutputValidationError",
    "ToolStrategy",
]

Handles: TypeAlias = bool | str | type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], str]


class StructuredOutputError(MillstreamError, ValueError):
    """A model's answer does not have the form that was asked for. `ai_message` is that answer."""

    def __init__(self, message: str, ai_message: AIMessage) -> None:
        super().__init__(message)
        self.ai_message = ai_message


class StructuredOutputValidationError(StructuredOutputError):
    """The answer was given and does not fit. `tool_name` is the form's name, `source` says why."""

    def __init__(self, tool_name: str, source: Exception, ai_message: AIMessage) -> None:
        super().__init__(f"The structured response {tool_name!r} does not fit: {source}.", ai_message)
        self.tool_name = tool_name
        self.source = source


class MultipleStructuredOutputsError(StructuredOutputError):
    """The answer was given several times. `tool_names` are the forms' names."""

    def __init__(self, tool_names: list[str], ai_message: AIMessage) -> None:
        super().__init__(
            f"The model returned several structured responses ({', '.join(tool_names)}); one is expected.",
            ai_message,
        )
        self.tool_names = tool_names


# Without slots: an alias such as ToolStrategy[X] notes itself on what it makes, and expects an AttributeError where it cannot.
@dataclass(frozen=True)
class ToolStrategy(Generic[ResponseT]):
    """The model gives its answer as arguments of a tool. What does not fit is told to it, unless `handle_errors` is False.

    Of a union each member is a tool of its own, and the model chooses.
    """

    schema: Any
    tool_message_content: str | None = None
    handle_errors: Handles = True


@dataclass(frozen=True)
class ProviderStrategy(Generic[ResponseT]):
    """The provider makes the model answer in the form of a JSON schema."""

    schema: Any
    strict: bool | None = None


@dataclass(frozen=True)
class AutoStrategy(Generic[ResponseT]):
    """By the provider where the model's profile says that it can, else by a tool."""

    schema: Any


def strategy_of(given: Any) -> Any:
    """What was given as `response_format`, as a strategy."""
    known = given is None or isinstance(given, (ToolStrategy, ProviderStrategy, AutoStrategy))
    return given if known else AutoStrategy(given)


def settled(strategy: Any, model: Any) -> ToolStrategy | ProviderStrategy | None:
    """The strategy for this model."""
    if not isinstance(strategy, AutoStrategy):
        return strategy  # type: ignore[no-any-return]
    profile = getattr(model, "profile", None) or {}
    return ProviderStrategy(strategy.schema) if profile.get("structured_output") else ToolStrategy(strategy.schema)


def tool_form(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """The schema as a tool for the model."""
    from ..chat.function_calling import convert_to_openai_tool

    return convert_to_openai_tool(schema, strict=strict)


def tool_forms(schema: Any) -> list[BaseTool]:
    """The schema, or each of a union's, as tools for the model; nobody runs them."""
    from ..chat.structured_tool import StructuredTool

    found: list[BaseTool] = []
    for each in _members(schema):
        form = tool_form(each)["function"]
        made = StructuredTool(
            name=form["name"], description=form["description"], args_schema=form["parameters"], func=_never
        )
        found.append(made)
    return found


def _never(**given: Any) -> Any:
    raise Unsupported("an answer's form is no tool that can be run: what the model gives it is the answer.")


def _members(schema: Any) -> list[Any]:
    if get_origin(schema) in (Union, UnionType):
        return list(get_args(schema))
    if isinstance(schema, dict) and isinstance(schema.get("oneOf"), list):
        return list(schema["oneOf"])
    return [schema]


def provider_form(strategy: ProviderStrategy) -> dict[str, Any]:
    """The schema as providers take it."""
    function = tool_form(strategy.schema, strict=strategy.strict)["function"]
    form: dict[str, Any] = {"name": function["name"], "schema": function["parameters"]}
    if function.get("description"):
        form["description"] = function["description"]
    if strategy.strict is not None:
        form["strict"] = strategy.strict
    return {"type": "json_schema", "json_schema": form}


def parsed(schema: Any, value: Any) -> Any:
    """A value in the form of the schema.

    Raises:
        ValueError: it does not fit.
    """
    if isinstance(schema, dict):
        return value
    from pydantic import TypeAdapter

    from ..chat.typed_dicts import readable

    try:
        return TypeAdapter(readable(schema)).validate_python(value)
    except ValueError as error:
        name = getattr(schema, "__name__", repr(schema))
        raise InvalidArgument(f"this cannot be read as {name}: {error}") from error


def from_text(strategy: ProviderStrategy, answer: AIMessage) -> Any:
    """The structured response in the text of an answer.

    Raises:
        StructuredOutputError: (a ValueError) it is not in the form.
    """
    try:
        return parsed(strategy.schema, json.loads(answer.text))
    except ValueError as error:
        name = tool_form(strategy.schema)["function"]["name"]
        raise StructuredOutputValidationError(name, error, answer) from error


def from_calls(strategy: ToolStrategy, answer: AIMessage) -> tuple[Any, list[ToolMessage]] | None:
    """The structured response among the tool calls of an answer, and what answers those; None without such a call.

    Raises:
        StructuredOutputError: (a ValueError) it does not fit, or there are several, and nobody wants the model to be told.
    """
    forms = {tool_form(each)["function"]["name"]: each for each in _members(strategy.schema)}
    calls = [call for call in answer.tool_calls if call["name"] in forms]
    if not calls:
        return None
    name = calls[0]["name"]
    try:
        if len(calls) > 1:
            raise MultipleStructuredOutputsError([call["name"] for call in calls], answer)
        try:
            value = parsed(forms[name], calls[0]["args"])
        except ValueError as error:
            raise StructuredOutputValidationError(name, error, answer) from error
    except StructuredOutputError as error:
        text = _told(strategy.handle_errors, error)
        if text is None:
            raise
        return None, [ToolMessage(text, name=c["name"], tool_call_id=c["id"] or "") for c in calls]
    text = strategy.tool_message_content or f"Returning structured response: {value}"
    return value, [ToolMessage(text, name=name, tool_call_id=calls[0]["id"] or "")]


def _told(handles: Handles, error: StructuredOutputError) -> str | None:
    """What the model is told of an error; None: nothing, it is raised."""
    if isinstance(handles, bool):
        return f"Error: {error}\n Please fix your mistakes." if handles else None
    if isinstance(handles, str):
        return handles
    if isinstance(handles, (type, tuple)):
        is_about = isinstance(error, handles) or isinstance(error.__cause__, handles)
        return f"Error: {error}\n Please fix your mistakes." if is_about else None
    return handles(error)
