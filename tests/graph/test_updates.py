"""What an update of the state keeps of a step that was cut, whom it stands for, and what it refuses."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, thread

from millstream import START, Command, InMemorySaver, InvalidUpdateError, SqliteSaver, StateUpdate, interrupt

__all__ = ["colour"]


def wrote(name: str) -> Any:
    return lambda s: {"log": [name]}


def ask(state: Any) -> Any:
    return {"log": [interrupt("?")]}


def joined(**options: Any) -> Any:
    names = {name: wrote(name) for name in "abcd"}
    return graph_of(("a", "b"), ("a", "c"), (["b", "c"], "d"), **names).compile(checkpointer=InMemorySaver(), **options)


def test_an_update_before_anything_ran_is_an_inputs() -> None:
    app = graph_of(ask=ask).compile(checkpointer=InMemorySaver())
    app.update_state(thread(), {"log": ["u"]})
    assert app.get_state(thread()).next == ("ask",)
    app.invoke(None, thread())
    app.update_state(thread(), {"log": ["v"]})  # it has not ended, so it did not run
    assert app.get_state(thread())[:2] == ({"log": ["u", "v"]}, ("ask",))


def test_an_update_without_a_node_begins_the_cut_step_anew() -> None:
    app = graph_of((START, "a"), (START, "ask"), a=wrote("a"), ask=ask).compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    app.update_state(thread(), {"log": ["u"]})
    assert app.get_state(thread())[:2] == ({"log": ["u"]}, ("a", "ask"))
    assert app.invoke(None, thread())["log"] == ["u", "a"]


def test_an_update_as_a_node_keeps_what_its_siblings_wrote() -> None:
    app = graph_of(
        (START, "a"), (START, "ask"), (["a", "ask"], "z"), a=wrote("a"), ask=ask, z=wrote("z")
    ).compile(checkpointer=InMemorySaver())  # fmt: skip
    app.invoke({"log": []}, thread())
    app.update_state(thread(), {"log": ["u"]}, as_node="ask")
    assert app.get_state(thread())[:2] == ({"log": ["a", "u"]}, ("z",))


def test_what_an_update_leads_to_again_runs_again() -> None:
    app = graph_of((START, "a"), (START, "ask"), a=wrote("a"), ask=ask).compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    app.update_state(thread(), {"log": ["u"]}, as_node=START)
    assert app.invoke(None, thread())["log"] == ["u", "a"]


@pytest.mark.parametrize(("as_node", "waits"), [("b", ("d",)), ("a", ("b", "c", "d")), ("d", ())])
def test_a_join_that_waits_outlives_updates_of_others(as_node: str, waits: tuple[str, ...]) -> None:
    app = joined(interrupt_before=["d"])
    app.invoke({"log": []}, thread())
    app.update_state(thread(), {"log": ["u"]}, as_node=as_node)
    assert app.get_state(thread()).next == waits


def test_several_updates_in_one_step_are_each_of_a_named_node() -> None:
    app = joined()
    with pytest.raises(InvalidUpdateError, match="as_node is required"):
        app.bulk_update_state(thread(), [[StateUpdate({"log": [1]}, "a"), StateUpdate({"log": [2]})]])
    assert list(app.get_state_history(thread())) == []


def test_an_update_as_input_has_values() -> None:
    app = joined()
    with pytest.raises(InvalidUpdateError, match="not None"):
        app.update_state(thread(), None, as_node="__input__")


def test_the_history_of_one_checkpoint() -> None:
    app = joined()
    app.invoke({"log": []}, thread())
    past = list(app.get_state_history(thread()))[1]
    assert list(app.get_state_history(past.config)) == [past]


def test_history_shows_what_a_task_wrote_on_the_branch_that_it_ended_on() -> None:
    app = graph_of(("a", "ask"), a=wrote("a"), ask=ask).compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    waiting = app.get_state(thread()).config
    app.invoke(Command(resume="first"), thread())
    app.invoke(None, waiting)  # a branch that asks again
    assert [t.result for t in app.get_state(waiting).tasks] == [{"log": ["first"]}]
    [found] = [s for s in app.get_state_history(thread()) if s.config == waiting]
    assert [t.result for t in found.tasks] == [{"log": ["first"]}]


def test_history_shows_the_error_of_a_task_that_ended_well_later() -> None:
    broken = True

    def bad(state: Any) -> Any:
        if broken:
            raise ValueError("no")
        return {"log": ["bad"]}

    app = graph_of(bad=bad).compile(checkpointer=InMemorySaver())
    with pytest.raises(ValueError, match="no"):
        app.invoke({"log": []}, thread())
    broken = False
    app.invoke(None, thread())
    task = list(app.get_state_history(thread()))[1].tasks[0]
    assert (task.error, task.result) == ("ValueError('no')", {"log": ["bad"]})


def test_the_state_of_a_namespace_that_is_not_there_is_empty() -> None:
    app = joined()
    config = {"configurable": {"thread_id": "1", "checkpoint_ns": "nobody:1"}}
    assert app.get_state(config)[:4] == ({}, (), config, None)


def test_a_graph_that_keeps_nothing_has_no_state_to_name() -> None:
    inside = graph_of(a=ask).compile(checkpointer=False)
    app = graph_of(kid=inside).compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    assert [t.state for t in app.get_state(thread()).tasks] == [None]


def test_the_checkpoint_after_a_breakpoint_is_told(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = joined(interrupt_after=["a"])
        found = await chunks(c, app, {"log": []}, thread(), stream_mode=["checkpoints", "updates"])
        mode, last = found[-2]
        assert (mode, last["values"], last["next"]) == ("checkpoints", {"log": ["a"]}, ["b", "c"])
        assert [task["name"] for task in last["tasks"]] == ["b", "c"]
        assert found[-1] == ("updates", {"__interrupt__": ()})

    colour.run(body)


def test_a_question_is_told_with_its_schema_as_data(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(ask=c.function(lambda s: {"log": [interrupt("?", response_schema=int)]})).compile(
            checkpointer=InMemorySaver()
        )
        paused = await run(c, app, {"log": []}, thread())
        assert [q.response_schema for q in paused["__interrupt__"]] == [{"type": "integer"}]
        assert (await run(c, app, Command(resume="5"), thread()))["log"] == [5]

    colour.run(body)


def test_nodes_that_a_graph_has_no_more_are_not_waited_for(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        saver = InMemorySaver()
        await run(c, graph_of(("a", "b"), a=wrote("a"), b=ask).compile(checkpointer=saver), {"log": []}, thread())
        changed = graph_of(("a", "other"), a=wrote("a"), other=ask).compile(checkpointer=saver)
        assert changed.get_state(thread()).next == ()
        assert await run(c, changed, None, thread()) == {"log": ["a"]}

    colour.run(body)


@pytest.mark.parametrize("saver", [InMemorySaver, lambda: SqliteSaver.from_conn_string(":memory:")])
def test_a_list_that_was_written_empty_is_a_value(saver: Any) -> None:
    with nullcontext(saver()) if saver is InMemorySaver else saver() as kept:
        app = graph_of(a=wrote("a")).compile(checkpointer=kept)
        app.invoke({"log": []}, thread())
        stored = {t.metadata["step"]: t.checkpoint["channel_values"].get("log") for t in kept.list(thread())}
        assert stored == {-1: None, 0: [], 1: ["a"]}
