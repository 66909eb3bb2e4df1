"""A compiled graph as a drawing: its nodes, and the ways that may be taken between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Unsupported
from ..flow.drawing import Edge, Graph, Node
from .constants import END, START

if TYPE_CHECKING:
    from .builder import StateGraph

__all__ = ["GraphDrawing", "drawing_of", "opened"]


@dataclass(slots=True)
class GraphDrawing(Graph):
    """Nodes by id, and edges; drawn as Mermaid text in the usual style of graphs.

    A node inside another has an id of the form `outer:inner`.
    """

    def draw_mermaid(self, *, with_styles: bool = True, curve_style: str = "linear") -> str:
        """The text of a Mermaid flow chart; without styles only its edges."""
        lines = []
        if with_styles:
            lines += ["---", "config:", "  flowchart:", f"    curve: {curve_style}", "---"]
        lines.append("graph TD;")
        if with_styles:
            lines += self._shapes("")
        lines += self._arrows("", with_styles)
        if with_styles:
            lines += ["\tclassDef default fill:#f2f0ff,line-height:1.2"]
            lines += ["\tclassDef first fill-opacity:0", "\tclassDef last fill:#bfb6fc"]
        return "\n".join(lines) + "\n"

    def draw_mermaid_png(self, *, curve_style: str = "linear", output_file_path: str | None = None) -> bytes:
        """A picture of the flow chart, made by Mermaid's own program (`npm install -g @mermaid-js/mermaid-cli`) on this machine.

        Raises:
            Unsupported: (a NotImplementedError) there is no such program.
        """
        import shutil  # none of these is needed by a graph that only runs
        import subprocess
        import tempfile
        from pathlib import Path

        program = shutil.which("mmdc")
        if program is None:
            raise Unsupported(
                "a picture is made by Mermaid's program `mmdc` (npm install -g @mermaid-js/mermaid-cli), which was not found; "
                "or show what `draw_mermaid()` gives on a page that knows Mermaid."
            )
        with tempfile.TemporaryDirectory() as folder:
            text, picture = Path(folder, "graph.mmd"), Path(folder, "graph.png")
            text.write_text(self.draw_mermaid(curve_style=curve_style), encoding="utf-8")
            subprocess.run([program, "-i", str(text), "-o", str(picture)], check=True, capture_output=True)
            drawn = picture.read_bytes()
        if output_file_path is not None:
            Path(output_file_path).write_bytes(drawn)
        return drawn

    def _shapes(self, inside: str) -> list[str]:
        first, last = self.first_node(), self.last_node()
        return [f"\t{_shape(node, first, last)}" for node in self.nodes.values() if _outer(node.id) == inside]

    def _arrows(self, inside: str, with_styles: bool) -> list[str]:
        """The edges between nodes of one graph, then the graphs inside it with theirs."""
        edges = [edge for edge in self.edges if _common(edge) == inside]
        edges.sort(key=lambda edge: edge.source == edge.target)  # what leads back to itself comes last
        lines = [f"\t{_arrow(edge)};" for edge in edges]
        outers = {_outer(node.id): None for node in self.nodes.values()} | {_common(edge): None for edge in self.edges}
        below = {_step_down(outer, inside): None for outer in outers if _step_down(outer, inside)}
        for outer in below:
            lines.append(f"\tsubgraph {outer.rsplit(':', 1)[-1]}")
            if with_styles:
                lines += self._shapes(outer)
            lines += [*self._arrows(outer, with_styles), "\tend"]
        return lines


def _outer(id: str) -> str:
    """The graph that a node stands in, by the id of the node that it is inside of."""
    return id.rpartition(":")[0]


def _common(edge: Edge) -> str:
    """The innermost graph that both ends of an edge stand in."""
    shared = []
    for one, other in zip(_outer(edge.source).split(":"), _outer(edge.target).split(":"), strict=False):
        if one != other:
            break
        shared.append(one)
    return ":".join(shared)


def _step_down(outer: str, inside: str) -> str:
    """The graph directly below `inside` that `outer` is, or is in; empty where it is in none."""
    prefix = f"{inside}:" if inside else ""
    if not outer.startswith(prefix) or outer == inside:
        return ""
    return prefix + outer.removeprefix(prefix).split(":")[0]


def _safe(id: str) -> str:
    """An id as Mermaid takes it."""
    return "".join(c if c.isalnum() or c in "_-" else f"\\{ord(c):02x}" for c in id)


def _shape(node: Node, first: Node | None, last: Node | None) -> str:
    name = node.name.rsplit(":", 1)[-1]
    if name in (START, END):
        name = f"<p>{name}</p>"
    if node is first:
        text = f"{_safe(node.id)}([{name}]):::first"
    elif node is last:
        text = f"{_safe(node.id)}([{name}]):::last"
    else:
        text = f"{_safe(node.id)}({name}{_told(node)})"
    return text


def _told(node: Node) -> str:
    """The metadata of a node, below its name."""
    if not node.metadata:
        return ""
    rows = "\n".join(f"{key} = {value}" for key, value in node.metadata.items())
    return f"<hr/><small><em>{rows}</em></small>"


def _arrow(edge: Edge) -> str:
    source, target = _safe(edge.source), _safe(edge.target)
    if edge.data is None:
        return f"{source} {'-.->' if edge.conditional else '-->'} {target}"
    return f"{source} -. &nbsp;{edge.data}&nbsp; .-> {target}"


def opened(drawing: GraphDrawing, inner: Mapping[str, Graph]) -> GraphDrawing:
    """The drawing with the graphs inside its nodes drawn in their place, if they have several nodes."""
    new = GraphDrawing()
    ways: dict[str, tuple[str, str]] = {}  # of a node that is opened: where edges to it lead, and those from it begin
    for node in drawing.nodes.values():
        inside = _trimmed(inner[node.id]) if node.id in inner else None
        if inside is None or len(inside.nodes) < 2:
            new.nodes[node.id] = node
            continue
        first, last = inside.first_node(), inside.last_node()
        for each in inside.nodes.values():
            id = f"{node.id}:{each.id}"
            new.nodes[id] = Node(id, each.name, each.data, each.metadata)
        new.edges += [
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
    return new


def _trimmed(graph: Graph) -> GraphDrawing:
    """The graph without its start and end, where one node only comes after or before them."""
    new = GraphDrawing(dict(graph.nodes), list(graph.edges))
    first = new.first_node()
    if first is not None and sum(edge.source == first.id for edge in new.edges) == 1:
        _remove(new, first, lambda: new.first_node())
    last = new.last_node()
    if last is not None and sum(edge.target == last.id for edge in new.edges) == 1:
        _remove(new, last, lambda: new.last_node())
    return new


def _remove(graph: GraphDrawing, node: Node, still: Callable[[], Node | None]) -> None:
    """Take a node out, unless the graph had no single end there then."""
    nodes, edges = dict(graph.nodes), list(graph.edges)
    del graph.nodes[node.id]
    graph.edges = [edge for edge in graph.edges if node.id not in (edge.source, edge.target)]
    if still() is None:
        graph.nodes, graph.edges = nodes, edges


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
