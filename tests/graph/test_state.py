"""The state of a thread from outside: history, going back, branches, updates."""

from __future__ import annotations

import asyncio
import operator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import graph_of, run, thread

from millstream import (
    END,
    START,
    Command,
    InMemorySaver,
    InvalidUpdateError,
    Send,
    SqliteSaver,
    StateGraph,
    StateUpdate,
    UntrackedValue,
    interrupt,
)

__all__ = ["colour"]


def three(saver: Any, calls: list[str] | None = None) -> Any:
    def node(name: str) -> Any:
        def run(state: Any) -> Any:
            if calls is not None:
                calls.append(name)
            return {"n": state["n"] * 2, "log": [f"{name}{state['n']}"]}

        return run

    return graph_of(("a", "b"), ("b", "c"), a=node("a"), b=node("b"), c=node("c")).compile(checkpointer=saver)


def shape(app: Any, config: Any) -> list[Any]:
    return [
        (s.metadata["source"], s.metadata["step"], list(s.next), s.values.get("n"))
        for s in app.get_state_history(config)
    ]


def test_history_is_newest_first_with_what_each_task_wrote() -> None:
    app = three(InMemorySaver())
    app.invoke({"n": 1, "log": []}, thread())
    assert shape(app, thread()) == [
        ("loop", 3, [], 8),
        ("loop", 2, ["c"], 4),
        ("loop", 1, ["b"], 2),
        ("loop", 0, ["a"], 1),
        ("input", -1, ["__start__"], None),
    ]
    found = list(app.get_state_history(thread()))
    assert [t.result for s in found for t in s.tasks] == [
        {"n": 8, "log": ["c4"]}, {"n": 4, "log": ["b2"]}, {"n": 2, "log": ["a1"]}, {"n": 1, "log": []},
    ]  # fmt: skip
    assert [s.parent_config for s in found] == [*[s.config for s in found[1:]], None]
    assert found[0].created_at > found[-1].created_at
    assert len(list(app.get_state_history(thread(), limit=2))) == 2
    assert len(list(app.get_state_history(thread(), before=found[2].config))) == 2
    assert [s.metadata["step"] for s in app.get_state_history(thread(), filter={"source": "input"})] == [-1]


def test_history_for_async_for() -> None:
    app = three(InMemorySaver())

    async def main() -> list[int]:
        await app.ainvoke({"n": 1, "log": []}, thread())
        return [s.metadata["step"] async for s in app.aget_state_history(thread())]

    assert asyncio.run(main()) == [3, 2, 1, 0, -1]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_going_back_runs_what_came_after_on_a_branch(kind: str, tmp_path: Path) -> None:
    def check(saver: Any) -> None:
        calls: list[str] = []
        app = three(saver, calls)
        app.invoke({"n": 1, "log": []}, thread())
        past = next(s for s in app.get_state_history(thread()) if s.next == ("b",))
        assert app.invoke(None, past.config) == {"n": 8, "log": ["a1", "b2", "c4"]}
        assert calls == ["a", "b", "c", "b", "c"]
        forked = app.update_state(past.config, {"n": 50})
        assert app.get_state(forked).next == ("b",)
        assert app.invoke(None, forked) == {"n": 200, "log": ["a1", "b50", "c100"]}
        assert app.get_state(thread()).values["n"] == 200
        assert [n for _, _, _, n in shape(app, thread())] == [200, 100, 50, 8, 4, 2, 8, 4, 2, 1, None]

    if kind == "memory":
        check(InMemorySaver())
    else:
        with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
            check(saver)


def test_going_back_to_the_input_takes_it_again() -> None:
    app = three(InMemorySaver())
    app.invoke({"n": 3, "log": []}, thread())
    first = list(app.get_state_history(thread()))[-1]
    assert app.invoke(None, first.config) == {"n": 24, "log": ["a3", "b6", "c12"]}


