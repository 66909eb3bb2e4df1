"""A runnable as a graph of its parts, and its drawings: Mermaid text and plain text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..data.ids import new_id

__all__ = ["Edge", "Graph", "Node", "graph_of"]


@dataclass(slots=True)
class Node:
    """A part. `data` is the runnable, or the schema of an input or output."""

    id: str
    name: str
    data: Any = None
    metadata: dict[str, Any] | None = None


@dataclass(slots=True)
class Edge:
    """A way from one part to another; `conditional` where it may not be taken."""

    source: str
    target: str
    data: str | None = None
    conditional: bool = False


@dataclass(slots=True)
class Graph:
    """Nodes by id, and edges, in the order in which they were added."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add_node(self, data: Any, name: str, id: str | None = None, metadata: dict[str, Any] | None = None) -> Node:
        """Add a part and return it."""
        node = Node(id or new_id(), name, data, metadata)
        self.nodes[node.id] = node
        return node

    def add_edge(self, source: Node, target: Node, data: str | None = None, conditional: bool = False) -> Edge:
        """Add a way between two parts and return it."""
        edge = Edge(source.id, target.id, data, conditional)
        self.edges.append(edge)
        return edge

    def first_node(self) -> Node | None:
        """The only node that no edge leads to, else None."""
        return self._only({edge.target for edge in self.edges})

    def last_node(self) -> Node | None:
        """The only node that no edge leaves, else None."""
        return self._only({edge.source for edge in self.edges})

    def _only(self, others: set[str]) -> Node | None:
        found = [node for node in self.nodes.values() if node.id not in others]
        return found[0] if len(found) == 1 else None

    def to_json(self) -> dict[str, Any]:
        """The graph as plain lists and strings; a node whose id was made for it goes by its number."""
        short = {id: number if _is_made(id) else id for number, id in enumerate(self.nodes)}
        return {
            "nodes": [
                {"id": short[node.id], "data": {"name": node.name}}
                | ({"metadata": node.metadata} if node.metadata is not None else {})
                for node in self.nodes.values()
            ],
            "edges": [
                {"source": short[edge.source], "target": short[edge.target]}
                | ({"data": edge.data} if edge.data is not None else {})
                | ({"conditional": True} if edge.conditional else {})
                for edge in self.edges
            ],
        }

    def draw_mermaid(self) -> str:
        """The text of a Mermaid flow chart."""
        names = self._names()
        lines = ["graph TD;"]
        lines += [f'\t{names[node.id]}("{node.name}");' for node in self.nodes.values()]
        for edge in self.edges:
            arrow = "-.->" if edge.conditional else "-->"
            label = f"|{edge.data}|" if edge.data else ""
            lines.append(f"\t{names[edge.source]} {arrow}{label} {names[edge.target]};")
        return "\n".join(lines) + "\n"

    def draw_ascii(self) -> str:
        """Boxes in rows: a node stands below every node that leads to it."""
        rows: dict[int, list[str]] = {}
        for id, depth in self._depths().items():
            rows.setdefault(depth, []).append(self.nodes[id].name)
        drawn = [_boxes(rows[depth]) for depth in sorted(rows)]
        width = max((len(row[0]) for row in drawn), default=0)
        arrow = ["*".center(width), "*".center(width)]
        out: list[str] = []
        for number, row in enumerate(drawn):
            out += (arrow if number else []) + [line.center(width) for line in row]
        return "\n".join(line.rstrip() for line in out)

    def print_ascii(self) -> None:
        """Print `draw_ascii`."""
        print(self.draw_ascii())

    def _depths(self) -> dict[str, int]:
        depths = dict.fromkeys(self.nodes, 0)
        for _ in self.nodes:  # as often as the longest way may be; a loop ends here too
            changed = False
            for edge in self.edges:
                wanted = depths[edge.source] + 1
                if depths[edge.target] < wanted <= len(self.nodes):
                    depths[edge.target] = wanted
                    changed = True
            if not changed:
                break
        return depths

    def _names(self) -> dict[str, str]:
        """A Mermaid name for each node: its own where that is a plain word and the only one."""
        taken: set[str] = set()
        names: dict[str, str] = {}
        for number, node in enumerate(self.nodes.values()):
            plain = node.name if node.name.isidentifier() and node.name not in taken else f"n{number}"
            taken.add(plain)
            names[node.id] = plain
        return names


def _is_made(id: str) -> bool:
    from uuid import UUID

    try:
        UUID(id)
    except ValueError:
        return False
    return True


def graph_of(runnable: Any) -> Graph:
    """The graph of a runnable: its input, its parts, its output."""
    graph = Graph()
    schema = runnable.get_input_schema()
    first = graph.add_node(schema, schema.__name__)
    lasts = _add(graph, runnable, [first])
    schema = runnable.get_output_schema()
    if len(lasts) == 1 and lasts[0].data is None:  # where a fork ends, which is the output
        lasts[0].data = schema
    else:
        _behind(graph, graph.add_node(schema, schema.__name__), lasts)
    return graph


def _add(graph: Graph, runnable: Any, after: list[Node]) -> list[Node]:
    """Add the parts of `runnable` behind the nodes `after`; return the nodes in which it ends."""
    from .binding import RunnableBinding
    from .parallel import RunnableParallel
    from .sequence import RunnableSequence

    if isinstance(runnable, RunnableBinding):
        return _add(graph, runnable.bound, after)
    if isinstance(runnable, RunnableSequence):
        for part in runnable.steps:
            after = _add(graph, part, after)
        return after
    if isinstance(runnable, RunnableParallel) and len(runnable.steps) == 1:
        return _add(graph, next(iter(runnable.steps.values())), after)
    if isinstance(runnable, RunnableParallel) and runnable.steps:
        name = runnable.get_name("Input")
        at_input = len(graph.nodes) == 1 and after[0].name == name
        fork = after[0] if at_input else _behind(graph, graph.add_node(None, name), after)
        ends = [end for part in runnable.steps.values() for end in _add(graph, part, [fork])]
        return [_behind(graph, graph.add_node(None, runnable.get_name("Output")), ends)]
    return [_behind(graph, graph.add_node(runnable, runnable.get_name()), after)]


def _behind(graph: Graph, node: Node, after: Iterable[Node]) -> Node:
    for each in after:
        graph.add_edge(each, node)
    return node


def _boxes(names: list[str]) -> list[str]:
    lines = ["", "", ""]
    for number, name in enumerate(names):
        gap = "  " if number else ""
        lines[0] += gap + "+" + "-" * (len(name) + 2) + "+"
        lines[1] += gap + f"| {name} |"
        lines[2] += gap + "+" + "-" * (len(name) + 2) + "+"
    return lines
