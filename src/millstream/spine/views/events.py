"""The view behind `astream_events` (version 2): events as dicts.

The shape of the dicts and the rules on inputs are the peer's; `created_at` and the final `on_error` are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any, Final, Literal, TypeAlias

from ...data.ids import new_id
from ...data.outputs import LLMResult
from ..events import CUSTOM, END, ERROR, MISSING, START, STREAM, TOKENS, Event
from ..run import Run

__all__ = ["EventFilter", "EventsView", "StreamEvent"]

_SUFFIX = {START: "start", STREAM: "stream", END: "end"}
# What each type of run is asked for: tools, prompts and retrievers have no chunks, only tools have an error event.
_WANTED = {
    "chain": START | STREAM | END,
    "parser": START | STREAM | END,
    "chat_model": START | STREAM | END | TOKENS,
    "llm": START | STREAM | END | TOKENS,
    "tool": START | END | ERROR,
    "prompt": START | END,
    "retriever": START | END,
}


class EventFilter:
    """Which runs are shown. Includes are a union unless `match="all"`; then every exclude must pass."""

    __slots__ = ("_checks", "_exclude", "_match_all", "_types", "everything")

    def __init__(
        self,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        match: Literal["any", "all"] = "any",
    ) -> None:
        # Most streams have no filter, or one of types: they pay for no other.
        only_types = not (include_names is not None or include_tags is not None or exclude_names or exclude_types or exclude_tags)  # fmt: skip
        self.everything = only_types and include_types is None
        self._types = frozenset(include_types) if only_types and include_types is not None else None
        if only_types:
            return
        given = (include_names, include_types, include_tags)
        self._checks = [None if each is None else frozenset(each) for each in given]
        self._exclude = [frozenset(each or ()) for each in (exclude_names, exclude_types, exclude_tags)]
        self._match_all = match == "all"

    def passes(self, name: str, type: str, tags: Iterable[str]) -> bool:
        """Whether something of this name, run type and these tags is shown."""
        if self.everything:
            return True
        if self._types is not None:
            return type in self._types
        names, types, wanted_tags = self._checks
        includes: list[bool] = []
        if names is not None:
            includes.append(name in names)
        if types is not None:
            includes.append(type in types)
        if wanted_tags is not None:
            includes.append(not wanted_tags.isdisjoint(tags))
        if includes and not (all(includes) if self._match_all else any(includes)):
            return False
        names, types, unwanted_tags = self._exclude
        return name not in names and type not in types and unwanted_tags.isdisjoint(tags)


class StreamEvent(dict[str, Any]):
    """An event of `astream_events`: a dict with the peer's seven keys, and `created_at` on top.

    `event["created_at"]` (an aware datetime) can be read like a key, but is not listed among the keys: a datetime there
    would break the programs that pass whole events to `json.dumps`.
    """

    # No `__init__`: one in Python would cost half as much again as all the rest of making an event.
    __slots__ = ("created",)

    created: float

    @property
    def created_at(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromtimestamp(self.created, UTC)

    def __missing__(self, key: str) -> Any:
        if key == "created_at":
            return self.created_at
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key == "created_at" or super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of a dict; knows `created_at`."""
        return self.created_at if key == "created_at" else super().get(key, default)


