"""The state of a `create_agent` agent: its own keys and those of its middleware, and which of them callers see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints

from ..data.messages import BaseMessage
from .channels import EphemeralValue
from .managed import ManagedValue
from .messages import add_messages
from .middleware import AgentMiddleware, JumpTo, OmitFromInput, OmitFromSchema, PrivateStateAttr

__all__ = ["schemas_of"]


class _Own(TypedDict):
    """What every agent has."""

    messages: Annotated[list[BaseMessage], add_messages]
    jump_to: Annotated[NotRequired[JumpTo | None], EphemeralValue, PrivateStateAttr]
    structured_response: Annotated[NotRequired[Any], OmitFromInput]


def schemas_of(state_schema: Any, middleware: Sequence[AgentMiddleware]) -> tuple[Any, Any, Any]:
    """The schemas of an agent's state, input and output."""
    added = (each.state_schema for each in middleware)
    fields: dict[str, Any] = {}
    for schema in (_Own, *added, state_schema):
        if schema is not None:
            hints = get_type_hints(schema, include_extras=True)
            fields.update(hints if getattr(schema, "__total__", True) else {k: _optional(h) for k, h in hints.items()})
    marks = {name: _mark(hint) for name, hint in fields.items()}
    return (
        _typed_dict("StateSchema", fields, fields),
        _typed_dict("InputSchema", fields, (name for name in fields if not marks[name].input)),
        _typed_dict("OutputSchema", fields, (name for name in fields if not marks[name].output)),
    )


def _typed_dict(name: str, fields: dict[str, Any], names: Iterable[str]) -> Any:
    make: Any = TypedDict  # with fields that are known only now
    return make(name, {each: fields[each] for each in names})


def _optional(hint: Any) -> Any:
    """The hint of a key of a class with `total=False`, which says so nowhere else."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    said = getattr(get_origin(inner), "_name", None) in ("Required", "NotRequired")
    return hint if said else NotRequired[hint]


def _mark(hint: Any) -> OmitFromSchema:
    """What a key's annotation says about who sees it."""
    while getattr(get_origin(hint), "_name", None) in ("Required", "NotRequired", "ReadOnly"):
        hint = get_args(hint)[0]
    if get_origin(hint) is Annotated:
        for each in get_args(hint)[1:]:
            if isinstance(each, OmitFromSchema):
                return each
            if isinstance(each, ManagedValue):
                return PrivateStateAttr  # it is computed
    return OmitFromSchema(input=False, output=False)
