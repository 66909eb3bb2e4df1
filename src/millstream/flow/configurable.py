"""Parts that a call's config can change: fields of a component, or which of several runnables runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ..errors import InvalidArgument, MissingKey
from ..spine.config_tools import ensure_config
from ..spine.events import MISSING
from ..spine.scope import Scope, enter
from .coerce import coerce
from .described import unique_specs
from .driver import Driver
from .runnable import Kwargs, Runnable, exec_of, flow_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..spine.config import RunnableConfig

__all__ = [
    "ConfigurableField",
    "ConfigurableFieldMultiOption",
    "ConfigurableFieldSingleOption",
    "ConfigurableFieldSpec",
    "RunnableConfigurableAlternatives",
    "RunnableConfigurableFields",
]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@dataclass(frozen=True, slots=True)
class ConfigurableField:
    """A value taken from `config["configurable"][id]`."""

    id: str
    name: str | None = None
    description: str | None = None
    annotation: Any = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class ConfigurableFieldSingleOption:
    """One of `options`, chosen by its key in `config["configurable"][id]`."""

    id: str
    options: Mapping[str, Any]
    default: str
    name: str | None = None
    description: str | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class ConfigurableFieldMultiOption:
    """A list of some of `options`, chosen by their keys in `config["configurable"][id]`."""

    id: str
    options: Mapping[str, Any]
    default: Sequence[str]
    name: str | None = None
    description: str | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class ConfigurableFieldSpec:
    """What can be configured: the key under `configurable`, its type and its default."""

    id: str
    annotation: Any
    name: str | None = None
    description: str | None = None
    default: Any = None
    is_shared: bool = False
    dependencies: list[str] | None = field(default=None)


AnyField: TypeAlias = ConfigurableField | ConfigurableFieldSingleOption | ConfigurableFieldMultiOption


class _Configurable(Runnable[In, Out], Generic[In, Out]):
    """What runs is worked out for each call. It has no run of its own; other attributes are those of `default`."""

    default: Runnable[In, Out]

    def _chosen(self, configurable: Mapping[str, Any]) -> tuple[Runnable[In, Out], Mapping[str, Any]]:
        raise NotImplementedError

    def _resolved(self, scope: Scope) -> tuple[Runnable[In, Out], Scope]:
        runnable, configurable = self._chosen(scope.configurable)
        while isinstance(runnable, _Configurable):
            runnable, configurable = runnable._chosen(configurable)
        if configurable is not scope.configurable:
            scope = scope.copy()
            scope.configurable = dict(configurable)
        return runnable, scope

    def prepare(self, config: RunnableConfig | None = None) -> tuple[Runnable[In, Out], RunnableConfig]:
        """What a call with this config runs, and the config that it gets."""
        runnable, scope = self._resolved(enter(config))
        return runnable, {**ensure_config(config), "configurable": dict(scope.configurable)}

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what a call with this config runs."""
        return self.prepare(config)[0].get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """That of what a call with this config runs."""
        return self.prepare(config)[0].get_output_schema(config)

    def _input_shape(self) -> Any:
        return self.prepare()[0]._input_shape()

    def _output_shape(self) -> Any:
        return self.prepare()[0]._output_shape()

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        runnable, scope = self._resolved(scope)
        return await exec_of(runnable)(d, input, scope, kwargs)

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        runnable, scope = self._resolved(scope)
        return flow_of(runnable)(d, inputs, scope, kwargs, given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "default":
            raise AttributeError(name)
        return getattr(self.default, name)


class RunnableConfigurableFields(_Configurable[In, Out], Generic[In, Out]):
    """A component some of whose fields a call's config may set; it is made anew for a call that does.

    Raises:
        InvalidArgument: (a ValueError) the component has no such field.
    """

    def __init__(self, default: Runnable[In, Out], fields: Mapping[str, AnyField]) -> None:
        known = getattr(type(default), "model_fields", {})
        for name in fields:
            if name not in known:
                raise InvalidArgument(
                    f"{type(default).__name__} has no field {name!r} to configure; it has {list(known)}."
                )
        self.default = default
        self.fields = dict(fields)

    def _chosen(self, configurable: Mapping[str, Any]) -> tuple[Runnable[In, Out], Mapping[str, Any]]:
        changes = {}
        for name, each in self.fields.items():
            if isinstance(each, ConfigurableField):
                if each.id in configurable:
                    changes[name] = configurable[each.id]
            elif isinstance(each, ConfigurableFieldSingleOption):
                changes[name] = _option(each, configurable.get(each.id, each.default))
            else:
                changes[name] = [_option(each, key) for key in configurable.get(each.id, each.default)]
        if not changes:
            return self.default, configurable
        return _remade(self.default, changes), configurable

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured."""
        own = [_spec(self.default, name, each) for name, each in self.fields.items()]
        return unique_specs([*own, *self.default.config_specs], self.get_name())

    def configurable_fields(self, **fields: AnyField) -> RunnableConfigurableFields[In, Out]:
        """The same with more fields."""
        return RunnableConfigurableFields(self.default, {**self.fields, **fields})


class RunnableConfigurableAlternatives(_Configurable[In, Out], Generic[In, Out]):
    """One of several runnables, named by `config["configurable"][which.id]`.

    An alternative may be a function without arguments that gives the runnable. With `prefix_keys` a key
    `"<id>==<alternative>/<key>"` is the `<key>` of that alternative alone.

    Raises (when run):
        InvalidArgument: (a ValueError) there is no such alternative.
    """

    def __init__(
        self,
        which: ConfigurableField,
        default: Runnable[In, Out],
        alternatives: Mapping[str, Runnable[In, Out] | Callable[[], Runnable[In, Out]]],
        default_key: str = "default",
        prefix_keys: bool = False,
    ) -> None:
        self.which = which
        self.default = default
        self.alternatives = dict(alternatives)
        self.default_key = default_key
        self.prefix_keys = prefix_keys

    def _chosen(self, configurable: Mapping[str, Any]) -> tuple[Runnable[In, Out], Mapping[str, Any]]:
        key = str(configurable.get(self.which.id, self.default_key))
        if self.prefix_keys:
            prefix = self._prefix(key)
            own = {name.removeprefix(prefix): value for name, value in configurable.items() if name.startswith(prefix)}
            others = {name: value for name, value in configurable.items() if not name.startswith(f"{self.which.id}==")}
            configurable = {**others, **own}
        if key == self.default_key:
            return self.default, configurable
        if key not in self.alternatives:
            known = ", ".join(map(repr, [self.default_key, *self.alternatives]))
            raise InvalidArgument(f"no alternative {key!r} for {self.which.id!r}; there are {known}.")
        alternative = self.alternatives[key]
        return (alternative if isinstance(alternative, Runnable) else coerce(alternative())), configurable

    def _prefix(self, key: str) -> str:
        return f"{self.which.id}=={key}/"

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured: which one runs, and what each of them has."""
        which = self.which
        choice = _choice(which.name or which.id, (*self.alternatives, self.default_key))
        specs = [
            ConfigurableFieldSpec(which.id, choice, which.name, which.description, self.default_key, which.is_shared)
        ]
        everyone = {self.default_key: self.default, **self.alternatives}
        for key, each in everyone.items():
            if not isinstance(each, Runnable):
                continue
            for spec in each.config_specs:
                is_own = self.prefix_keys and not spec.is_shared
                specs.append(replace(spec, id=self._prefix(key) + spec.id) if is_own else spec)
        return unique_specs(specs, self.get_name())


def _option(each: ConfigurableFieldSingleOption | ConfigurableFieldMultiOption, key: str) -> Any:
    if key not in each.options:
        raise MissingKey(f"{each.id!r} has no option {key!r}; there are {list(each.options)}.", key=key)
    return each.options[key]


@lru_cache(maxsize=256)
def _choice(name: str, options: tuple[str, ...]) -> Any:
    """The enumeration of some keys: the same one for the same, so that specs can be compared."""
    return StrEnum(name, {option: option for option in options})


def _remade(component: Any, changes: dict[str, Any]) -> Any:
    """A component with other values in some fields, made by its class so that whatever it derives is derived again."""
    given = {name: getattr(component, name) for name in component.model_fields_set}
    return type(component)(**{**given, **changes})


def _spec(component: Any, name: str, each: AnyField) -> ConfigurableFieldSpec:
    known = type(component).model_fields[name]
    if isinstance(each, ConfigurableField):
        annotation = each.annotation or known.annotation
        default = getattr(component, name)
    else:
        choice = _choice(each.name or each.id, tuple(each.options))
        annotation = choice if isinstance(each, ConfigurableFieldSingleOption) else list[choice]  # type: ignore[valid-type]
        default = each.default
    description = each.description or known.description
    return ConfigurableFieldSpec(each.id, annotation, each.name, description, default, each.is_shared)
