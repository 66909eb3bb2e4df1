"""Which runs a graph shows to those who watch: of chains that are nodes, of graphs inside runs, of the edges of START."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import END, START, RunnableLambda, RunnableSequence, StateGraph
from millstream.spine.events import START as BEGIN
from millstream.spine.events import STREAM

__all__ = ["colour"]


class State(TypedDict):
    x: int


def shown(recorder: Recorder) -> list[tuple[str, str | None, list[str]]]:
    """The runs that began: name, parent, tags."""
    begun = [event.run for event in recorder.events if event.kind == BEGIN]
    return [(run.name, run.parent.name if run.parent else None, sorted(run.tags)) for run in begun]


def one(node: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("n", node)
    graph.add_edge(START, "n")
    return graph


def steps() -> RunnableSequence[Any, Any]:
    plus = RunnableLambda(lambda state: state["x"] + 1, name="plus")
    return RunnableSequence(plus, RunnableLambda(lambda x: {"x": x}, name="as_state"), name="both")


def test_the_steps_of_a_chain_are_the_nodes_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = one(steps())
        graph.add_conditional_edges("n", RunnableLambda(lambda _: END, name="path"))
        recorder = Recorder()
        assert await c.invoke(graph.compile(), {"x": 1}, {"callbacks": [recorder]}) == {"x": 2}
        assert shown(recorder) == [
            ("LangGraph", None, []),
            ("n", "LangGraph", ["graph:step:1"]),
            ("plus", "n", ["seq:step:1"]),
            ("as_state", "n", ["seq:step:2"]),
            ("path", "n", ["seq:step:4"]),  # after what the node writes
        ]

    colour.run(body)


def test_a_chain_with_a_config_of_its_own_is_one_step(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        recorder = Recorder()
        await c.invoke(one(steps().with_config(tags=["t"])).compile(), {"x": 1}, {"callbacks": [recorder]})
        assert shown(recorder)[2:] == [
            ("both", "n", ["seq:step:1", "t"]),
            ("plus", "both", ["seq:step:1", "t"]),
            ("as_state", "both", ["seq:step:2", "t"]),
        ]

    colour.run(body)


def test_a_graph_inside_a_run_tells_of_its_nodes_and_not_of_its_chunks(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = one(lambda state: {"x": state["x"] + 1}).compile(name="Mill")
        for runnable, tells in (
            (graph, ["n", "Mill"]),
            (RunnableLambda(lambda x: {"x": x}, name="as_state") | graph, ["n"]),
        ):
            recorder = Recorder()
            await c.collect(runnable, {"x": 1} if runnable is graph else 1, {"callbacks": [recorder]})
            told = [event.run.name for event in recorder.events if event.kind == STREAM]
            assert [name for name in told if name in ("n", "Mill")] == tells

    colour.run(body)


def test_the_edges_of_start_lie_in_a_hidden_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def entry(state: State) -> str:
            if state["x"] < 0:
                raise ValueError("below")
            return "n"

        graph = StateGraph(State)
        graph.add_node("n", lambda state: {"x": state["x"] + 1})
        graph.add_conditional_edges(START, entry, ["n"])
        app = graph.compile()
        recorder = Recorder()
        assert await c.invoke(app, {"x": 1}, {"callbacks": [recorder]}) == {"x": 2}
        assert shown(recorder)[1:] == [
            (START, "LangGraph", ["graph:step:0", "langsmith:hidden"]),
            ("entry", START, ["langsmith:hidden", "seq:step:2"]),
            ("n", "LangGraph", ["graph:step:1"]),
        ]
        failing = Recorder()
        with pytest.raises(ValueError, match="below"):
            await c.invoke(app, {"x": -1}, {"callbacks": [failing]})
        assert failing.told()[-3:] == ["entry error", f"{START} error", "LangGraph error"]

    colour.run(body)
