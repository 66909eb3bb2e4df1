"""The `messages` mode: tokens of chat models as they come, and the messages that nodes return.

A message is told once: ids count as known when their tokens were streamed, when they were told whole, or when the
node that returns them had them in its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..data.ids import new_id
from ..data.messages import BaseMessage
from ..spine.events import END, STREAM, TOKENS, Event
from ..spine.run import Run
from .constants import TAG_NOSTREAM
from .control import Command
from .out import Item
from .schema import object_pairs

if TYPE_CHECKING:
    from .task import Task

__all__ = ["MessagesTap", "graph_around", "tell_returned"]

_MODEL: Final = STREAM | END | TOKENS


class MessagesTap:
    """The listener of one stream in `messages` mode.

    `base` is the namespace of the graph that is streamed; with `subgraphs=False` nothing below it is heard.
    """

    __slots__ = ("_base", "_facts", "_put", "_put_bare", "_seen", "_subgraphs")
    types = frozenset({"chat_model"})

    def __init__(
        self,
        put: Callable[[Item], Any],
        base: tuple[str, ...],
        subgraphs: bool,
        put_bare: Callable[[tuple[BaseMessage, dict[str, Any]]], Any] | None = None,
    ) -> None:
        self._put = put
        # Where the reader wants payloads and nothing beside them.
        self._put_bare = put_bare
        self._base = base
        self._subgraphs = subgraphs
        self._seen: set[str | None] = set()
        # What is told with every token of a model's run, made at its first.
        self._facts: dict[Run, tuple[tuple[str, ...], dict[str, Any]]] = {}

    def interest(self, run: Run) -> int:
        """Chat models that are not silenced, in the graphs that are heard."""
        if run.type != "chat_model" or TAG_NOSTREAM in run.tags:
            return 0
        if "langgraph_checkpoint_ns" not in run.metadata:
            return 0
        return _MODEL if self._hears(graph_around(run.metadata)) else 0

    def feed(self, event: Event) -> None:
        """Put what the event says on the stream, if it says a new message."""
        run, data = event.run, event.data
        if event.kind == STREAM:
            self._seen.add(data.id)
            ns, facts = self._facts.get(run) or self._told_with(run)
            self._put((ns, "messages", (data, facts)))
        else:
            ns, facts = self._facts.get(run) or self._told_with(run)
            self._facts.pop(run, None)
            self._whole(ns, data, facts)

    def telling(self, run: Run) -> Callable[[BaseMessage], None]:
        """`feed` for the chunks of a model's run."""
        ns, facts = self._facts.get(run) or self._told_with(run)
        seen, put, put_bare = self._seen, self._put, self._put_bare

        def tell(chunk: BaseMessage) -> None:
            seen.add(chunk.id)
            put((ns, "messages", (chunk, facts)))

        def tell_bare(chunk: BaseMessage) -> None:
            seen.add(chunk.id)
            put_bare((chunk, facts))  # type: ignore[misc]

        return tell if put_bare is None else tell_bare

    def say(self, task: Task, message: BaseMessage) -> None:
        """Tell a message that a task pushes, if its graph is heard."""
        if self._hears(task.loop.ns):
            self._seen.add(message.id)
            self._put((task.loop.ns, "messages", (message, _facts_of(task))))

    def returned(self, task: Task, output: Any) -> None:
        """Tell the new messages among what a task returned, if its graph is heard."""
        if not self._hears(task.loop.ns):
            return
        found = _messages_in(output)
        if not found:
            return
        seen = self._seen
        seen.update([message.id for message in _messages_in(task.input)])
        new = [message for message in found if message.id is None or message.id not in seen]
        if new:
            facts = _facts_of(task)
            for message in new:
                self._whole(task.loop.ns, message, facts)

    @property
    def alone(self) -> bool:
        """Whether it hears one graph and no other."""
        return not self._subgraphs

    def _hears(self, ns: tuple[str, ...]) -> bool:
        return self._subgraphs or ns == self._base

    def _told_with(self, run: Run) -> tuple[tuple[str, ...], dict[str, Any]]:
        own = {"ls_integration": "langchain_chat_model", "streamable_node": run.metadata.get("langgraph_node")}
        facts = {**own, **run.metadata}
        tags = [tag for tag in run.tags if not tag.startswith("seq:step")]
        if tags:
            facts["tags"] = tags
        told = self._facts[run] = graph_around(run.metadata), facts
        return told

    def _whole(self, ns: tuple[str, ...], message: BaseMessage, facts: dict[str, Any]) -> None:
        if message.id is None:
            # On the object itself, so that state and stream agree.
            message.id = new_id()
        elif message.id in self._seen:
            return
        self._seen.add(message.id)
        self._put((ns, "messages", (message, facts)))


def tell_returned(task: Task, output: Any) -> None:
    """Tell what a task returned to whoever reads messages."""
    for listener in task.loop.scope.listeners:
        if isinstance(listener, MessagesTap):
            listener.returned(task, output)


def _facts_of(task: Task) -> dict[str, Any]:
    return {**task.metadata, "ls_integration": "langgraph", "streamable_node": task.node.name}


def graph_around(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The namespace of the graph in which something runs, by the metadata of the run; calls of tasks are no graphs."""
    depth, path = 1, metadata.get("langgraph_path", ())
    while path and path[-1] is True:
        depth, path = depth + 1, path[1]
    return tuple(str(metadata.get("langgraph_checkpoint_ns") or "").split("|")[:-depth])


def _messages_in(value: Any) -> list[BaseMessage]:
    """Message objects at the top of a node's output, or one level down; also in commands and lists of them."""
    if isinstance(value, dict):
        return _in_fields(value.values())
    if isinstance(value, BaseMessage):
        return [value]
    if isinstance(value, Command):
        return _messages_in(value.update)
    found: list[BaseMessage] = []
    if isinstance(value, (list, tuple)):
        for each in value:
            if isinstance(each, (BaseMessage, Command, dict)):
                found += _messages_in(each)
            elif isinstance(each, tuple) and len(each) == 2:  # an update as pairs
                found += _in_fields(each[1:])
    elif value is not None and not isinstance(value, (str, int, float)):
        pairs = object_pairs(value)
        if pairs is not None:
            found = _in_fields(item for _, item in pairs)
    return found


def _in_fields(values: Iterable[Any]) -> list[BaseMessage]:
    found: list[BaseMessage] = []
    for value in values:
        if isinstance(value, BaseMessage):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [item for item in value if isinstance(item, BaseMessage)]
    return found
