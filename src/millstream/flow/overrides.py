"""Users' subclasses of Runnable: which public forms they override, and how a composite calls such a child.

The native methods are taken where the class (or one of ours above it) defines them and no public form is overridden
below. A class without native methods is run by the public forms that it has.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

from ..data.addable import fold_chunks
from ..errors import AsyncOnly, Unsupported
from ..spine.config import RunnableConfig
from ..spine.events import MISSING
from ..spine.scope import Scope
from .driver import Driver, Outcome, aclose, isolated
from .many import Many
from .single import Single, once
from .step import step_iter

__all__ = [
    "FORMS",
    "exec_of",
    "flow_of",
    "folded",
    "has_body",
    "hearer_of",
    "natively",
    "needs_body",
    "once",
    "outcomes_of",
]

Kwargs: TypeAlias = dict[str, Any]

_BODY = ("_exec", "_body", "_flow", "_pour")
_WHOLE = ("invoke", "ainvoke")
_CHUNKED = ("stream", "astream", "transform", "atransform")
_MANY = ("batch", "abatch")
FORMS: Final = (*_WHOLE, *_CHUNKED, *_MANY, "batch_as_completed", "abatch_as_completed")
"""The public forms in which a runnable can be called, each with an input and a config."""


def natively(cls: type) -> tuple[bool, bool, bool]:
    """Whether (invoking, streaming, batches) can take the native methods of `cls`: no public form was overridden below them."""
    known = cls.__dict__.get("_ms_native")
    if known is None:
        body = _depth(cls, _BODY)
        whole = has_body(cls) and _depth(cls, _WHOLE) >= body
        many = _depth(cls, _MANY) >= _depth(cls, ("_outcomes", *_BODY))
        known = (whole, whole and _depth(cls, _CHUNKED) >= body, many)
        type.__setattr__(cls, "_ms_native", known)
    return known


def has_body(cls: type) -> bool:
    known = cls.__dict__.get("_ms_body")
    if known is None:
        known = not cls.__mro__[_depth(cls, _BODY)].__dict__.get("_ms_root", False)
        type.__setattr__(cls, "_ms_body", known)
    return known


def _depth(cls: type, names: Iterable[str]) -> int:
    for depth, base in enumerate(cls.__mro__):
        if any(name in base.__dict__ for name in names):
            return depth
    return len(cls.__mro__)


def _override(runnable: Any, name: str) -> Any:
    """The bound method `name` where the user's class overrides it below the native methods, else None."""
    cls = type(runnable)
    return getattr(runnable, name) if _depth(cls, (name,)) < _depth(cls, _BODY) else None


def exec_of(runnable: Any) -> Callable[[Driver, Any, Scope, Kwargs], Any]:
    """How a composite runs a child on a whole value: natively, or through the user's own override."""
    return runnable._exec if natively(type(runnable))[0] else partial(_exec_overridden, runnable)


def flow_of(runnable: Any) -> Callable[..., AsyncGenerator[Any, None]]:
    """How a composite streams a child: natively, or through the user's own override."""
    return runnable._flow if natively(type(runnable))[1] else partial(_flow_overridden, runnable)


def outcomes_of(runnable: Any) -> Callable[[Driver, Many], Awaitable[list[Outcome]]]:
    """How a composite runs a child on many inputs: natively, or through the user's own `batch`."""
    return runnable._outcomes if natively(type(runnable))[2] else partial(_outcomes_overridden, runnable)


def hearer_of(runnable: Any) -> Any:
    """What `runnable` runs first, where that may have callbacks of its own, else None; see `Scope.child`."""
    while "bound" in (own := getattr(runnable, "__dict__", {})):
        if own.get("_functions") or (own.get("config") or {}).get("callbacks"):
            return _Hears
        runnable = runnable.bound
    return runnable if "callbacks" in getattr(type(runnable), "model_fields", ()) else None


class _Hears:
    """In place of a binding that brings callbacks."""

    callbacks = True


async def folded(inputs: AsyncIterator[Any]) -> Any:
    """All chunks of a stream as one value, MISSING when there were none. Closes the stream."""
    if isinstance(inputs, Single):
        return await inputs.whole()
    try:
        chunks = [chunk async for chunk in inputs]
    finally:
        await aclose(inputs)
    return fold_chunks(chunks) if chunks else MISSING


def needs_body(runnable: Any) -> None:
    """Raise the error that says what a class without native methods lacks."""
    if not has_body(type(runnable)):
        if _depth(type(runnable), ("ainvoke",)) < _depth(type(runnable), _BODY):
            raise AsyncOnly(f"`{runnable.get_name()}`", "ainvoke")
        raise Unsupported(f"{type(runnable).__name__} has no `invoke`; override it.")


async def _exec_overridden(runnable: Any, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
    fn, afn = _override(runnable, "invoke"), _override(runnable, "ainvoke")
    if has_body(type(runnable)) and (fn if d.sync else afn) is None:
        return await runnable._exec(d, input, scope, kwargs)
    if fn is None and afn is None:
        raise Unsupported(f"{type(runnable).__name__} has no `invoke`; override it.")
    if d.sync and fn is None:
        raise AsyncOnly(f"`{runnable.get_name()}`", "ainvoke")
    return await d.call(scope.inner(), fn, afn, input, _config_for(scope), **kwargs)


async def _flow_overridden(
    runnable: Any, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
) -> AsyncGenerator[Any, None]:
    config = _config_for(scope)
    source: AsyncIterator[Any] = inputs
    try:
        change = _override(runnable, "transform" if d.sync else "atransform")
        fn, afn = _override(runnable, "stream"), _override(runnable, "astream")
        if change is not None:
            source = isolated(inputs)
            items = d.iterate(scope.inner(), change, change, step_iter(source) if d.sync else source, config, **kwargs)
        elif (fn if d.sync else afn) is not None or (fn and not has_body(type(runnable))):
            whole = await folded(inputs)
            if whole is MISSING:
                return
            items = d.iterate(scope.inner(), fn, afn, whole, config, **kwargs)
        elif natively(type(runnable))[0]:
            items = runnable._flow(d, inputs, scope, kwargs, given)
        else:
            whole = await folded(inputs)
            if whole is not MISSING:
                yield await _exec_overridden(runnable, d, whole, scope, kwargs)
            return
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
    finally:
        await aclose(source)
        await aclose(inputs)


async def _outcomes_overridden(runnable: Any, d: Driver, many: Many) -> list[Outcome]:
    fn, afn = _override(runnable, "batch"), _override(runnable, "abatch")
    if (fn if d.sync else afn) is None:
        return await runnable._outcomes(d, many)  # type: ignore[no-any-return]
    values = list(many.inputs)
    if not values:
        return []
    scopes = [many.scope_at(index) for index in range(len(values))]
    configs = [_config_for(scope) for scope in scopes]
    try:
        outputs = await d.call(
            scopes[0].inner(), fn, afn, values, configs, return_exceptions=many.keep_going, **many.kwargs
        )
    except Exception as error:
        return [Outcome(None, error) for _ in values]
    return [
        Outcome(None, out) if many.keep_going and isinstance(out, Exception) else Outcome(out, None) for out in outputs
    ]


def _config_for(scope: Scope) -> RunnableConfig:
    """The config that a user's own method is called with: unlike a run's own, it still names the next run."""
    config = scope.config()
    if scope.run_name is not None:
        config["run_name"] = scope.run_name
    if scope.run_id is not None:
        config["run_id"] = scope.run_id
    return config