def test_updates_follow_the_edges_of_the_node_they_stand_for() -> None:
    app = three(InMemorySaver())
    app.update_state(thread(), {"n": 1, "log": ["pre"]}, as_node="a")
    state = app.get_state(thread())
    assert (state.next, state.metadata["source"], state.metadata["step"]) == (("b",), "update", 0)
    assert app.invoke(None, thread())["log"] == ["pre", "b1", "c2"]
    app.update_state(thread(), {"log": ["edited"]})  # the node that ran last: c
    assert app.get_state(thread()).next == ()
    app.update_state(thread(), {"n": 0}, as_node=START)
    assert app.get_state(thread()).next == ("a",)
    app.update_state(thread(), None, as_node=END)
    assert app.get_state(thread()).next == ()
    with pytest.raises(InvalidUpdateError, match="Node zz does not exist"):
        app.update_state(thread(), {}, as_node="zz")


def test_several_updates_at_once() -> None:
    app = three(InMemorySaver())
    app.bulk_update_state(thread(), [[StateUpdate({"n": 1, "log": ["x"]}, "a")], [StateUpdate({"log": ["y"]}, "b")]])
    assert app.get_state(thread()).values == {"n": 1, "log": ["x", "y"]}
    assert app.get_state(thread()).next == ("c",)
    for empty in ([], [[]]):
        with pytest.raises(ValueError, match="at least one"):
            app.bulk_update_state(thread(), empty)


def test_a_run_that_hit_its_limit_goes_on() -> None:
    app = three(InMemorySaver())
    with pytest.raises(RecursionError):
        app.invoke({"n": 1, "log": []}, thread(recursion_limit=1))
    assert app.get_state(thread()).next == ("b",)
    assert app.invoke(None, thread()) == {"n": 8, "log": ["a1", "b2", "c4"]}


def test_a_graph_without_a_checkpointer_has_no_state() -> None:
    app = graph_of(a=lambda s: None).compile()
    for ask in (app.get_state, lambda config: list(app.get_state_history(config)), lambda c: app.update_state(c, {})):
        with pytest.raises(ValueError, match="No checkpointer set"):
            ask(thread())


