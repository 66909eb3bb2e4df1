"""Drawings of graphs: nodes, plain and conditional edges, what leads to the end by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from graph_helpers import graph_of

from millstream import END, START, Command, ToolNode, tool


def noop(state: Any) -> None: ...


def go(state: Any) -> Command[Literal["b", "c"]]:
    return Command(goto="b")


def test_edges_of_every_kind() -> None:
    graph = graph_of(("go", "join"), (["b", "c"], "join"), go=go, b=noop, c=noop, join=noop)
    graph.add_conditional_edges("join", lambda s: "x", {"again": "go", "stop": END})
    assert graph.compile().get_graph().draw_mermaid(with_styles=False) == (
        "graph TD;\n"
        "\t__start__ --> go;\n"
        "\tb --> join;\n"
        "\tc --> join;\n"
        "\tgo -.-> b;\n"
        "\tgo -.-> c;\n"
        "\tgo --> join;\n"
        "\tjoin -. &nbsp;stop&nbsp; .-> __end__;\n"
        "\tjoin -. &nbsp;again&nbsp; .-> go;\n"
    )


def test_the_whole_text_and_its_styles() -> None:
    text = graph_of(("a", END), a=noop).compile().get_graph().draw_mermaid()
    assert text.startswith("---\nconfig:\n  flowchart:\n    curve: linear\n---\ngraph TD;\n")
    assert "\t__start__([<p>__start__</p>]):::first\n\ta(a)\n\t__end__([<p>__end__</p>]):::last\n" in text
    assert "\ta --> __end__;\n" in text


def test_a_node_that_nothing_leads_to_has_no_edge() -> None:
    drawing = graph_of((START, "a"), a=noop, alone=noop).compile().get_graph()
    assert set(drawing.nodes) == {"__start__", "a", "alone", "__end__"}
    assert [(edge.source, edge.target) for edge in drawing.edges] == [("__start__", "a"), ("a", "__end__")]


def test_what_the_nodes_say_of_themselves() -> None:
    graph = graph_of(a=noop).add_node("late", noop, defer=True, metadata={"k": 1}).add_edge("a", "late")
    drawing = graph.compile(interrupt_before=["a"], interrupt_after="*").get_graph()
    assert drawing.nodes["a"].metadata == {"__interrupt": "before,after"}
    assert drawing.nodes["late"].metadata == {"k": 1, "defer": True, "__interrupt": "after"}


def test_a_node_of_tools_names_them() -> None:
    @tool
    def look(x: int) -> str:
        "Look."
        return ""

    drawing = graph_of(tools=ToolNode([look, look])).compile(interrupt_before=["tools"]).get_graph()
    assert drawing.nodes["tools"].metadata == {"__interrupt": "before", "__tools": ["look"]}
    graph = graph_of(tools=noop).add_node("more", noop, metadata={"k": [1, 2]})
    assert "\tmore(more<hr/><small><em>k = 1, 2</em></small>)\n" in graph.compile().get_graph().draw_mermaid()


def test_graphs_that_are_opened_come_behind_the_graph_around_them() -> None:
    inner = graph_of(("b", "c"), b=noop, c=noop).compile()
    drawing = graph_of(("kid", "a"), kid=inner, a=noop).compile().get_graph(xray=True)
    assert list(drawing.nodes) == ["__start__", "a", "__end__", "kid:b", "kid:c"]
    assert [(edge.source, edge.target) for edge in drawing.edges] == [
        ("__start__", "kid:b"),
        ("kid:c", "a"),
        ("a", "__end__"),
        ("kid:b", "kid:c"),
    ]


def test_a_picture_is_made_by_mermaids_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = graph_of(a=noop).compile().get_graph()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotImplementedError, match="mmdc"):
        drawing.draw_mermaid_png()
    program = tmp_path / "mmdc"
    program.write_text(f"#!{sys.executable}\nimport shutil, sys\nshutil.copy(sys.argv[2], sys.argv[4])\n")
    program.chmod(0o755)
    target = tmp_path / "graph.png"
    drawn = drawing.draw_mermaid_png(curve_style="basis", output_file_path=str(target))
    assert drawn.decode() == drawing.draw_mermaid(curve_style="basis")
    assert target.read_bytes() == drawn


def test_nodes_go_by_their_names_in_json() -> None:
    drawing = graph_of(a=noop).compile(interrupt_before=["a"]).get_graph().to_json()
    start, node, end = drawing["nodes"]
    assert (node["id"], node["type"], node["data"]["name"]) == ("a", "runnable", "a")
    assert node["metadata"] == {"__interrupt": "before"}
    assert (start["data"]["name"], end) == ("__start__", {"id": "__end__"})
    assert drawing["edges"] == [{"source": "__start__", "target": "a"}, {"source": "a", "target": "__end__"}]


def test_what_leads_back_to_itself_comes_last() -> None:
    graph = graph_of(a=noop, b=noop)
    graph.add_conditional_edges("a", lambda state: "a", ["a", "b"])
    lines = graph.compile().get_graph().draw_mermaid(with_styles=False).splitlines()
    assert lines[1:] == ["\t__start__ --> a;", "\ta -.-> b;", "\tb --> __end__;", "\ta -.-> a;"]


def test_a_path_without_a_map_shows_no_way() -> None:
    graph = graph_of((START, "a"), a=noop, b=noop)
    graph.add_conditional_edges("a", lambda state: "b")
    edges = graph.compile().get_graph().edges
    assert [(edge.source, edge.target, edge.conditional) for edge in edges] == [
        ("__start__", "a", False),
        ("a", "__end__", False),
    ]


def test_a_graph_of_one_node_inside_is_drawn_as_that_node() -> None:
    graph = graph_of((START, "kid"), ("kid", "end"), kid=graph_of(leaf=noop).compile(), end=noop).compile()
    plain = graph.get_graph(xray=True).draw_mermaid(with_styles=False).splitlines()
    assert plain[1:] == ["\t__start__ --> kid\\3aleaf;", "\tkid\\3aleaf --> end;", "\tend --> __end__;"]
    assert "\tsubgraph kid\n\tkid\\3aleaf(leaf)\n\tend\n" in graph.get_graph(xray=True).draw_mermaid()


def test_between_two_nodes_one_way_is_drawn() -> None:
    graph = graph_of((START, "a"), ("a", "b"), a=noop, b=noop)
    graph.add_conditional_edges("a", lambda state: "again", {"on": "b", "more": "b"})
    lines = graph.compile().get_graph().draw_mermaid(with_styles=False).splitlines()
    assert lines[1:] == ["\t__start__ --> a;", "\ta -. &nbsp;on&nbsp; .-> b;", "\tb --> __end__;"]
