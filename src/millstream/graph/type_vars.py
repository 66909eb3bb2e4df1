"""Type variables that may be left out: `AgentMiddleware`, `AgentMiddleware[State]` and `AgentMiddleware[State, Context]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ContextT = TypeVar("ContextT", default=Any)
    ResponseT = TypeVar("ResponseT", default=Any)
    StateT = TypeVar("StateT", default=Any)
else:  # before Python 3.13 a type variable has no default
    from typing import TypeVar

    ContextT = TypeVar("ContextT")
    ResponseT = TypeVar("ResponseT")
    StateT = TypeVar("StateT")

__all__ = ["ContextT", "ResponseT", "StateT", "all_of"]


def all_of(given: Any, count: int) -> tuple[Any, ...]:
    """What stands in the brackets, with Any for what was left out."""
    found = given if isinstance(given, tuple) else (given,)
    return (*found, *[Any] * (count - len(found)))
