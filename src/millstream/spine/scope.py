"""Scope: the resolved configuration that a run hands to whatever it calls.

Users write a `RunnableConfig`; `enter` resolves it against the surrounding scope once, at the edge. Inside, scopes are
passed by hand and never mutated. Only leaves (users' code) see one through a context variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from itertools import chain
from typing import Any

from ..errors import InvalidType, OutsideRun
from .config import DEFAULT_RECURSION_LIMIT, RunnableConfig
from .events import MISSING, Listener
from .hooks import hooks
from .listening import Once, as_listener, as_listeners
from .run import Run

__all__ = ["ROOT", "Handed", "Scope", "current_scope", "enter", "get_config", "set_current"]

_KEYS = frozenset(RunnableConfig.__annotations__)


class Handed:
    """What a run hands on under the `callbacks` key of a config: its place in the run tree and its listeners.

    Its public form is the callback manager (callbacks.py).
    """

    __slots__ = ()

    @property
    def scope(self) -> Scope:
        """The scope for the next run."""
        raise NotImplementedError


class Scope:
    """See the table in docs/design.md. Treat every attribute as read-only."""

    __slots__ = (
        "configurable",
        "gates",
        "listeners",
        "max_concurrency",
        "metadata",
        "own_tags",
        "parent",
        "recursion_limit",
        "run_id",
        "run_name",
        "shown_metadata",
        "shown_tags",
        "tags",
    )

    parent: Run | None
    listeners: tuple[Listener, ...]
    tags: tuple[str, ...]
    shown_tags: tuple[str, ...]
    metadata: dict[str, Any]
    shown_metadata: dict[str, Any] | None
    configurable: dict[str, Any]
    recursion_limit: int | None
    max_concurrency: int | None
    gates: tuple[Any, ...]
    run_name: str | None
    run_id: str | None
    own_tags: tuple[str, ...]

    def __init__(self) -> None:
        self.parent = None
        self.listeners = ()
        self.tags = ()
        self.shown_tags = ()
        self.metadata = {}
        self.shown_metadata = None
        self.configurable = {}
        self.recursion_limit = None
        self.max_concurrency = None
        self.gates = ()
        self.run_name = None
        self.run_id = None
        self.own_tags = ()

    def copy(self) -> Scope:
        """A new scope that its maker may fill in before handing it on."""
        new = Scope.__new__(type(self))
        new.parent = self.parent
        new.listeners = self.listeners
        new.tags = self.tags
        new.shown_tags = self.shown_tags
        new.metadata = self.metadata
        new.shown_metadata = self.shown_metadata
        new.configurable = self.configurable
        new.recursion_limit = self.recursion_limit
        new.max_concurrency = self.max_concurrency
        new.gates = self.gates
        new.run_name = self.run_name
        new.run_id = self.run_id
        new.own_tags = self.own_tags
        return new

    def inner(self) -> Scope:
        """The scope for what runs inside the next run, when nobody watches that run."""
        if self.run_name is None and self.run_id is None and not self.own_tags:
            return self
        new = self.copy()
        new.run_name = new.run_id = None
        new.own_tags = ()
        return new

    def without_id(self) -> Scope:
        """This scope for another run than the one that the caller has given an id."""
        if self.run_id is None:
            return self
        new = self.copy()
        new.run_id = None
        return new

    def heard(self, type: str) -> bool:
        """Whether a listener may want something of a run of this type; else it need not be begun."""
        for listener in self.listeners:
            types = getattr(listener, "types", None)
            if types is None or type in types:
                return True
        return False

    def child(self, tag: str, hearer: Any = None) -> Scope:
        """This scope with a tag for the next run only. Where nobody would see it: the scope itself.

        `hearer` is what runs next, where that may have callbacks of its own.
        """
        if (hearer is None or not hearer.callbacks) and (
            not self.listeners or (tag.startswith("seq:step:") and not self.heard("chain"))
        ):
            return self
        new = self.copy()
        new.own_tags = (*self.own_tags, tag)
        return new

    def with_listener(self, listener: Listener, gate: Any = None) -> Scope:
        """This scope, also heard by `listener`; leaves will wait while `gate` (a mailbox) is full."""
        new = self.copy()
        new.listeners = (*self.listeners, listener)
        if gate is not None:
            new.gates = (*self.gates, gate)
        return new

    def heard_once(self, callbacks: Any) -> Scope:
        """This scope, with callbacks that hear the next run alone, not those below it."""
        own = callbacks.scope.listeners if isinstance(callbacks, Handed) else as_listeners(callbacks)
        new = self.copy()
        new.listeners = _joined(self.listeners, map(Once, (each for each in own if each not in self.listeners)))
        return new

    def without_gates(self) -> Scope:
        """This scope for code that must not wait for a reader."""
        if not self.gates:
            return self
        new = self.copy()
        new.gates = ()
        return new

    def open(
        self,
        name: str,
        type: str,
        *,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Run:
        """A run of this scope whose listeners have been asked; its maker calls `start`, if its mask wants anything.

        `tags` and `metadata` belong to this run alone.
        """
        run = Run(
            self.run_name or name,
            type,
            self.parent,
            _union(self.own_tags, self.tags, tags) if self.own_tags or tags else self.tags,
            {**self.metadata, **metadata} if metadata else self.metadata,
            MISSING,
            self.run_id,
        )
        if extra:
            run.extra = extra
        inner = self.copy()
        inner.parent = run
        inner.run_name = inner.run_id = None
        inner.own_tags = ()
        run.scope = inner
        run.ask(self.listeners)
        return run

    def begin(
        self,
        name: str,
        type: str,
        input: Any,
        *,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Run:
        """`open` a run and start it; `input` is MISSING for a run that is streamed into."""
        run = self.open(name, type, tags=tags, metadata=metadata, extra=extra)
        run.start(input)
        return run

    def overlay(self, config: Mapping[str, Any]) -> Scope:
        """This scope with what `config` says over it, key by key.

        Raises:
            InvalidType: `config` or one of its values has the wrong type.
        """
        if not isinstance(config, Mapping):
            raise InvalidType(f"config must be a dict such as {{'tags': ['a']}}, not {config!r}.")
        new = self.copy()
        callbacks = config.get("callbacks")
        if callbacks is not None:
            _take_callbacks(new, callbacks)
        if (tags := config.get("tags")) is not None:
            if isinstance(tags, str):
                raise InvalidType(f"config['tags'] must be a list of strings; write [{tags!r}].")
            new.shown_tags = tuple(tags)
            new.tags = _union(new.tags, new.shown_tags)
        if (metadata := config.get("metadata")) is not None:
            # Runs inherit what the surrounding ones have; a config shows what it was given, in place of theirs.
            new.shown_metadata = None if new.metadata.keys() <= metadata.keys() else dict(metadata)
            new.metadata = {**new.metadata, **metadata}
        configurable = config.get("configurable")
        extra = {key: value for key, value in config.items() if key not in _KEYS and value is not None}
        if configurable is not None or extra:
            new.configurable = {**(self.configurable if configurable is None else configurable), **extra}
        for key in ("recursion_limit", "max_concurrency"):
            if config.get(key) is not None:
                setattr(new, key, config[key])
        if config.get("run_name") is not None:
            new.run_name = config["run_name"]
        if config.get("run_id") is not None:
            new.run_id = str(config["run_id"])
        _copy_to_metadata(new)
        return new

    def underlay(self, config: Mapping[str, Any]) -> Scope:
        """This scope with a bound config under it: tags and listeners of both, of other keys this scope's first.

        Bound listeners are told before those of the call, and after those that a surrounding run hands on.
        """
        under = ROOT.overlay(config)
        new = self.copy()
        if self.parent is None:
            new.listeners = (*(each for each in under.listeners if each not in self.listeners), *self.listeners)
        else:
            new.listeners = _joined(self.listeners, under.listeners)
        new.tags = _union(self.tags, under.tags)
        new.shown_tags = tuple(sorted({*self.shown_tags, *under.shown_tags}))
        new.metadata = {**under.metadata, **self.metadata}
        if self.shown_metadata is not None:
            new.shown_metadata = {**under.metadata, **self.shown_metadata}
        new.configurable = {**under.configurable, **self.configurable}
        if self.recursion_limit in (None, DEFAULT_RECURSION_LIMIT) and under.recursion_limit is not None:
            new.recursion_limit = under.recursion_limit
        new.max_concurrency = self.max_concurrency or under.max_concurrency
        new.run_name = self.run_name or under.run_name
        new.run_id = self.run_id or under.run_id
        _copy_to_metadata(new)
        return new

    def config(self, is_async: bool | None = None) -> RunnableConfig:
        """The public form, made anew at each call, so that the caller may change it.

        `is_async` says for which form of a function it is; by default an event loop that runs decides.
        """
        config: RunnableConfig = {
            "tags": list(self.shown_tags),
            "metadata": dict(self.metadata if self.shown_metadata is None else self.shown_metadata),
            "callbacks": self._manager(is_async) if self.listeners or self.parent else None,
            "recursion_limit": DEFAULT_RECURSION_LIMIT if self.recursion_limit is None else self.recursion_limit,
            "configurable": dict(self.configurable),
        }
        if self.max_concurrency is not None:
            config["max_concurrency"] = self.max_concurrency
        return config

    def _manager(self, is_async: bool | None) -> Handed:
        from .callbacks import manager_of  # a manager makes scopes, and a scope a manager

        return manager_of(self, is_async)


ROOT = Scope()

# None: not inside a run. A run without any config has ROOT.
_current: ContextVar[Scope | None] = ContextVar("millstream_scope", default=None)


def current_scope() -> Scope | None:
    """The scope of the surrounding run, or None outside of any."""
    return _current.get()


def set_current(scope: Scope) -> None:
    """Make `scope` the current one; only drivers call it, inside a copied context."""
    _current.set(scope)


def enter(config: Mapping[str, Any] | None = None) -> Scope:
    """Resolve a user's config against the surrounding scope."""
    scope = _current.get() or ROOT
    if config:
        scope = scope.overlay(config)
    if hooks:
        found = [as_listener(handler) for hook in hooks for handler in hook(scope.listeners)]
        listeners = _joined(scope.listeners, found)
        if listeners != scope.listeners:
            scope = scope.copy()
            scope.listeners = listeners
    return scope


