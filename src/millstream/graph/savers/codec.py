"""State as bytes and back: MessagePack with a registry of types.

The bytes are data only. A value of a class is stored as a label and its fields; what the label means is looked up among
the classes that the program registered (by itself at `compile()` for those that a graph's schemas name), so reading
can run no code that the bytes choose. An unknown label is an error that names it.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import ormsgpack
from ormsgpack import Ext

from ...data import chunks, messages
from ...data.record import Record
from ...errors import CorruptCheckpoint, InvalidType
from ..control import Command, Interrupt, Overwrite, Send
from ..policies import TimeoutPolicy
from ..tool_input import ToolCallWithContext

__all__ = ["decode", "encode", "register_type"]

T = TypeVar("T")

_PACK: Final = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_UNPACK: Final = ormsgpack.OPT_NON_STR_KEYS

# Extension types. Numbers are part of stored files: never change one, add at the end.
_OBJECT, _TUPLE, _SET, _FROZENSET, _DEQUE, _TEXT, _INT, _SCALAR, _ENUM, _PAIRS, _AS_BASE = range(1, 12)

_refused = threading.local()
_labels: dict[type, str] = {}
_types: dict[str, type] = {}


def encode(value: Any) -> bytes:
    """The bytes of a value.

    Raises:
        InvalidType: (a TypeError) it holds something that cannot be stored.
    """
    try:
        return ormsgpack.packb(value, default=_default, option=_PACK)
    except ormsgpack.MsgpackEncodeError:
        if (refusal := _refusal()) is not None:
            raise refusal from None
    # A text with lone surrogates, which a model can produce; or a key that is no scalar.
    try:
        return ormsgpack.packb(_mended(value), default=_default, option=_PACK)
    except ormsgpack.MsgpackEncodeError as error:
        raise _refusal() or InvalidType(f"a value cannot be stored in a checkpoint: {error}") from error


def decode(data: bytes) -> Any:
    """The value of `encode`d bytes.

    Raises:
        CorruptCheckpoint: they cannot be read.
    """
    try:
        return ormsgpack.unpackb(data, ext_hook=_ext, option=_UNPACK)
    except Exception as error:
        raise _refusal() or CorruptCheckpoint(f"stored bytes cannot be read: {error}") from error


def _refusal() -> Any:
    """The error that a hook raised: the library replaces it with one of its own, without saying why."""
    return _refused.__dict__.pop("error", None)


def _refuse(error: Exception) -> Exception:
    if not hasattr(_refused, "error"):
        _refused.error = error
    return error


def register_type(cls: type[T], *, label: str | None = None) -> type[T]:
    """Let values of `cls` (a dataclass, pydantic model, enum or named tuple) be stored and read back.

    Give a `label` when the class may move to another module: stored values carry it. Usable as a decorator.
    """
    label = label or f"{cls.__module__}.{cls.__qualname__}"
    _types[label] = cls
    _labels.setdefault(cls, label)
    return cls


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
            if _is_storable(hint) and hint not in _labels:
                register_type(hint)
            if _is_storable(hint) or getattr(hint, "__annotations__", None):
                waiting += _field_hints(hint)


def _field_hints(cls: type) -> Iterable[Any]:
    if cls.__module__.startswith(("millstream.", "builtins", "typing")):
        return ()
    try:
        return get_type_hints(cls).values()
    except Exception:  # a name that cannot be resolved here
        return ()


def _is_model(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _is_storable(cls: type) -> bool:
    return (
        dataclasses.is_dataclass(cls)
        or _is_model(cls)
        or issubclass(cls, Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


# -- writing ---------------------------------------------------------------------------------------------------------


def _pack(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_default, option=_PACK)


def _default(value: Any) -> Ext:
    cls = type(value)
    if cls is tuple:
        return Ext(_TUPLE, _pack(list(value)))
    if isinstance(value, Record):
        return Ext(_OBJECT, _pack([_label(cls), _record_fields(value)]))
    plain = _PLAIN.get(cls)
    if plain is not None:
        tag, turn = plain
        return Ext(tag, _pack(turn(value)))
    if isinstance(value, Enum):
        return Ext(_ENUM, _pack([_label(cls), value.value]))
    if _is_storable(cls):
        return Ext(_OBJECT, _pack([_label(cls), _fields(value)]))
    for base, turn in _BASES:
        if isinstance(value, base):
            return Ext(_SCALAR, _pack(turn(value)))
    builtin: Any
    for builtin in (dict, list, str, int, float, bytes):  # subclasses are stored as what they extend
        if isinstance(value, builtin):
            return Ext(_AS_BASE, _pack(builtin(value)))
    raise _refuse(
        InvalidType(
            f"{value!r} of type {cls.__module__}.{cls.__qualname__} cannot be stored in a checkpoint. Keep it out of the "
            "state (or annotate its key with UntrackedValue), or make it a dataclass and register it with register_type()."
        )
    )


def _label(cls: type) -> str:
    label = _labels.get(cls)
    if label is None:
        register_type(cls)
        label = _labels[cls]
    return label


def _record_fields(value: Record) -> dict[str, Any]:
    """The fields of a message or document that say something; the others are as a new one has them."""
    return {k: v for k, v in value._state().items() if k != "type" and v is not None and v != [] and v != {}}


def _fields(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    return {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})


_PLAIN: Final[dict[type, tuple[int, Callable[[Any], Any]]]] = {
    int: (_INT, str),
    set: (_SET, list),
    frozenset: (_FROZENSET, list),
    deque: (_DEQUE, lambda d: [list(d), d.maxlen]),
    datetime: (_SCALAR, lambda v: ["datetime", v.isoformat(), v.fold]),
    date: (_SCALAR, lambda v: ["date", v.isoformat()]),
    time: (_SCALAR, lambda v: ["time", v.isoformat()]),
    timedelta: (_SCALAR, lambda v: ["timedelta", v.days, v.seconds, v.microseconds]),
    UUID: (_SCALAR, lambda v: ["uuid", v.hex]),
    Decimal: (_SCALAR, lambda v: ["decimal", str(v)]),
    complex: (_SCALAR, lambda v: ["complex", v.real, v.imag]),
    range: (_SCALAR, lambda v: ["range", v.start, v.stop, v.step]),
    re.Pattern: (_SCALAR, lambda v: ["pattern", v.pattern, v.flags]),
    Send: (_SCALAR, lambda v: ["send", v.node, v.arg] if v.timeout is None else ["send", v.node, v.arg, v.timeout]),
    ToolCallWithContext: (_SCALAR, lambda v: ["tool_call", v["tool_call"]]),
}

_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (PurePath, lambda v: ["path", str(v)]),
    # An error read back is only its text: nothing is built from a class that bytes name.
    (BaseException, lambda v: ["error", repr(v)]),
)


def _mended(value: Any) -> Any:
    """A copy in which texts that UTF-8 cannot carry, and keys that are no scalars, are made storable."""
    if isinstance(value, str):
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            return Ext(_TEXT, value.encode("utf-8", "surrogatepass"))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_mended(each) for each in value) if type(value) in (list, tuple) else value
    if type(value) is dict:
        if all(isinstance(k, (str, int, float, bool, type(None))) for k in value):
            try:
                return {_utf8_key(k): _mended(v) for k, v in value.items()}
            except UnicodeEncodeError:
                pass
        return Ext(_PAIRS, _pack([[_mended(k), _mended(v)] for k, v in value.items()]))
    if isinstance(value, Record):
        return Ext(_OBJECT, _pack([_label(type(value)), _mended(_record_fields(value))]))
    if not isinstance(value, type) and _is_storable(type(value)) and not isinstance(value, Enum):
        return Ext(_OBJECT, _pack([_label(type(value)), _mended(_fields(value))]))
    return value


def _utf8_key(key: Any) -> Any:
    if isinstance(key, str):
        key.encode()
    return key


# -- reading ---------------------------------------------------------------------------------------------------------


def _ext(tag: int, data: Any) -> Any:
    if tag == _TEXT:
        return bytes(data).decode("utf-8", "surrogatepass")
    value = ormsgpack.unpackb(data, ext_hook=_ext, option=_UNPACK)
    if tag == _OBJECT:
        return _object(*value)
    if tag == _TUPLE:
        return tuple(value)
    if tag == _SCALAR:
        return _SCALARS[value[0]](*value[1:])
    if tag == _ENUM:
        return _class(value[0])(value[1])
    if tag == _PAIRS:
        return dict(value)
    if tag == _AS_BASE:
        return value
    return _READ[tag](value)


def _class(label: str) -> Any:
    try:
        return _types[label]
    except KeyError:
        raise _refuse(
            CorruptCheckpoint(
                f"a stored value has the type {label!r}, which this program has not registered; name it in the state "
                "schema or call register_type() with the class before reading."
            )
        ) from None


def _object(label: str, fields: Any) -> Any:
    cls = _class(label)
    if isinstance(fields, list):
        return cls(*fields)
    if _is_model(cls):
        return cls.model_construct(**fields)
    return cls(**fields)


_READ: Final[dict[int, Callable[[Any], Any]]] = {
    _SET: set,
    _FROZENSET: frozenset,
    _DEQUE: lambda v: deque(v[0], v[1]),
    _INT: int,
}

_SCALARS: Final[dict[str, Callable[..., Any]]] = {
    "datetime": lambda text, fold=0: datetime.fromisoformat(text).replace(fold=fold),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": timedelta,
    "uuid": UUID,
    "decimal": Decimal,
    "complex": complex,
    "range": range,
    "pattern": re.compile,
    "path": Path,
    "error": str,
    "send": lambda node, arg, timeout=None: Send(node, arg, timeout=timeout),
    "tool_call": ToolCallWithContext.of,
}

for _cls in (Command, Interrupt, Overwrite, TimeoutPolicy):
    register_type(_cls, label=_cls.__name__)
for _module in (messages, chunks):
    for _name in _module.__all__:
        _found = getattr(_module, _name)
        if isinstance(_found, type) and issubclass(_found, Record):
            register_type(_found, label=_name)
