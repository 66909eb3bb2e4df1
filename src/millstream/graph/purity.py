"""Which functions can be seen to only look at what they are given.

A path function is as a rule a line or two: `lambda s: END if s["n"] > 3 else "again"`. In an async run a hop to a worker thread
costs ten times as much as the rest of the step. Such a function may run where it is, if it cannot block: its code calls nothing
but harmless builtins, methods of plain data, and functions of which the same is seen; it has no `while` loop, imports nothing.
"""

from __future__ import annotations

import builtins
import dis
import enum
import inspect
from collections.abc import Callable
from time import perf_counter
from types import CodeType, FunctionType
from typing import Any, Final

from ..data.messages import BaseMessage
from ..flow.driver import Driver
from ..spine.run import name_run
from ..spine.scope import Scope
from .control import Command, Send

__all__ = ["Glance", "only_looks"]

_CALLS: Final = frozenset(
    {
        *(
            abs,
            all,
            any,
            bool,
            dict,
            enumerate,
            float,
            frozenset,
            getattr,
            hasattr,
            int,
            isinstance,
            len,
            list,
            max,
            min,
            next,
        ),
        *(reversed, round, set, sorted, str, sum, tuple, type, zip, iter),
    }
)
_METHODS: Final = frozenset(
    [
        "append",
        "casefold",
        "copy",
        "count",
        "endswith",
        "extend",
        "get",
        "index",
        "isdigit",
        "items",
        "join",
        "keys",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "rsplit",
        "rstrip",
        "split",
        "startswith",
        "strip",
        "title",
        "upper",
        "values",
    ]
)
_DATA: Final = (str, int, float, bool, bytes, type(None), tuple, frozenset, enum.Enum, dict, list, set)
_REFUSED: Final = frozenset(
    [
        "IMPORT_NAME",
        "PUSH_NULL",
        "CALL_FUNCTION_EX",
        "STORE_GLOBAL",
        "DELETE_GLOBAL",
        "SEND",
        "BEFORE_WITH",
        "LOAD_NAME",
        "LOAD_SPECIAL",
        "CALL_KW_EX",
    ]
)
_DEEP: Final = 4
SLOW: Final = 0.005
"""Seconds after which a function is no longer run in place, whatever its code looks like: its data may be large."""


class Glance:
    """A path function that only looks, run where it is; on worker threads after all, once it was slow."""

    __slots__ = ("_elsewhere", "_fn", "_slow")

    def __init__(self, fn: Callable[[Any], Any], elsewhere: Callable[[Driver, Any, Scope], Any]) -> None:
        self._fn = fn
        self._elsewhere = elsewhere
        self._slow = False

    async def __call__(self, d: Driver, input: Any, scope: Scope) -> Any:
        """What the function returns."""
        if self._slow:
            return await self._elsewhere(d, input, scope)
        begun = perf_counter()
        try:
            return self._fn(input)
        except Exception as error:
            name_run(error, scope.parent)
            raise
        finally:
            self._slow = perf_counter() - begun > SLOW


def only_looks(fn: Any) -> bool:
    """Whether the code of a plain function shows that it cannot block."""
    return _looks(fn, 0)


def _looks(fn: Any, depth: int) -> bool:
    if (
        type(fn) is not FunctionType
        or depth > _DEEP
        or inspect.iscoroutinefunction(fn)
        or inspect.isgeneratorfunction(fn)
    ):
        return False
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False))

    def found(name: str) -> Any:
        if name in cells:
            return cells[name].cell_contents
        return fn.__globals__[name] if name in fn.__globals__ else getattr(builtins, name)

    try:
        return _harmless(fn.__code__, found, depth)
    except (AttributeError, ValueError):  # a name that is not there yet
        return False


def _harmless(code: CodeType, found: Callable[[str], Any], depth: int) -> bool:
    steps = list(dis.get_instructions(code))
    loops = {step.offset for step in steps if step.opname == "FOR_ITER"}
    for step in steps:
        name = step.opname
        if name in _REFUSED or ("JUMP_BACKWARD" in name and step.argval not in loops):
            return False
        if name == "LOAD_GLOBAL" and not _known(found(step.argval), depth):
            return False
        if name == "LOAD_DEREF" and step.argval in code.co_freevars and not _known(found(step.argval), depth):
            return False
        if _is_method(step) and step.argval not in _METHODS:
            return False
        inner = step.argval if name == "LOAD_CONST" else None
        if isinstance(inner, CodeType) and not _harmless(inner, _within(code, found), depth):
            return False
    return True


def _within(code: CodeType, found: Callable[[str], Any]) -> Callable[[str], Any]:
    """Names as code inside `code` sees them: its variables are data, whatever they are."""
    return lambda name: None if name in code.co_cellvars else found(name)


def _is_method(step: dis.Instruction) -> bool:
    """Whether an instruction loads what is called as a method: of its own kind until 3.11, a flag of an attribute since."""
    if step.opname == "LOAD_METHOD":
        return True
    return step.opname == "LOAD_ATTR" and "NULL|self" in step.argrepr


def _known(value: Any, depth: int) -> bool:
    """Whether a function may name a value: to read it, or to call it."""
    if isinstance(value, _DATA):
        return True
    if isinstance(value, type):
        return value in _CALLS or value in (Send, Command) or issubclass(value, (BaseMessage, enum.Enum))
    try:
        return value in _CALLS or (type(value) is FunctionType and _looks(value, depth + 1))
    except TypeError:  # an object that cannot be hashed
        return False
