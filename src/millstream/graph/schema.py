"""From a state schema (TypedDict, dataclass, pydantic model or a bare type) to channels.

Pydantic models are recognised by their attributes, so that a graph without any does not load pydantic.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    TypeAlias,
    TypedDict,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ..errors import InvalidGraph
from .channels import BaseChannel, BinaryOperatorAggregate, LastValue, check_reducer_arity
from .constants import RESERVED, ROOT
from .managed import ManagedValue

__all__ = ["Rule", "Schema", "has_fields", "json_schema_of", "object_pairs", "titled_schema_of", "value_schema_of"]

Rule: TypeAlias = BaseChannel | ManagedValue
Pairs: TypeAlias = Iterable[tuple[str, Any]]

_WRAPPERS = frozenset({"Required", "NotRequired", "ReadOnly"})


class Schema:
    """One schema of a graph or node, read once.

    `rules` maps each field to its channel or managed value (`{"__root__": ...}` for a bare type), `make` turns
    a dict of values into what a node receives (None: the dict itself).
    """

    __slots__ = ("channels", "is_root", "make", "managed", "rules", "type")

    def __init__(self, type_: Any) -> None:
        if not isinstance(type_, type) and get_origin(type_) is None and not has_fields(type_):
            warnings.warn(
                f"{type_!r} is no usable schema: give a TypedDict, a dataclass, a pydantic model or an annotated type.",
                stacklevel=4,
            )
        self.type = type_
        self.is_root = not has_fields(type_)
        self.rules = {ROOT: _rule(ROOT, type_)} if self.is_root else _field_rules(type_)
        self.channels = tuple(k for k, r in self.rules.items() if isinstance(r, BaseChannel))
        self.managed = tuple((k, r) for k, r in self.rules.items() if isinstance(r, ManagedValue))
        self.make: Callable[..., Any] | None = None
        if not self.is_root and not _is_mapping(type_):
            self.make = type_

    def __repr__(self) -> str:
        return f"Schema({getattr(self.type, '__name__', self.type)})"


def has_fields(type_: Any) -> bool:
    """Whether values of the type have named fields (and not one value as a whole)."""
    if get_origin(type_) is Annotated:
        return False
    return bool(getattr(type_, "__annotations__", None)) or dataclasses.is_dataclass(type_) or _is_model(type_)


def object_pairs(value: Any) -> Pairs | None:
    """The fields of a dataclass, pydantic model or annotated object as pairs; None for anything else.

    Of a pydantic model a None that is only a field's default says nothing about the state, and is left out.
    """
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(cls)]
    if _is_model(cls):
        given = value.model_fields_set
        pairs = [(name, getattr(value, name), info.default) for name, info in cls.model_fields.items()]
        return [
            (name, item) for name, item, default in pairs if item is not None or default is not None or name in given
        ]
    if cls.__module__ != "builtins" and getattr(cls, "__annotations__", None):
        return [(name, getattr(value, name)) for name in cls.__annotations__ if hasattr(value, name)]
    return None


def _is_mapping(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, dict)


def _is_model(type_: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(type_, type) and issubclass(type_, pydantic.BaseModel)


def _field_rules(type_: Any) -> dict[str, Rule]:
    try:
        hints = get_type_hints(type_, include_extras=True)
    except NameError as error:
        error.add_note(
            f"while reading the state schema {type_.__name__}: its annotations are texts (`from __future__ import "
            "annotations`), so what they name must be defined at the top of the module."
        )
        raise
    if _is_model(type_):
        hints = {name: hint for name, hint in hints.items() if name in type_.model_fields}
    elif dataclasses.is_dataclass(type_):
        names = {f.name for f in dataclasses.fields(type_)}
        hints = {name: hint for name, hint in hints.items() if name in names}
    return {name: _rule(name, hint) for name, hint in hints.items()}


def _rule(key: str, hint: Any) -> Rule:
    if key in RESERVED:
        raise InvalidGraph(f"{key!r} is a reserved name; give the state key another one.")
    while getattr(get_origin(hint), "_name", None) in _WRAPPERS:
        hint = get_args(hint)[0]
    if get_origin(hint) is not Annotated:
        return LastValue(hint)
    typ, *extras = get_args(hint)
    while getattr(get_origin(typ), "_name", None) in _WRAPPERS:
        typ = get_args(typ)[0]
    for extra in extras:
        if isinstance(extra, (BaseChannel, ManagedValue)):
            return extra
        if isinstance(extra, type) and issubclass(extra, BaseChannel):
            return extra(typ)
    if callable(extras[-1]) and not isinstance(extras[-1], type):
        check_reducer_arity(key, extras[-1], _positional(extras[-1]))
        return BinaryOperatorAggregate(typ, extras[-1])
    return LastValue(typ)


def _positional(reducer: Any) -> int:
    try:
        parameters = inspect.signature(reducer).parameters.values()
    except (ValueError, TypeError):  # some builtins do not tell
        return 2
    kinds = [p.kind for p in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 2
    return sum(k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds)


def shape_of(schema: Schema, type_: Any, *, given: bool) -> Any:
    """What a graph takes (`given`) or gives, as runnables say it: its type without managed values, or the fields of that."""
    from ..chat.typed_dicts import readable

    if schema.is_root or _is_model(type_) or (given and not is_typeddict(type_)):
        return type_
    hints = get_type_hints(type_, include_extras=True)
    fields = {name: _unqualified(hints[name]) for name in schema.channels if name in hints}
    if not given:
        return {name: (readable(hint), None) for name, (hint, _) in fields.items()}
    make: Any = TypedDict
    return readable(
        make(
            type_.__name__,
            {n: hint if said is None else said[hint] for n, (hint, said) in fields.items()},
            total=type_.__total__,
        )
    )


def _unqualified(hint: Any) -> tuple[Any, Any]:
    """The hint of a key without what says whether it must be there (at either place where that may stand), and that."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        inner, said = _unqualified(inner)
        return Annotated[(inner, *marks)], said
    name = getattr(get_origin(hint), "_name", None)
    if name not in ("Required", "NotRequired", "ReadOnly"):
        return hint, None
    inner, said = _unqualified(get_args(hint)[0])
    return inner, said if name == "ReadOnly" else NotRequired if name == "NotRequired" else Required


