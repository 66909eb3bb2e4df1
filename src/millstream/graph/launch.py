"""From a call to a run: what a scope and options say about the loop that is to be made."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import InvalidArgument, OutsideRun
from ..flow.driver import Driver
from ..spine.scope import Scope
from .ledger import Ledger
from .loop import Loop
from .options import Options
from .savers.base import BaseCheckpointSaver
from .task import Task, TaskScope, task_of

if TYPE_CHECKING:
    from .compiled import CompiledStateGraph

    App: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]

__all__ = ["entered", "loop_for", "showing", "takes_tasks_config"]

logger = logging.getLogger("millstream")

DEFAULT_LIMIT = 10_007
"""How many supersteps a run may take where nobody says: enough for any agent, and an end for a loop."""

_COORDINATES = frozenset({"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"})
_SHOWN = ("thread_id", "checkpoint_id", "checkpoint_ns", "task_id", "run_id", "assistant_id", "graph_id")


def entered(scope: Scope, config: Mapping[str, Any] | None) -> Scope:
    """The scope of a call by a user; inside a node, one without coordinates of its own is part of that node."""
    if config and isinstance(scope, TaskScope):
        if around := scope.task.loop.scope.shown_tags:
            scope = scope.copy()
            scope.shown_tags = tuple(sorted({*around, *scope.shown_tags}))
        given = config.get("configurable")
        if given is not None and _COORDINATES.isdisjoint(given):
            scope = scope.copy()
            scope.configurable = {**scope.task.configurable(), **given}
    return scope


def takes_tasks_config(scope: Scope, config: Mapping[str, Any] | None) -> bool:
    """Whether a graph is called inside a task with that task's config: its stream gives values where no mode is asked for."""
    if not config or not isinstance(scope, TaskScope):
        return False
    return "checkpoint_ns" in (config.get("configurable") or {})


def loop_for(app: App, d: Driver, scope: Scope, options: Options) -> Loop:
    """The run of a graph that a call in this scope starts."""
    limit = scope.recursion_limit
    if limit is None:
        limit = int(os.environ.get("LANGGRAPH_DEFAULT_RECURSION_LIMIT", DEFAULT_LIMIT))
    if limit < 1:
        raise InvalidArgument(f"recursion_limit must be at least 1, not {limit}.")
    task = task_of(scope)
    # The config of a checkpoint inside a task: the run begins at those around it, and goes back there.
    around = None if task is not None else _around(scope)
    if around is not None:
        scope = around
    loop = Loop(app.plan, d, scope, limit, app.get_name())
    if task is not None and scope.within:  # type: ignore[attr-defined]
        _nest(app, loop, task)
    elif task is not None or scope.configurable:
        if task is not None:  # a thread of its own: those who read only the graph around it don't hear it
            loop.scope = scope.copy()
            loop.scope.listeners = tuple(each for each in scope.listeners if not getattr(each, "alone", False))
        loop.ns_text = scope.configurable.get("checkpoint_ns") or ""
        loop.ns = tuple(loop.ns_text.split("|")) if loop.ns_text else ()
    if app.cache is not None:
        loop.cache = app.cache
    if options.control is not None:
        loop.control = options.control
    loop.step_timeout = app.step_timeout
    if before := _names(options.interrupt_before) or app.interrupt_before_nodes:
        loop.breaks_before = frozenset(before)
    if after := _names(options.interrupt_after) or app.interrupt_after_nodes:
        loop.breaks_after = frozenset(after)
    if app.store is not None:
        loop.store = app.store
    if options.context is not None:
        loop.context = _context(app, options.context)
    saver = _saver(app, task if loop.ns else None)
    if saver is None and loop.nested:
        # Its tasks are the same whenever the task around it is run, so that an answer finds its question.
        loop.start_from(hashlib.blake2b(loop.ns_text.encode(), digest_size=16).hexdigest())
    if saver is None and options.durability is not None and not loop.nested:
        logger.warning("graph %r: durability=%r has no effect without a checkpointer", loop.name, options.durability)
    if saver is not None:
        durability = options.durability or _durability_around(loop, task)
        loop.ledger = Ledger(saver, _own(loop, scope.configurable), loop.ns_text, durability)
        loop.ledger.forks = around is None
    return loop


def _durability_around(loop: Loop, task: Task | None) -> str:
    if task is None or not loop.nested or task.loop.ledger is None:
        return "async"
    return task.loop.ledger.durability


def _around(scope: Scope) -> Scope | None:
    """The scope with the coordinates of the outermost graph, where those of one inside a task are given."""
    configurable = scope.configurable
    above = configurable.get("checkpoint_map") if configurable else None
    if not above or not configurable.get("checkpoint_ns") or "" not in above:
        return None
    around = scope.copy()
    around.configurable = {**configurable, "checkpoint_ns": "", "checkpoint_id": above[""]}
    return around


def _own(loop: Loop, configurable: Mapping[str, Any]) -> Mapping[str, Any]:
    """The coordinates of the run's own checkpoints: an id that was given to a run names one of the outermost graph."""
    if not loop.nested:
        return configurable
    above = configurable.get("checkpoint_map") or {}
    return {**configurable, "checkpoint_ns": loop.ns_text, "checkpoint_id": above.get(loop.ns_text)}


def _nest(app: App, loop: Loop, task: Task) -> None:
    """Make a run a part of the task that called it: its namespace, readers, store and context."""
    parent = task.loop
    number, task.subgraphs = task.subgraphs, task.subgraphs + 1
    own = task.ns if not number else f"{task.ns}|{number}"
    if app.checkpointer is True:  # one state for the thread, whichever task asks
        own = "|".join(part.split(":")[0] for part in own.split("|"))
        loop.nested_anew = not parent.resumed
    loop.ns_text = own
    loop.ns = tuple(own.split("|"))
    loop.store = parent.store
    loop.cache = parent.cache
    loop.control = parent.control
    loop.context = parent.context
    loop.nested = True
    loop.answers = parent.answers
    loop.parents = {**parent.parents, parent.ns_text: parent.origin}
    for out in parent.outs:
        if out.subgraphs:
            loop.tell(out.inside(loop.ns, app.plan.stream_keys))


def _saver(app: App, task: Task | None) -> BaseCheckpointSaver | None:
    own = app.checkpointer
    if task is None:
        if own is True:
            raise OutsideRun("checkpointer=True is for a graph inside another one; give this graph a saver.")
        return own or None
    if own is False or task.loop.ledger is None:  # a part of a run is stored with the run, or not at all
        return None
    return task.loop.ledger.saver


def _context(app: App, context: Any) -> Any:
    schema = app.builder.context_schema
    if isinstance(context, dict) and isinstance(schema, type) and not issubclass(schema, dict):
        return schema(**context)
    return None if context == {} else context


def showing(scope: Scope) -> Scope:
    """The scope with the coordinates of its thread in its metadata."""
    if isinstance(scope, TaskScope) or not scope.configurable:
        return scope
    shown = {key: scope.configurable[key] for key in _SHOWN if scope.configurable.get(key)}
    if shown.keys() <= scope.metadata.keys():
        return scope
    scope = scope.copy()
    scope.metadata = {**shown, **scope.metadata}
    return scope


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)
