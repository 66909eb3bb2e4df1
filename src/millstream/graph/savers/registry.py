"""The classes whose values can be stored and read back: those that the program named, never one that bytes name.

A class is named by `register_type`, or by itself when a graph is compiled whose schemas, tools or response format mention it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from ..builder import StateGraph

__all__ = ["class_of", "is_model", "is_storable", "label_of", "register_all", "register_graph", "register_type"]

T = TypeVar("T")

_labels: dict[type, str] = {}
_types: dict[str, type] = {}


def label_of(cls: type) -> str | None:
    """What values of the class are stored under; None for one that nobody named."""
    return _labels.get(cls)


def class_of(label: str) -> type | None:
    """The class that is stored under a label."""
    return _types.get(label)


def register_type(cls: type[T], *, label: str | None = None) -> type[T]:
    """Let values of `cls` (a dataclass, pydantic model, enum or named tuple) be stored and read back.

    Give a `label` when the class may move to another module: stored values carry it. Usable as a decorator.
    """
    label = label or f"{cls.__module__}.{cls.__qualname__}"
    _types[label] = cls
    _labels.setdefault(cls, label)
    return cls


def register_graph(builder: StateGraph[Any, Any, Any, Any]) -> None:
    """Register what the schemas of a graph name, and its nodes: tools their arguments, an agent the form of its answer."""
    register_all([builder.state_schema, builder.input_schema, builder.output_schema])
    register_all(schema.type for schema in builder.schemas())
    for spec in builder.nodes.values():
        named: Any = getattr(spec.call.target, "stored_types", None)
        if named is not None:
            register_all(named())


def register_all(hints: Iterable[Any]) -> None:
    """Register every class that can be stored among type hints, and those that their fields name."""
    waiting, seen = list(hints), set()
    while waiting:
        hint = waiting.pop()
        if id(hint) in seen:
            continue
        seen.add(id(hint))
        origin = get_origin(hint)
        if origin is Annotated:
            waiting.append(get_args(hint)[0])
        elif origin in (Union, UnionType) or origin is not None:
            waiting += [arg for arg in get_args(hint) if not isinstance(arg, (str, int))]
        elif isinstance(hint, type):
            if is_storable(hint) and hint not in _labels:
                register_type(hint)
            if is_storable(hint) or getattr(hint, "__annotations__", None):
                waiting += _field_hints(hint)


def _field_hints(cls: type) -> Iterable[Any]:
    if cls.__module__.startswith(("millstream.", "builtins", "typing")):
        return ()
    try:
        return get_type_hints(cls).values()
    except Exception:  # a name that cannot be resolved here
        return ()


def is_model(cls: type) -> bool:
    """Whether it is a pydantic model; none is where pydantic is not loaded."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def is_storable(cls: type) -> bool:
    """Whether its values can be stored as their fields."""
    return (
        dataclasses.is_dataclass(cls)
        or is_model(cls)
        or issubclass(cls, Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )
