"""Drawings of graphs: nodes, plain and conditional edges, what leads to the end by itself."""

from __future__ import annotations

from typing import Any, Literal

from graph_helpers import graph_of

from millstream import END, START, Command


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
