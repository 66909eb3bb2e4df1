"""A compiled graph as a drawing: its nodes, and the ways that may be taken between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..flow.drawing import Edge, Graph, Node
from ..flow.passthrough import RunnablePassthrough
from .constants import END, START

if TYPE_CHECKING:
    from .builder import StateGraph

__all__ = ["drawing_of", "opened"]


def opened(drawing: Graph, inner: Mapping[str, Graph]) -> Graph:
    """The drawing with the graphs inside its nodes drawn in their place, if they have several nodes."""
    new = Graph()
    outside: dict[str, Node] = {}
    below: list[Edge] = []
    ways: dict[str, tuple[str, str]] = {}  # of a node that is opened: where edges to it lead, and those from it begin
    for node in drawing.nodes.values():
        inside = _trimmed(inner[node.id]) if node.id in inner and len(inner[node.id].nodes) > 1 else None
        if inside is None:
            outside[node.id] = node
            continue
        first, last = inside.first_node(), inside.last_node()
        for each in inside.nodes.values():
            id = f"{node.id}:{each.id}"
            new.nodes[id] = Node(id, each.name, each.data, each.metadata)
        below += [
            Edge(f"{node.id}:{edge.source}", f"{node.id}:{edge.target}", edge.data, edge.conditional)
            for edge in inside.edges
        ]
        ways[node.id] = (
            f"{node.id}:{first.id}" if first is not None else node.id,
            f"{node.id}:{last.id}" if last is not None else node.id,
        )
    for edge in drawing.edges:
        source = ways[edge.source][1] if edge.source in ways else edge.source
        target = ways[edge.target][0] if edge.target in ways else edge.target
        new.edges.append(Edge(source, target, edge.data, edge.conditional))
    new.nodes = {**outside, **new.nodes}
    new.edges += below
    return new


def _trimmed(graph: Graph) -> Graph:
    """The graph without its start and end, where one node only comes after or before them."""
    new = Graph(dict(graph.nodes), list(graph.edges))
    first = new.first_node()
    if first is not None and sum(edge.source == first.id for edge in new.edges) == 1:
        _remove(new, first, lambda: new.first_node())
    last = new.last_node()
    if last is not None and sum(edge.target == last.id for edge in new.edges) == 1:
        _remove(new, last, lambda: new.last_node())
    return new


def _remove(graph: Graph, node: Node, still: Callable[[], Node | None]) -> None:
    """Take a node out, unless the graph had no single end there then."""
    nodes, edges = dict(graph.nodes), list(graph.edges)
    del graph.nodes[node.id]
    graph.edges = [edge for edge in graph.edges if node.id not in (edge.source, edge.target)]
    if still() is None:
        graph.nodes, graph.edges = nodes, edges


def drawing_of(builder: StateGraph[Any, Any, Any, Any], before: Sequence[str], after: Sequence[str]) -> Graph:
    """The drawing of a builder's graph. Only what can be reached from START has an edge to END by itself."""
    drawing = Graph()
    nodes = {START: drawing.add_node(RunnablePassthrough[Any](), START)}
    for name, spec in builder.nodes.items():
        metadata = dict(spec.metadata or {})
        if spec.defer:
            metadata["defer"] = True
        stops = [when for when, names in (("before", before), ("after", after)) if name in names or "*" in names]
        if stops:
            metadata["__interrupt"] = ",".join(stops)
        if tools := getattr(spec.call.target, "tools_by_name", None):
            metadata["__tools"] = list(tools)
        nodes[name] = drawing.add_node(spec.call.target, name, metadata=metadata or None)
    ways: dict[tuple[str, str], tuple[str, str, str | None, bool]] = {}
    for way in _edges(builder):  # one between two nodes: that of a path, if there is one
        if way[:2] not in ways or way[3] > ways[way[:2]][3]:
            ways[way[:2]] = way
    edges = [ways[ends] for ends in sorted(ways)]
    ends = [source for source in sorted(_reached(edges)) if source != END and not _leaves(source, edges)]
    if ends or any(target == END for _, target, _, _ in edges):
        nodes[END] = drawing.add_node(None, END)
    for source, target, label, conditional in edges:
        drawing.add_edge(nodes[source], nodes[target], label, conditional)
    for source in ends:
        drawing.add_edge(nodes[source], nodes[END])
    return drawing


def _edges(builder: StateGraph[Any, Any, Any, Any]) -> Iterator[tuple[str, str, str | None, bool]]:
    """(source, target, label, conditional); edges to END are left out where nothing else leaves the node."""
    leaving = {source for source, target in builder.edges if target != END}
    yield from ((source, target, None, False) for source, target in builder.edges if target != END)
    for sources, target in builder.waiting_edges:
        yield from ((source, target, None, False) for source in sources if target != END)
    for source, branches in builder.branches.items():
        for branch in branches.values():
            # Where a path leads is not known without a map. From START it may lead to the end at once.
            unknown = {END: END} if source == START and source not in leaving else {}
            for label, target in (branch.ends or unknown).items():
                yield source, target, None if label == target else str(label), True
    for source, spec in builder.nodes.items():
        targets = spec.destinations
        for target in targets:
            yield source, target, targets[target] if isinstance(targets, dict) else None, True
    leaving |= builder.branches.keys()
    yield from ((source, END, None, False) for source, target in builder.edges if target == END and source in leaving)


def _reached(edges: list[tuple[str, str, str | None, bool]]) -> set[str]:
    seen = {START}
    waiting = [START]
    while waiting:
        here = waiting.pop()
        for source, target, _, _ in edges:
            if source == here and target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def _leaves(name: str, edges: list[tuple[str, str, str | None, bool]]) -> bool:
    return any(source == name for source, _, _, _ in edges)
