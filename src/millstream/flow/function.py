"""RunnableLambda: a user's function as a runnable."""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar, overload

from ..errors import AsyncOnly, InvalidType
from ..spine.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun, manager_of
from ..spine.config import DEFAULT_RECURSION_LIMIT
from ..spine.events import MISSING
from ..spine.scope import Scope
from .driver import Driver
from .runnable import NO_KWARGS, Kwargs, Runnable, exec_of, flow_of, folded, once
from .schemas import function_input, function_output, source_of

if TYPE_CHECKING:
    from .runnable import Streamed

__all__ = ["RunnableLambda", "chain"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
A = TypeVar("A")
B = TypeVar("B")


class RunnableLambda(Runnable[In, Out], Generic[In, Out]):
    """A function of one input as a runnable.

    The function may be sync, async, a generator or an async generator; it is given `config` and `run_manager` when
    parameters have these names. A sync function runs on a worker thread in async runs; a function that has only an async
    form cannot be called synchronously. A generator's values are streamed one by one (a sync one's by `stream`, not by
    `astream`) and folded for `invoke`. When the function returns a Runnable, that is run with the same input.

    Raises:
        InvalidType: (a TypeError) `func` is not callable, or is async and `afunc` is given too.
    """

    # Beyond the input a function may want `config` and `run_manager`.

    @overload
    def __init__(
        self: RunnableLambda[A, B],
        func: Callable[Concatenate[A, ...], Streamed[B]],
        afunc: None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RunnableLambda[A, B],
        func: Callable[Concatenate[A, ...], B],
        afunc: Callable[Concatenate[A, ...], Awaitable[B]] | None = None,
        name: str | None = None,
    ) -> None: ...

    def __init__(
        self, func: Callable[..., Any], afunc: Callable[..., Any] | None = None, name: str | None = None
    ) -> None:
        if not callable(func):
            raise InvalidType(f"RunnableLambda needs a function, not {func!r}.")
        self.func: Callable[..., Any] | None
        self.afunc: Callable[..., Any] | None
        if is_async(func):
            if afunc is not None:
                raise InvalidType("RunnableLambda got an async `func` and an `afunc`; give the sync one as `func`.")
            self.func, self.afunc = None, func
        else:
            self.func, self.afunc = func, afunc
        self.name = name
        self._generates = generates(func)
        self._agenerates = afunc is not None and generates(afunc)
        self._wants = wanted(func)
        self._awants = () if afunc is None else wanted(afunc)

    def _default_name(self) -> str:
        name = getattr(self.func or self.afunc, "__name__", "<lambda>")
        return type(self).__name__ if name == "<lambda>" else str(name)

    def _input_shape(self) -> Any:
        return function_input(self.func or self.afunc)  # type: ignore[arg-type]

    def _output_shape(self) -> Any:
        return function_output(self.func or self.afunc)  # type: ignore[arg-type]

    def _form(self, d: Driver, scope: Scope) -> tuple[bool, Kwargs]:
        """Whether the form that `d` will pick is a generator, and the extra arguments it wants."""
        if d.sync and self.func is None:
            raise AsyncOnly(f"`{self.get_name()}`", "ainvoke")
        second = not d.sync and self.func is not None and self.afunc is not None
        wants = self._awants if second else self._wants
        in_async_form = self.func is None or second
        return (
            self._agenerates if second else self._generates,
            filled(wants, scope, in_async_form) if wants else NO_KWARGS,
        )

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        is_stream, extra = self._form(d, scope)
        if extra:
            kwargs = {**kwargs, **extra}
        if is_stream:
            output = await folded(d.iterate(scope, self.func, self.afunc, input, **kwargs))
            output = None if output is MISSING else output
        else:
            output = await d.call(scope, self.func, self.afunc, input, **kwargs)
        if isinstance(output, Runnable):
            return await exec_of(output)(d, input, _deeper(scope, self), NO_KWARGS)
        return output

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        whole = await folded(inputs)
        if whole is MISSING:
            return
        is_stream, extra = self._form(d, scope)
        if extra:
            kwargs = {**kwargs, **extra}
        if is_stream:
            if not d.sync and self.afunc is None:
                raise InvalidType(
                    f"`{self.get_name()}` is a sync generator function, which cannot be streamed asynchronously: "
                    "make it an async one (`async def`), or stream it with `stream`."
                )
            items = d.iterate(scope, self.func, self.afunc, whole, **kwargs)
        else:
            output = await d.call(scope, self.func, self.afunc, whole, **kwargs)
            if not isinstance(output, Runnable):
                yield output
                return
            items = flow_of(output)(d, once(whole), _deeper(scope, self), NO_KWARGS, whole)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunnableLambda) and (self.func, self.afunc) == (other.func, other.afunc)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.func is None:
            return f"RunnableLambda(afunc={_shown(self.afunc)})"
        return f"RunnableLambda({_shown(self.func)})"


