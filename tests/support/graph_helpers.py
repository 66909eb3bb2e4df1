"""Running a graph in the colour of a test, with the options that graphs have."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from colours import Colour

from millstream import START, StateGraph
from millstream.flow.driver import as_async

__all__ = ["Log", "chunks", "graph_of", "run", "stream", "thread"]


class Log(TypedDict, total=False):
    """A state with a plain key and a folded one."""

    n: int
    log: Annotated[list[Any], operator.add]


def thread(name: str = "1", **more: Any) -> Any:
    return {"configurable": {"thread_id": name}, **more}


async def run(c: Colour, app: Any, value: Any, config: Any = None, **options: Any) -> Any:
    return app.invoke(value, config, **options) if c.sync else await app.ainvoke(value, config, **options)


def stream(c: Colour, app: Any, value: Any, config: Any = None, **options: Any) -> Any:
    if c.sync:
        return as_async(iter(app.stream(value, config, **options)))
    return app.astream(value, config, **options)


async def chunks(c: Colour, app: Any, value: Any, config: Any = None, **options: Any) -> list[Any]:
    return [chunk async for chunk in stream(c, app, value, config, **options)]


def graph_of(*edges: tuple[Any, Any], state: Any = Log, **nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """A builder with nodes by name and edges; the first node is entered if no edge says otherwise."""
    graph = StateGraph(state)
    for name, action in nodes.items():
        graph.add_node(name, action)
    for start, end in edges:
        graph.add_edge(start, end)
    if not any(start == START for start, _ in edges):
        graph.add_edge(START, next(iter(nodes)))
    return graph
