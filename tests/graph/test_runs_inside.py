"""Which runs a graph shows to those who watch: of chains that are nodes, of graphs inside runs, of the edges of START."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import (
    END,
    START,
    GraphInterrupt,
    InMemorySaver,
    RetryPolicy,
    RunnableLambda,
    RunnableSequence,
    StateGraph,
    interrupt,
)
from millstream.spine.events import END as OVER
from millstream.spine.events import ERROR, STREAM
from millstream.spine.events import START as BEGIN

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


def test_each_attempt_of_a_node_is_a_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        attempts = 0

        def shaky(state: State) -> Any:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise ConnectionError(str(attempts))
            return {"x": attempts}

        graph = StateGraph(State)
        policy = RetryPolicy(initial_interval=0.0, jitter=False)
        graph.add_node("n", c.function(shaky), retry_policy=policy)
        graph.add_edge(START, "n")
        graph.add_conditional_edges("n", RunnableLambda(lambda _: END, name="path"))
        recorder = Recorder()
        assert await c.invoke(graph.compile(), {"x": 1}, {"callbacks": [recorder]}) == {"x": 3}
        told = [line for line in recorder.told() if line.endswith(("start", "end", "error"))]
        assert told == [
            "LangGraph start",
            *["n start", "n error"] * 2,
            *["n start", "path start", "path end", "n end", "LangGraph end"],
        ]

    colour.run(body)


def test_a_run_that_asks_ends_with_its_node_interrupted(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = one(c.function(lambda state: {"x": interrupt("how many?")})).compile(checkpointer=InMemorySaver())
        recorder = Recorder()
        thread = {"configurable": {"thread_id": "1"}, "callbacks": [recorder]}
        for run in (c.invoke, c.collect):
            del recorder.events[:]
            await run(app, {"x": 1}, thread)
            failed, ended = [event for event in recorder.events if event.kind in (ERROR, OVER)]
            assert failed.run.name == "n" and isinstance(failed.data, GraphInterrupt)
            assert ended.run.name == "LangGraph" and ended.data == {"x": 1}  # no questions: those are no output

    colour.run(body)


def test_nodes_that_start_together_are_told_to_have_started_first() -> None:
    async def quick(state: Any) -> None:
        return None

    graph = StateGraph(State)
    for name in ("a", "b"):
        graph.add_node(name, quick)
        graph.add_edge(START, name)
    recorder = Recorder()
    asyncio.run(graph.compile().ainvoke({"x": 1}, {"callbacks": [recorder]}))
    assert recorder.told()[1:3] == ["a start", "b start"]
