"""Small marks that tools, models and graphs recognise each other by. Light on purpose: importing this loads no pydantic."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

__all__ = ["InjectedToolArg", "InjectedToolCallId", "ToolOutput", "injection_mark"]


class InjectedToolArg:
    """Marks a tool argument that the caller fills in and the model never sees: `Annotated[str, InjectedToolArg]`.

    A subclass may also be the annotation itself: `def f(x: int, runtime: MyInjected)`.
    """


class InjectedToolCallId(InjectedToolArg):
    """Marks the argument that receives the id of the tool call: `Annotated[str, InjectedToolCallId]`."""


class ToolOutput:
    """A tool result of such a class is returned as it is and never put into a ToolMessage."""

    __slots__ = ()


def injection_mark(annotation: Any) -> Any:
    """What makes `annotation` an injected argument (an `InjectedToolArg` class or instance), or None."""
    if get_origin(annotation) is Annotated:
        for item in get_args(annotation)[1:]:
            if _is_mark(item):
                return item
        annotation = get_args(annotation)[0]
    plain = get_origin(annotation) or annotation
    if _is_mark(plain):
        return plain
    # Optional[ToolRuntime]: any member of a union that is a mark.
    for item in get_args(annotation):
        if _is_mark(get_origin(item) or item):
            return item
    return None


def _is_mark(item: Any) -> bool:
    return isinstance(item, InjectedToolArg) or (isinstance(item, type) and issubclass(item, InjectedToolArg))
