"""Graphs inside graphs: how they are found, where their state is, and where there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, thread

from millstream import Command, InMemorySaver, interrupt

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
