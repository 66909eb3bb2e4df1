"""The text of a Mermaid flow chart of nodes and edges. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drawing import Edge, Graph, Node

__all__ = ["CurveStyle", "mermaid"]


class CurveStyle(StrEnum):
    """How Mermaid bends the arrows of a flow chart."""

    BASIS = "basis"
    BUMP_X = "bumpX"
    BUMP_Y = "bumpY"
    CARDINAL = "cardinal"
    CATMULL_ROM = "catmullRom"
    LINEAR = "linear"
    MONOTONE_X = "monotoneX"
    MONOTONE_Y = "monotoneY"
    NATURAL = "natural"
    STEP = "step"
    STEP_AFTER = "stepAfter"
    STEP_BEFORE = "stepBefore"


def mermaid(graph: Graph, *, with_styles: bool, curve_style: str, frontmatter: Mapping[str, Any] | None) -> str:
    """The text of a flow chart; without styles only its edges. A node inside another has an id of the form `outer:inner`."""
    lines = ["graph TD;"]
    if with_styles:
        lines = ["---", *_yaml(_front_matter(curve_style, frontmatter or {})), "---", *lines, *_shapes(graph, "")]
    lines += _arrows(graph, "", with_styles)
    if with_styles:
        lines += ["\tclassDef default fill:#f2f0ff,line-height:1.2"]
        lines += ["\tclassDef first fill-opacity:0", "\tclassDef last fill:#bfb6fc"]
    return "\n".join(lines) + "\n"


def _front_matter(curve_style: str, given: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(given.get("config") or {})
    config["flowchart"] = {**(config.get("flowchart") or {}), "curve": curve_style}
    return {**given, "config": config}


def _yaml(values: Mapping[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for key, value in sorted(values.items()):
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_scalar(value)}")
    return lines


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[A-Za-z_][\w-]*( [\w-]+)*", text)
    return text if plain else "'" + text.replace("'", "''") + "'"


def _shapes(graph: Graph, inside: str) -> list[str]:
    first, last = graph.first_node(), graph.last_node()
    return [f"\t{_shape(node, first, last)}" for node in graph.nodes.values() if _outer(node.id) == inside]


def _arrows(graph: Graph, inside: str, with_styles: bool) -> list[str]:
    """The edges between nodes of one graph, then the graphs inside it with theirs."""
    edges = [edge for edge in graph.edges if _common(edge) == inside]
    edges.sort(key=lambda edge: edge.source == edge.target)  # what leads back to itself comes last
    lines = [f"\t{_arrow(edge)};" for edge in edges]
    outers = {_outer(node.id): None for node in graph.nodes.values()} | {_common(edge): None for edge in graph.edges}
    below = {_step_down(outer, inside): None for outer in outers if _step_down(outer, inside)}
    drawn = {outer: _arrows(graph, outer, with_styles) for outer in below}
    for outer in sorted(drawn, key=lambda outer: not drawn[outer]):  # a node alone comes last, and is only a shape
        if with_styles or drawn[outer]:
            lines.append(f"\tsubgraph {outer.rsplit(':', 1)[-1]}")
            lines += [*(_shapes(graph, outer) if with_styles else ()), *drawn[outer], "\tend"]
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
    if name in ("__start__", "__end__"):  # Mermaid would take the underscores for markup
        name = f"<p>{name}</p>"
    if node is first:
        return f"{_safe(node.id)}([{name}]):::first"
    if node is last:
        return f"{_safe(node.id)}([{name}]):::last"
    return f"{_safe(node.id)}({name}{_told(node.metadata)})"


def _told(metadata: Mapping[str, Any] | None) -> str:
    """The metadata of a node, below its name."""
    if not metadata:
        return ""
    shown = {key: value for key, value in metadata.items() if not isinstance(value, Mapping)}
    rows = "\n".join(f"{key} = {_listed(value)}" for key, value in shown.items())
    return f"<hr/><small><em>{rows}</em></small>"


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _arrow(edge: Edge) -> str:
    source, target = _safe(edge.source), _safe(edge.target)
    if edge.data is None:
        return f"{source} {'-.->' if edge.conditional else '-->'} {target}"
    dash, arrow = ("-.", ".->") if edge.conditional else ("--", "-->")
    return f"{source} {dash} &nbsp;{edge.data}&nbsp; {arrow} {target}"
