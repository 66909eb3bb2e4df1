"""What users hand to a graph (functions, generators, runnables, callable objects), resolved once into a `Call`.

A `Call` knows in which forms it exists and which parameters the graph fills in by name.
"""

from __future__ import annotations

import functools
import inspect
import typing
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, get_args, get_origin

from ..errors import InvalidType
from ..flow.coerce import coerce
from ..flow.driver import Driver
from ..flow.runnable import NO_KWARGS, Runnable, exec_of
from ..flow.sequence import RunnableSequence
from ..spine.config import RunnableConfig
from ..spine.scope import Scope
from .control import StreamWriter

if TYPE_CHECKING:
    from .task import Task

__all__ = ["Call", "Returned", "call_of", "name_of", "parameter_hints", "pure"]

F = TypeVar("F", bound=Callable[..., Any])
Getter: TypeAlias = Callable[[Any], Any]


# Our own functions that only look at the state: run where they are called, never on a worker thread.
_PURE: set[Any] = set()


def pure(fn: F) -> F:
    """Mark a function of ours that needs no thread, whatever the colour of the run."""
    _PURE.add(fn)
    return fn


def _is_pure(target: Any) -> bool:
    return inspect.isfunction(target) and target in _PURE


class Returned:
    """What a generator function returned, as the last thing that it yields to the engine."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Call:
    """One resolved callable.

    `run(d, input, scope)` gives an awaitable of its result; for generators `run` is None and
    `iterate(d, input, scope)` an async iterator. `scope` must be inside a task if `inject` is not empty.
    """

    __slots__ = ("afn", "fn", "inject", "iterate", "length", "name", "run", "runnable", "target")

    def __init__(self, target: Any, name: str | None = None) -> None:
        self.name = name or name_of(target)
        if isinstance(target, dict):
            target = coerce(target)
        self.target = target
        self.runnable: Runnable[Any, Any] | None = None
        self.length = len(target.steps) if type(target) is RunnableSequence else 1
        self.inject: tuple[tuple[str, Getter], ...] = ()
        self.fn: Callable[..., Any] | None = None
        self.afn: Callable[..., Any] | None = None
        self.run: Callable[[Driver, Any, Scope], Awaitable[Any]] | None = None
        self.iterate: Callable[[Driver, Any, Scope], AsyncGenerator[Any, None]] | None = None
        if isinstance(target, Runnable):
            self.runnable = target
            self.run = _runnable(target)
            return
        if not callable(target):
            raise InvalidType(f"{target!r} cannot be run: expected a function, a generator function or a Runnable.")
        self.inject = _injections(target)
        code = _code(target)
        if inspect.isasyncgenfunction(code):
            self.afn = target
            self.iterate = _iterate(None, target, self.inject)
        elif inspect.isgeneratorfunction(code):
            self.fn = target
            self.iterate = _iterate(_with_return(self.fn), None, self.inject)
        else:
            if inspect.iscoroutinefunction(code):
                self.afn = target
            else:
                self.fn = target
            self.run = _inline(target) if _is_pure(target) else _plain(self.fn, self.afn, self.inject)

    def __repr__(self) -> str:
        return f"Call({self.name!r})"


def call_of(target: Any, name: str | None = None) -> Call:
    """`target` as a Call."""
    return target if isinstance(target, Call) else Call(target, name)


def name_of(target: Any) -> str:
    """The name that a callable or runnable goes by."""
    if isinstance(target, Runnable):
        return target.get_name()
    return getattr(target, "__name__", None) or type(target).__name__


def parameter_hints(target: Any) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """The parameters of a callable and their annotations, resolved where they can be."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):  # builtins that do not tell
        return [], {}
    code = _code(target)
    try:
        hints = typing.get_type_hints(code, include_extras=True)
    except Exception:  # a name that is not importable from the function's module: keep what is there
        hints = {p.name: p.annotation for p in parameters if p.annotation is not inspect.Parameter.empty}
        if (returned := getattr(code, "__annotations__", {}).get("return")) is not None:
            hints["return"] = returned
    return parameters, hints


def _code(target: Any) -> Any:
    """The function behind a partial or a callable object."""
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isfunction(target) or inspect.ismethod(target) or inspect.isbuiltin(target) or isinstance(target, type):
        return target
    return type(target).__call__


