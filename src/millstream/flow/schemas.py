"""Pydantic models of what a runnable takes and gives, made when somebody asks.

A runnable says its *shape*: a type, a pydantic model, or a dict of fields `{name: (type, default)}`. The shapes of
composites come from those of their parts.
"""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, get_args, get_type_hints
from uuid import UUID

__all__ = [
    "config_schema",
    "fields_of",
    "function_input",
    "function_output",
    "item_of",
    "list_of",
    "schema_of",
    "source_of",
]


def schema_of(name: str, shape: Any) -> Any:
    """The pydantic model for a shape; a model class is its own."""
    from pydantic import BaseModel, RootModel, create_model

    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return shape
    if isinstance(shape, dict):
        return create_model(name, **shape)
    made: Any = create_model(name, __base__=RootModel[shape])
    return made


def fields_of(shape: Any) -> dict[str, Any] | None:
    """The fields of a shape that has some, else None."""
    if isinstance(shape, dict):
        return shape
    fields = getattr(shape, "model_fields", None)
    if fields is None:
        return None
    from pydantic_core import PydanticUndefined

    return {
        name: (field.annotation, ... if field.default is PydanticUndefined else field.default)
        for name, field in fields.items()
    }


def function_input(fn: Callable[..., Any]) -> Any:
    """What a function of one argument takes: its annotation, else the keys that it reads from its argument, else Any."""
    if isinstance(fn, operator.itemgetter):
        return dict.fromkeys(_keys_of_itemgetter(fn), (Any, ...)) or Any
    try:
        parameters = list(inspect.signature(fn).parameters.values())
        hints = get_type_hints(fn)
    except (TypeError, ValueError, NameError):
        return Any
    if not parameters:
        return Any
    first = parameters[0]
    if hints.get(first.name, Any) is not Any:
        return hints[first.name]
    keys = _keys_read(fn, first.name)
    return dict.fromkeys(sorted(keys), (Any, ...)) if keys else Any


def function_output(fn: Callable[..., Any]) -> Any:
    """What a function gives, by its annotation; a generator its items."""
    try:
        found = get_type_hints(fn).get("return", Any)
    except (TypeError, NameError):
        return Any
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        return item_of(found)
    return found


def item_of(iterator: Any) -> Any:
    """What an `Iterator[...]` or one of its like yields."""
    items = get_args(iterator)
    return items[0] if items else Any


def list_of(name: str, shape: Any) -> Any:
    """The shape of a list of what has this shape."""
    return list[schema_of(name, shape)] if isinstance(shape, dict) else list[shape]  # type: ignore[misc]


def config_schema(runnable: Any, include: Sequence[str]) -> Any:
    """A pydantic model with `configurable` (when there is something to configure) and the keys in `include`."""
    from pydantic import Field, create_model

    fields: dict[str, Any] = {}
    specs = runnable.config_specs
    if specs:
        inner: dict[str, Any] = {
            spec.id: (spec.annotation, Field(spec.default, title=_title(spec), description=spec.description))
            for spec in specs
        }
        configurable: Any = create_model("Configurable", **inner)
        fields["configurable"] = (configurable, None)
    for key in include:
        if key in _CONFIG:
            fields[key] = (_CONFIG[key], None)
    return create_model(runnable.get_name("Config"), **fields)


_CONFIG: Final[dict[str, Any]] = {
    "tags": list[str],
    "metadata": dict[str, Any],
    "callbacks": Any,
    "run_name": str,
    "run_id": UUID | None,
    "max_concurrency": int | None,
    "recursion_limit": int,
}


def _title(spec: Any) -> str | None:
    # An enumeration has a definition of its own, with its title.
    is_choice = isinstance(spec.annotation, type) and issubclass(spec.annotation, Enum)
    return None if is_choice else spec.name


def _keys_of_itemgetter(fn: Any) -> list[str]:
    _, items = fn.__reduce__()
    return [item for item in items if isinstance(item, str)]


def source_of(fn: Callable[..., Any]) -> ast.Module | None:
    """The parsed source of a function; None where there is none, or of a lambda in the middle of a longer expression."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(fn)).strip())
    except (OSError, TypeError, SyntaxError):
        return None


def _keys_read(fn: Callable[..., Any], argument: str) -> set[str]:
    """The string keys that the source reads with `argument["key"]` or `argument.get("key")`."""
    tree = source_of(fn)
    if tree is None:
        return set()
    keys: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == argument:
                keys.add(key)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=str(key)), *_]
            ) if name == argument:
                keys.add(key)
    return keys
