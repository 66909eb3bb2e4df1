"""Functions that are told when one runnable's own run starts, ends or fails: `with_listeners`, `with_alisteners`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, TypeAlias, TypeVar

from ..spine.config import RunnableConfig
from ..spine.listening import HandlerListener
from ..spine.scope import Scope
from ..spine.views.handlers import overridden
from ..spine.views.tracer import Run, RunRecorder
from .binding import RunnableBinding
from .runnable import Runnable

__all__ = ["Listened"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)

Function: TypeAlias = Callable[..., Any] | None
Functions: TypeAlias = tuple[Function, Function, Function, bool]
"""For the start, the end and an error, and whether they are coroutine functions."""


class Listened(RunnableBinding[In, Out]):
    """A binding each of whose calls is told to functions of its own; those that were added last are told first."""

    _functions: tuple[Functions, ...]

    def __init__(
        self,
        bound: Runnable[In, Out],
        kwargs: dict[str, Any] | None = None,
        config: RunnableConfig | None = None,
        *,
        functions: tuple[Functions, ...] = (),
    ) -> None:
        inner: Any = bound
        if isinstance(inner, Listened) and not inner.kwargs and not inner.config:
            # One layer for all, so that all are told in order, by one handler after another.
            bound, functions = inner.bound, (*functions, *inner._functions)
        super().__init__(bound, kwargs, config)
        self._functions = functions
        self._takes_config = any(each and _takes_config(each) for given in functions for each in given[:3])

    def _copy(
        self, kwargs: dict[str, Any], config: RunnableConfig, bound: Runnable[Any, Any] | None = None
    ) -> Listened[In, Out]:
        return Listened(self.bound if bound is None else bound, kwargs, config, functions=self._functions)

    def _within(self, scope: Scope) -> Scope:
        scope = super()._within(scope)
        config = scope.config() if self._takes_config else None
        if config is not None and scope.run_name is not None:
            config["run_name"] = scope.run_name
        for *functions, is_async in self._functions:
            scope = scope.with_listener(HandlerListener((_AsyncTold if is_async else _Told)(functions, config)))
        return scope


class _Told(RunRecorder):
    """Tells functions of the first run that begins; made for each call."""

    def __init__(self, functions: Iterable[Function], config: RunnableConfig | None) -> None:
        super().__init__()
        self._on_start, self._on_end, self._on_error = functions
        self._config = config
        self._root: Run | None = None

    def _begun(self, run: Run, method: str) -> Any:
        if self._root is None:
            self._root = run
            return self._tell(self._on_start, run)
        return None

    def _ended(self, run: Run, method: str) -> Any:
        return self._tell(self._on_end if run.error is None else self._on_error, run) if run is self._root else None

    def _tell(self, function: Function, run: Run) -> Any:
        if function is None:
            return None
        return function(run, self._config) if _takes_config(function) else function(run)


class _AsyncTold(_Told):
    """The same for coroutine functions: each is awaited before the next event is told."""


def _awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    async def form(self: Any, *args: Any, **kwargs: Any) -> None:
        awaitable = method(self, *args, **kwargs)
        if awaitable is not None:
            await awaitable

    return form


for _name in overridden(_Told((None, None, None), None)):
    setattr(_AsyncTold, _name, _awaiting(getattr(_Told, _name)))


@lru_cache(maxsize=256)
def _takes_config(function: Callable[..., Any]) -> bool:
    """Whether a second argument is named `config`, or must be given."""
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (positional[1].name == "config" or positional[1].default is Parameter.empty)
