"""A compiled graph as a drawing: its nodes, and the ways that may be taken between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..flow.drawing import Edge, Graph, Node
from .constants import END, START

if TYPE_CHECKING:
    from .builder import StateGraph

__all__ = ["GraphDrawing", "drawing_of"]


@dataclass(slots=True)
class GraphDrawing(Graph):
    """Nodes by id, and edges; drawn as Mermaid text in the usual style of graphs."""

    def draw_mermaid(self, *, with_styles: bool = True, curve_style: str = "linear") -> str:
        """The text of a Mermaid flow chart; without styles only its edges."""
        lines = []
        if with_styles:
            lines += ["---", "config:", "  flowchart:", f"    curve: {curve_style}", "---"]
        lines.append("graph TD;")
        if with_styles:
            first, last = self.first_node(), self.last_node()
            lines += [f"\t{_shape(node, first, last)}" for node in self.nodes.values()]
        lines += [f"\t{_arrow(edge)};" for edge in self.edges]
        if with_styles:
            lines += ["\tclassDef default fill:#f2f0ff,line-height:1.2"]
            lines += ["\tclassDef first fill-opacity:0", "\tclassDef last fill:#bfb6fc"]
        return "\n".join(lines) + "\n"


def _shape(node: Node, first: Node | None, last: Node | None) -> str:
    if node is first:
        return f"{node.id}([<p>{node.name}</p>]):::first"
    if node is last:
        return f"{node.id}([<p>{node.name}</p>]):::last"
    return f"{node.id}(<p>{node.name}</p>)" if node.id in (START, END) else f"{node.id}({node.name})"


def _arrow(edge: Edge) -> str:
    if edge.data is None:
        return f"{edge.source} {'-.->' if edge.conditional else '-->'} {edge.target}"
    return f"{edge.source} -. &nbsp;{edge.data}&nbsp; .-> {edge.target}"


def drawing_of(
    builder: StateGraph[Any, Any, Any, Any], before: tuple[str, ...], after: tuple[str, ...]
) -> GraphDrawing:
    """The drawing of a builder's graph. Only what can be reached from START has an edge to END by itself."""
    drawing = GraphDrawing()
    nodes = {START: drawing.add_node(builder.input_schema, START, START)}
    for name, spec in builder.nodes.items():
        metadata = dict(spec.metadata or {})
        if spec.defer:
            metadata["defer"] = True
        stops = [when for when, names in (("before", before), ("after", after)) if name in names or "*" in names]
        if stops:
            metadata["__interrupt"] = ",".join(stops)
        nodes[name] = drawing.add_node(spec.call.target, name, name, metadata or None)
    edges = sorted(set(_edges(builder)), key=lambda edge: (edge[0], edge[1]))
    ends = [source for source in sorted(_reached(edges)) if source != END and not _leaves(source, edges)]
    if ends or any(target == END for _, target, _, _ in edges):
        nodes[END] = drawing.add_node(builder.output_schema, END, END)
    for source, target, label, conditional in edges:
        drawing.add_edge(nodes[source], nodes[target], label, conditional)
    for source in ends:
        drawing.add_edge(nodes[source], nodes[END])
    return drawing


def _edges(builder: StateGraph[Any, Any, Any, Any]) -> Iterator[tuple[str, str, str | None, bool]]:
    """(source, target, label, conditional); edges to END are left out where nothing else leaves the node."""
    yield from ((source, target, None, False) for source, target in builder.edges if target != END)
    for sources, target in builder.waiting_edges:
        yield from ((source, target, None, False) for source in sources if target != END)
    for source, branches in builder.branches.items():
        for branch in branches.values():
            for label, target in (branch.ends or {END: END}).items():
                yield source, target, None if label == target else str(label), True
    for source, spec in builder.nodes.items():
        targets = spec.destinations
        for target in targets:
            yield source, target, targets[target] if isinstance(targets, dict) else None, True
    leaving = {source for source, target in builder.edges if target != END} | builder.branches.keys()
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
