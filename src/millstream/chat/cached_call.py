"""A call of a model under its cache: the key that tells calls apart, and what a hit gives."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.lazy import Lazy
from ..data.messages import AIMessage, BaseMessage
from ..data.outputs import ChatGeneration
from ..data.shown import shown_keywords
from ..flow.driver import Driver
from ..spine.scope import Scope
from .caches import BaseCache, cache_of

if TYPE_CHECKING:
    from .language_model import BaseLanguageModel

if TYPE_CHECKING:
    import json
else:
    json = Lazy("json", globals())

__all__ = ["CachedCall", "cached_call", "key_of"]

Prompt: TypeAlias = str | Sequence[BaseMessage]


class CachedCall:
    """A call that a cache may answer. What the cache holds and what a caller has are never the same object."""

    __slots__ = ("cache", "key")

    def __init__(self, cache: BaseCache, key: tuple[str, str]) -> None:
        self.cache = cache
        self.key = key

    async def found(self, d: Driver, scope: Scope) -> list[Any] | None:
        """The candidates that are kept."""
        kept = await d.call(scope, self.cache.lookup, self.cache.alookup, *self.key)
        return [_copy(generation, hit=True) for generation in kept] if kept else None

    async def keep(self, d: Driver, scope: Scope, generations: Sequence[Any]) -> None:
        """Keep the candidates of an answer."""
        kept = [_copy(generation) for generation in generations]
        await d.call(scope, self.cache.update, self.cache.aupdate, *self.key, kept)


def cached_call(
    model: BaseLanguageModel[Any], prompt: Prompt, stop: Any, kwargs: Mapping[str, Any]
) -> CachedCall | None:
    """The call under the model's cache; None where it has none, or where the call cannot be told apart from others."""
    cache = cache_of(model.cache)
    if cache is None:
        return None
    key = key_of(model, prompt, stop, kwargs)
    return None if key is None else CachedCall(cache, key)


def key_of(
    model: BaseLanguageModel[Any], prompt: Prompt, stop: Any, kwargs: Mapping[str, Any]
) -> tuple[str, str] | None:
    """The prompt and the description of model and call, as texts that are equal for equal calls and no others.

    None where a keyword holds something that cannot be told apart by a text; such a call is not cached. Ids of messages
    do not count, nor what earlier answers cost: asked again, the same conversation has others.
    """
    cls = type(model)
    call = {
        "model": f"{cls.__module__}.{cls.__qualname__}",
        "type": model._llm_type,
        "settings": model._identifying_params,
        "stop": stop,
        "kwargs": shown_keywords(kwargs, _digest),
    }
    try:
        if not isinstance(prompt, str):
            prompt = _text([message.model_dump(exclude=("id", "usage_metadata")) for message in prompt])
        return prompt, _text(call)
    except (TypeError, ValueError, RecursionError):
        return None


def _copy(generation: Any, *, hit: bool = False) -> Any:
    if not isinstance(generation, ChatGeneration):
        return generation.model_copy(deep=True)
    message = generation.message.model_copy(deep=True)
    if hit and isinstance(message, AIMessage):
        # It cost nothing this time.
        usage: Any = {**(message.usage_metadata or {}), "total_cost": 0}
        message.usage_metadata = usage
    return ChatGeneration(message=message, generation_info=generation.generation_info)


def _digest(value: Any) -> str:
    """What tells a header from others, as they may choose the answer, and is no key that could be read in a cache's file."""
    from hashlib import sha256  # milliseconds at import, for calls that few programs make

    return sha256(str(value).encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_told_apart)


def _told_apart(value: Any) -> Any:
    """A value beyond JSON as one of JSON.

    Raises:
        TypeError: nothing about it is known to be the same exactly when the value is.
    """
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return {"$class": f"{value.__module__}.{value.__qualname__}", "schema": value.model_json_schema()}
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return {"$object": f"{type(value).__module__}.{type(value).__qualname__}", "fields": dump()}
    raise TypeError(f"{value!r} has no text that tells it apart")
