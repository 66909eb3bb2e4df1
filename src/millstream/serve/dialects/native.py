"""The native dialect: what a run says to a viewer, as records.

A record here is `(type, fields)`; the run's log gives it its number and time. The records that frame a run (`start`,
`error`, `done`) are made by the run's owner, all others by `NativeView` from the events of the spine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...chat.restarts import MESSAGE_RESET
from ...data.ids import new_id, run_message_id
from ...errors import GraphBubbleUp
from ...graph.heard import graph_around
from ...spine.events import CUSTOM, END, ERROR, MISSING, START, STREAM, TOKENS, TOOL_CALL, Event
from .utf16 import Utf16Joiner

if TYPE_CHECKING:
    from ...spine.run import Run

__all__ = ["NativeView", "Record", "add_usage"]

Record = tuple[str, dict[str, Any]]

_MODEL = STREAM | END | ERROR | TOOL_CALL | TOKENS
_USAGE = ("input_tokens", "output_tokens", "total_tokens")
# Tools that fail without anybody turning the failure into a message: the run's own `error` says no more either.
_TOOL_FAILED = "The tool failed."


class _Answer:
    """A message that a model is writing: where it belongs, and what of it has been shown."""

    __slots__ = ("calls", "place", "shown", "text")

    def __init__(self, place: dict[str, Any]) -> None:
        self.place = place  # message_id, node, ns: the same for each of its records
        self.text = Utf16Joiner()
        self.calls: set[str] = set()
        self.shown = False


class NativeView:
    """Turns the events of one run into records.

    Pure but for one thing: a message that a node returns without an id is given one, as every stream of messages
    does, so that what is shown and what is stored have the same id.
    """

    def __init__(self) -> None:
        self.usage: dict[str, int] = dict.fromkeys(_USAGE, 0)  # totals of the run
        self._answers: dict[Run, _Answer] = {}
        self._told: set[str] = set()  # ids of messages that were shown
        self._broken: dict[
            Run | None, dict[str, Any]
        ] = {}  # by the run around it: a message whose model is asked again
        self._open: dict[str, _Call] = {}  # calls without a result, by id
        self._tools: dict[Run, str] = {}  # tool runs and the id that their records carry

    def interest(self, run: Run) -> int:
        """What the view needs of `run`: see `Listener.interest`."""
        match run.type:
            case "chat_model" | "llm":
                # `nostream` is how a node asks for silence; what the call cost is told all the same.
                return END if "nostream" in run.tags else _MODEL
            case "tool":
                return CUSTOM if "nostream" in run.tags else START | END | ERROR | CUSTOM
            case "chain" if run.metadata.get("langgraph_node") == run.name:
                return END | CUSTOM
        return CUSTOM

    def feed(self, event: Event) -> list[Record]:
        """The records that this event gives, in order."""
        run = event.run
        if event.kind == CUSTOM:
            name, value = event.data
            if name == MESSAGE_RESET:
                self._broken[run] = value
            return []
        match run.type:
            case "chat_model" | "llm":
                return self._model(event.kind, run, event.data)
            case "tool":
                return self._tool(event.kind, run, event.data)
        return self._node(run, event.data) if event.kind == END else []

    def close(self) -> list[Record]:
        """The results still owed: calls whose tool failed, for a run that is about to end."""
        records = [_result(call.id, call.name, _TOOL_FAILED, "error", call.place) for call in self._failed()]
        self._open.clear()
        return records

    # Models

    def _model(self, kind: int, run: Run, data: Any) -> list[Record]:
        answer = self._answers.get(run)
        if answer is None:
            answer = self._answers[run] = _Answer({"message_id": _message_id(run, data), **_place(run)})
            self._told.add(answer.place["message_id"])
        records = self._restarted(answer, run) if self._broken else []
        if kind == STREAM:
            return records + _tokens(answer, answer.text.feed(_text(data)))
        if kind == TOOL_CALL:
            return records + self._called(answer, data)
        records += _tokens(answer, answer.text.close())
        if kind == END:
            records += self._answered(run, answer, data)
        del self._answers[run]
        return records

    def _restarted(self, answer: _Answer, run: Run) -> list[Record]:
        """What tells that this answer stands for one that broke off, before anything of it is shown."""
        broken = self._broken.pop(run.parent, None)
        if broken is None:
            return []
        told = {"number": broken["attempt"], "supersedes": broken["message_id"]}
        # Calls that only the broken message made get no result.
        self._open = {id: call for id, call in self._open.items() if call.message_id != broken["message_id"]}
        return [("attempt", {**told, **answer.place})]

    def _answered(self, run: Run, answer: _Answer, message: Any) -> list[Record]:
        records: list[Record] = []
        if "nostream" in run.tags:
            self._told.discard(answer.place["message_id"])
        else:
            if not answer.shown:
                records += _tokens(answer, answer.text.feed(_text(message)) + answer.text.close())
            for call in getattr(message, "tool_calls", None) or ():
                records += self._called(answer, call)
        usage = getattr(message, "usage_metadata", None)
        if usage:
            add_usage(self.usage, usage)
            records.append(("usage", {"model": _model_name(run, message), **_counts(usage), **answer.place}))
        return records

    def _called(self, answer: _Answer, call: dict[str, Any]) -> list[Record]:
        # A call without an id gets one of its place in the message; its tool run is matched by name and arguments.
        call_id = call.get("id") or f"{answer.place['message_id']}:{len(answer.calls)}"
        if call_id in answer.calls:
            return []
        answer.calls.add(call_id)
        place = {key: value for key, value in answer.place.items() if key != "message_id"}
        self._open[call_id] = _Call(call_id, call["name"], call["args"], place, answer.place["message_id"])
        return [("tool_call", {"id": call_id, "name": call["name"], "args": call["args"], **answer.place})]

    # Tools

    def _tool(self, kind: int, run: Run, data: Any) -> list[Record]:
        if kind == START:
            return self._tool_started(run)
        call_id = self._tools.pop(run, None)
        call = self._open.get(call_id) if call_id is not None else None
        if call is None:
            return []
        if kind == ERROR:
            # The node may yet turn it into a message for the model: that is the result then. A cancellation and a
            # question to a person are no failures.
            call.failed = isinstance(data, Exception) and not isinstance(data, GraphBubbleUp)
            return []
        for message in _messages(data):
            if message.type == "tool" and message.tool_call_id == call.id:
                return self._returned(call, message.content, message.status, run)
        if _is_command(data):
            return []  # its message is found when the node ends
        return self._returned(call, data, "success", run)

    def _tool_started(self, run: Run) -> list[Record]:
        call_id = run.extra.get("tool_call_id") or self._match(run.name, run.input) or run.id
        self._tools[run] = call_id
        if call_id in self._open:
            return []
        # Called by code and not by a model, or by a model that an earlier run or nobody watched.
        args = {} if run.input is MISSING else run.input
        args = args if isinstance(args, dict) else {"input": args}
        call = self._open[call_id] = _Call(call_id, run.name, args, _place(run))
        return [("tool_call", {"id": call_id, "name": run.name, "args": args, **call.place})]

    def _match(self, name: str, args: Any) -> str | None:
        taken = set(self._tools.values())
        for call in self._open.values():
            if call.name == name and call.args == args and call.id not in taken:
                return call.id
        return None

    def _returned(self, call: _Call, result: Any, status: str, run: Run) -> list[Record]:
        del self._open[call.id]
        return [_result(call.id, call.name, result, status, _place(run))]

    # Nodes

    def _node(self, run: Run, output: Any) -> list[Record]:
        records: list[Record] = []
        known: set[str] | None = None  # ids in what the node was given, looked at only when there is need to
        for message in _messages(output):
            if message.type == "tool":
                call = self._open.get(message.tool_call_id)
                if call is not None:
                    records += self._returned(call, message.content, message.status, run)
            elif message.type in ("ai", "AIMessageChunk") and message.id not in self._told:
                if known is None:
                    known = {old.id for old in _messages(run.input)}
                if message.id is None or message.id not in known:
                    records += self._written(run, message)
        return records

    def _written(self, run: Run, message: Any) -> list[Record]:
        """A message that no watched model wrote: a node's own words."""
        if message.id is None:
            message.id = new_id()
        self._told.add(message.id)
        answer = _Answer({"message_id": message.id, **_place(run)})
        records = _tokens(answer, answer.text.feed(_text(message)) + answer.text.close())
        for call in message.tool_calls:
            records += self._called(answer, call)
        return records

    def _failed(self) -> Iterator[_Call]:
        return (call for call in self._open.values() if call.failed)