def _plain(
    fn: Callable[..., Any] | None, afn: Callable[..., Any] | None, inject: tuple[tuple[str, Getter], ...]
) -> Callable[[Driver, Any, Scope], Awaitable[Any]]:
    if not inject:
        return lambda d, input, scope: d.call(scope, fn, afn, input)

    def run(d: Driver, input: Any, scope: Scope) -> Awaitable[Any]:
        return d.call(scope, fn, afn, input, **{name: get(scope) for name, get in inject})

    return run


def _iterate(
    fn: Callable[..., Any] | None, afn: Callable[..., Any] | None, inject: tuple[tuple[str, Getter], ...]
) -> Callable[[Driver, Any, Scope], AsyncGenerator[Any, None]]:
    def iterate(d: Driver, input: Any, scope: Scope) -> AsyncGenerator[Any, None]:
        return d.iterate(scope, fn, afn, input, **{name: get(scope) for name, get in inject})

    return iterate


def _inline(fn: Callable[[Any], Any]) -> Callable[[Driver, Any, Scope], Awaitable[Any]]:
    async def run(d: Driver, input: Any, scope: Scope) -> Any:
        return fn(input)

    return run


def _runnable(target: Runnable[Any, Any]) -> Callable[[Driver, Any, Scope], Awaitable[Any]]:
    if type(target) is RunnableSequence:
        # Its steps are the node's own, and have no run of a sequence around them.
        steps = target._body
        return lambda d, input, scope: steps(d, input, scope.inner(), NO_KWARGS)
    execute = exec_of(target)
    return lambda d, input, scope: execute(d, input, scope, NO_KWARGS)


def _with_return(target: Callable[..., Any]) -> Callable[..., Generator[Any, None, None]]:
    @functools.wraps(target)
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        value = yield from target(*args, **kwargs)
        if value is not None:
            yield Returned(value)

    return generate


# -- parameters that the graph fills in ---------------------------------------------------------------------------


def _task(scope: Any) -> Task:
    return scope.task  # type: ignore[no-any-return]


_GETTERS: dict[str, Getter] = {
    "config": lambda scope: scope.config(),
    "writer": lambda scope: _task(scope).writer(),
    "previous": lambda scope: _task(scope).loop.previous,
    "runtime": lambda scope: _task(scope).runtime(),
    "store": lambda scope: _task(scope).loop.store,
    "error": lambda scope: _task(scope).failure,
}


def _injections(target: Any) -> tuple[tuple[str, Getter], ...]:
    parameters, hints = parameter_hints(target)
    found = []
    for parameter in parameters[1:]:
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            continue
        getter = _getter(parameter.name, hints.get(parameter.name, inspect.Parameter.empty))
        if getter is not None:
            found.append((parameter.name, getter))
    return tuple(found)


def _getter(name: str, hint: Any) -> Getter | None:
    if name in ("previous", "runtime"):
        return _GETTERS[name]
    bare = hint is inspect.Parameter.empty
    if name == "config":
        if bare or _mentions(hint, "RunnableConfig", RunnableConfig):
            return _GETTERS[name]
        warnings.warn(
            f"the parameter 'config' is annotated {hint!r}, so the run's config is not passed; annotate it RunnableConfig.",
            stacklevel=6,
        )
    elif name == "writer":
        return _GETTERS[name] if bare or hint == StreamWriter or _mentions(hint, "StreamWriter") else None
    elif (name == "store" and (bare or _mentions(hint, "BaseStore"))) or (
        name == "error" and _mentions(hint, "NodeError")
    ):
        return _GETTERS[name]
    return None


def _mentions(hint: Any, name: str, *types: Any) -> bool:
    """Whether an annotation is, or is optional of, one of `types` or a class named `name` (or a subclass)."""
    if isinstance(hint, str):
        return name in hint
    candidates: Iterable[Any] = get_args(hint) if get_origin(hint) in _UNIONS else (hint,)
    for each in candidates:
        each = get_origin(each) or each
        if each in types or any(c.__name__ == name for c in getattr(each, "__mro__", ())):
            return True
    return False


_UNIONS = (typing.Union, type(int | str))