def get_config() -> RunnableConfig:
    """The config of the surrounding run.

    Raises:
        OutsideRun: (a RuntimeError) there is none.
    """
    scope = _current.get()
    if scope is None:
        raise OutsideRun("get_config() was called outside of a runnable context; call it inside a node or a runnable.")
    return scope.config()


def _union(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain(*groups)))


def _take_callbacks(scope: Scope, callbacks: Any) -> None:
    if isinstance(callbacks, Handed):
        given = callbacks.scope
        scope.parent = given.parent
        scope.gates = given.gates
        scope.tags = given.tags
        scope.own_tags = given.own_tags
        scope.listeners = given.listeners
        if given.metadata is not scope.metadata:
            shown = scope.metadata if scope.shown_metadata is None else scope.shown_metadata
            scope.metadata = {**given.metadata, **shown}
            scope.shown_metadata = None if given.metadata.keys() <= shown.keys() else shown
    else:
        scope.listeners = _joined(scope.listeners, as_listeners(callbacks))


def _joined(left: tuple[Listener, ...], right: Iterable[Listener]) -> tuple[Listener, ...]:
    return (*left, *(each for each in right if each not in left))


def _copy_to_metadata(scope: Scope) -> None:
    for key in ("model", "checkpoint_ns"):
        value = scope.configurable.get(key)
        if not isinstance(value, str):
            continue
        if key not in scope.metadata:
            scope.metadata = {**scope.metadata, key: value}
        if scope.shown_metadata is not None and key not in scope.shown_metadata:
            scope.shown_metadata = {**scope.shown_metadata, key: value}
