"""A runnable as a graph of its parts."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from functools import singledispatch
from types import FunctionType
from typing import Any

from ..spine.config import RunnableConfig
from ..spine.config_tools import merge_configs
from .assign import RunnableAssign
from .binding import RunnableBinding
from .configurable import RunnableConfigurableAlternatives, RunnableConfigurableFields
from .drawing import Graph, Node
from .each import RunnableEach
from .function import RunnableLambda
from .parallel import RunnableParallel
from .passthrough import RunnablePassthrough
from .retry import RunnableRetry
from .runnable import Runnable
from .schemas import source_of
from .sequence import RunnableSequence

__all__ = ["graph_of"]


@singledispatch
def graph_of(runnable: Any, config: RunnableConfig | None) -> Graph:
    """The graph of a runnable: its input, its parts, its output. What is in `config["metadata"]` is told of its parts."""
    graph = Graph()
    first = graph.add_node(runnable.get_input_schema(config))
    metadata = (config or {}).get("metadata")
    part = graph.add_node(runnable, metadata=None if metadata is None else dict(metadata))
    graph.add_edge(first, part)
    graph.add_edge(part, graph.add_node(runnable.get_output_schema(config)))
    return graph


@graph_of.register(RunnableSequence)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph = Graph()
    before: Node | None = None
    for step in runnable.steps:
        inside = step.get_graph(config)
        if step is not runnable.steps[0]:
            inside.trim_first_node()
        if step is not runnable.steps[-1]:
            inside.trim_last_node()
        first, last = graph.extend(inside)
        if before is not None and first is not None:
            graph.add_edge(before, first)
        before = last
    return graph


@graph_of.register(RunnableParallel)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph = Graph()
    fork = graph.add_node(runnable.get_input_schema(config))
    join = graph.add_node(runnable.get_output_schema(config))
    for step in runnable.steps.values():
        _between(graph, fork, step.get_graph(config), join)
    return graph


@graph_of.register(RunnableAssign)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph = graph_of(runnable.mapper, config)
    fork, join = graph.first_node(), graph.last_node()
    if fork is not None and join is not None:
        _between(graph, fork, RunnablePassthrough[Any]().get_graph(), join)
    return graph


@graph_of.register(RunnableBinding)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph: Graph = runnable.bound.get_graph(merge_configs(runnable.config, config))
    return graph


@graph_of.register(RunnableRetry)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph: Graph = runnable.bound.get_graph(merge_configs({}, config))
    return graph


@graph_of.register(RunnableEach)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    graph: Graph = runnable.bound.get_graph(config)
    return graph


@graph_of.register(RunnableLambda)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    fn = runnable.func or runnable.afunc
    called = runnables_named(fn) if isinstance(fn, FunctionType) and fn not in _open.get() else []
    if not called:  # or one that calls itself again
        return graph_of.dispatch(object)(runnable, config)
    graph = Graph()
    first = graph.add_node(runnable.get_input_schema(config))
    last = graph.add_node(runnable.get_output_schema(config))
    token = _open.set((*_open.get(), fn))
    try:
        for each in called:
            _between(graph, first, each.get_graph(), last)
    finally:
        _open.reset(token)
    return graph


# The functions whose graphs are being drawn.
_open: ContextVar[tuple[Any, ...]] = ContextVar("millstream_drawn", default=())


def runnables_named(fn: FunctionType) -> list[Runnable[Any, Any]]:
    """The runnables around a function that its source names, as far as that can be read."""
    if source_of(fn) is None:
        return []
    names = inspect.getclosurevars(fn)
    return [value for value in {**names.nonlocals, **names.globals}.values() if isinstance(value, Runnable)]


@graph_of.register(RunnableConfigurableFields)
@graph_of.register(RunnableConfigurableAlternatives)
def _(runnable: Any, config: RunnableConfig | None) -> Graph:
    chosen, config = runnable.prepare(config)
    graph: Graph = chosen.get_graph(config)
    return graph


def _between(graph: Graph, fork: Node, inside: Graph, join: Node) -> None:
    inside.trim_first_node()
    inside.trim_last_node()
    first, last = graph.extend(inside)
    if first is not None and last is not None:
        graph.add_edge(fork, first)
        graph.add_edge(last, join)
