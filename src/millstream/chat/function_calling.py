"""Tools in the form in which OpenAI's API, and most others after it, want to be told of them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from ..errors import InvalidArgument
from .docstrings import dedented, google_docstring
from .json_schema import is_typed_dict, plain_schema, strict_schema
from .tool_schema import Parameters, model_of, parameters_of
from .tools import BaseTool

__all__ = ["convert_to_openai_function", "convert_to_openai_tool", "typed_dict_keys"]


def convert_to_openai_tool(tool: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """The `{"type": "function", "function": {...}}` form of a tool, function, pydantic class, TypedDict or JSON schema.

    A dict that names another kind of tool (one that the provider runs itself) is returned as it is.
    """
    if isinstance(tool, dict) and _is_builtin(tool):
        return tool
    return {"type": "function", "function": convert_to_openai_function(tool, strict=strict)}


def convert_to_openai_function(function: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """The `{"name", "description", "parameters"}` form of the same things.

    With `strict=True` the provider holds the model to the schema: every property is required and no other is allowed.

    Raises:
        InvalidArgument: (a ValueError) it is none of the known forms.
    """
    made = _function(function)
    if strict is not None:
        made["strict"] = strict
        if strict:
            made["parameters"] = strict_schema(made.get("parameters") or {"type": "object", "properties": {}})
    return made


def _function(source: Any) -> dict[str, Any]:
    if isinstance(source, BaseTool):
        schema = source.tool_call_schema
        return _described(source.name, source.description, schema if isinstance(schema, dict) else _json(schema))
    if isinstance(source, dict):
        return _from_dict(source)
    if isinstance(source, type):
        if issubclass(source, BaseModel):
            return _described(source.__name__, _doc(source), _json(source))
        if is_typed_dict(source):
            return _from_typed_dict(source)
    if callable(source):
        return _from_callable(source)
    raise InvalidArgument(
        f"{source!r} cannot be a tool; give a tool, a function, a pydantic class, a TypedDict, or a dict with a JSON schema."
    )


def _described(name: str, description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """With None the description is left out, unless the schema has one."""
    parameters = plain_schema(schema)
    description = description or parameters.pop("description", description)
    parameters.pop("description", None)
    told = {} if description is None else {"description": str(description)}
    return {"name": name, **told, "parameters": parameters}


def _from_dict(source: dict[str, Any]) -> dict[str, Any]:
    if isinstance(source.get("function"), dict):
        return _from_dict(source["function"])
    if isinstance(source.get("toolSpec"), dict):  # Bedrock's form
        spec = source["toolSpec"]
        return _described(spec["name"], spec.get("description"), spec.get("inputSchema", {}).get("json", {}))
    for key in ("input_schema", "inputSchema"):  # Anthropic's form, and that of MCP
        if "name" in source and key in source:
            return _described(source["name"], source.get("description"), source[key])
    if "name" in source:
        return {key: source[key] for key in ("name", "description", "parameters", "strict") if key in source}
    if "title" in source:
        schema = {key: value for key, value in source.items() if key not in ("title", "description")}
        return _described(source["title"], source.get("description"), schema)
    raise InvalidArgument(
        f"the dict {source!r} names no function; give it a `name` with `parameters`, or a `title` at the top of the schema."
    )


def _from_typed_dict(source: Any) -> dict[str, Any]:
    found = typed_dict_keys(source)
    text, documented = google_docstring(source.__doc__, set(found.visible), source.__name__)
    schema = _json(model_of(source.__name__, "", found, documented))
    for key, (_, default) in found.visible.items():
        if default is None:
            schema["properties"][key].pop("default", None)
    # `dict` shows its own docstring where a TypedDict has none.
    return _described(source.__name__, text if source.__doc__ != dict.__doc__ else "", schema)


def typed_dict_keys(source: Any) -> Parameters:
    """The keys of a TypedDict, in the place of parameters; those that may be left out have the default None."""
    hints = typing.get_type_hints(source, include_extras=True)
    keys: dict[str, tuple[Any, Any]] = {
        key: (_without_default(annotation), ... if _is_required(source, key, annotation) else None)
        for key, annotation in hints.items()
    }
    return Parameters(visible=keys)


def _is_required(source: Any, key: str, annotation: Any) -> bool:
    # `__required_keys__` cannot see through annotations that are strings.
    mark = get_origin(annotation)
    return mark is not typing.NotRequired and (mark is typing.Required or key in source.__required_keys__)


def _without_default(annotation: Any) -> Any:
    """`Annotated[T, ..., "text"]`, a way to say "required", is `Annotated[T, "text"]` here."""
    if get_origin(annotation) in (typing.Required, typing.NotRequired):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Annotated:
        plain, *rest = get_args(annotation)
        texts = [item for item in rest if isinstance(item, str)][-1:]
        kept = [item for item in rest if not isinstance(item, (str, types.EllipsisType)) and item is not None]
        return Annotated[(plain, *texts, *kept)] if texts or kept else plain
    return annotation


def _from_callable(source: Callable[..., Any]) -> dict[str, Any]:
    name = getattr(source, "__name__", type(source).__name__)
    parameters = parameters_of(source, name)
    text, documented = google_docstring(inspect.getdoc(source), {*parameters.visible, *parameters.injected}, name)
    return _described(name, text, _json(model_of(name, "", parameters, documented)))


def _json(model: Any) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema()
    return schema


def _doc(model: type[BaseModel]) -> str:
    return dedented(model.__doc__) if model.__doc__ and model.__doc__ != BaseModel.__doc__ else ""


def _is_builtin(tool: dict[str, Any]) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind not in ("function", "object") and "input_schema" not in tool
