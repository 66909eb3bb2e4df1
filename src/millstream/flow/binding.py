"""RunnableBinding: a runnable with keyword arguments and a config bound to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial, update_wrapper, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ..data.shown import shown_keywords
from ..spine.config import RunnableConfig
from ..spine.config_tools import merge_configs
from ..spine.events import MISSING
from ..spine.scope import Scope, current_scope
from .attend import attended, attended_each, attended_items, waiting
from .coerce import coerce
from .driver import Driver, Outcome
from .function import parameters_of
from .many import Many
from .overrides import FORMS, outcomes_of
from .runnable import Kwargs, Runnable, exec_of, flow_of

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["RunnableBinding"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class RunnableBinding(Runnable[In, Out], Generic[In, Out]):
    """`bound` called with `kwargs` under those of the call, and with `config` under that of the call.

    It has no run of its own. Called without a config, the bound one stands in its place. Each of `config_factories` is given the
    config so far and returns more. Attributes that it lacks are those of `bound`; a method that takes a config gets the bound one,
    too.
    """

    def __init__(
        self,
        bound: Runnable[In, Out],
        kwargs: dict[str, Any] | None = None,
        config: RunnableConfig | None = None,
        *,
        input_type: Any = None,
        output_type: Any = None,
        config_factories: Sequence[Callable[[RunnableConfig], RunnableConfig]] = (),
    ) -> None:
        self.bound = coerce(bound)
        self.kwargs = dict(kwargs or {})
        self.config: RunnableConfig = config or {}
        self.input_type = input_type
        self.output_type = output_type
        self.config_factories = list(config_factories)
        self._run_bound = exec_of(self.bound)
        self._flow_bound = flow_of(self.bound)

    def with_retry(self, **options: Any) -> RunnableBinding[In, Out]:  # type: ignore[override]
        """The same around what is bound and retried, so that all attempts are made with the bound config."""
        return self._copy(self.kwargs, self.config, self.bound.with_retry(**options))

    def bind(self, **kwargs: Any) -> RunnableBinding[In, Out]:
        """The same with more keyword arguments."""
        return self._copy({**self.kwargs, **kwargs}, self.config)

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RunnableBinding[In, Out]:
        """The same with keys of its config replaced (not merged)."""
        changed: RunnableConfig = {**self.config, **(config or {}), **kwargs}  # type: ignore[typeddict-item]
        return self._copy(self.kwargs, changed)

    def with_types(self, *, input_type: Any = None, output_type: Any = None) -> RunnableBinding[In, Out]:
        """The same with other types in its schemas."""
        copy = self._copy(self.kwargs, self.config)
        copy.input_type = input_type if input_type is not None else self.input_type
        copy.output_type = output_type if output_type is not None else self.output_type
        return copy

    def _copy(
        self, kwargs: dict[str, Any], config: RunnableConfig, bound: Runnable[Any, Any] | None = None
    ) -> RunnableBinding[In, Out]:
        return type(self)(
            self.bound if bound is None else bound,
            kwargs,
            config,
            input_type=self.input_type,
            output_type=self.output_type,
            config_factories=self.config_factories,
        )

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what is bound, unless `with_types` says another."""
        return self.bound.get_input_schema(config) if self.input_type is None else super().get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what is bound, unless `with_types` says another."""
        return self.bound.get_output_schema(config) if self.output_type is None else super().get_output_schema(config)

    def _input_shape(self) -> Any:
        return self.bound._input_shape() if self.input_type is None else self.input_type

    def _output_shape(self) -> Any:
        return self.bound._output_shape() if self.output_type is None else self.output_type

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return [self.bound]

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The name of what is bound; a bound `run_name` only names its runs."""
        return self.bound.get_name(suffix, name=name)

    def _within(self, scope: Scope) -> Scope:
        """The scope for what is bound."""
        if self.config:
            scope = scope.underlay(self.config)
        for factory in self.config_factories:
            more = factory(scope.config())
            scope = scope.overlay(merge_configs(scope.config(), more))
        return scope

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        given = {**self.kwargs, **kwargs} if kwargs else self.kwargs
        inner = self._within(scope)
        if inner is scope or not waiting(d, inner):
            return await self._run_bound(d, input, inner, given)
        return await attended(d, inner, lambda scope: self._run_bound(d, input, scope, given))

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        kwargs = {**self.kwargs, **kwargs} if kwargs else self.kwargs
        inner = self._within(scope)
        if inner is scope:
            return self._flow_bound(d, inputs, scope, kwargs, given)
        return attended_items(d, inner, lambda scope: self._flow_bound(d, inputs, scope, kwargs, given))

    async def _outcomes(self, d: Driver, many: Many) -> list[Outcome]:
        limit = self.config.get("max_concurrency")
        if not limit or many.scope_at(0).max_concurrency is not None:
            limit = many.limit
        bound, kwargs = outcomes_of(self.bound), {**self.kwargs, **many.kwargs}
        return await attended_each(
            d,
            lambda index: self._within(many.scope_at(index)),
            lambda heard_at: bound(d, Many(many.inputs, heard_at, limit, many.keep_going, kwargs)),
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "bound":
            raise AttributeError(name)
        found = getattr(self.bound, name)
        if self.config and not name.startswith("_") and callable(found) and "config" in parameters_of(found):
            return update_wrapper(partial(_call_with, self.config, found), found)
        return found

    def __repr__(self) -> str:
        return f"RunnableBinding(bound={self.bound!r}, kwargs={shown_keywords(self.kwargs)!r})"


_INHERITED: Final = {"tags", "metadata", "configurable"}


def _given(form: Callable[..., Any]) -> Callable[..., Any]:
    """A public form in which the bound config inherits from the surrounding run, as the one that is given does: each replaces
    whole keys of what surrounds the call, and then they are merged."""

    @wraps(form)
    def call(self: RunnableBinding[Any, Any], input: Any, config: Any = None, **kwargs: Any) -> Any:
        if self.config and current_scope() is not None:
            if config is None:
                config = self.config
            elif not config.keys() >= _INHERITED:  # a run's own config inherits nothing more
                config = merge_configs(self.config, config)
        return form(self, input, config, **kwargs)

    return call


for _name in FORMS:
    setattr(RunnableBinding, _name, _given(getattr(Runnable, _name)))


def _call_with(config: RunnableConfig, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """The result of a method called with `config` under the config that it is given."""
    given = signature(method).bind_partial(*args, **kwargs)
    given.arguments["config"] = merge_configs(config, given.arguments.get("config"))
    return method(*given.args, **given.kwargs)