@overload
def chain(func: Callable[Concatenate[A, ...], Streamed[B]]) -> RunnableLambda[A, B]: ...
@overload
def chain(func: Callable[Concatenate[A, ...], B]) -> RunnableLambda[A, B]: ...
def chain(func: Callable[..., Any]) -> RunnableLambda[Any, Any]:
    """Decorator: the function as a RunnableLambda named after it."""
    if not callable(func):
        raise InvalidType(f"`chain` decorates a function, not {func!r}.")
    name = getattr(func, "__name__", "<lambda>")
    return RunnableLambda(func, name=None if name == "<lambda>" else name)


def _shown(fn: Any) -> str:
    """The name of a function, or the source of a lambda where it can be read."""
    name = getattr(fn, "__name__", None)
    if name != "<lambda>":
        return name or repr(fn)
    tree = source_of(fn)
    found = [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return ast.unparse(found[0]) if len(found) == 1 else "lambda ..."


def is_async(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine or an async iterator; looks through partials and callable objects."""
    return any(inspect.iscoroutinefunction(form) or inspect.isasyncgenfunction(form) for form in _forms(fn))


def generates(fn: Any) -> bool:
    """Whether calling `fn` gives a generator or an async generator."""
    return any(inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form) for form in _forms(fn))


def _forms(fn: Any) -> tuple[Any, ...]:
    """What may say of which kind `fn` is: itself (a mock, or what is marked as a coroutine function, says so), or its call."""
    while isinstance(fn, partial):
        fn = fn.func
    if inspect.isroutine(fn) or inspect.isclass(fn):
        return (fn,)
    return (fn, getattr(type(fn), "__call__", None))  # noqa: B004


def wanted(fn: Any) -> tuple[str, ...]:
    """What of `config` and `run_manager` a function names among its parameters."""
    parameters = parameters_of(fn)
    return tuple(name for name in ("config", "run_manager") if name in parameters)


def filled(names: Iterable[str], scope: Scope, is_async: bool) -> Kwargs:
    """The values for those names, inside the run of `scope`."""
    values: Kwargs = {}
    for name in names:
        if name == "config":
            config = values[name] = scope.config(is_async)
            if config.get("callbacks") is None:  # nobody listens, but the function may count on a manager
                config["callbacks"] = manager_of(scope, is_async)
        else:
            made = AsyncCallbackManagerForChainRun if is_async else CallbackManagerForChainRun
            values[name] = made(scope, scope.parent)
    return values


def parameters_of(fn: Any) -> Any:
    try:
        return inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return ()


def _deeper(scope: Scope, runnable: Runnable[Any, Any]) -> Scope:
    limit = DEFAULT_RECURSION_LIMIT if scope.recursion_limit is None else scope.recursion_limit
    if limit <= 0:
        raise RecursionError(
            f"`{runnable.get_name()}` returned a runnable too many times in a row; raise `recursion_limit` in the config "
            "or return a value."
        )
    scope = scope.copy()
    scope.recursion_limit = limit - 1
    return scope
