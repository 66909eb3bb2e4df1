"""The view behind `astream_log`: a run as a document that grows, told as JSON patches."""

from __future__ import annotations

from datetime import UTC, datetime
from pprint import pformat
from typing import Any, TypeAlias, TypedDict

from ...data.ids import new_id
from ...data.outputs import LLMResult
from ...errors import InvalidType
from ..events import END, ERROR, START, STREAM, TOKENS, Event
from ..run import Run
from .events import EventFilter
from .handler_calls import llm_result
from .json_patch import Op, apply, differences, escaped

__all__ = ["Chunk", "LogEntry", "LogView", "RunLog", "RunLogPatch", "RunState"]

_WHOLE = START | END | ERROR
_WANTED = {
    "chain": _WHOLE | STREAM,
    "parser": _WHOLE | STREAM,
    "chat_model": _WHOLE | STREAM | TOKENS,
    "llm": _WHOLE | STREAM | TOKENS,
    "tool": _WHOLE,
    "prompt": _WHOLE,
    "retriever": _WHOLE,
}


class LogEntry(TypedDict):
    """What a log says about one run below the root. Times are ISO strings with milliseconds, in UTC."""

    id: str
    name: str
    type: str
    tags: list[str]
    metadata: dict[str, Any]
    start_time: str
    streamed_output_str: list[str]
    streamed_output: list[Any]
    final_output: Any
    end_time: str | None


class RunState(TypedDict):
    """What a log says about the root, and the entries of the runs below it by name."""

    id: str
    name: str
    type: str
    streamed_output: list[Any]
    final_output: Any
    logs: dict[str, LogEntry]


class RunLogPatch:
    """A change of a log: `ops`, the operations of a JSON patch. `+` adds changes up to a `RunLog`."""

    __slots__ = ("_ops",)

    def __init__(self, *ops: Op) -> None:
        self._ops: list[dict[str, Any]] = list(ops)  # type: ignore[arg-type]

    @property
    def ops(self) -> list[dict[str, Any]]:
        """The operations, in order."""
        return self._ops

    def __add__(self, other: RunLogPatch) -> RunLog:
        """The log after both.

        Raises:
            InvalidType: (a TypeError) `other` is no patch.
        """
        if type(other) is not RunLogPatch:
            raise InvalidType(
                f"a {type(self).__name__} and a {type(other).__name__} cannot be added; add a RunLogPatch."
            )
        log = RunLog(state=apply(self._state(), other._ops))
        log._before = (self._chain(), other._ops)
        return log

    def _state(self) -> Any:
        return apply(None, self._ops)

    def _chain(self) -> _Chain:
        return None, self._ops

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunLogPatch) and self.ops == other.ops

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({pformat(self.ops)[1:-1]})"


_Chain: TypeAlias = "tuple[_Chain | None, list[dict[str, Any]]]"


class RunLog(RunLogPatch):
    """A log: `state`, and the `ops` that led to it. Adding a patch gives another; none is ever changed."""

    __slots__ = ("_before", "state")

    state: Any

    def __init__(self, *ops: Op, state: Any = None) -> None:
        super().__init__(*ops)
        self.state = state
        # What led here, newest last, until somebody asks: a log after each of n patches, each with all operations in a
        # list of its own, would cost n squared.
        self._before: _Chain | None = None

    @property
    def ops(self) -> list[dict[str, Any]]:
        """All operations that led to `state`, in order."""
        parts: list[list[dict[str, Any]]] = []
        chain = self._before
        while chain is not None:
            chain, part = chain
            parts.append(part)
        if parts:
            self._ops = [op for part in reversed(parts) for op in part]
            self._before = None
        return self._ops

    def _state(self) -> Any:
        return self.state

    def _chain(self) -> _Chain:
        return (None, self._ops) if self._before is None else self._before

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunLog) and self.state == other.state and self.ops == other.ops

    __hash__ = None

    def __repr__(self) -> str:
        return f"RunLog({pformat(self.state)})"


