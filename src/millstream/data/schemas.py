"""Schemas of our values for pydantic, made when pydantic asks for them.

They let models and FastAPI endpoints have fields of our types: read from dicts and JSON, written with every public
field, derived ones included, and described in JSON schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_type_hints

__all__ = ["record_schema", "tagged_schema"]


def record_schema(cls: Any, handler: Any) -> Any:
    """The schema of a dataclass whose `__init__` takes every field as a keyword."""
    from pydantic_core import core_schema as cs

    hints = get_type_hints(cls)
    if hasattr(cls, "type"):
        hints["type"] = Literal[cls.type]
    fields = {
        name: cs.typed_dict_field(handler.generate_schema(hints[name]), required=name in cls._required)
        for name in cls._field_names()
    }
    # Attributes of their own are kept where the class keeps them.
    extra: Any = "allow" if hasattr(cls, "__dict__") and _keeps_extras(cls) else "ignore"

    def read(value: Any, inner: Any) -> Any:
        return value if isinstance(value, cls) else cls(**inner(value))

    return cs.no_info_wrap_validator_function(
        read,
        cs.typed_dict_schema(fields, cls_name=cls.__name__, extra_behavior=extra),
        serialization=cs.plain_serializer_function_ser_schema(_written, info_arg=True),
        ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
        metadata={"pydantic_js_updates": {"title": cls.__name__}},
    )


def tagged_schema(base: Any, classes: Iterable[Any], handler: Any) -> Any:
    """The schema of `base`, which is one of `classes`, chosen by `type`; instances pass as they are."""
    from pydantic_core import core_schema as cs

    choices: dict[Any, Any] = {}
    for cls in classes:
        if cls.type not in choices:
            choices[cls.type] = handler.generate_schema(cls)

    def read(value: Any, inner: Any) -> Any:
        return value if isinstance(value, base) else inner(value)

    return cs.no_info_wrap_validator_function(
        read,
        cs.tagged_union_schema(choices, discriminator="type"),
        serialization=cs.plain_serializer_function_ser_schema(_written, info_arg=True),
    )


def _keeps_extras(cls: Any) -> bool:
    return any("__dict__" in vars(base).get("__slots__", ()) for base in cls.__mro__)


def _written(value: Any, info: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:  # put there without validation; pydantic writes it as it can
        return value
    return dump(
        include=_names(info.include),
        exclude=_names(info.exclude),
        exclude_none=info.exclude_none,
        exclude_defaults=info.exclude_defaults,
        exclude_unset=info.exclude_unset,
    )


def _names(given: Any) -> set[Any] | None:
    """The names that pydantic's `include` or `exclude` takes whole; what it says of their insides is not followed."""
    if isinstance(given, dict):
        return {name for name, inside in given.items() if inside is True or inside is ...}
    return given  # type: ignore[no-any-return]
