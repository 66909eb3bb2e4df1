"""State as bytes and back: MessagePack with a registry of types.

The bytes are data only. A value of a class is stored as a label and its fields; what the label means is looked up among
the classes that the program registered (by itself at `compile()` for those that a graph's schemas name), so reading
can run no code that the bytes choose. An unknown label is an error that names it.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path, PurePath
from types import NoneType
from typing import Any, Final
from uuid import UUID

import ormsgpack
from ormsgpack import Ext

from ...data import ai_chunk, chunks, messages
from ...data.documents import Document
from ...data.record import Record
from ...errors import CorruptCheckpoint, InvalidType
from ..control import Command, Interrupt, Overwrite, Send
from ..policies import TimeoutPolicy
from ..tool_input import ToolCallWithContext
from .registry import class_of, is_model, is_storable, label_of, register_type

__all__ = ["MARK", "MAX_KEYS", "decode", "encode"]

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

# One extension type for all of ours, whose first byte says which of them it is: other bytes are refused, not taken for something.
# Numbers are part of stored files: never change one, add at the end.
_CODE: Final = 77
_OBJECT, _TUPLE, _SET, _FROZENSET, _DEQUE, _TEXT, _INT, _SCALAR, _ENUM, _PAIRS, _AS_BASE = range(1, 12)

MARK: Final = b"\xc1"
"""What all that we encode begins with: a byte that begins nothing in MessagePack, nor in JSON or other encodings of text."""

MAX_KEYS: Final = 500_000
"""A dict with more keys is neither stored nor read: so few bytes would take so much memory."""

_PREFIX: Final = [bytes([kind]) for kind in range(16)]
_refused = threading.local()


def encode(value: Any) -> bytes:
    """The bytes of a value.

    Raises:
        InvalidType: (a TypeError) it holds something that cannot be stored.
    """
    try:
        data = ormsgpack.packb(value, default=_default, option=_PACK)
    except ormsgpack.MsgpackEncodeError:
        if (refusal := _refusal()) is not None:
            raise refusal from None
        data = _encoded_with_care(value)
    if len(data) >= 2 * MAX_KEYS:
        _check_sizes(data)
    return MARK + data


def _encoded_with_care(value: Any) -> bytes:
    """The bytes of a value with texts that have lone surrogates, which a model can produce; or with keys that are no scalars."""
    try:
        return ormsgpack.packb(_mended(value), default=_default, option=_PACK)
    except (ormsgpack.MsgpackEncodeError, RecursionError, ValueError) as error:
        why = "it is nested too deep, or holds itself" if isinstance(error, RecursionError) else str(error)
        raise _refusal() or InvalidType(f"a value cannot be stored in a checkpoint: {why}") from error


def _check_sizes(data: bytes) -> None:
    try:
        _check_keys(data)
    except CorruptCheckpoint:
        _refusal()
        raise InvalidType(
            f"a value cannot be stored in a checkpoint: a dict in it has more than {MAX_KEYS:,} keys."
        ) from None


def decode(data: bytes) -> Any:
    """The value of `encode`d bytes.

    Raises:
        CorruptCheckpoint: they cannot be read.
    """
    if data[:1] != MARK:
        raise CorruptCheckpoint("stored bytes cannot be read: they are in another encoding, or none.")
    try:
        return _unpacked(data[1:])
    except Exception as error:
        raise _refusal() or CorruptCheckpoint(f"stored bytes cannot be read: {error}") from error


def _refusal() -> Any:
    """The error that a hook raised: the library replaces it with one of its own, without saying why."""
    return _refused.__dict__.pop("error", None)


def _refuse(error: Exception) -> Exception:
    if not hasattr(_refused, "error"):
        _refused.error = error
    return error


# -- writing ---------------------------------------------------------------------------------------------------------


def _pack(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_default, option=_PACK)


def _as(kind: int, data: bytes) -> Ext:
    return Ext(_CODE, _PREFIX[kind] + data)


def _default(value: Any) -> Ext:
    cls = type(value)
    if cls is tuple:
        return _as(_TUPLE, _pack(list(value)))
    if isinstance(value, Record):
        return _as(_OBJECT, _pack([_label(cls), _record_fields(value)]))
    plain = _PLAIN.get(cls)
    if plain is not None:
        tag, turn = plain
        return _as(tag, _pack(turn(value)))
    if isinstance(value, Enum):
        return _as(_ENUM, _pack([_label(cls), value.value]))
    if is_storable(cls):
        return _as(_OBJECT, _pack([_label(cls), _fields(value)]))
    for base, turn in _BASES:
        if isinstance(value, base):
            return _as(_SCALAR, _pack(turn(value)))
    builtin: Any
    for builtin in (dict, list, str, int, float, bytes):  # subclasses are stored as what they extend
        if isinstance(value, builtin):
            return _as(_AS_BASE, _pack(builtin(value)))
    raise _refuse(
        InvalidType(
            f"{value!r} of type {cls.__module__}.{cls.__qualname__} cannot be stored in a checkpoint. Keep it out of the "
            "state (or annotate its key with UntrackedValue), or make it a dataclass and register it with register_type()."
        )
    )


def _label(cls: type) -> str:
    label = label_of(cls)
    if label is None:
        raise _refuse(
            InvalidType(
                f"values of {cls.__module__}.{cls.__qualname__} cannot be stored in a checkpoint: the class is not registered, so they could "
                "not be read back. Name it in the state schema, or call millstream.register_type() with it when the program starts."
            )
        )
    return label


def _record_fields(value: Record) -> dict[str, Any]:
    """The fields of a message or document that say something; the others are as a new one has them."""
    names = value._field_names()
    return {
        k: v
        for k, v in value._state().items()
        if k != "type" and not (v is None and k in names) and not (k in _EMPTY_AT_FIRST and not v)
    }


_EMPTY_AT_FIRST: Final = frozenset(
    ["additional_kwargs", "invalid_tool_calls", "metadata", "response_metadata", "tool_call_chunks", "tool_calls"]
)


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
            return _as(_TEXT, value.encode("utf-8", "surrogatepass"))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_mended(each) for each in value) if type(value) in (list, tuple) else value
    if type(value) is dict:
        if all(isinstance(k, (str, int, float, bool, type(None))) for k in value):
            try:
                return {_utf8_key(k): _mended(v) for k, v in value.items()}
            except UnicodeEncodeError:
                pass
        return _as(_PAIRS, _pack([[_mended(k), _mended(v)] for k, v in value.items()]))
    if isinstance(value, Record):
        return _as(_OBJECT, _pack([_label(type(value)), _mended(_record_fields(value))]))
    if not isinstance(value, type) and is_storable(type(value)) and not isinstance(value, Enum):
        return _as(_OBJECT, _pack([_label(type(value)), _mended(_fields(value))]))
    return value


def _utf8_key(key: Any) -> Any:
    if isinstance(key, str):
        key.encode()
    return key


# -- reading ---------------------------------------------------------------------------------------------------------


def _ext(code: int, data: Any) -> Any:
    data = bytes(data)
    read = _READ.get(data[0]) if code == _CODE and data else None
    if read is None:
        raise _refuse(CorruptCheckpoint(f"stored bytes have an extension (code {code}) that is not one of ours."))
    if data[0] == _TEXT:
        return data[1:].decode("utf-8", "surrogatepass")
    try:
        return read(_unpacked(data[1:]))
    except CorruptCheckpoint:
        raise
    except Exception as error:
        raise _refuse(CorruptCheckpoint(f"a stored value does not fit its type: {error}")) from error


def _unpacked(data: bytes) -> Any:
    _check_keys(data)
    return ormsgpack.unpackb(data, ext_hook=_ext, option=_UNPACK)


def _class(label: Any) -> Any:
    cls = class_of(label) if type(label) is str else None
    if cls is None:
        raise _refuse(
            CorruptCheckpoint(
                f"a stored value has the type {label!r}, which this program has not registered; name it in the state "
                "schema or call register_type() with the class before reading."
            )
        )
    return cls


def _object(value: Any) -> Any:
    """A value of a registered class. What does not fit is refused before the class has a say."""
    label, fields = value
    cls = _class(label)
    if isinstance(fields, list):
        if not hasattr(cls, "_fields") or len(fields) != len(cls._fields):
            raise ValueError(f"{label!r} has other fields")
        return tuple.__new__(cls, fields)
    _check_fields(cls, label, fields)
    if is_model(cls):
        return cls.model_construct(**fields)
    if issubclass(cls, Record):
        _check_record(label, fields)
    return cls(**fields)


def _member(label: str, value: Any) -> Any:
    cls = _class(label)
    if not issubclass(cls, Enum):
        raise ValueError(f"{label!r} is no enumeration")
    return cls(value)


def _check_fields(cls: Any, label: str, fields: Any) -> None:
    if type(fields) is not dict or not all(type(name) is str for name in fields):
        raise ValueError(f"the fields of {label!r} are none")
    known, required = _fields_of(cls)
    if not required <= fields.keys() or not (known is None or fields.keys() <= known):
        raise ValueError(f"{label!r} has other fields than {sorted(fields)}")


@lru_cache(maxsize=1024)
def _fields_of(cls: Any) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Names of the fields that a class may have (None: any) and must have."""
    if is_model(cls):
        fields = cls.model_fields
        open = cls.model_config.get("extra") == "allow"
        return None if open else frozenset(fields), frozenset()  # a model may have been constructed without some
    if issubclass(cls, Record):
        return None if cls.__dictoffset__ else frozenset(cls._field_names()), cls._required
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{cls.__qualname__} has no fields")
    given = [field for field in dataclasses.fields(cls) if field.init]
    missing = dataclasses.MISSING
    needed = [f.name for f in given if f.default is missing and f.default_factory is missing]
    return frozenset(field.name for field in given), frozenset(needed)


