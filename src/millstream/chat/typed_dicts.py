"""TypedDicts as forms of arguments and answers: their keys with texts and defaults, and what pydantic can read of them."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Field

from ..errors import InvalidArgument
from .docstrings import google_docstring

__all__ = ["ABSENT", "Key", "is_typed_dict", "keys_of", "readable"]

ABSENT: Any = object()

# What is a default in `Annotated[T, default, "text"]`; anything else is there for others.
_DEFAULTS = (types.NoneType, types.EllipsisType, str, int, float, list, tuple, dict, Enum)


@dataclass(slots=True)
class Key:
    """A key of a TypedDict."""

    name: str
    annotation: Any
    """Its type, without the text and the default."""
    text: str | None
    default: Any
    """ABSENT where there is none."""
    required: bool
    """It may not be left out, whatever its default."""


def is_typed_dict(kind: Any) -> bool:
    """Whether this is a TypedDict class, of the standard library or of typing_extensions, which pydantic asks for."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__required_keys__")


def keys_of(source: Any) -> tuple[str, list[Key]]:
    """The description of a TypedDict and its keys; their texts come from `Annotated[T, "text"]`, else the docstring.

    `Annotated[T, default, "text"]` gives a default too, where `...` stands for none.
    """
    keys = list(_keys(source))
    doc = source.__doc__ if source.__doc__ != dict.__doc__ else None  # which `dict` shows where there is no other
    description, documented = google_docstring(doc, {key.name for key in keys}, source.__name__)
    for key in keys:
        key.text = key.text or documented.get(key.name)
    return description, keys


def readable(annotation: Any) -> Any:
    """The annotation with each TypedDict in it made one that pydantic reads on every Python, texts and defaults included."""
    return _readable(annotation, {})


def _keys(source: Any) -> Iterator[Key]:
    for name, annotation in typing.get_type_hints(source, include_extras=True).items():
        mark = get_origin(annotation)
        # `__required_keys__` cannot see through annotations that are strings.
        required = mark is not typing.NotRequired and (mark is typing.Required or name in source.__required_keys__)
        if mark in (typing.Required, typing.NotRequired):
            annotation = get_args(annotation)[0]
        yield Key(name, *_taken_apart(annotation), required)


def _taken_apart(annotation: Any) -> tuple[Any, str | None, Any]:
    """The type, the text and the default."""
    if get_origin(annotation) is not Annotated:
        return annotation, None, ABSENT
    plain, *rest = get_args(annotation)
    default = ABSENT
    if len(rest) > 1 and isinstance(rest[0], _DEFAULTS) and isinstance(rest[1], str):
        default, *rest = rest
    texts = [item for item in rest if isinstance(item, str)]
    kept = [item for item in rest if not isinstance(item, (str, types.EllipsisType))]
    return (
        Annotated[(plain, *kept)] if kept else plain,
        texts[-1] if texts else None,
        ABSENT if default is ... else default,
    )


def _readable(annotation: Any, made: dict[Any, Any]) -> Any:
    if is_typed_dict(annotation):
        return made[annotation] if annotation in made else _made(annotation, made)
    origin, args = get_origin(annotation), get_args(annotation)
    if not args or origin is typing.Literal:
        return annotation
    if origin is Annotated:
        inner = _readable(args[0], made)
        return annotation if inner is args[0] else Annotated[(inner, *args[1:])]
    inside = tuple(_readable(item, made) for item in args)
    if all(new is old for new, old in zip(inside, args, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[inside]  # noqa: UP007 - of a tuple
    copy_with = getattr(annotation, "copy_with", None)
    return copy_with(inside) if copy_with is not None else origin[inside]


def _made(source: Any, made: dict[Any, Any]) -> Any:
    import typing_extensions  # which pydantic brings along

    # Inside of itself it stays as it is, where pydantic reads that; else it is any dict.
    own = sys.version_info >= (3, 12) or type(source).__module__ != "typing"
    made[source] = source if own else dict[str, Any]
    try:
        description, keys = keys_of(source)
    except (NameError, InvalidArgument):
        # An annotation that cannot be found, or a docstring of another kind: pydantic may do without.
        made[source] = source
        return source
    fields = {}
    for key in keys:
        shown: dict[str, Any] = {"description": key.text} if key.text else {}
        if key.default is not ABSENT:
            shown["json_schema_extra"] = {"default": key.default}
        inner = _readable(key.annotation, made)
        inner = Annotated[inner, Field(**shown)] if shown else inner
        fields[key.name] = inner if key.required and key.default is ABSENT else typing.NotRequired[inner]
    make: Any = typing_extensions.TypedDict
    form = make(source.__name__, fields)
    form.__doc__ = description or None
    form.__module__, form.__qualname__ = source.__module__, source.__qualname__
    if hasattr(source, "__pydantic_config__"):
        form.__pydantic_config__ = source.__pydantic_config__
    made[source] = form
    return form
