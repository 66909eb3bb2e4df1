"""A chat model that each call's config chooses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

from ..chat.models import BaseChatModel, LanguageModelInput
from ..errors import InvalidArgument
from ..flow.driver import Driver
from ..flow.runnable import Kwargs, Runnable, exec_of, flow_of
from ..spine.events import MISSING
from ..spine.scope import Scope

__all__ = ["ConfigurableModel"]

_Make = Callable[[dict[str, Any]], BaseChatModel]
# What a model is asked before it is known which one it is; done to the model once it is.
_Wish = tuple[str, tuple[Any, ...], dict[str, Any]]

# Keys of a config that speak of other things, where every field may be configured and no prefix tells them apart.
_OF_THREADS = frozenset({"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map", "run_id", "user_id", "assistant_id", "graph_id", "session_id"})  # fmt: skip


class ConfigurableModel(Runnable[LanguageModelInput, Any]):
    """Stands for a model until a call's config says which; `init_chat_model` makes it.

    `bind_tools` and `with_structured_output` are remembered, and done to the model that is chosen. Other attributes are
    those of the default model, where the defaults name one.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        fields: Literal["any"] | Sequence[str],
        *,
        make: _Make,
        prefix: str = "",
        wishes: Sequence[_Wish] = (),
    ) -> None:
        if isinstance(fields, str) and fields != "any":
            raise InvalidArgument(f"configurable_fields={fields!r}: give a list of names, or 'any'.")
        self._defaults = dict(defaults)
        self._fields = fields
        self._make = make
        self._prefix = prefix if not prefix or prefix.endswith("_") else f"{prefix}_"
        self._wishes = tuple(wishes)
        self._made: tuple[dict[str, Any], Runnable[Any, Any]] | None = None

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ConfigurableModel:
        """This model, told of tools that it may call."""
        return self._wishing("bind_tools", (tools,), kwargs)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> ConfigurableModel:
        """This model, made to answer in a given form."""
        return self._wishing("with_structured_output", (schema,), kwargs)

    def _wishing(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ConfigurableModel:
        wishes = [*self._wishes, (name, args, kwargs)]
        return ConfigurableModel(self._defaults, self._fields, make=self._make, prefix=self._prefix, wishes=wishes)

    def _chosen(self, configurable: Mapping[str, Any]) -> Runnable[Any, Any]:
        """The model for a config. The last one is kept: most programs use one at a time."""
        settings = {**self._defaults, **self._configured(configurable)}
        made = self._made
        if made is not None and made[0] == settings:
            return made[1]
        model: Any = self._make(dict(settings))
        for wish, args, kwargs in self._wishes:
            model = getattr(model, wish)(*args, **kwargs)
        self._made = settings, model
        return model  # type: ignore[no-any-return]

    def _configured(self, configurable: Mapping[str, Any]) -> dict[str, Any]:
        """What a config says of this model."""
        prefix, anything = self._prefix, self._fields == "any"
        found: dict[str, Any] = {}
        for key, value in configurable.items():
            name = key.removeprefix(prefix)
            if not key.startswith(prefix) or key.startswith("__"):
                continue
            if name in self._fields or (anything and (prefix or name not in _OF_THREADS)):
                found[name] = value
        return found

    async def _exec(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        return await exec_of(self._chosen(scope.configurable))(d, input, scope, kwargs)

    def _flow(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs, given: Any = MISSING
    ) -> AsyncGenerator[Any, None]:
        return flow_of(self._chosen(scope.configurable))(d, inputs, scope, kwargs, given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "model" not in self.__dict__.get("_defaults", ()):
            raise AttributeError(f"{type(self).__name__} has no {name!r} before a config has chosen the model.")
        return getattr(self._chosen({}), name)