def json_schema_of(type_: Any) -> dict[str, Any]:
    """The JSON schema of values of a schema's type."""
    from pydantic import TypeAdapter

    if is_typeddict(type_) and sys.version_info < (3, 12):  # pydantic refuses those of `typing` there
        import typing_extensions

        make: Any = typing_extensions.TypedDict
        type_ = make(type_.__name__, get_type_hints(type_, include_extras=True), total=type_.__total__)
    schema: dict[str, Any] = TypeAdapter(type_).json_schema()
    return schema


def titled_schema_of(type_: Any, title: str) -> dict[str, Any]:
    """The JSON schema of a graph's input or output, under `title` where the type is no TypedDict or model with a name."""
    if hasattr(type_, "__total__") or _is_model(type_):
        return json_schema_of(type_)
    if type_ is Any:
        return {"properties": {}, "title": title, "type": "object"}
    if not dataclasses.is_dataclass(type_):
        return {"default": None, **value_schema_of(type_, title)}
    from pydantic_core import to_jsonable_python

    schema = {**json_schema_of(type_), "title": title}
    schema.pop("description", None)
    for field in dataclasses.fields(type_):
        if field.default_factory is not dataclasses.MISSING:
            schema["properties"][field.name]["default"] = to_jsonable_python(field.default_factory())
    return schema


def value_schema_of(type_: Any, title: str) -> dict[str, Any]:
    """The JSON schema of a single value, under `title` where the type is no model with a name."""
    from pydantic import BaseModel, RootModel, create_model

    if isinstance(type_, type) and issubclass(type_, BaseModel):
        return json_schema_of(type_)
    if type_ is type(None):
        return {"properties": {}, "title": title, "type": "object"}
    form: type[BaseModel] = create_model(title, __base__=RootModel[type_])
    return form.model_json_schema()
