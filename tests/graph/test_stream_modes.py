"""Stream modes: payloads, order, shapes, namespaces; live delivery and early ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream, thread

from millstream import (
    START,
    AIMessage,
    Command,
    GraphOutput,
    HumanMessage,
    InMemorySaver,
    MessagesState,
    StateGraph,
    SystemMessage,
    ToolMessage,
    ToolNode,
    get_stream_writer,
    tool,
)
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]


def two(c: Colour) -> Any:
    """A graph of two nodes, of which the second says something on `custom`."""

    def note(state: Any) -> Any:
        get_stream_writer()({"at": state["n"]})
        return {"log": [state["n"]]}

    return graph_of(("double", "note"), double=c.function(lambda s: {"n": s["n"] * 2}), note=c.function(note)).compile()


def test_every_mode_alone(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = two(c)
        given = {"n": 3, "log": []}
        assert await chunks(c, app, given) == [{"double": {"n": 6}}, {"note": {"log": [6]}}]
        assert await chunks(c, app, given, stream_mode="values") == [
            {"n": 3, "log": []},
            {"n": 6, "log": []},
            {"n": 6, "log": [6]},
        ]
        assert await chunks(c, app, given, stream_mode="custom") == [{"at": 6}]
        tasks = await chunks(c, app, given, stream_mode="tasks")
        assert [(t["name"], "input" in t) for t in tasks] == [
            ("double", True),
            ("double", False),
            ("note", True),
            ("note", False),
        ]
        assert tasks[0]["id"] == tasks[1]["id"] != tasks[2]["id"]
        assert tasks[1]["result"] == {"n": 6}
        debug = await chunks(c, app, given, stream_mode="debug")
        assert [(d["step"], d["type"]) for d in debug] == [
            (1, "task"),
            (1, "task_result"),
            (2, "task"),
            (2, "task_result"),
        ]
        assert await chunks(c, app, given, stream_mode="messages") == []

    colour.run(body)


def test_modes_together_keep_their_order(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        found = await chunks(c, two(c), {"n": 1, "log": []}, stream_mode=["values", "updates", "custom", "tasks"])
        assert [mode for mode, _ in found] == [
            "values", "tasks", "updates", "tasks", "values", "tasks", "custom", "updates", "tasks", "values",
        ]  # fmt: skip

    colour.run(body)


def test_output_keys_and_invoke_forms(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = two(c)
        given = {"n": 1, "log": []}
        assert await chunks(c, app, given, output_keys="n", stream_mode=["updates", "values"]) == [
            ("values", 1),
            ("updates", {"double": 2}),
            ("values", 2),
            ("updates", {"note": None}),
        ]
        assert await run(c, app, given, output_keys="n") == 2
        assert await run(c, app, given, stream_mode="updates") == await chunks(c, app, given)
        assert await run(c, app, given, stream_mode=["custom"]) == [("custom", {"at": 2})]
        assert await run(c, app, given, version="v2") == GraphOutput({"n": 2, "log": [2]})
        with pytest.raises(ValueError, match="'zz'"):
            await run(c, app, given, output_keys="zz")

    colour.run(body)


def test_parts_of_version_2(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        parts = await chunks(c, two(c), {"n": 1, "log": []}, stream_mode=["values", "custom"], version="v2")
        assert parts[0] == {"type": "values", "ns": (), "data": {"n": 1, "log": []}, "interrupts": ()}
        assert {"type": "custom", "ns": (), "data": {"at": 2}} in parts

    colour.run(body)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"stream_mode": "tokens"}, ValueError, "unknown stream mode 'tokens'"),
        ({"stream_mode": [3]}, TypeError, "not 3"),
        ({"version": "v3"}, ValueError, "'v3'"),
        ({"durability": "never"}, ValueError, "'never'"),
        ({"colour": "red"}, TypeError, "'colour'"),
    ],
)
def test_options_that_mean_nothing(options: Any, error: type[Exception], says: str) -> None:
    app = graph_of(a=lambda s: None).compile()
    with pytest.raises(error, match=says):
        list(app.stream({}, **options))


def test_print_mode_prints_and_yields_nothing_more(colour: Colour, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: {"n": 1})).compile()
        assert (
            await chunks(c, app, {}, stream_mode="values", print_mode="updates")
            == [{"log": []}, {"log": [], "n": 1}][1:]
        )

    colour.run(body)
    assert capsys.readouterr().out == "\033[1m[updates]\033[0m {'a': {'n': 1}}\n"


def test_print_mode_says_which_graph_speaks(colour: Colour, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(kid=graph_of(a=c.function(lambda s: {"n": 1})).compile()).compile()
        await chunks(c, app, {}, print_mode=["updates"], subgraphs=True)
        await run(c, app, {}, print_mode="updates")

    colour.run(body)
    inside, *outside = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"\x1b\[1m\[updates\]\x1b\[0m \x1b\[1;30;33m\[graph=\('kid:[-0-9a-f]{36}',\)\]\x1b\[0m {'a': {'n': 1}}", inside
    )
    assert outside == ["\033[1m[updates]\033[0m {'kid': {'n': 1, 'log': []}}"] * 2


def test_what_is_wrong_with_a_stream_is_found_by_its_reader(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(a=c.function(lambda s: {"n": 1})).compile(checkpointer=InMemorySaver())
        for config, options, says in (
            (None, {}, "thread_id"),
            (thread(), {"output_keys": "none"}, "'none'"),
            (thread(recursion_limit=0), {}, "recursion_limit"),
        ):
            items = stream(c, app, {}, config, **options)  # made without an error
            with pytest.raises(ValueError, match=says):
                await anext(items)

    colour.run(body)


def test_tools_are_told_with_the_ids_that_their_messages_will_have(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def look(x: str) -> str:
            "Look."
            return x

        call = {"name": "look", "args": {"x": "here"}, "id": "c1", "type": "tool_call"}
        plan = c.function(lambda s: {"messages": [AIMessage("", tool_calls=[call], id="a")]})
        app = graph_of(("plan", "tools"), state=MessagesState, plan=plan, tools=ToolNode([look])).compile()
        for modes, known in ((["tools", "values"], True), (["tools", "values", "custom"], False)):
            found = await chunks(c, app, {"messages": []}, stream_mode=modes)
            [told] = [payload["output"] for _, payload in found if payload.get("event") == "tool-finished"]
            stored = found[-1][1]["messages"][-1]
            assert (told.content, told.id) == ("here", stored.id if known else None)

    colour.run(body)


def test_namespaces_of_nested_graphs_two_deep(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def leaf(state: Any) -> Any:
            get_stream_writer()("deep")
            return {"log": ["leaf"]}

        inner = graph_of(leaf=c.function(leaf)).compile()
        middle = graph_of(inner=inner).compile()
        app = graph_of(middle=middle).compile()
        found = await chunks(c, app, {"log": []}, stream_mode=["updates", "custom"], subgraphs=True)
        shown = [([part.split(":")[0] for part in ns], mode) for ns, mode, _ in found]
        assert shown == [
            (["middle", "inner"], "custom"),
            (["middle", "inner"], "updates"),
            (["middle"], "updates"),
            ([], "updates"),
        ]
        assert found[0][0][:1] == found[2][0]
        assert await chunks(c, app, {"log": []}, stream_mode="custom") == []

    colour.run(body)


# -- messages ---------------------------------------------------------------------------------------------------------


def talker(c: Colour, model: Any) -> Any:
    if c.sync:
        return lambda state: {"messages": [model.invoke(state["messages"])]}

    async def talk(state: Any) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return talk


def test_tokens_come_as_they_are_made_and_the_message_is_not_told_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(["one two three"])
        app = graph_of(state=MessagesState, talk=talker(c, model)).compile()
        found = await chunks(c, app, {"messages": [HumanMessage("q", id="h")]}, stream_mode="messages")
        assert "".join(m.content for m, _ in found) == "one two three"
        assert {type(m).__name__ for m, _ in found} == {"AIMessageChunk"}
        facts = found[0][1]
        assert facts["langgraph_node"] == facts["streamable_node"] == "talk"
        assert facts["langgraph_step"] == 1
        assert facts["langgraph_triggers"] == ("branch:to:talk",)
        assert facts["langgraph_checkpoint_ns"].startswith("talk:")

    colour.run(body)


def test_watching_does_not_change_the_result(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def app() -> Any:
            return graph_of(
                state=MessagesState, talk=talker(c, ScriptedChatModel([AIMessage("a b c", id="m")]))
            ).compile()

        given = {"messages": [HumanMessage("q", id="h")]}
        plain = await run(c, app(), given)
        for modes in (["values"], ["values", "messages"], ["values", "messages", "custom", "tools", "debug"]):
            found = await chunks(c, app(), given, stream_mode=modes)
            assert [payload for mode, payload in found if mode == "values"][-1] == plain

    colour.run(body)


def test_messages_that_nodes_return_are_told_once(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        history = c.function(lambda s: {"messages": [*s["messages"], AIMessage("new", id="n")]})
        command = c.function(lambda s: Command(update={"messages": [SystemMessage("sys", id="s")]}))
        nameless = c.function(lambda s: {"messages": ToolMessage("t", tool_call_id="c")})
        app = graph_of(("history", "command"), ("command", "nameless"), state=MessagesState,
                       history=history, command=command, nameless=nameless).compile()  # fmt: skip
        found = await chunks(c, app, {"messages": [HumanMessage("q", id="h")]}, stream_mode=["messages", "values"])
        told = [payload[0] for mode, payload in found if mode == "messages"]
        assert [(m.type, m.content) for m in told] == [("ai", "new"), ("system", "sys"), ("tool", "t")]
        # One id in the stream and in the state.
        assert told[2].id == found[-1][1]["messages"][-1].id is not None

    colour.run(body)


def test_nostream_silences_a_model_but_not_what_its_node_returns(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        quiet = ScriptedChatModel([AIMessage("x y", id="m")], tags=["nostream"])
        app = graph_of(state=MessagesState, talk=talker(c, quiet)).compile()
        found = await chunks(c, app, {"messages": "q"}, stream_mode="messages")
        assert [(type(m).__name__, m.content) for m, _ in found] == [("AIMessage", "x y")]

    colour.run(body)


def test_a_graph_inside_is_heard_only_with_subgraphs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def app() -> Any:
            kid = graph_of(state=MessagesState, talk=talker(c, ScriptedChatModel([AIMessage("x y", id="m")]))).compile()
            return graph_of(state=MessagesState, kid=kid).compile()

        off = await chunks(c, app(), {"messages": "q"}, stream_mode="messages")
        assert [(type(m).__name__, f["langgraph_node"]) for m, f in off if m.type == "ai"] == [("AIMessage", "kid")]
        on = await chunks(c, app(), {"messages": "q"}, stream_mode="messages", subgraphs=True)
        tokens = [(ns, m.content) for ns, (m, f) in on if f["langgraph_node"] == "talk"]
        assert "".join(text for _, text in tokens) == "x y"
        assert all(len(ns) == 1 and ns[0].startswith("kid:") for ns, _ in tokens)

    colour.run(body)


def test_a_tool_tells_of_itself(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        @tool
        def count(upto: int) -> Iterator[str]:
            "Count."
            for i in range(upto):
                yield f"at {i}"
            return "counted"

        call = {"name": "count", "args": {"upto": 2}, "id": "c1", "type": "tool_call"}
        if c.sync:
            node: Any = lambda s: {"log": [count.invoke(call).content]}  # noqa: E731
        else:

            async def node(s: Any) -> Any:
                return {"log": [(await count.ainvoke(call)).content]}

        app = graph_of(node=node).compile()
        found = await chunks(c, app, {"log": []}, stream_mode=["tools", "custom", "updates"])
        assert [payload for mode, payload in found if mode == "custom"] == ["at 0", "at 1"]
        events = [payload for mode, payload in found if mode == "tools"]
        assert [e["event"] for e in events] == ["tool-started", *["tool-output-delta"] * 2, "tool-finished"]
        assert {e["tool_call_id"] for e in events} == {"c1"}
        assert found[-1] == ("updates", {"node": {"log": ["counted"]}})

    colour.run(body)


# -- generator nodes --------------------------------------------------------------------------------------------------


def test_each_yield_of_a_generator_node_is_a_write(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def sync_form(state: Any) -> Any:
            yield {"log": ["a"]}
            yield "progress"
            yield Command(update={"log": ["b"]}, goto="next")
            return {"log": ["c"]}

        async def async_form(state: Any) -> Any:
            yield {"log": ["a"]}
            yield "progress"
            yield Command(update={"log": ["b"]}, goto="next")
            yield {"log": ["c"]}

        for form in [sync_form] if c.sync else [async_form, sync_form]:
            app = graph_of(gen=form, next=c.function(lambda s: {"log": [len(s["log"])]})).compile()
            found = await chunks(c, app, {"log": []}, stream_mode=["updates", "custom", "values"])
            assert found == [
                ("values", {"log": []}),
                ("updates", {"gen": {"log": ["a"]}}),
                ("custom", "progress"),
                ("updates", {"gen": {"log": ["b"]}}),
                ("updates", {"gen": {"log": ["c"]}}),
                ("values", {"log": ["a", "b", "c"]}),
                ("updates", {"next": {"log": [3]}}),
                ("values", {"log": ["a", "b", "c", 3]}),
            ]
            assert await run(c, app, {"log": []}) == {"log": ["a", "b", "c", 3]}

    colour.run(body)


def test_a_generator_nodes_first_write_is_seen_while_it_waits() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def gen(state: Any) -> Any:
            yield {"log": ["first"]}
            await go.wait()
            yield {"log": ["second"]}

        seen = []
        async with contextlib.aclosing(graph_of(gen=gen).compile().astream({"log": []})) as items:
            async for item in items:
                seen.append(item)
                go.set()
        assert seen == [{"gen": {"log": ["first"]}}, {"gen": {"log": ["second"]}}]

    asyncio.run(main())


# -- ends -------------------------------------------------------------------------------------------------------------


def test_leaving_early_ends_what_runs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ended: list[str] = []
        leave = threading.Event()

        def sync_form(state: Any) -> Any:
            write = get_stream_writer()
            write("begun")
            leave.wait(5)
            ended.append("ended")

        async def async_form(state: Any) -> Any:
            get_stream_writer()("begun")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append("ended")
                raise

        node = sync_form if c.sync else async_form
        app = graph_of((START, "a"), (START, "b"), ("a", "never"), a=node, b=node, never=says_never).compile()
        items = stream(c, app, {"log": []}, stream_mode="custom")
        assert await anext(aiter(items)) == "begun"
        leave.set()
        await items.aclose()
        assert ended == ["ended", "ended"]

    colour.run(body)


def says_never(state: Any) -> Any:
    raise AssertionError("a step after the stream was left")


def test_an_error_comes_after_what_was_said(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def fail(state: Any) -> Any:
            get_stream_writer()("before")
            raise ValueError("no")

        app = graph_of(("ok", "fail"), ok=c.function(lambda s: {"n": 1}), fail=c.function(fail)).compile()
        for mode, expected in (("updates", [{"ok": {"n": 1}}]), ("custom", ["before"])):
            got = []
            with pytest.raises(ValueError, match="no"):
                async for item in stream(c, app, {}, stream_mode=mode):
                    got.append(item)
            assert got == expected

    colour.run(body)


def test_a_failing_node_cancels_its_sibling_and_keeps_the_finished_ones_update() -> None:
    async def main() -> None:
        seen = []

        async def quick(state: Any) -> Any:
            return {"log": ["quick"]}

        async def failing(state: Any) -> Any:
            await asyncio.sleep(0.01)
            raise ValueError("no")

        async def slow(state: Any) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        edges = [(START, name) for name in ("quick", "failing", "slow")]
        app = graph_of(*edges, quick=quick, failing=failing, slow=slow).compile()
        got = []
        with pytest.raises(ValueError, match="no"):
            async for item in app.astream({"log": []}):
                got.append(item)
        assert got == [{"quick": {"log": ["quick"]}}]
        assert seen == ["cancelled"]

    asyncio.run(main())


def test_the_checkpoints_mode_needs_a_checkpointer(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = StateGraph(MessagesState).add_node("m", c.function(lambda s: {"messages": "hi"})).add_edge(START, "m")
        assert await chunks(c, graph.compile(), {"messages": []}, stream_mode="checkpoints") == []
        config = {"configurable": {"thread_id": "1"}}
        found = await chunks(
            c, graph.compile(checkpointer=InMemorySaver()), {"messages": []}, config, stream_mode="checkpoints"
        )
        assert [(f["metadata"]["source"], f["metadata"]["step"], f["next"]) for f in found] == [
            ("input", -1, ["__start__"]),
            ("loop", 0, ["m"]),
            ("loop", 1, []),
        ]
        assert found[0]["parent_config"] is None
        assert found[2]["parent_config"] == found[1]["config"]

    colour.run(body)
