"""What streams tell at the edges of runs: the checkpoint that a run starts from, questions in their order, breakpoints inside."""

from __future__ import annotations

import asyncio
import dataclasses
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream, thread

from millstream import END, START, Command, GraphRecursionError, InMemorySaver, StateGraph, get_stream_writer, interrupt

__all__ = ["colour"]


def ask(question: Any) -> Any:
    return lambda state: {"log": [interrupt(question)]}


def asking() -> Any:
    graph = graph_of(
        ("a", "ask"), ("a", "side"), a=lambda s: {"log": ["a"]}, ask=ask("?"), side=lambda s: {"log": ["s"]}
    )
    return graph.compile(checkpointer=InMemorySaver())


def test_a_run_that_goes_on_tells_first_where_from(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = asking()
        first = await chunks(c, app, {"log": []}, thread(metadata={"by": "ann"}), stream_mode=["checkpoints", "values"])
        told = await chunks(c, app, Command(resume="!"), thread(), stream_mode=["checkpoints", "values"])
        assert [mode for mode, _ in told] == ["values", "checkpoints", "values", "checkpoints"]
        assert told[0][1] == {"log": ["a"]}
        start = told[1][1]
        fresh = next(data for mode, data in first[::-1] if mode == "checkpoints")
        assert fresh["metadata"] == {"source": "loop", "step": 1, "parents": {}}
        assert start["metadata"] == {**fresh["metadata"], "by": "ann"}
        same = ("config", "parent_config", "values", "next")
        assert {key: start[key] for key in same} == {key: fresh[key] for key in same}
        asked, ended = start["tasks"]
        assert [task["name"] for task in fresh["tasks"]] == [asked["name"], ended["name"]] == ["ask", "side"]
        assert [question["value"] for question in asked["interrupts"]] == ["?"]
        assert "result" not in asked
        assert ended["result"] == {"log": ["s"]}
        assert [task["interrupts"] for task in fresh["tasks"]] == [(), ()]

    colour.run(body)


def test_a_run_with_nothing_left_to_do_tells_its_last_checkpoint(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = asking()
        await run(c, app, {"log": []}, thread())
        told = await chunks(c, app, Command(resume="!"), thread(), stream_mode="checkpoints")
        (again,) = await chunks(c, app, None, thread(), stream_mode="checkpoints")
        assert again == told[-1]
        assert again["next"] == []

    colour.run(body)


def test_no_parent_is_told_that_is_never_stored(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        app = graph_of(("a", "b"), a=lambda s: {}, b=lambda s: {}).compile(checkpointer=InMemorySaver())
        parents = []
        for _ in range(3):
            told = await chunks(c, app, {"log": []}, thread(), stream_mode="checkpoints", durability="exit")
            parents.append([payload["parent_config"] for payload in told])
        first = list(app.get_state_history(thread()))[-1].config
        assert parents == [[None] * 4, [None] * 4, [first] * 4]

    colour.run(body)


def test_an_error_that_was_stored_is_told_with_the_checkpoint(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def fail(state: Any) -> Any:
            raise ValueError("no")

        app = graph_of(fail=c.function(fail)).compile(checkpointer=InMemorySaver())
        for known in (False, True):
            told: list[Any] = []
            with pytest.raises(ValueError, match="no"):
                async for chunk in stream(c, app, None if known else {"log": []}, thread(), stream_mode="debug"):
                    told.append(chunk)
            last = [entry for entry in told if entry["type"] == "checkpoint"][-1]
            assert last["step"] == 0
            (task,) = last["payload"]["tasks"]
            assert task.get("error") == ("ValueError('no')" if known else None)

    colour.run(body)


def test_a_checkpoint_is_told_when_its_step_begins(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(("a", "b"), a=lambda s: {"log": ["a"]}, b=lambda s: {"log": ["b"]})
        app = graph.compile(checkpointer=InMemorySaver(), interrupt_after=["a"])
        told = await chunks(c, app, {"log": []}, thread(), stream_mode=["checkpoints", "updates"])
        assert [mode for mode, _ in told][-2:] == ["checkpoints", "updates"]  # where it stops is told last
        assert [data["metadata"]["step"] for mode, data in told if mode == "checkpoints"] == [-1, 0, 1]
        told = await chunks(c, app, None, thread(), stream_mode="checkpoints")
        assert [data["metadata"]["step"] for data in told] == [1, 2]
        steps = []
        with pytest.raises(GraphRecursionError):
            async for data in stream(
                c, app, {"log": []}, thread("2", recursion_limit=1), stream_mode="checkpoints", interrupt_after=["b"]
            ):
                steps.append(data["metadata"]["step"])
        assert steps == [-1, 0, 1]
        assert app.get_state(thread("2")).metadata["step"] == 1

    colour.run(body)


def test_a_run_that_hits_its_limit_tells_what_would_come_next(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        node = c.function(lambda s: {"log": ["x"]})
        app = graph_of((START, "b"), (START, "a"), ("a", "a"), b=node, a=node).compile(checkpointer=InMemorySaver())
        told = []
        with pytest.raises(GraphRecursionError):
            async for item in stream(c, app, {"log": []}, thread(recursion_limit=1), stream_mode="checkpoints"):
                told.append(item)
        assert [item["next"] for item in told] == [["__start__"], ["a", "b"], ["a"]]
        assert told[-1]["config"] == app.get_state(thread()).config

    colour.run(body)


def test_checkpoints_are_told_with_what_the_run_was_configured_with(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        inner = graph_of(a=lambda s: {"log": ["a"]}).compile()
        app = graph_of(kid=inner).compile(checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": 5, "user": "u", "__pregel_own": 1}}
        told = await chunks(c, app, {"log": []}, config, stream_mode="checkpoints", subgraphs=True)
        for ns, item in told:
            given = item["config"]["configurable"]
            shown = {key: value for key, value in given.items() if not key.startswith("checkpoint_")}
            assert shown == {"thread_id": "5", "user": "u"}
            assert given["checkpoint_ns"] == "|".join(ns)
            assert item["parent_config"] is None or item["parent_config"]["configurable"].keys() == given.keys()

    colour.run(body)


def test_questions_come_in_the_order_in_which_they_were_asked() -> None:
    async def main() -> None:
        first = asyncio.Event()

        async def early(state: Any) -> Any:
            try:
                return {"log": [interrupt("early")]}
            finally:
                first.set()

        async def late(state: Any) -> Any:
            await first.wait()
            return {"log": [interrupt("late")]}

        app = graph_of((START, "a"), (START, "b"), a=late, b=early).compile(checkpointer=InMemorySaver())
        result = await app.ainvoke({"log": []}, thread())
        assert [question.value for question in result["__interrupt__"]] == ["early", "late"]
        first.clear()
        whole = await app.ainvoke({"log": []}, thread("2"), version="v2")
        assert [question.value for question in whole.interrupts] == ["early", "late"]
        assert [question.value for question in app.get_state(thread()).interrupts] == ["late", "early"]

    asyncio.run(main())


def test_questions_of_threads_come_in_the_order_in_which_they_were_asked() -> None:
    first = threading.Event()

    def late(state: Any) -> Any:
        assert first.wait(10)
        return {"log": [interrupt("late")]}

    app = graph_of((START, "a"), (START, "b"), a=late, b=ask("early")).compile(checkpointer=InMemorySaver())
    told = app.stream({"log": []}, thread(), stream_mode="updates")
    assert next(told)["__interrupt__"][0].value == "early"
    first.set()
    assert [chunk["__interrupt__"][0].value for chunk in told] == ["late"]


def test_a_breakpoint_inside_is_told_once_at_the_end(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        inner = graph_of(("c1", "c2"), c1=lambda s: {"log": ["c1"]}, c2=lambda s: {"log": ["c2"]}).compile(
            interrupt_before=["c2"]
        )
        outer = graph_of((START, "kid"), (START, "z"), kid=inner, z=lambda s: {"log": ["z"]})
        app = outer.compile(checkpointer=InMemorySaver())
        told = await chunks(
            c, app, {"log": []}, thread(), stream_mode=["updates", "values", "tasks"], subgraphs=True
        )  # fmt: skip
        assert told[-1] == ((), "updates", {"__interrupt__": ()})
        assert told[-2] == ((), "values", {"log": ["z"]})
        assert [data for _, mode, data in told if mode == "updates" and "__interrupt__" in data] == [
            {"__interrupt__": ()}
        ]
        assert [data["name"] for ns, mode, data in told if mode == "tasks" and "result" in data and not ns] == ["z"]
        assert await run(c, app, None, thread()) == {"log": ["c1", "c2", "z"]}

    colour.run(body)


class Wide(TypedDict, total=False):
    x: int
    y: int
    log: list[Any]


class Narrow(TypedDict):
    x: int


def test_a_branch_sees_what_its_node_sees_and_what_that_returned(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        seen: list[Any] = []

        def narrow(state: Narrow) -> Any:
            return {"y": 5, "other": 9}

        def path(state: Any) -> str:
            seen.append(dict(state))
            return END

        def whole(state: Wide) -> str:
            seen.append(dict(state))
            return END

        graph: Any = StateGraph(Wide).add_node("narrow", narrow).add_edge(START, "narrow")
        app = graph.add_conditional_edges("narrow", path).add_conditional_edges("narrow", whole).compile()
        await run(c, app, {"x": 1, "log": ["q"]})
        assert seen == [{"x": 1, "y": 5, "other": 9}, {"x": 1, "y": 5, "log": ["q"]}]

    colour.run(body)


def test_a_graph_that_streams_custom_itself_keeps_what_is_written_inside(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def writes(state: Any) -> Any:
            get_stream_writer()("inner")

        inner = graph_of(writes=writes).compile()

        async def asynchronous(state: Any) -> Any:
            get_stream_writer()(
                [chunk async for chunk in inner.astream({"log": []}, stream_mode=["custom", "updates"])]
            )
            [chunk async for chunk in inner.astream({"log": []}, stream_mode=["updates"])]

        def synchronous(state: Any) -> Any:
            get_stream_writer()(list(inner.stream({"log": []}, stream_mode=["custom", "updates"])))
            list(inner.stream({"log": []}, stream_mode=["updates"]))

        app = graph_of(outer=synchronous if c.sync else asynchronous).compile()
        told = await chunks(c, app, {"log": []}, stream_mode="custom", subgraphs=True)
        own = [("custom", "inner"), ("updates", {"writes": None})]
        assert [([part.split(":")[0] for part in ns], value) for ns, value in told] == [
            ([], own),
            (["outer", "1"], "inner"),
        ]

    colour.run(body)


def test_nodes_see_the_keys_of_the_state_in_the_order_of_the_schema(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        class State(TypedDict, total=False):
            a: int
            log: Annotated[list[Any], operator.add]
            b: int

        def look(state: Any) -> Any:
            return {"b": 1, "log": ["".join(key[0] for key in state)]}

        graph = graph_of(("first", "second"), state=State, first=c.function(look), second=c.function(look))
        graph.add_conditional_edges("second", lambda state: END if list(state) == ["a", "log", "b"] else "nowhere")
        app = graph.compile(checkpointer=InMemorySaver())
        result = await run(c, app, {"a": 0}, thread())
        assert (result, list(result)) == ({"a": 0, "log": ["al", "alb"], "b": 1}, ["a", "log", "b"])
        again = await run(c, graph.compile(checkpointer=app.checkpointer), {"b": 0}, thread())
        assert again["log"] == ["al", "alb", "alb", "alb"]

    colour.run(body)


@dataclasses.dataclass
class Record:
    n: int
    log: Annotated[list[Any], operator.add] = dataclasses.field(default_factory=list)


def test_parts_show_checkpoints_in_the_class_of_the_state(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(state=Record, add=c.function(lambda s: {"n": s.n + 1, "log": ["a"]}))
        app = graph.compile(checkpointer=InMemorySaver())
        parts = await chunks(c, app, {"n": 1}, thread(), stream_mode=["checkpoints", "debug", "values"], version="v2")
        states = [Record(1), Record(2, ["a"])]
        assert [part["data"]["values"] for part in parts if part["type"] == "checkpoints"] == [{"log": []}, *states]
        debugged = [part["data"] for part in parts if part["type"] == "debug"]
        assert [entry["payload"]["values"] for entry in debugged if entry["type"] == "checkpoint"] == [
            {"log": []},
            *states,
        ]
        assert [part["data"] for part in parts if part["type"] == "values"] == states
        plain = await chunks(c, app, {"n": 1}, thread("2"), stream_mode="checkpoints")
        assert [payload["values"] for payload in plain] == [{"log": []}, {"n": 1, "log": []}, {"n": 2, "log": ["a"]}]

    colour.run(body)


def picky(old: int, new: int) -> int:
    if new in REFUSED:
        raise LookupError("unlucky")
    return old + new


REFUSED = {13}


class Picky(TypedDict):
    sum: Annotated[int, picky]


def test_what_was_written_is_kept_where_a_reducer_fails(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        REFUSED.add(13)
        ran = []

        def add(state: Any) -> Any:
            ran.append("add")
            return {"sum": 13}

        app = graph_of(state=Picky, add=c.function(add)).compile(checkpointer=InMemorySaver())
        with pytest.raises(LookupError, match="unlucky") as caught:
            await run(c, app, {"sum": 1}, thread())
        assert "'sum' was written in step 1 by add" in caught.value.__notes__[0]
        (before,) = [past for past in app.get_state_history(thread()) if past.next == ("add",)]
        assert before.tasks[0].result == {"sum": 13}
        REFUSED.clear()
        assert await run(c, app, None, thread()) == {"sum": 14}
        assert ran == ["add"]

    colour.run(body)


def test_which_step_of_its_node_a_path_is() -> None:
    def first(state: Any) -> str:
        return "a"

    def second(state: Any) -> str:
        return "b"

    def tags(*edges: tuple[Any, Any]) -> dict[str, list[str]]:
        graph = graph_of((START, "n"), *edges, n=lambda state: None, a=lambda state: None, b=lambda state: None)
        graph.add_conditional_edges("n", first, ["a", "b"]).add_conditional_edges("n", second, ["a", "b"])

        async def body() -> dict[str, list[str]]:
            events = [event async for event in graph.compile().astream_events({}, {"tags": ["own"]})]
            return {e["name"]: e["tags"] for e in events if e["name"] in ("n", "first", "second")}

        return asyncio.run(body())

    assert tags() == {"n": ["graph:step:1", "own"], "first": ["seq:step:3", "own"], "second": ["seq:step:4", "own"]}
    found = tags(("n", "a"), (["n", "a"], "b"))  # what its edges write are steps too
    assert (found["first"], found["second"]) == (["seq:step:5", "own"], ["seq:step:6", "own"])


def test_a_node_that_is_left_by_a_command_of_a_graph_inside_tells_no_end() -> None:
    def leave(state: Any) -> Command[Any]:
        return Command(graph=Command.PARENT, goto="after", update={"n": 1})

    graph = graph_of((START, "kid"), kid=graph_of(leave=leave).compile(), after=lambda state: None)

    async def body() -> list[tuple[str, str]]:
        return [(event["event"], event["name"]) async for event in graph.compile().astream_events({})]

    told = asyncio.run(body())
    assert [name for name, node in told if node == "kid"] == ["on_chain_start"]
    assert ("on_chain_end", "after") in told
