"""What callback managers hold: handlers, tags and metadata for runs to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeAlias
from uuid import UUID

from .events import MISSING, Listener
from .listening import HandlerListener, Once, as_listener
from .run import Run
from .scope import Handed, Scope
from .views.handlers import BaseCallbackHandler

__all__ = ["BaseCallbackManager", "Callbacks", "handlers_of", "inheritable"]


class BaseCallbackManager(Handed):
    """Handlers, tags and metadata for runs to come, and the run that they will be inside of.

    Inheritable ones are those of all runs below too; the others belong to the next run alone.
    """

    __slots__ = ("_base", "_local", "_local_metadata")

    is_async: ClassVar[bool] = False

    def __init__(
        self,
        handlers: Iterable[Any] = (),
        inheritable_handlers: Iterable[Any] | None = None,
        parent_run_id: UUID | None = None,
        *,
        tags: Iterable[str] | None = None,
        inheritable_tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._base = Scope()
        self._local: list[Listener] = []
        self._local_metadata: dict[str, Any] = {}
        if parent_run_id is not None:
            self._base.parent = Run("", "chain", None, (), {}, MISSING, str(parent_run_id))
        for handler in inheritable_handlers or ():
            self.add_handler(handler)
        for handler in handlers:
            self.add_handler(handler, inherit=False)
        self.add_tags(inheritable_tags or ())
        self.add_tags(tags or (), inherit=False)
        self.add_metadata(inheritable_metadata or {})
        self.add_metadata(metadata or {}, inherit=False)

    @classmethod
    def _of(cls, scope: Scope) -> Self:
        new = cls.__new__(cls)
        new._base = scope
        once = [each for each in scope.listeners if isinstance(each, Once)]
        # What has had its run is not for those below it.
        new._local = [each.listener for each in once if not each.spent]
        if once:
            new._base = scope.copy()
            new._base.listeners = inheritable(scope.listeners)
        new._local_metadata = {}
        return new

    @property
    def scope(self) -> Scope:
        """The scope for the next run."""
        if not self._local:
            return self._base
        scope = self._base.copy()
        scope.listeners = (*scope.listeners, *map(Once, self._local))
        return scope

    @property
    def handlers(self) -> list[Any]:
        """All handlers of the next run."""
        return [*handlers_of(self._base.listeners), *handlers_of(self._local)]

    @property
    def inheritable_handlers(self) -> list[Any]:
        """Those of the runs below it too."""
        return handlers_of(self._base.listeners)

    @property
    def parent_run_id(self) -> UUID | None:
        """The id of the run around the next one."""
        return None if self._base.parent is None else self._base.parent.uuid

    @property
    def tags(self) -> list[str]:
        """All tags of the next run."""
        return list(dict.fromkeys((*self._base.tags, *self._base.own_tags)))

    @property
    def inheritable_tags(self) -> list[str]:
        """Those of the runs below it too."""
        return list(self._base.tags)

    @property
    def metadata(self) -> dict[str, Any]:
        """All metadata of the next run."""
        return {**self._base.metadata, **self._local_metadata}

    @property
    def inheritable_metadata(self) -> dict[str, Any]:
        """That of the runs below it too."""
        return dict(self._base.metadata)

    def add_handler(self, handler: Any, inherit: bool = True) -> None:
        """Add a handler, unless it is there already."""
        listener = as_listener(handler)
        if listener in self._base.listeners or listener in self._local:
            return
        if inherit:
            self._base = self._base.copy()
            self._base.listeners = (*self._base.listeners, listener)
        else:
            self._local.append(listener)

    def remove_handler(self, handler: Any) -> None:
        """Take a handler away, if it is there."""
        listener = as_listener(handler)
        self._base = self._base.copy()
        self._base.listeners = tuple(each for each in self._base.listeners if each != listener)
        self._local = [each for each in self._local if each != listener]

    def set_handlers(self, handlers: Iterable[Any], inherit: bool = True) -> None:
        """Have these handlers and no others."""
        self._base = self._base.copy()
        self._base.listeners = ()
        self._local = []
        for handler in handlers:
            self.add_handler(handler, inherit)

    def set_handler(self, handler: Any, inherit: bool = True) -> None:
        """Have this handler and no other."""
        self.set_handlers([handler], inherit)

    def add_tags(self, tags: Iterable[str], inherit: bool = True) -> None:
        """Add tags."""
        self._base = self._base.copy()
        if inherit:
            self._base.tags = tuple(dict.fromkeys((*self._base.tags, *tags)))
            self._base.shown_tags = self._base.tags
        else:
            self._base.own_tags = tuple(dict.fromkeys((*self._base.own_tags, *tags)))

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take tags away."""
        gone = set(tags)
        self._base = self._base.copy()
        for kind in ("tags", "shown_tags", "own_tags"):
            setattr(self._base, kind, tuple(tag for tag in getattr(self._base, kind) if tag not in gone))

    def add_metadata(self, metadata: Mapping[str, Any], inherit: bool = True) -> None:
        """Add metadata."""
        if inherit:
            self._base = self._base.copy()
            self._base.metadata = {**self._base.metadata, **metadata}
        else:
            self._local_metadata.update(metadata)

    def remove_metadata(self, keys: Iterable[str]) -> None:
        """Take metadata away."""
        gone = set(keys)
        self._base = self._base.copy()
        self._base.metadata = {key: value for key, value in self._base.metadata.items() if key not in gone}
        self._local_metadata = {key: value for key, value in self._local_metadata.items() if key not in gone}

    def copy(self) -> Self:
        """A manager of its own with the same content."""
        new = type(self)._of(self._base)
        new._local = list(self._local)
        new._local_metadata = dict(self._local_metadata)
        return new

    def merge(self, other: BaseCallbackManager) -> Self:
        """A copy with what `other` has too; the place in the tree is this one's, if it has any."""
        new = self.copy()
        for listener in other._base.listeners:
            new.add_handler(listener)
        for listener in other._local:
            new.add_handler(listener, inherit=False)
        new.add_tags(other._base.tags)
        new.add_tags(other._base.own_tags, inherit=False)
        new.add_metadata(other._base.metadata)
        new.add_metadata(other._local_metadata, inherit=False)
        if new._base.parent is None:
            new._base.parent = other._base.parent
        return new


Callbacks: TypeAlias = list[BaseCallbackHandler] | list[Listener] | BaseCallbackManager | None
"""What may stand under the `callbacks` key of a config."""


def handlers_of(listeners: Iterable[Listener]) -> list[Any]:
    """The handlers as users gave them; listeners that are no handlers as they are."""
    inside = (each.listener if isinstance(each, Once) else each for each in listeners)
    return [each.handler if isinstance(each, HandlerListener) else each for each in inside]


def inheritable(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    """Those that hear more than one run."""
    return tuple(each for each in listeners if not isinstance(each, Once))
