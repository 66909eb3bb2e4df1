"""Joins over several rounds, and how steps are counted after updates and branches."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import Log, graph_of, run, thread

from millstream import (
    END,
    START,
    Command,
    GraphRecursionError,
    InMemorySaver,
    InvalidUpdateError,
    Send,
    StateGraph,
    interrupt,
)

__all__ = ["colour"]


def wrote(name: str) -> Any:
    return lambda s: {"log": [name]}


def test_a_source_that_ran_again_before_the_others_counts_once(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(
            (START, "a"), ("a", "b"), ("a", "wait"), (["a", "b"], "both"),
            a=wrote("a"), b=wrote("b"), wait=lambda s: Command(goto="a" if s["log"].count("a") < 2 else END), both=wrote("both"),
        )  # fmt: skip
        # The second round of `a` ends in the step that runs `both` for the first one: `b` completes it once more.
        assert (await run(c, graph.compile(), {"log": []}))["log"] == ["a", "b", "a", "both", "b", "both"]

    colour.run(body)


def test_sources_that_end_together_complete_a_join_that_one_of_them_began(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of((START, "b"), (["a", "b"], "both"), a=wrote("a"), b=wrote("b"), both=wrote("both"))
        graph.add_conditional_edges("b", lambda s: {1: ["a", "b"], 2: END}[s["log"].count("b")], ["a", "b", END])
        app = graph.compile(checkpointer=InMemorySaver())
        assert (await run(c, app, {"log": []}, thread()))["log"] == ["b", "a", "b", "both"]
        app.update_state(thread(), {"log": ["u"]}, as_node="a")  # of what the first round had, nothing is left
        assert app.get_state(thread()).next == ()

    colour.run(body)


def test_a_run_after_an_update_that_ends_the_thread_counts_on(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=wrote("a")).compile(checkpointer=InMemorySaver())
        await run(c, app, {"log": []}, thread())
        app.update_state(thread(), {"log": ["u"]}, as_node="a")
        await run(c, app, {"log": ["in"]}, thread())
        steps = [(s.metadata["source"], s.metadata["step"]) for s in app.get_state_history(thread())]
        assert steps == [
            ("loop", 5), ("loop", 4), ("input", 3), ("update", 2), ("loop", 1), ("loop", 0), ("input", -1),
        ]  # fmt: skip

    colour.run(body)


def test_the_checkpoint_that_begins_a_branch_is_one_of_its_steps(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(("a", "a"), a=wrote("a")).compile(checkpointer=InMemorySaver())
        counts = []
        config: Any = thread(recursion_limit=3)
        with pytest.raises(GraphRecursionError):
            await run(c, app, {"log": []}, config)
        counts.append(len(app.get_state(thread()).values["log"]))
        middle = list(app.get_state_history(thread()))[1].config
        with pytest.raises(GraphRecursionError):
            await run(c, app, None, config)
        counts.append(len(app.get_state(thread()).values["log"]))
        with pytest.raises(GraphRecursionError):
            await run(c, app, None, {**middle, "recursion_limit": 3})
        counts.append(len(app.get_state(thread()).values["log"]))
        assert counts == [3, 3 + 5, 2 + 4]

    colour.run(body)


def test_the_live_state_has_what_tasks_wrote_in_the_order_in_which_it_is_applied() -> None:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    for name in ("z", "a", "sent"):
        graph.add_node(name, wrote(name))
    graph.add_node("ask", lambda s: {"log": [interrupt("?")]})
    graph.add_conditional_edges(START, lambda s: [Send("sent", {}), "z", "a", "ask"])
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    state = app.get_state(thread())
    assert state.values["log"] == ["a", "z", "sent"]
    assert [task.name for task in state.tasks] == ["sent", "z", "a", "ask"]


def test_an_update_does_not_stand_for_what_was_sent() -> None:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("plan", lambda s: {"log": ["plan"]})
    graph.add_node("work", wrote("work"))
    graph.add_node("end", wrote("end"))
    graph.add_edge(START, "plan")
    graph.add_edge("work", "end")
    graph.add_conditional_edges("plan", lambda s: [Send("work", {}), Send("work", {})], ["work"])
    app = graph.compile(checkpointer=InMemorySaver(), interrupt_before=["end"])
    app.invoke({"log": []}, thread())
    app.update_state(thread(), {"log": ["u"]})
    assert app.get_state(thread()).next == ("work", "work")  # as after `plan`
    with pytest.raises(InvalidUpdateError):
        app.update_state(thread(), {"log": ["u"]}, as_node="nobody")
