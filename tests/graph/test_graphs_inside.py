"""Graphs inside graphs: how they are found, where their state is, and where there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream, thread

from millstream import (
    START,
    AIMessage,
    Command,
    InMemorySaver,
    MessagesState,
    RunnableConfig,
    ToolNode,
    entrypoint,
    get_config,
    interrupt,
    task,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


def ask(state: Any) -> Any:
    return {"log": [interrupt("which?")]}


def note(state: Any) -> Any:
    return {"log": ["note"]}


def calling(graph: Any) -> Any:
    return lambda state: graph.invoke({"log": []})


def test_graphs_inside_are_named_by_the_way_to_them() -> None:
    leaf = graph_of(note=note).compile(name="leaf")
    middle = graph_of(leaf=leaf, other=leaf).compile(name="middle")
    app = graph_of(middle=middle, note=note, mid=leaf).compile()

    def names(*args: Any) -> list[str]:
        return [name for name, _ in app.get_subgraphs(*args)]

    assert names() == ["middle", "mid"]
    assert names(None, True) == ["middle", "middle|leaf", "middle|other", "mid"]
    assert names("middle", True) == names("middle") == ["middle"]
    assert names("middle|other", True) == ["middle|other"]
    assert names("middle|other") == names("note") == names("middle|none", True) == []

    async def collected() -> list[Any]:
        return [found async for found in app.aget_subgraphs(None, True)]

    assert asyncio.run(collected()) == list(app.get_subgraphs(None, True))


@pytest.mark.parametrize("how", ["node", "call"])
def test_a_graph_that_keeps_nothing_has_no_state_to_show(how: str) -> None:
    inner = graph_of(ask=ask).compile(checkpointer=False)
    kept = graph_of(ask=ask).compile()
    for graph, shown in ((inner, False), (kept, True)):
        node: Any = graph if how == "node" else calling(graph)
        app = graph_of(kid=node).compile(checkpointer=InMemorySaver())
        told = list(app.stream({"log": []}, thread(), stream_mode="checkpoints"))
        assert [task["state"] is not None for task in told[-1]["tasks"]] == [shown]
        for subgraphs in (False, True):
            assert [task.state is not None for task in app.get_state(thread(), subgraphs=subgraphs).tasks] == [shown]


def test_an_unknown_namespace_has_no_state_and_takes_no_update() -> None:
    app = graph_of(kid=graph_of(ask=ask).compile()).compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    for ns in ("nobody:1", "kid:1|nobody:2"):
        config: Any = {"configurable": {"thread_id": "1", "checkpoint_ns": ns}}
        snapshot = app.get_state(config)
        assert (snapshot.values, snapshot.next, snapshot.metadata, snapshot.config) == ({}, (), None, config)
        assert list(app.get_state_history(config)) == []
        with pytest.raises(ValueError, match="not found"):
            app.update_state(config, {"n": 1})


def test_the_saver_of_a_graph_inside_is_for_its_own_runs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        own = InMemorySaver()
        inner = graph_of(note=c.function(note)).compile(checkpointer=own)

        async def acall(state: Any) -> Any:
            return await run(c, inner, {"log": []})

        called: Any = acall if not c.sync else lambda state: inner.invoke({"log": []})
        for node in (inner, called):
            app = graph_of(kid=node).compile()
            assert (await run(c, app, {"log": []}))["log"] == ["note"]
            assert (await run(c, app, {"log": []}, thread()))["log"] == ["note"]
        assert list(own.list(None)) == []
        await run(c, inner, {"log": []}, thread())
        assert list(own.list(None)) != []

    colour.run(body)


def test_an_update_without_a_node_comes_from_the_start_where_no_node_ran() -> None:
    app = graph_of(ask=ask).compile(checkpointer=InMemorySaver())
    for name, before in (("asked", {"log": []}), ("fresh", None)):
        if before is not None:
            app.invoke(before, thread(name))
        app.update_state(thread(name), {"n": 50})
        assert app.get_state(thread(name)).next == ("ask",)
        app.invoke(None, thread(name))
        assert app.invoke(Command(resume="this"), thread(name)) == {"n": 50, "log": ["this"]}
    app.update_state(thread("asked"), {"n": 1})  # the node has run now
    assert app.get_state(thread("asked")).next == ()


def test_a_thread_must_be_named(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(note=c.function(note)).compile(checkpointer=InMemorySaver())
        configs: list[tuple[Any, type[Exception]]] = [(None, ValueError), ({"configurable": {"user": "u"}}, KeyError)]
        for config, error in configs:
            with pytest.raises(error, match="thread_id"):
                await run(c, app, {"log": []}, config)
            with pytest.raises(error, match="thread_id"):
                await chunks(c, app, {"log": []}, config)

    colour.run(body)


@pytest.mark.parametrize("how", ["node", "call"])
@pytest.mark.parametrize(
    ("mode", "durability", "paused", "ended"),
    [
        (None, "exit", [1], [1]),
        (True, "exit", [1], [1, 2]),
        (None, "sync", [-1, 0, 1], [-1, 0, 1, 2]),
    ],
)
def test_graphs_inside_are_stored_as_the_run_around_them(
    how: str, mode: bool | None, durability: Any, paused: list[int], ended: list[int]
) -> None:
    inner = graph_of(("note", "ask"), note=note, ask=ask).compile(checkpointer=mode)
    saver = InMemorySaver()
    app = graph_of(kid=inner if how == "node" else calling(inner)).compile(checkpointer=saver)

    def steps() -> list[int]:
        found = [(item.config["configurable"]["checkpoint_ns"], item.metadata["step"]) for item in saver.list(thread())]
        return sorted(step for ns, step in found if ns)

    app.invoke({"log": []}, thread(), durability=durability)
    assert steps() == paused
    app.invoke(Command(resume="this"), thread(), durability=durability)
    assert steps() == ended
    assert app.get_state(thread()).values["log"] == ["note", "this"]


def test_a_durability_of_its_own_is_kept() -> None:
    inner = graph_of(note=note).compile()
    saver = InMemorySaver()
    app = graph_of(kid=lambda state: inner.invoke({"log": []}, durability="sync")).compile(checkpointer=saver)
    app.invoke({"log": []}, thread(), durability="exit")
    assert len([item for item in saver.list(thread()) if item.config["configurable"]["checkpoint_ns"]]) == 3


@tool
def look(x: str) -> str:
    "Look."
    return x


CALL = {"name": "look", "args": {"x": "here"}, "id": "c1", "type": "tool_call"}


def test_a_graph_with_a_thread_of_its_own_is_heard_with_graphs_inside_only(colour: Colour) -> None:
    model = ScriptedChatModel([AIMessage("", id="m", tool_calls=[CALL])] * 4)
    sayer = graph_of(
        ("say", "tools"), state=MessagesState, say=lambda s: {"messages": [model.invoke("?")]}, tools=ToolNode([look])
    )
    inner = sayer.compile()

    async def body(c: Colour) -> None:
        def ask_apart(state: Any) -> Any:
            return {"messages": inner.invoke({"messages": []}, thread("own"))["messages"][-1:]}

        app = graph_of(state=MessagesState, outer=ask_apart).compile()
        for modes, subgraphs, heard in (
            (["messages"], False, {"outer"}),
            (["messages"], True, {"say", "tools"}),
            (["tools"], False, set()),
            (["tools"], True, {"tool-started", "tool-finished"}),
        ):
            found = await chunks(c, app, {"messages": []}, stream_mode=modes, subgraphs=subgraphs)
            payloads = [item[-1] for item in found]
            said = {data["event"] if isinstance(data, dict) else data[1]["langgraph_node"] for data in payloads}
            assert said == heard

    colour.run(body)


def test_what_a_command_to_the_parent_writes_is_no_message_of_the_node(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def up(state: Any) -> Any:
            return Command(graph=Command.PARENT, update={"messages": [AIMessage("handed over", id="h")]}, goto="last")

        inner = graph_of(state=MessagesState, up=c.function(up)).compile()
        last = c.function(lambda state: {"messages": [AIMessage("done", id="d")]})
        app = graph_of(state=MessagesState, kid=inner, last=last).compile()
        for subgraphs in (False, True):
            found = await chunks(c, app, {"messages": []}, stream_mode=["messages", "values"], subgraphs=subgraphs)
            assert [item[-1][0].content for item in found if item[-2] == "messages"] == ["done"]
        assert [message.content for message in found[-1][-1]["messages"]] == ["handed over", "done"]

    colour.run(body)


def test_calls_of_tasks_are_inside_the_task_that_calls_and_no_graphs_of_their_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel([AIMessage("x", id="m")] * 9)

        def node(state: Any) -> Any:
            return {"log": [get_config()["metadata"]["langgraph_checkpoint_ns"]]}

        inner = graph_of(node=node).compile()

        @task
        def deep(x: int) -> Any:
            model.invoke("?")
            return inner.invoke({"log": []})["log"][0]

        @task
        def outer(x: int) -> Any:
            return deep(x).result()

        @entrypoint()
        def flow(x: int) -> Any:
            return outer(x).result()

        def names(ns: Any) -> list[str]:
            return [part.split(":")[0] for part in ns]

        found = await chunks(c, flow, 1, stream_mode=["messages", "updates"], subgraphs=True)
        heard = {tuple(names(ns)) for ns, mode, _ in found if mode == "messages"}
        assert heard == {()}
        assert {tuple(names(ns)) for ns, mode, data in found if "node" in data} == {("flow", "outer", "deep")}
        assert names(found[-1][2]["flow"].split("|")) == ["flow", "outer", "deep", "node"]
        told = [data async for data in stream(c, flow, 1, stream_mode="messages")]
        assert {tuple(names(facts["langgraph_checkpoint_ns"].split("|"))) for _, facts in told} == {
            ("flow", "outer", "deep")
        }

    colour.run(body)


def test_tags_given_to_a_graph_inside_are_added_to_those_around(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        inner = graph_of(tags=lambda state: {"log": get_config()["tags"]}).compile()
        app = graph_of(kid=lambda state: inner.invoke({"log": []}, {"tags": ["own"]})).compile()
        assert await run(c, app, {"log": []}, {"tags": ["around"]}) == {"log": ["around", "own"]}

    colour.run(body)


def test_a_graph_that_keeps_its_state_is_gone_on_with_only_by_the_task_that_was_cut(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        inside = graph_of(("x", "y"), x=lambda s: {"log": ["x"]}, y=lambda s: {"log": ["y"]}).compile(
            checkpointer=True, interrupt_before=["y"]
        )
        graph = graph_of(("ask", "kid"), ask=lambda s: {"log": [interrupt("?")]}, kid=inside)
        app = graph.compile(checkpointer=InMemorySaver())
        for value in ({"log": []}, Command(resume="r")):
            await run(c, app, value, thread())
        assert app.get_state(thread()).next == ("kid",)
        await run(c, app, {"log": ["in"]}, thread())  # what was going on is given up
        await run(c, app, Command(resume="s"), thread())
        assert app.get_state(thread()).next == ("kid",)  # it began anew, and is at its breakpoint
        assert (await run(c, app, None, thread()))["log"][-3:] == ["s", "x", "y"]

    colour.run(body)


def test_a_task_that_has_ended_still_names_the_state_of_its_graph() -> None:
    inside = graph_of(x=lambda s: {"log": ["x"]}).compile()
    graph = graph_of((START, "kid"), (START, "ask"), kid=inside, ask=lambda s: {"log": [interrupt("?")]})
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"log": []}, thread())
    (kid, ask) = app.get_state(thread(), subgraphs=True).tasks
    assert (kid.result, kid.state.values, kid.state.next, ask.state) == ({"log": ["x"]}, {"log": ["x"]}, (), None)
    app.invoke(Command(resume=1), thread())
    past = list(app.get_state_history(thread()))[1]
    assert past.tasks[0].state["configurable"]["checkpoint_ns"].startswith("kid:")


def test_the_config_of_a_task_names_the_checkpoints_that_it_stands_on(colour: Colour) -> None:
    found: dict[str, Any] = {}

    def told(name: str) -> Any:
        def node(state: Any, config: RunnableConfig) -> None:
            found[name] = config.get("configurable")

        return node

    async def body(c: Colour) -> None:
        app = graph_of(a=told("a"), b=graph_of(c=told("c")).compile()).add_edge("a", "b")
        compiled = app.compile(checkpointer=InMemorySaver())
        await run(c, compiled, {"log": []}, thread())
        history = [each.config["configurable"]["checkpoint_id"] for each in compiled.get_state_history(thread())]
        _, before_b, before_a, _ = history
        assert found["a"]["checkpoint_map"] == {"": before_a}
        inner_ns = found["c"]["checkpoint_ns"].rpartition("|")[0]
        assert found["c"]["checkpoint_map"].keys() == {"", inner_ns} and found["c"]["checkpoint_map"][""] == before_b
        assert found["a"]["checkpoint_id"] is None and found["c"]["thread_id"] == "1"

    colour.run(body)
