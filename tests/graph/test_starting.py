"""The start of a run: paths from START that ask or fail, Commands as input, branches from the past."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import Log, chunks, run, thread

from millstream import START, Command, InMemorySaver, InvalidUpdateError, SqliteSaver, StateGraph, interrupt

__all__ = ["colour"]


def entered(path: Any, saver: Any) -> Any:
    graph = StateGraph(Log)
    graph.add_node("a", lambda s: {"log": ["a"]})
    graph.add_conditional_edges(START, path, ["a"])
    return graph.compile(checkpointer=saver)


def chain(*names: str, **options: Any) -> Any:
    graph = StateGraph(Log)
    graph.add_sequence([(name, lambda s, name=name: {"log": [name]}) for name in names])
    graph.add_edge(START, names[0])
    return graph.compile(checkpointer=InMemorySaver(), **options)


def test_a_path_from_start_may_ask(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = entered(lambda s: interrupt("where?"), InMemorySaver())
        paused = await run(c, app, {"log": ["in"]}, thread())
        assert [question.value for question in paused["__interrupt__"]] == ["where?"]
        state = app.get_state(thread())
        assert (state.next, [q.value for q in state.interrupts]) == ((START,), ["where?"])
        again = await run(c, app, None, thread())
        assert again["__interrupt__"] == paused["__interrupt__"]
        assert await run(c, app, Command(resume="a"), thread()) == {"log": ["in", "a"]}

    colour.run(body)


@pytest.mark.parametrize("mode", [None, True, False])
def test_a_path_from_start_of_a_graph_inside_may_ask(colour: Colour, mode: Any) -> None:
    async def body(c: Colour) -> None:
        inside = StateGraph(Log)
        inside.add_node("a", lambda s: {"n": s["n"] + 1})
        inside.add_conditional_edges(START, lambda s: interrupt("where?"), ["a"])
        graph = StateGraph(Log)
        graph.add_node("kid", inside.compile(checkpointer=mode))
        graph.add_edge(START, "kid")
        app = graph.compile(checkpointer=InMemorySaver())
        for _ in range(2):
            paused = await run(c, app, {"n": 1}, thread())
            assert [question.value for question in paused["__interrupt__"]] == ["where?"]
        assert (await run(c, app, Command(resume="a"), thread()))["n"] == 2

    colour.run(body)


def test_an_input_outlives_the_failure_of_a_path_from_start(colour: Colour, tmp_path: Path) -> None:
    async def body(c: Colour) -> None:
        broken = True

        def path(state: Any) -> str:
            if broken:
                raise ValueError("no way")
            return "a"

        for saver in (InMemorySaver(), None):
            broken = True
            with SqliteSaver.from_conn_string(str(tmp_path / f"{c.name}.sqlite")) as file:
                app = entered(path, saver or file) if c.sync or saver else entered(path, InMemorySaver())
                with pytest.raises(ValueError, match="no way") as failed:
                    await run(c, app, {"log": ["in"]}, thread())
                assert any("'__start__'" in note for note in failed.value.__notes__)
                assert app.get_state(thread()).tasks[0].error == "ValueError('no way')"
                broken = False
                assert await run(c, app, None, thread()) == {"log": ["in", "a"]}

    colour.run(body)


def test_a_command_for_the_parent_is_no_input() -> None:
    app = chain("a")
    with pytest.raises(InvalidUpdateError, match="no parent graph"):
        app.invoke(Command(graph=Command.PARENT, update={"log": []}), thread())


def test_a_command_for_a_checkpoint_of_the_past_begins_a_branch(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = chain("a", "b", "c")
        await run(c, app, {"log": []}, thread())
        past = next(s for s in app.get_state_history(thread()) if s.next == ("b",))
        command: Any = Command(update={"log": ["u"]}, goto="a")
        result = await run(c, app, command, past.config)
        assert result["log"][:2] == ["a", "u"]
        fork = next(s for s in app.get_state_history(thread()) if s.metadata["source"] == "fork")
        assert (fork.values["log"], fork.next, fork.parent_config) == (["a", "u"], ("a", "b"), past.config)
        assert app.get_state(past.config).values["log"] == ["a"]

    colour.run(body)


def test_the_update_of_a_command_is_seen_at_the_checkpoint_that_it_was_given_to(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = chain("a", "b", interrupt_before=["b"])
        await run(c, app, {"log": []}, thread())
        at = app.get_state(thread()).config
        assert await run(c, app, Command(update={"log": ["u"]}), thread()) == {"log": ["a", "u", "b"]}
        assert app.get_state(at).values == {"log": ["a", "u"]}
        assert [s.values["log"] for s in app.get_state_history(thread(), limit=2)] == [["a", "u", "b"], ["a", "u"]]

    colour.run(body)


def test_the_update_of_a_command_outlives_a_new_input(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = chain("a")
        await run(c, app, {"log": []}, thread())
        assert await run(c, app, Command(update={"log": ["u"]}), thread()) == {"log": ["a", "u"]}
        assert await run(c, app, {"log": ["in"]}, thread()) == {"log": ["a", "u", "in", "a"]}
        assert app.get_state(thread()).values == {"log": ["a", "u", "in", "a"]}

    colour.run(body)


def test_a_command_for_an_input_of_the_past_takes_the_input_too(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = chain("a")
        await run(c, app, {"log": ["in"]}, thread())
        first = list(app.get_state_history(thread()))[-1].config
        assert await run(c, app, Command(update={"log": ["u"]}), first) == {"log": ["u", "in", "a"]}

    colour.run(body)


@pytest.mark.parametrize("as_node", ["a", "__copy__", None])
def test_going_on_passes_the_breakpoint_that_waits_whoever_led_there(colour: Colour, as_node: Any) -> None:
    async def body(c: Colour) -> None:
        app = chain("a", "b", "c", interrupt_before=["b", "c"])
        await run(c, app, {"log": []}, thread())
        app.update_state(thread(), None if as_node == "__copy__" else {"log": ["u"]}, as_node=as_node)
        assert await chunks(c, app, None, thread()) == [{"b": {"log": ["b"]}}, {"__interrupt__": ()}]
        assert await chunks(c, app, None, thread()) == [{"c": {"log": ["c"]}}]

    colour.run(body)


def test_a_new_input_stops_at_breakpoints_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = chain("a", "b", interrupt_before=["a"])
        assert await chunks(c, app, {"log": []}, thread()) == [{"__interrupt__": ()}]
        app.update_state(thread(), {"log": ["new"]}, as_node="__input__")
        assert await chunks(c, app, None, thread()) == [{"__interrupt__": ()}]

    colour.run(body)


@pytest.mark.parametrize("saver", [InMemorySaver, lambda: SqliteSaver.from_conn_string(":memory:")])
def test_an_input_given_by_an_update_is_taken_also_on_a_branch(saver: Any) -> None:
    with nullcontext(saver()) if saver is InMemorySaver else saver() as kept:
        graph = StateGraph(Log).add_sequence([("a", lambda s: {"log": ["a"]}), ("b", lambda s: {"log": ["b"]})])
        app = graph.add_edge(START, "a").compile(checkpointer=kept)
        config = app.update_state(thread(), {"log": ["given"]}, as_node="__input__")
        assert app.invoke(None, config) == {"log": ["given", "a", "b"]}  # a branch, as the checkpoint is named
        assert app.invoke(None, config) == {"log": ["given", "a", "b"]}