def _check_record(label: str, fields: dict[str, Any]) -> None:
    """The types on which our own code relies; messages take anything else as it is."""
    for name, types in _RELIED_ON.items():
        if name in fields and not isinstance(fields[name], types):
            raise ValueError(f"{name!r} of {label!r} cannot be {fields[name]!r:.80}")


_RELIED_ON: Final[dict[str, Any]] = {
    "id": (str, NoneType),
    "name": (str, NoneType),
    "role": str,
    "content": (str, list),
    "page_content": str,
    "metadata": dict,
    "tool_call_id": str,
    "status": str,
    "additional_kwargs": dict,
    "response_metadata": dict,
    "usage_metadata": (dict, NoneType),
    "tool_calls": list,
    "invalid_tool_calls": list,
    "tool_call_chunks": list,
}


def _check_keys(data: bytes) -> None:
    """Refuse a dict with more than `MAX_KEYS` keys before anything is made of it. Only such a large one has the marker that is looked for."""
    if len(data) < 2 * MAX_KEYS:
        return
    place = data.find(_BIG_DICT)
    while place >= 0:
        count = int.from_bytes(data[place + 1 : place + 5], "big")
        # Inside a text or a number these bytes may mean anything: a dict needs two bytes an item.
        if count > MAX_KEYS and 2 * count <= len(data) - place - 5:
            raise _refuse(
                CorruptCheckpoint(f"stored bytes hold a dict with {count:,} keys; {MAX_KEYS:,} are the most.")
            )
        place = data.find(_BIG_DICT, place + 1)


_BIG_DICT: Final = b"\xdf"

_READ: Final[dict[int, Callable[[Any], Any]]] = {
    _OBJECT: _object,
    _TUPLE: tuple,
    _SET: set,
    _FROZENSET: frozenset,
    _DEQUE: lambda v: deque(v[0], v[1]),
    _TEXT: str,
    _INT: int,
    _SCALAR: lambda v: _SCALARS[v[0]](*v[1:]),
    _ENUM: lambda v: _member(*v),
    _PAIRS: dict,
    _AS_BASE: lambda v: v,
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

for _cls in (Command, Interrupt, Overwrite, Document, TimeoutPolicy):
    register_type(_cls, label=_cls.__name__)
for _module in (ai_chunk, messages, chunks):
    for _name in _module.__all__:
        _found = getattr(_module, _name)
        if isinstance(_found, type) and issubclass(_found, Record):
            register_type(_found, label=_name)