def test_a_cancelled_run_goes_on() -> None:
    async def main() -> None:
        begun = asyncio.Event()
        slow = True

        async def a(state: Any) -> Any:
            return {"log": ["a"]}

        async def b(state: Any) -> Any:
            begun.set()
            if slow:
                await asyncio.sleep(60)
            return {"log": ["b"]}

        app = graph_of(("a", "b"), a=a, b=b).compile(checkpointer=InMemorySaver())
        task = asyncio.create_task(app.ainvoke({"log": []}, thread()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        state = await app.aget_state(thread())
        assert (state.next, state.tasks[0].error) == (("b",), "CancelledError()")
        slow = False
        assert await app.ainvoke(None, thread()) == {"log": ["a", "b"]}

    asyncio.run(main())


def _names(*names: str, **options: Any) -> Any:
    """A chain of nodes that write their names."""
    nodes: dict[str, Any] = {name: lambda s, name=name: {"log": [name]} for name in names}
    app = graph_of(*pairwise(names), **nodes)
    return app.compile(checkpointer=InMemorySaver(), **options)


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_an_update_without_a_node_is_of_the_one_that_ran_last(durability: Any) -> None:
    app = _names("a", "b", "c")
    app.update_state(thread(), {"log": ["x"]}, as_node="b")
    app.update_state(thread(), {"log": ["y"]})  # nothing has run: it is an input's
    assert app.get_state(thread()).next == ("a",)

    app.invoke({"log": []}, thread("2"), interrupt_before=["b"], durability=durability)
    app.update_state(thread("2"), {"log": ["x"]}, as_node="b")
    app.update_state(thread("2"), None, as_node="__copy__")
    app.update_state(thread("2"), {"log": ["y"]})
    assert app.get_state(thread("2")).next == ("b",)


def test_of_several_nodes_that_ran_together_one_is_to_be_named() -> None:
    nodes: dict[str, Any] = {name: lambda s, name=name: {"log": [name]} for name in "abc"}
    app = graph_of((START, "a"), (START, "b"), (["a", "b"], "c"), **nodes).compile(
        checkpointer=InMemorySaver(), interrupt_before=["c"]
    )
    app.invoke({"log": []}, thread())
    with pytest.raises(InvalidUpdateError, match="as_node: a, b"):
        app.update_state(thread(), {"log": ["u"]})


def test_a_branch_from_the_past_has_nothing_of_what_waited_there() -> None:
    def ask(state: Any) -> Any:
        return {"log": [interrupt("?")]}

    app = graph_of((START, "a"), (START, "ask"), a=lambda s: {"log": ["a"]}, ask=ask).compile(
        checkpointer=InMemorySaver()
    )
    app.invoke({"log": []}, thread())
    asked = app.get_state(thread())
    assert asked.values == {"log": ["a"]}
    branch = app.update_state(asked.config, {"log": ["other"]}, as_node="ask")
    assert app.get_state(branch).values == {"log": ["other"]}
    with pytest.raises(InvalidUpdateError, match="no checkpoint"):
        app.update_state(thread("new"), None, as_node="__copy__")


def _with_a_graph_inside(mode: bool | None, ran: list[str]) -> Any:
    def ask(state: Any) -> Any:
        ran.append("ask")
        return {"log": [interrupt("?")]}

    def first(state: Any) -> Any:
        ran.append("first")
        return {"log": ["first"]}

    inner = graph_of(("first", "ask"), first=first, ask=ask).compile(checkpointer=mode)
    return graph_of(("pre", "inner"), pre=lambda s: {"n": 1}, inner=inner).compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("mode", [None, True])
def test_the_state_of_a_graph_inside_is_found_and_changed_while_it_waits(mode: bool | None) -> None:
    app = _with_a_graph_inside(mode, [])
    app.invoke({"log": []}, thread())
    for config in (thread(), app.get_state(thread()).config):
        assert app.get_state(config, subgraphs=True).tasks[0].state.values == {"n": 1, "log": ["first"]}
    within = app.get_state(thread()).tasks[0].state
    changed = app.update_state(within, {"log": ["edited"]}, as_node="first")
    snapshot = app.get_state(within)
    assert snapshot.config == changed
    assert snapshot.metadata["parents"] == {"": app.get_state(thread()).config["configurable"]["checkpoint_id"]}
    assert app.invoke(Command(resume="yes"), thread()) == {"n": 1, "log": ["first", "edited", "yes"]}


def test_an_answer_that_names_the_checkpoint_reaches_a_graph_inside(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ran: list[str] = []
        app = _with_a_graph_inside(None, ran)
        await run(c, app, {"log": []}, thread())
        asked = app.get_state(thread()).config
        assert await run(c, app, Command(resume="yes"), asked) == {"n": 1, "log": ["first", "yes"]}
        assert ran == ["first", "ask", "ask"]

    colour.run(body)


def test_going_back_within_a_graph_inside(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ran: list[str] = []
        app = _with_a_graph_inside(None, ran)
        await run(c, app, {"log": []}, thread())
        within = app.get_state(thread()).tasks[0].state
        begin = next(s for s in app.get_state_history(within) if s.next == ("first",))
        ran.clear()
        assert (await run(c, app, None, begin.config))["__interrupt__"][0].value == "?"
        assert ran == ["first", "ask"]
        assert [s.metadata["source"] for s in app.get_state_history(within)] == [
            "loop",
            "fork",
            "loop",
            "loop",
            "input",
        ]
        assert await run(c, app, Command(resume="yes"), thread()) == {"n": 1, "log": ["first", "yes"]}

    colour.run(body)


def test_what_a_node_writes_under_an_untracked_key_is_stored_nowhere() -> None:
    class State(TypedDict, total=False):
        secret: Annotated[Any, UntrackedValue]
        log: Annotated[list[Any], operator.add]

    nobody_stores_this = object()

    def work(state: Any) -> Any:
        return {"log": [state["secret"] is nobody_stores_this]}

    graph = StateGraph(State).add_node("make", lambda state: {"secret": nobody_stores_this, "log": ["made"]})
    graph.add_node("ask", lambda state: {"log": [interrupt("?")]}).add_node("work", work)
    graph.add_edge(START, "make").add_edge(START, "ask")
    graph.add_conditional_edges("make", lambda state: Send("work", {"secret": state["secret"], "kept": 1}))
    saver = InMemorySaver()
    app = graph.compile(checkpointer=saver)
    assert app.invoke({"log": []}, thread())["secret"] is nobody_stores_this
    assert app.get_state(thread()).tasks[0].result == {"log": ["made"]}
    [sent] = [value for item in saver.list(None) for _, _, value in item.pending_writes if isinstance(value, Send)]
    assert sent.arg == {"kept": 1}
