"""Caches of what models answered and of what graph nodes wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from copy import deepcopy
from typing import Any, TypeAlias

from ..errors import InvalidArgument, Unsupported
from ..flow.driver import in_worker

__all__ = ["BaseCache", "FullKey", "InMemoryCache", "Namespace", "cache_of", "get_llm_cache", "set_llm_cache"]

Namespace: TypeAlias = tuple[str, ...]
FullKey: TypeAlias = tuple[Namespace, str]
"""The key of a value: a namespace, and a key in it."""


class BaseCache:
    """What may be given as `cache` to a model or to a graph.

    For models a subclass writes `lookup` and `update`: answers under the prompt and a description of model and call, as
    texts. For graphs it writes `get` and `set`: values under a namespace and a key, each for some seconds or for ever.
    `clear` is for both. The async forms run these on a worker thread.
    """

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Any] | None:
        """The generations kept for a call of a model, None when there are none."""
        raise _cannot(self, "lookup", "models")

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """Keep the generations of a call of a model."""
        raise _cannot(self, "update", "models")

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values of those keys that have one."""
        raise _cannot(self, "get", "graphs")

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """Keep values; the second of each pair is for how many seconds, None for ever."""
        raise _cannot(self, "set", "graphs")

    def clear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """Forget the values of some namespaces, or all that is kept."""
        raise _cannot(self, "clear", "models or graphs")

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Any] | None:
        """`lookup` in async form."""
        return await in_worker(copy_context(), self.lookup, prompt, llm_string)  # type: ignore[no-any-return]

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """`update` in async form."""
        await in_worker(copy_context(), self.update, prompt, llm_string, return_val)

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """`get` in async form."""
        return await in_worker(copy_context(), self.get, keys)  # type: ignore[no-any-return]

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """`set` in async form."""
        await in_worker(copy_context(), self.set, pairs)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """`clear` in async form."""
        await in_worker(copy_context(), lambda: self.clear(namespaces, **kwargs))


class InMemoryCache(BaseCache):
    """Keeps everything in this process; of models' answers at most `maxsize`, the oldest being dropped for a new one.

    Values of graphs are copied when they are put in and when they are taken out, so that nobody can change them here.
    """

    def __init__(self, *, maxsize: int | None = None) -> None:
        if maxsize is not None and maxsize <= 0:
            raise InvalidArgument(f"`maxsize` must be greater than 0, not {maxsize}; None sets no bound.")
        self.maxsize = maxsize
        self._answers: dict[tuple[str, str], Sequence[Any]] = {}
        self._values: dict[Namespace, dict[str, tuple[Any, float | None]]] = {}
        self._lock = threading.Lock()

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Any] | None:
        """The generations kept for a call of a model."""
        return self._answers.get((prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """Keep the generations of a call of a model."""
        with self._lock:
            if self.maxsize is not None and (prompt, llm_string) not in self._answers:
                while len(self._answers) >= self.maxsize:
                    del self._answers[next(iter(self._answers))]
            self._answers[prompt, llm_string] = return_val

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Copies of the values of those keys that have one which is not too old."""
        found: dict[FullKey, Any] = {}
        with self._lock:
            for namespace, key in keys:
                values = self._values.get(tuple(namespace), {})
                value, until = values.get(key, (None, 0.0))
                if until is None or until > time.monotonic():
                    found[tuple(namespace), key] = value
                elif key in values:
                    del values[key]
        return {key: deepcopy(value) for key, value in found.items()}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """Keep copies of values."""
        now = time.monotonic()
        for (namespace, key), (value, seconds) in pairs.items():
            kept = deepcopy(value), None if seconds is None else now + seconds
            with self._lock:
                self._values.setdefault(tuple(namespace), {})[key] = kept

    def clear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """Forget the values of some namespaces, or all answers and values."""
        with self._lock:
            if namespaces is None:
                self._answers.clear()
                self._values.clear()
            for namespace in namespaces or ():
                self._values.pop(tuple(namespace), None)

    # Nothing is waited for, so the async forms need no thread.

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Any] | None:
        """`lookup` in async form."""
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """`update` in async form."""
        self.update(prompt, llm_string, return_val)

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """`get` in async form."""
        return self.get(keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | float | None]]) -> None:
        """`set` in async form."""
        self.set(pairs)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None, **kwargs: Any) -> None:
        """`clear` in async form."""
        self.clear(namespaces)


_for_all: BaseCache | None = None


def set_llm_cache(value: BaseCache | None) -> None:
    """Use a cache for every model that has none of its own and does not refuse one; None ends that."""
    global _for_all
    _for_all = value


def get_llm_cache() -> BaseCache | None:
    """The cache that `set_llm_cache` has set."""
    return _for_all


def cache_of(choice: Any) -> BaseCache | None:
    """The cache that a model's `cache` field stands for: one of its own, or for None and True the one for all.

    Raises:
        InvalidArgument: (ValueError) it is True and there is none for all; or it is no cache.
    """
    if choice is None:
        return _for_all
    if choice is False:
        return None
    if choice is True:
        if _for_all is None:
            raise InvalidArgument("The model has cache=True, but no cache is set; call set_llm_cache(InMemoryCache()).")
        return _for_all
    if isinstance(choice, BaseCache):
        return choice
    raise InvalidArgument(f"`cache` of a model must be a bool or a cache, not {choice!r}.")


def _cannot(cache: BaseCache, method: str, users: str) -> Unsupported:
    return Unsupported(f"{type(cache).__name__} is no cache for {users}: it has no `{method}`; override it.")