class EventsView:
    """Turns events into `StreamEvent` dicts. `interest` decides for each run once, when it starts; `feed` is called in order.

    `telling` spares an event for each chunk. (The dict is made when it is read: many that wait cost the collector more.)
    """

    def __init__(self, chosen: EventFilter, root_input: Any, root_name: str) -> None:
        self._filter = chosen
        self._root_input = root_input
        self._root_name = root_name
        self._root: Run | None = None
        self._first: Run | None = None  # the run of the first event delivered
        self._forms: dict[Run, _Form] = {}  # of the runs that have told something and not ended

    def interest(self, run: Run) -> int:
        """The kinds wanted of `run`."""
        if self._root is None:
            self._root = run
        wanted = _WANTED.get(run.type, 0) if self._filter.passes(run.name, run.type, run.tags) else 0
        return wanted | CUSTOM

    def telling(self, run: Run, put: Callable[[ToldChunk], Any]) -> Callable[[Any], None]:
        """A function that puts a chunk of `run`, whose start is told first, into what `feed` is given."""
        form = self._forms[run] = _Form(run)

        def tell(chunk: Any) -> None:
            put((form, chunk, time()))

        return tell

    def feed(self, event: Event | ToldChunk) -> tuple[StreamEvent, ...]:
        """The dict for one event, if it is shown."""
        if isinstance(event, tuple):
            told, chunk, when = event
            return (told.event(told.streams, {"chunk": chunk}, when),)
        run = event.run
        kind = event.kind
        if kind == CUSTOM:
            return self._custom(event)
        form = self._forms.get(run)
        if form is None:
            form = self._forms[run] = _Form(run)
        if kind == STREAM:
            if self._first is not None:
                return (form.event(form.streams, {"chunk": event.data}, event.time),)
            data: dict[str, Any] = {"chunk": event.data}
        elif kind == START:
            data = {} if event.data is MISSING else {"input": _shown_input(run, event.data)}
        elif kind == END:
            data = {"output": _shown_output(run, event.data)}
            given = run.input
            if run.type in _LIKE_CHAINS and (given is MISSING or (type(given) in _PLAIN and not given)):
                data["input"] = {}  # an input of nothing is shown as no more than that
            elif given is not MISSING:
                data["input"] = _shown_input(run, given)
        else:
            data = {
                "error": event.data,
                "input": run.input,
                "tool_call_id": run.extra.get("tool_call_id"),
            }
        if self._first is None:
            self._first = run
            data["input"] = self._root_input
        elif kind == END and run is self._first:
            data.pop("input", None)
        if kind & (END | ERROR):
            del self._forms[run]
        return (form.event(f"on_{run.type}_{_SUFFIX.get(kind, 'error')}", data, event.time),)

    def failure(self, error: BaseException) -> StreamEvent:
        """The one event that ends the stream of a run that failed; no filter removes it."""
        run = self._root
        made = StreamEvent(
            {
                "event": "on_error",
                "name": run.name if run else self._root_name,
                "run_id": run.id if run else new_id(),
                "parent_ids": [],
                "tags": list(run.tags) if run else [],
                "metadata": dict(run.metadata) if run else {},
                "data": {"error": error},
            }
        )
        made.created = time()
        return made

    def _custom(self, event: Event) -> tuple[StreamEvent, ...]:
        name, value = event.data
        run = event.run
        # A custom event has the tags that the run hands on, not those of the run alone, and its name is its type.
        tags = [*getattr(event.data, "own_tags", ()), *run.scope.tags]
        if not self._filter.passes(name, name, tags):
            return ()
        if self._first is None:
            self._first = run
            if isinstance(value, dict):
                value = {**value, "input": self._root_input}
        form = _Form(run)
        form.fields["name"], form.tags = name, tags
        return (form.event("on_custom_event", value, event.time),)


class _Form:
    """What all events of a run have in common. Each gets copies of the containers: a consumer may change what it is given."""

    __slots__ = ("fields", "metadata", "parent_ids", "streams", "tags")

    def __init__(self, run: Run) -> None:
        self.fields: dict[str, Any] = {
            "event": None,
            "name": run.name,
            "run_id": run.id,
            "parent_ids": None,
            "tags": None,
            "metadata": None,
            "data": None,
        }
        self.parent_ids = run.parent_ids
        self.tags = list(run.tags)
        self.metadata = run.metadata
        self.streams = f"on_{run.type}_stream"

    def event(self, event: str, data: Any, when: float) -> StreamEvent:
        made = StreamEvent(self.fields)
        made["event"] = event
        made["parent_ids"] = self.parent_ids[:]
        made["tags"] = self.tags[:]
        made["metadata"] = self.metadata.copy()
        made["data"] = data
        made.created = when
        return made


ToldChunk: TypeAlias = tuple[_Form, Any, float]
"""A chunk of the run that the form is of, and when it was told."""


_LIKE_CHAINS: Final = frozenset({"chain", "prompt", "parser"})
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})


def _shown_input(run: Run, value: Any) -> Any:
    if run.type == "chat_model":
        return {"messages": [value]}
    if run.type == "llm":
        return {"prompts": value}
    if run.type == "retriever":
        return {"query": value}
    return value


def _shown_output(run: Run, value: Any) -> Any:
    if run.type != "llm" or not isinstance(value, LLMResult):
        return value
    candidates = [[generation.model_dump() for generation in each] for each in value.generations]
    return {"generations": candidates, "llm_output": value.llm_output}
