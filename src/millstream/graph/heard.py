"""The `messages` mode: tokens of chat models as they come, and the messages that nodes return.

A message is told once: ids count as known when their tokens were streamed, when they were told whole, or when the
node that returns them had them in its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..data.ids import new_id
from ..data.messages import BaseMessage
from ..spine.events import END, STREAM, TOKENS, Event
from ..spine.run import Run, report
from .constants import TAG_NOSTREAM
from .control import Command
from .out import Item
from .schema import object_pairs

if TYPE_CHECKING:
    from .task import Task

__all__ = ["MessagesTap"]

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
        """Chat models that are not silenced, and nodes, in the graphs that are heard."""
        if run.type == "chat_model":
            if TAG_NOSTREAM in run.tags:
                return 0
            ns = run.metadata.get("langgraph_checkpoint_ns")
            return _MODEL if ns is not None and self._hears(_graph_of(ns)) else 0
        task = run.extra.get("graph_task")
        return END if task is not None and self._hears(task.loop.ns) else 0

    def feed(self, event: Event) -> None:
        """Put what the event says on the stream, if it says a new message."""
        run, data = event.run, event.data
        if event.kind == STREAM:
            self._seen.add(data.id)
            ns, facts = self._facts.get(run) or self._told_with(run)
            self._put((ns, "messages", (data, facts)))
        elif run.type != "chat_model":
            self._returned(run, data)
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
            try:
                put((ns, "messages", (chunk, facts)))
            except Exception as error:  # it may print
                report(self, run, error)

        def tell_bare(chunk: BaseMessage) -> None:
            seen.add(chunk.id)
            put_bare((chunk, facts))  # type: ignore[misc]

        return tell if put_bare is None else tell_bare

    def say(self, task: Task, message: BaseMessage) -> None:
        """Tell a message that a task pushes, if its graph is heard."""
        if self._hears(task.loop.ns):
            facts = {**task.metadata, "ls_integration": "langgraph", "streamable_node": task.node.name}
            self._whole(task.loop.ns, message, facts)

    def _hears(self, ns: tuple[str, ...]) -> bool:
        return self._subgraphs or ns == self._base

    def _told_with(self, run: Run) -> tuple[tuple[str, ...], dict[str, Any]]:
        own = {"ls_integration": "langchain_chat_model", "streamable_node": run.metadata.get("langgraph_node")}
        facts = {**own, **run.metadata}
        tags = [tag for tag in run.tags if not tag.startswith("seq:step")]
        if tags:
            facts["tags"] = tags
        told = self._facts[run] = _graph_of(run.metadata["langgraph_checkpoint_ns"]), facts
        return told

    def _returned(self, run: Run, output: Any) -> None:
        """Tell the new messages among what a node returned."""
        found = list(_messages_in(run.extra.get("graph_output", output)))
        if not found:
            return
        task = run.extra["graph_task"]
        self._seen.update(m.id for m in _messages_in(task.input) if m.id is not None)
        facts = {**run.metadata, "ls_integration": "langgraph", "streamable_node": task.node.name}
        for message in found:
            self._whole(task.loop.ns, message, facts)

    def _whole(self, ns: tuple[str, ...], message: BaseMessage, facts: dict[str, Any]) -> None:
        if message.id is None:
            # On the object itself, so that state and stream agree.
            message.id = new_id()
        elif message.id in self._seen:
            return
        self._seen.add(message.id)
        self._put((ns, "messages", (message, facts)))


def _graph_of(checkpoint_ns: str) -> tuple[str, ...]:
    """The namespace of the graph whose task has this one."""
    return tuple(checkpoint_ns.split("|")[:-1])


def _messages_in(value: Any) -> Iterator[BaseMessage]:
    """Message objects at the top of a node's output, or one level down; also in commands and lists of them."""
    if isinstance(value, BaseMessage):
        yield value
    elif isinstance(value, Command):
        yield from _messages_in(value.update)
    elif isinstance(value, dict):
        yield from _in_fields(value.values())
    elif isinstance(value, (list, tuple)):
        for each in value:
            if isinstance(each, (BaseMessage, Command, dict)):
                yield from _messages_in(each)
            elif isinstance(each, tuple) and len(each) == 2:  # an update as pairs
                yield from _in_fields(each[1:])
    elif value is not None and not isinstance(value, (str, int, float)):
        pairs = object_pairs(value)
        if pairs is not None:
            yield from _in_fields(item for _, item in pairs)


def _in_fields(values: Iterable[Any]) -> Iterator[BaseMessage]:
    for value in values:
        if isinstance(value, BaseMessage):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, BaseMessage))