class Chunk:
    """A chunk of the root, which is told as its consumer would get it, not as its run tells it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class LogView:
    """Turns events, and the root's chunks, into patches, or into the whole log after each.

    `interest` decides for each run once, when it starts; `feed` is called in order. The root is always shown.
    """

    def __init__(self, chosen: EventFilter, root_name: str, *, whole: bool, with_list: bool) -> None:
        self._filter = chosen
        self._root_name = root_name
        self._whole = whole
        self._with_list = with_list
        self._log = RunLog(state=None)
        self._root: Run | None = None
        self._told_root = False
        self._paths: dict[Run, str] = {}
        self._counts: dict[str, int] = {}
        self._final: Any = None

    def interest(self, run: Run) -> int:
        """The kinds wanted of `run`."""
        if self._root is None:
            self._root = run
            return START
        return _WANTED.get(run.type, 0) if self._filter.passes(run.name, shown_type(run), run.tags) else 0

    def feed(self, item: Event | Chunk) -> list[RunLogPatch]:
        """The patches for one event or chunk of the root, or the logs after them."""
        patches = self._root_chunk(item.value) if isinstance(item, Chunk) else self._event(item)
        if not self._whole:
            return patches
        logs: list[RunLogPatch] = []
        for patch in patches:
            self._log = self._log + patch
            logs.append(self._log)
        return logs

    def _event(self, event: Event) -> list[RunLogPatch]:
        run, kind = event.run, event.kind
        if run is self._root:
            return [self._start_root(run.id, run.name, shown_type(run))]
        if kind == START:
            return [self._start(event)]
        path = self._paths[run]
        if kind == STREAM:
            return [_streamed(path, run, event.data)]
        del self._paths[run]
        output = _shown_output(run, event.data) if kind == END else None
        return [RunLogPatch(_add(f"{path}/final_output", output), _add(f"{path}/end_time", _iso(event.time)))]

    def _start_root(self, id: str, name: str, type: str) -> RunLogPatch:
        self._told_root = True
        state: RunState = {
            "id": id,
            "name": name,
            "type": type,
            "streamed_output": [],
            "final_output": None,
            "logs": {},
        }
        return RunLogPatch({"op": "replace", "path": "", "value": state})

    def _start(self, event: Event) -> RunLogPatch:
        run = event.run
        count = self._counts[run.name] = self._counts.get(run.name, 0) + 1
        key = run.name if count == 1 else f"{run.name}:{count}"
        path = self._paths[run] = f"/logs/{escaped(key)}"
        entry: LogEntry = {
            "id": run.id,
            "name": run.name,
            "type": shown_type(run),
            "tags": list(run.tags),
            "metadata": dict(run.metadata),
            "start_time": _iso(event.time),
            "streamed_output": [],
            "streamed_output_str": [],
            "final_output": None,
            "end_time": None,
        }
        return RunLogPatch(_add(path, entry))

    def _root_chunk(self, chunk: Any) -> list[RunLogPatch]:
        # A runnable of a user's own may stream without ever having begun a run.
        patches = [] if self._told_root else [self._start_root(new_id(), self._root_name, "chain")]
        ops = [_add("/streamed_output/-", chunk)] if self._with_list else []
        before = self._final
        if before is None:
            self._final = chunk
        else:
            try:
                self._final = before + chunk
            except TypeError:
                before, self._final = None, chunk
        ops += differences(before, self._final, "/final_output")
        return [*patches, RunLogPatch(*ops)]


def shown_type(run: Run) -> str:
    """The type of a run as logs name it: they make no difference between models."""
    return "llm" if run.type == "chat_model" else run.type


def _streamed(path: str, run: Run, chunk: Any) -> RunLogPatch:
    told = _add(f"{path}/streamed_output/-", chunk)
    if run.type not in ("chat_model", "llm"):
        return RunLogPatch(told)
    content = getattr(chunk, "content", None)
    text = content if content.__class__ is str else chunk.text
    return RunLogPatch(_add(f"{path}/streamed_output_str/-", text), told)


def _shown_output(run: Run, output: Any) -> Any:
    if run.type in ("chat_model", "llm"):
        return _shown_result(llm_result(run, output))
    if run.type == "retriever":
        return {"documents": output}
    return output if run.type == "prompt" or isinstance(output, dict) else {"output": output}


def _shown_result(result: LLMResult) -> dict[str, Any]:
    """A model's result as a dict in which messages stay messages, as they do among the chunks."""
    shown = result.model_dump(exclude={"generations"})
    shown["generations"] = [[_shown_candidate(each) for each in candidates] for candidates in result.generations]
    return shown


def _shown_candidate(candidate: Any) -> dict[str, Any]:
    shown: dict[str, Any] = candidate.model_dump(exclude={"message"})
    if hasattr(candidate, "message"):
        shown["message"] = candidate.message
    return shown


def _add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
