"""A run: one node of the tree of what is being executed, as its listeners see it."""

from __future__ import annotations

from collections.abc import Callable
from time import time as now
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from ..data.ids import new_id
from ..data.lazy import logger_of
from .events import END, ERROR, MISSING, START, Event, Listener, Missing

if TYPE_CHECKING:
    from .scope import Scope

__all__ = ["Run", "RunType", "name_run", "report"]

logger = logger_of("millstream")

_new = object.__new__

_NOTE = "while running "
# "chain" | "chat_model" | "llm" | "tool" | "retriever" | "prompt" | "parser"
RunType = str


class Run:
    """One execution of one runnable that somebody may watch.

    `mask` says what its listeners want of it; emitting anything else is the caller's waste, so callers test the
    mask first. `scope` is what the run hands to whatever it calls.
    """

    __slots__ = (
        "_extra",
        "_heard",
        "_id",
        "_parent_ids",
        "_uuid",
        "input",
        "input_late",
        "mask",
        "metadata",
        "name",
        "parent",
        "scope",
        "tags",
        "type",
    )

    scope: Scope

    def __init__(
        self,
        name: str,
        type: RunType,
        parent: Run | None,
        tags: tuple[str, ...],
        metadata: dict[str, Any],
        input: Any,
        id: str | None,
    ) -> None:
        self.name = name
        self.type = type
        self.parent = parent
        self.tags = tags
        self.metadata = metadata
        self.input: Any | Missing = input
        self.input_late = False  # whether it was known only at the end, because it came in chunks
        self._extra: dict[str, Any] | None = None
        self.mask = 0
        self._id = id
        self._parent_ids: list[str] | None = None
        self._uuid: UUID | None = None
        # Who wants something of it: one listener is the common case, and needs no container.
        self._heard: Listener | list[tuple[Listener, int]] | None = None

    @property
    def id(self) -> str:
        """A uuid string, made when it is first read."""
        if self._id is None:
            self._id = new_id()
        return self._id

    @property
    def uuid(self) -> UUID:
        """The id as a UUID; one derived from it where a config gave an id that is none."""
        if self._uuid is None:
            try:
                self._uuid = UUID(self.id)
            except ValueError:
                self._uuid = uuid5(NAMESPACE_OID, self.id)
        return self._uuid

    @property
    def extra(self) -> dict[str, Any]:
        """What only some views need to know of it; made when it is first read."""
        if self._extra is None:
            self._extra = {}
        return self._extra

    @extra.setter
    def extra(self, value: dict[str, Any]) -> None:
        self._extra = value

    @property
    def parent_ids(self) -> list[str]:
        """The ids of the enclosing runs, root first."""
        if self._parent_ids is None:
            parent = self.parent
            self._parent_ids = [] if parent is None else [*parent.parent_ids, parent.id]
        return self._parent_ids

    @property
    def listeners(self) -> list[Listener]:
        """Those that want anything of this run."""
        heard = self._heard
        if isinstance(heard, list):
            return [listener for listener, _ in heard]
        return [] if heard is None else [heard]

    def ask(self, listeners: tuple[Listener, ...]) -> None:
        """Ask each listener, once, what it wants of this run."""
        for listener in listeners:
            try:
                wanted = listener.interest(self)
            except Exception as error:
                report(listener, self, error)
                continue
            if not wanted:
                continue
            if self._heard is None:
                self._heard = listener
            else:
                if not isinstance(self._heard, list):
                    self._heard = [(self._heard, self.mask)]
                self._heard.append((listener, wanted))
            self.mask |= wanted

    def start(self, input: Any) -> None:
        """Emit START; `input` is MISSING for a run that is streamed into."""
        self.input = input
        if self.mask & START:
            self.emit(START, input)

    def emit(self, kind: int, data: Any) -> None:
        """Tell the listeners that want `kind`. A listener that fails is logged and the run goes on."""
        if not self.mask & kind:
            return
        # Written out, as this runs several times a token: `Event(kind, self, data)`, and `_tell` for one listener.
        event = _new(Event)
        event.kind = kind
        event.run = self
        event.data = data
        event.time = now()
        heard = self._heard
        if heard.__class__ is not list:
            try:
                heard.feed(event)  # type: ignore[union-attr]
            except Exception as error:
                report(heard, self, error)  # type: ignore[arg-type]
            return
        for listener, wanted in heard:  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
            if wanted & kind:
                _tell(listener, event)

    def telling(self) -> Callable[[Any], None] | None:
        """What tells a chunk quicker than `emit`, where the only listener has such a way."""
        make = getattr(self._heard, "telling", None)
        return None if make is None else make(self)

    def end(self, output: Any, input: Any = MISSING) -> None:
        """Emit END; `input` is the folded input of a run that was streamed into."""
        if input is not MISSING:
            self.input, self.input_late = input, True
        if self.mask & END:
            self.emit(END, output)

    def fail(self, error: BaseException) -> None:
        """Emit ERROR."""
        name_run(error, self)
        if self.mask & ERROR:
            self.emit(ERROR, error)

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {self.type!r})"


def _tell(listener: Listener, event: Event) -> None:
    try:
        listener.feed(event)
    except Exception as error:
        report(listener, event.run, error)


def name_run(error: BaseException, run: Run | None) -> None:
    """Name `run`, the innermost that failed, in a note on the exception, unless one is named already."""
    if run is None or not isinstance(error, Exception):
        return
    if not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        error.add_note(f"{_NOTE}{run.name!r} ({run.type})")


def report(listener: Listener, run: Run, error: Exception) -> None:
    """Log that a listener failed, or raise its error where it asked for that."""
    if getattr(listener, "raise_error", False):
        raise error
    label = getattr(listener, "label", type(listener).__name__)
    logger.warning("listener %s failed in run %r: %r", label, run.name, error, exc_info=error)
