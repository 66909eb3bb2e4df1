"""What all our values share: equality, repr, copies, and the methods that users of pydantic call on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ..errors import ValidationError
from .lazy import Lazy
from .schemas import record_schema

if TYPE_CHECKING:
    import json
else:
    json = Lazy("json", globals())

__all__ = ["Record"]

R = TypeVar("R", bound="Record")


class Record:
    """Base of slotted dataclasses that can be compared, shown, copied, pickled, dumped and validated.

    Subclasses are dataclasses with an `__init__` of their own that takes every field as a keyword.
    """

    __slots__ = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]
    _names: ClassVar[tuple[str, ...]]
    _required: ClassVar[frozenset[str]] = frozenset()  # fields without which nothing can be built

    @classmethod
    def _field_names(cls) -> tuple[str, ...]:
        names: tuple[str, ...] | None = cls.__dict__.get("_names")
        if names is None:
            names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
            if hasattr(cls, "type") and "type" not in names:
                names += ("type",)
            cls._names = names
        return names

    def _extras(self) -> dict[str, Any]:
        """Attributes beyond the fields, where the class allows them."""
        return getattr(self, "__dict__", None) or {}

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._field_names()} | self._extras()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        assert isinstance(other, Record)
        return (
            all(getattr(self, name) == getattr(other, name) for name in self._field_names())
            and self._extras() == other._extras()
        )

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({', '.join(self._shown())})"

    def __str__(self) -> str:
        # What prompts say that show such a value as it is: as pydantic's would, since models are given these texts.
        return " ".join(self._shown())

    def _shown(self) -> list[str]:
        """The fields that `repr` and `str` show."""
        return [
            f"{name}={value!r}"
            for name, value in self._state().items()
            if name in self._required or (name != "type" and value is not None and value != [] and value != {})
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.__class__, self._state())

    def _restore(self, state: dict[str, Any]) -> None:
        """Set the attributes of a copy that was made without `__init__`."""
        settable = {name for name in self._field_names() if name != "type"}
        for name, value in state.items():
            if name in settable:
                setattr(self, name, value)
            elif name != "type":
                self.__dict__[name] = value

    def __copy__(self) -> Self:
        return _rebuild(self.__class__, self._state())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the fields of `update` set, as they are; `deep` copies what the fields hold too."""
        state = self._state()
        if deep:
            state = deepcopy(state)
        return _rebuild(self.__class__, {**state, **(update or {})})

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_none: bool = False,
        exclude_defaults: bool = False,
        exclude_unset: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """All fields as a dict that shares nothing with this object; `mode="json"` makes it fit for JSON.

        What was set is not remembered: `exclude_unset` means `exclude_defaults`. Other options of pydantic
        are accepted and do nothing.
        """
        bare = exclude_defaults or exclude_unset
        dumped: dict[str, Any] = {}
        for name, value in self._state().items():
            if (include is not None and name not in include) or (exclude is not None and name in exclude):
                continue
            if (exclude_none or bare) and value is None:
                continue
            if bare and (value == [] or value == {}) and name not in self._required:
                continue
            dumped[name] = _dumped(value)
        if mode == "json":
            from pydantic_core import to_jsonable_python

            return to_jsonable_python(dumped)  # type: ignore[no-any-return]
        return dumped

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """`model_dump` as JSON text."""
        separators = None if indent else (",", ":")
        dumped = self.model_dump(mode="json", **options)
        return json.dumps(dumped, indent=indent, separators=separators, ensure_ascii=False)

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """Make one from a dict of its fields; an instance is returned as it is.

        Raises:
            ValidationError: (ValueError) the dict has the wrong shape.
        """
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise ValidationError(f"{cls.__name__} is made from a dict of its fields, not {type(obj).__name__}.")
        missing = [name for name in cls._required if name not in obj]
        if missing:
            raise ValidationError(f"{cls.__name__} needs `{missing[0]}`.", field=missing[0])
        return cls(**obj)

    @classmethod
    def model_validate_json(cls, text: str | bytes, **_: Any) -> Self:
        """`model_validate` of JSON text."""
        try:
            return cls.model_validate(json.loads(text))
        except json.JSONDecodeError as error:
            raise ValidationError(f"{cls.__name__}: this is not JSON: {error}") from error

    @classmethod
    def model_json_schema(cls, *, mode: Any = "validation") -> dict[str, Any]:
        """The JSON schema of this class."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).json_schema(mode=mode)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return record_schema(cls, handler)


def _rebuild(cls: type[R], state: dict[str, Any]) -> R:
    made = object.__new__(cls)
    made._restore(state)
    return made


def _dumped(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, dict):
        return {key: _dumped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dumped(item) for item in value]
    if type(value) is tuple:
        return tuple(_dumped(item) for item in value)
    dump = getattr(type(value), "model_dump", None)
    return dump(value) if dump is not None else value
