"""A graph of parts, and its drawings: Mermaid text, a picture, plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..data.ids import new_id
from ..errors import Unsupported
from .mermaid import CurveStyle, mermaid

__all__ = ["Edge", "Graph", "Node"]


class Node(NamedTuple):
    """A part. `data` is the runnable, or the schema of an input or output."""

    id: str
    name: str
    data: Any = None
    metadata: dict[str, Any] | None = None

    def copy(self, *, id: str | None = None, name: str | None = None) -> Node:
        """The same with another id or name."""
        return self._replace(id=id or self.id, name=name or self.name)


class Edge(NamedTuple):
    """A way from one part to another; `conditional` where it may not be taken."""

    source: str
    target: str
    data: str | None = None
    conditional: bool = False

    def copy(self, *, source: str | None = None, target: str | None = None) -> Edge:
        """The same between other nodes."""
        return self._replace(source=source or self.source, target=target or self.target)


@dataclass(slots=True)
class Graph:
    """Nodes by id, and edges, in the order in which they were added."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def next_id(self) -> str:
        """An id for a node that has no name of its own."""
        return new_id()

    def add_node(
        self, data: Any, id: str | None = None, *, name: str | None = None, metadata: dict[str, Any] | None = None
    ) -> Node:
        """Add a part and return it. It is called as its id is, or as the data."""
        node = Node(id or self.next_id(), name or id or name_of(data), data, metadata)
        self.nodes[node.id] = node
        return node

    def remove_node(self, node: Node) -> None:
        """Take a part out, and all ways that lead to it or away from it."""
        del self.nodes[node.id]
        self.edges = [edge for edge in self.edges if node.id not in (edge.source, edge.target)]

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

    def extend(self, graph: Graph, *, prefix: str = "") -> tuple[Node | None, Node | None]:
        """Add all of another graph, its ids behind `prefix:`, and return its first and its last node."""
        below = f"{prefix}:" if prefix and not all(map(_is_made, graph.nodes)) else ""
        first, last = graph.first_node(), graph.last_node()
        for node in graph.nodes.values():
            self.nodes[below + node.id] = node.copy(id=below + node.id)
        self.edges += [edge.copy(source=below + edge.source, target=below + edge.target) for edge in graph.edges]
        return tuple(None if end is None else self.nodes[below + end.id] for end in (first, last))  # type: ignore[return-value]

    def trim_first_node(self) -> None:
        """Take the first node out, if only one other comes first then."""
        self._trim(self.first_node)

    def trim_last_node(self) -> None:
        """Take the last node out, if only one other comes last then."""
        self._trim(self.last_node)

    def _trim(self, end: Callable[[], Node | None]) -> None:
        node = end()
        if node is None:
            return
        nodes, edges = dict(self.nodes), self.edges
        self.remove_node(node)
        if end() is None:
            self.nodes, self.edges = nodes, edges

    def reid(self) -> Graph:
        """The same graph with names for ids, numbered where several nodes have one name."""
        several = Counter(node.name for node in self.nodes.values() if _is_made(node.id))
        seen: Counter[str] = Counter()
        ids: dict[str, str] = {}
        for node in self.nodes.values():
            seen[node.name] += 1
            number = f"_{seen[node.name]}" if several[node.name] > 1 else ""
            ids[node.id] = node.name + number if _is_made(node.id) else node.id
        return Graph(
            {ids[node.id]: node.copy(id=ids[node.id]) for node in self.nodes.values()},
            [edge.copy(source=ids[edge.source], target=ids[edge.target]) for edge in self.edges],
        )

    def to_json(self, *, with_schemas: bool = False) -> dict[str, Any]:
        """The graph as plain lists and strings; a node whose id was made for it goes by its number.

        With `with_schemas` an input or output is told by its JSON schema, not by its name.
        """
        short = {id: number if _is_made(id) else id for number, id in enumerate(self.nodes)}
        return {
            "nodes": [{"id": short[node.id], **_described(node, with_schemas)} for node in self.nodes.values()],
            "edges": [
                {"source": short[edge.source], "target": short[edge.target]}
                | ({"data": edge.data} if edge.data is not None else {})
                | ({"conditional": True} if edge.conditional else {})
                for edge in self.edges
            ],
        }

    def draw_mermaid(
        self,
        *,
        with_styles: bool = True,
        curve_style: CurveStyle | str = CurveStyle.LINEAR,
        frontmatter_config: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a Mermaid flow chart; without styles only its edges. `frontmatter_config` is put before it, as YAML."""
        return mermaid(self.reid(), with_styles=with_styles, curve_style=curve_style, frontmatter=frontmatter_config)

    def draw_mermaid_png(
        self, *, curve_style: CurveStyle | str = CurveStyle.LINEAR, output_file_path: str | None = None
    ) -> bytes:
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


def _is_made(id: str) -> bool:
    from uuid import UUID

    try:
        UUID(id)
    except ValueError:
        return False
    return True


def name_of(data: Any) -> str:
    """How a runnable or a schema is called in a graph."""
    name = data.__name__ if isinstance(data, type) or not hasattr(data, "get_name") else data.get_name()
    return str(name).removeprefix("Runnable")


def _described(node: Node, with_schemas: bool) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if isinstance(node.data, type) and hasattr(node.data, "model_json_schema"):
        data = {"type": "schema", "data": node.data.model_json_schema() if with_schemas else node.name}
    elif node.data is not None:
        kind = node.data if hasattr(node.data, "__qualname__") else type(node.data)
        data = {"type": "runnable", "data": {"id": [*kind.__module__.split("."), kind.__qualname__], "name": node.name}}
    return data | ({"metadata": node.metadata} if node.metadata else {})


def _boxes(names: list[str]) -> list[str]:
    lines = ["", "", ""]
    for number, name in enumerate(names):
        gap = "  " if number else ""
        lines[0] += gap + "+" + "-" * (len(name) + 2) + "+"
        lines[1] += gap + f"| {name} |"
        lines[2] += gap + "+" + "-" * (len(name) + 2) + "+"
    return lines
