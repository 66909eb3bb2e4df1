"""Tools in the form in which OpenAI's API, and most others after it, want to be told of them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from ..errors import InvalidArgument
from .docstrings import cleaned, google_docstring
from .json_schema import plain_schema, strict_schema
from .structured_tool import Tool
from .tool_schema import Parameters, model_of, parameters_of
from .tools import BaseTool
from .typed_dicts import ABSENT, is_typed_dict, keys_of, readable

__all__ = ["convert_to_openai_function", "convert_to_openai_tool", "typed_dict_keys"]

# What a tool takes that takes one text, under the name that models have known for it from the beginning.
_TEXT = {"type": "object", "properties": {"__arg1": {"title": "__arg1", "type": "string"}}, "required": ["__arg1"]}


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
    made = _function(function, strict=bool(strict))
    if strict is not None:
        made["strict"] = strict
        if strict:
            made["parameters"] = strict_schema(made.get("parameters") or {"type": "object", "properties": {}})
    return made


def _function(source: Any, *, strict: bool) -> dict[str, Any]:
    if isinstance(source, BaseTool):
        if isinstance(source, Tool) and source.takes_text:
            return _as_given(source.name, source.description, _TEXT)
        schema = source.tool_call_schema
        return _described(source.name, source.description, schema if isinstance(schema, dict) else _json(schema))
    if isinstance(source, dict):
        return _from_dict(source)
    if isinstance(source, type):
        if issubclass(source, BaseModel):
            return _described(source.__name__, _doc(source), _json(source))
        if is_typed_dict(source):
            return _from_typed_dict(source, strict)
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


def _as_given(name: str, description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema that the user wrote is told as it is."""
    parameters = copy.deepcopy(schema)
    description = description or parameters.pop("description", description)
    told = {} if description is None else {"description": str(description)}
    return {"name": name, **told, "parameters": parameters}


def _from_dict(source: dict[str, Any]) -> dict[str, Any]:
    if isinstance(source.get("function"), dict):
        return _from_dict(source["function"])
    if isinstance(source.get("toolSpec"), dict):  # Bedrock's form
        spec = source["toolSpec"]
        return _as_given(spec["name"], spec.get("description"), spec.get("inputSchema", {}).get("json", {}))
    for key in ("input_schema", "inputSchema"):  # Anthropic's form, and that of MCP
        if "name" in source and key in source:
            return _as_given(source["name"], source.get("description"), source[key])
    if "name" in source:
        return {key: source[key] for key in ("name", "description", "parameters", "strict") if key in source}
    if "title" in source:
        schema = {key: value for key, value in source.items() if key not in ("title", "description")}
        return _as_given(source["title"], source.get("description"), schema)
    raise InvalidArgument(
        f"the dict {source!r} names no function; give it a `name` with `parameters`, or a `title` at the top of the schema."
    )


def _from_typed_dict(source: Any, strict: bool) -> dict[str, Any]:
    """A key that may be None is told by what else it may be: the model leaves it out. With `strict` it cannot."""
    description, keys = keys_of(source)
    texts = {key.name: key.text for key in keys if key.text}
    schema = _json(model_of(source.__name__, "", typed_dict_keys(source), texts))
    for key in keys:
        if not key.required and (key.default is ABSENT or key.default is None):
            # It may be left out, and then there is nothing.
            schema["properties"][key.name].pop("default", None)
        if not strict:
            _without_null(schema["properties"][key.name])
    return _described(source.__name__, description, schema)


def _without_null(schema: dict[str, Any]) -> None:
    choices = schema.get("anyOf") or []
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) == len(choices):
        return
    if schema.get("default", ABSENT) is None:
        del schema["default"]
    if len(others) == 1:
        del schema["anyOf"]
        schema.update({**others[0], **schema})
    else:
        schema["anyOf"] = others


def typed_dict_keys(source: Any) -> Parameters:
    """The keys of a TypedDict, in the place of parameters; those that may be left out have a default, None if no other."""
    keys: dict[str, tuple[Any, Any]] = {}
    for key in keys_of(source)[1]:
        default = (... if key.required else None) if key.default is ABSENT else key.default
        keys[key.name] = (readable(key.annotation), default)
    return Parameters(visible=keys)


def _from_callable(source: Callable[..., Any]) -> dict[str, Any]:
    name = getattr(source, "__name__", type(source).__name__)
    parameters = parameters_of(source, name)
    text, documented = google_docstring(inspect.getdoc(source), {*parameters.visible, *parameters.injected}, name)
    return _described(name, text, _json(model_of(name, "", parameters, documented)))


def _json(model: Any) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema()
    return schema


def _doc(model: type[BaseModel]) -> str:
    return cleaned(model.__doc__) if model.__doc__ and model.__doc__ != BaseModel.__doc__ else ""


def _is_builtin(tool: dict[str, Any]) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind not in ("function", "object") and "input_schema" not in tool