class _Call:
    """A tool call that was shown and has no result yet."""

    __slots__ = ("args", "failed", "id", "message_id", "name", "place")

    def __init__(self, id: str, name: str, args: Any, place: dict[str, Any], message_id: str | None = None) -> None:
        self.id = id
        self.name = name
        self.args = args
        self.place = place
        self.message_id = message_id
        self.failed = False


def add_usage(total: dict[str, int], usage: dict[str, Any]) -> None:
    """Add the counts of one model call to the totals of a run."""
    for key in _USAGE:
        total[key] += usage.get(key) or 0


def _place(run: Run) -> dict[str, Any]:
    place: dict[str, Any] = {}
    node = run.metadata.get("langgraph_node")
    if node is not None:
        place["node"] = node
        if namespace := graph_around(run.metadata):
            place["ns"] = list(namespace)
    return place


def _message_id(run: Run, message: Any) -> str:
    # TOOL_CALL events carry no message, but they never come before the first chunk.
    return getattr(message, "id", None) or run_message_id(run.id)


def _text(message: Any) -> str:
    content = getattr(message, "content", None)
    if isinstance(content, str):
        return content
    candidates = getattr(message, "generations", None)  # what a text model gives at its end
    text = candidates[0][0].text if candidates else getattr(message, "text", "")
    return text if isinstance(text, str) else ""


def _tokens(answer: _Answer, text: str) -> list[Record]:
    if not text:
        return []
    answer.shown = True
    return [("token", {"content": text, **answer.place})]


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    details = {key: value for key, value in usage.items() if key.endswith("_details") and value}
    return {**{key: usage.get(key) or 0 for key in _USAGE}, "details": details}


def _model_name(run: Run, message: Any) -> str | None:
    told = getattr(message, "response_metadata", None) or {}
    return told.get("model_name") or told.get("model") or run.metadata.get("ls_model_name")


def _result(id: str, name: str, result: Any, status: str, place: dict[str, Any]) -> Record:
    return "tool_result", {"id": id, "name": name, "result": result, "status": status, **place}


def _is_message(value: Any) -> bool:
    return hasattr(value, "content") and hasattr(value, "type") and hasattr(value, "id")


def _is_command(value: Any) -> bool:
    return hasattr(value, "update") and hasattr(value, "goto")


def _messages(output: Any) -> Iterator[Any]:
    """The messages at the top of what a node took or gave, or one level down, also inside commands."""
    if _is_message(output):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _listed(value)
    elif _is_command(output):
        yield from _messages(output.update)
    elif isinstance(output, (list, tuple)):
        for value in output:
            if _is_message(value):
                yield value
            elif _is_command(value):
                yield from _messages(value.update)


def _listed(value: Any) -> Iterator[Any]:
    if _is_message(value):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (item for item in value if _is_message(item))
