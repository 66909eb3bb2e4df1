"""Smaller parts of the surface: messages pushed, handlers of interrupts, trace policies, strict answers, bounds of Sends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from colours import Colour, colour
from graph_helpers import Log, chunks, graph_of, run, thread

from millstream import (
    START,
    AIMessage,
    Command,
    ErrorCode,
    GraphCallbackHandler,
    GraphInterruptEvent,
    GraphOutput,
    GraphRecursionError,
    GraphResumeEvent,
    HumanMessage,
    InMemorySaver,
    InMemoryStore,
    Interrupt,
    InvalidNamespaceError,
    InvalidType,
    LoopBlocked,
    MessageGraph,
    MessagesState,
    NodeCancelledError,
    NodeInterrupt,
    NodeTimeoutError,
    Runtime,
    Send,
    StateGraph,
    ToolMessage,
    TracePolicy,
    UnknownInterruptError,
    Unsupported,
    UsageError,
    add_messages,
    ensure_valid_checkpointer,
    entrypoint,
    errors,
    interrupt,
    omit_payload,
    push_message,
    task,
)

__all__ = ["colour"]


class Plain(TypedDict):
    n: int


def test_a_pushed_message_is_told_at_once_and_not_again_when_it_is_returned(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def say(state: Any) -> Any:
            push_message(AIMessage("sooner", id="1"))
            pushed = push_message(AIMessage("soon", id="1"))
            return {"messages": [pushed, AIMessage("late", id="2")]}

        app = graph_of(a=c.function(say), state=MessagesState).compile()
        found = await chunks(c, app, {"messages": []}, stream_mode=["messages", "values"])
        assert [m[0].content for mode, m in found if mode == "messages"] == ["sooner", "soon", "late"]
        assert found[1][1][1]["langgraph_node"] == "a"
        assert [m.content for m in found[-1][1]["messages"]] == ["soon", "late"]
        with pytest.raises(ValueError, match="id"):
            await run(c, graph_of(a=c.function(lambda s: push_message(AIMessage("x")))).compile(), {"n": 1})

    colour.run(body)


class Hearing(GraphCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        self.heard.append(("interrupt", event.status, [i.value for i in event.interrupts]))

    def on_resume(self, event: GraphResumeEvent) -> None:
        self.heard.append(("resume", event.status))
        assert event.run_id
        assert event.checkpoint_id


def test_handlers_hear_of_interrupts_and_resumes(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        hearing = Hearing()
        app = graph_of(
            ("a", "b"), a=c.function(lambda s: {"log": [interrupt("?")]}), b=c.function(lambda s: {})
        ).compile(checkpointer=InMemorySaver(), interrupt_before=["b"])
        config = thread(callbacks=[hearing])
        await run(c, app, {"n": 1}, config)
        await run(c, app, Command(resume="yes"), config)
        assert hearing.heard == [
            ("interrupt", "pending", ["?"]), ("resume", "pending"), ("interrupt", "interrupt_before", []),
        ]  # fmt: skip

    colour.run(body)


def test_strict_runs_take_only_answers_that_fit(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        ask = c.function(lambda s: {"log": [interrupt("?")]})
        app = graph_of(("__start__", "a"), ("__start__", "b"), a=ask, b=ask).compile(checkpointer=InMemorySaver())
        strict = {"configurable": {"thread_id": "1", "__pregel_strict_resume": True}}
        await run(c, app, {"n": 1}, thread())
        for answer, reason in (("yes", "ambiguous"), ({}, "empty"), ({"0" * 32: 1}, "unknown")):
            with pytest.raises(UnknownInterruptError) as caught:
                await run(c, app, Command(resume=answer), strict)
            assert caught.value.reason == reason

    colour.run(body)


def test_what_a_trace_shows(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = graph_of(b=c.function(lambda s: {"n": 2}))
        graph.add_node(
            "a", c.function(lambda s: {"n": 1}),
            trace_policy=TracePolicy(process_inputs=omit_payload, process_outputs=lambda o: {"n": "hidden"}),
        ).add_edge("b", "a")  # fmt: skip
        app = graph.compile()
        if not c.sync:
            events = [e async for e in app.astream_events({"n": 0}) if e["name"] == "a"]
            assert events[0]["data"] == {"input": {}}
            assert events[-1]["data"]["output"] == {"n": "hidden"}
        assert (await run(c, app, {"n": 0}))["n"] == 1

    colour.run(body)


def test_a_send_with_a_bound_of_time() -> None:
    async def main() -> None:
        async def slow(state: Any) -> Any:
            await asyncio.sleep(10)

        graph = graph_of(a=lambda s: {}, slow=slow)
        graph.add_conditional_edges("a", lambda s: [Send("slow", {}, timeout=0.01)], ["slow"])
        with pytest.raises(NodeTimeoutError, match="slow"):
            await graph.compile().ainvoke({"n": 1})

    asyncio.run(main())
    assert Send("a", 1, timeout=1) != Send("a", 1)
    assert "timeout=1" in repr(Send("a", 1, timeout=1))


def test_a_send_with_a_bound_is_stored() -> None:
    async def go(state: Any) -> Any:
        return {"n": state["n"] + 1}

    graph = graph_of(a=lambda s: {}, go=go)
    graph.add_conditional_edges("a", lambda s: [Send("go", {"n": 5}, timeout=3.5)], ["go"])
    saver = InMemorySaver()
    app = graph.compile(checkpointer=saver, interrupt_before=["go"])

    async def main() -> Any:
        await app.ainvoke({"n": 1}, thread())
        saver._kept.clear()
        return await app.ainvoke(None, thread())

    assert asyncio.run(main())["n"] == 6


def test_a_node_that_raises_a_cancellation_has_failed(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def bad(state: Any) -> Any:
            raise asyncio.CancelledError

        app = graph_of(a=c.function(bad)).compile()
        with pytest.raises(NodeCancelledError, match="'a'"):
            await run(c, app, {"n": 1})

    colour.run(body)


def test_the_former_form_of_an_interrupt(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def ask(state: Any) -> Any:
            if state["n"] < 2:
                with pytest.warns(DeprecationWarning):
                    error = NodeInterrupt("too small")
                raise error
            return {"n": state["n"] * 2}

        app = graph_of(a=c.function(ask)).compile(checkpointer=InMemorySaver())
        [question] = (await run(c, app, {"n": 1}, thread()))["__interrupt__"]
        assert question.value == "too small"
        assert len(question.id) == 32
        result = await run(c, app, Command(resume="any", update={"n": 5}), thread())
        assert result["n"] == 10

    colour.run(body)


def test_an_update_given_with_an_answer_is_not_lost_when_the_node_asks_again(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def ask(state: Any) -> Any:
            return {"log": [interrupt("first"), interrupt("second")]}

        app = graph_of(("a", "b"), a=c.function(ask), b=c.function(lambda s: {"log": [s["n"]]})).compile(
            checkpointer=InMemorySaver()
        )
        await run(c, app, {"n": 1, "log": []}, thread())
        await run(c, app, Command(resume="x", update={"n": 7, "log": ["told"]}), thread())
        state = app.get_state(thread()) if c.sync else await app.aget_state(thread())
        assert (state.values, state.next) == ({"n": 7, "log": ["told"]}, ("a",))
        result = await run(c, app, Command(resume="y", update={"log": ["more"]}), thread())
        assert result == {"n": 7, "log": ["told", "more", "x", "y", 7]}

    colour.run(body)


def test_a_task_that_fails_unheard_is_logged(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    @task
    def bad(x: int) -> int:
        raise ValueError(f"nobody asks for {x}")

    async def body(c: Colour) -> None:
        def flow(x: int) -> str:
            bad(x)
            return "done"

        app = entrypoint()(c.function(flow)) if c.sync else entrypoint()(_async(flow))
        with caplog.at_level(logging.WARNING, "millstream"):
            assert await run(c, app, 3) == "done"
        assert [r.getMessage() for r in caplog.records if "nobody asks for 3" in r.getMessage()]
        caplog.clear()

    colour.run(body)


def _async(fn: Any) -> Any:
    async def form(x: int) -> Any:
        return fn(x)

    return form


def test_facts_of_a_run_can_be_patched(colour: Colour) -> None:
    seen: list[Any] = []

    async def body(c: Colour) -> None:
        def look(state: Log, runtime: Runtime[Any]) -> Any:
            info = runtime.patch_execution_info(node_attempt=7).execution_info
            seen.append((info.node_attempt, info.thread_id, runtime.execution_info.node_attempt))
            assert runtime.execution_info.node_first_attempt_time > 0
            assert "node_attempt=7" in repr(info)
            with pytest.raises(InvalidType, match="nope"):
                runtime.patch_execution_info(nope=1)
            assert runtime.server_info.assistant_id == "helper"
            return {}

        async def alook(state: Log, runtime: Runtime[Any]) -> Any:
            return look(state, runtime)

        app = graph_of(a=look if c.sync else alook).compile(checkpointer=InMemorySaver())
        await run(c, app, {"n": 1}, {"configurable": {"thread_id": "t", "assistant_id": "helper"}})

    colour.run(body)
    assert set(seen) == {(7, "t", 1)}


def test_what_the_first_versions_had() -> None:
    with pytest.warns(DeprecationWarning):
        graph = MessageGraph()
    graph.add_node("a", lambda messages: AIMessage(messages[-1].content + "!"))
    graph.set_entry_point("a")
    assert [m.content for m in graph.compile().invoke(HumanMessage("hi"))] == ["hi", "hi!"]
    output: Any = GraphOutput({"n": 1})
    with pytest.warns(DeprecationWarning):
        assert output["n"] == 1
    with pytest.warns(DeprecationWarning):
        assert "m" not in output

    @dataclass
    class Result:
        n: int

    question = Interrupt.from_ns("why?", "node:1")
    for output, asked in ((GraphOutput(Result(1)), []), (GraphOutput(Result(1), (question,)), [question])):
        with pytest.warns(DeprecationWarning):
            assert (output["n"], output["__interrupt__"]) == (1, asked)
        with pytest.warns(DeprecationWarning):
            assert ("n" in output, "m" in output, "__interrupt__" in output) == (True, False, bool(asked))
        with pytest.raises(KeyError, match="'m'"), pytest.warns(DeprecationWarning):
            output["m"]
    assert question.id == Interrupt.from_ns("what?", "node:1").id != Interrupt.from_ns("why?", "node:2").id
    with pytest.raises(InvalidType):
        ensure_valid_checkpointer("no")
    assert ensure_valid_checkpointer(None) is None
    with pytest.raises(Unsupported, match="version 3"):
        graph.compile(transformers=[object()])


def test_messages_in_the_form_of_openai() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    given = [
        HumanMessage([{"type": "text", "text": "look"}, image], id="1"),
        AIMessage([{"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}], id="2"),
        HumanMessage(
            [{"type": "tool_result", "tool_use_id": "c", "content": "4"}, {"type": "text", "text": "and?"}], id="3"
        ),
    ]
    before = [m.content for m in given]
    reduce = add_messages(format="langchain-openai")
    found = reduce([], given)
    assert [m.content for m in given] == before
    assert [type(m) for m in found] == [HumanMessage, AIMessage, HumanMessage, ToolMessage]
    assert found[0].content[1]["type"] == "image_url"
    assert found[1].tool_calls[0]["args"] == {"x": 1}
    assert found[3].tool_call_id == "c"
    assert [m.id for m in found] == ["1", "2", "3", "3-1"]
    again = reduce(found, [HumanMessage("plain", id="4")])
    assert all(a is b for a, b in zip(again, found, strict=False))


def test_graphs_inside_nodes_are_drawn_with_xray() -> None:
    inner = graph_of(("x", "y"), x=lambda s: {}, y=lambda s: {}).compile()
    app = graph_of(("a", "kid"), a=lambda s: {}, kid=inner).compile()
    lines = app.get_graph(xray=True).draw_mermaid(with_styles=False).splitlines()
    assert lines == [
        "graph TD;",
        "\t__start__ --> a;",
        "\ta --> kid\\3ax;",
        "\tkid\\3ay --> __end__;",
        "\tsubgraph kid",
        "\tkid\\3ax --> kid\\3ay;",
        "\tend",
    ]
    assert "\tkid\\3ax(x)" in app.get_graph(xray=1).draw_mermaid().splitlines()
    assert list(app.get_graph().nodes) == ["__start__", "a", "kid", "__end__"]
    outer = graph_of(deep=app).compile()
    assert "deep:kid:x" in outer.get_graph(xray=True).nodes
    assert "deep:kid" in outer.get_graph(xray=1).nodes


def test_errors_say_what_they_are_to_programs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        async def code_of(app: Any, input: Any, config: Any = None) -> Any:
            with pytest.raises((UsageError, GraphRecursionError)) as caught:
                await run(c, app, input, config)
            return getattr(caught.value, "code", None)

        async def plain(write: Any) -> Any:
            return await code_of(graph_of(a=c.function(lambda s: write), state=Plain).compile(), {"n": 1})

        builder: StateGraph[Any, Any, Any, Any] = StateGraph(Plain)
        for name in ("a", "b"):
            builder.add_node(name, c.function(lambda s: {"n": 1}))
            builder.add_edge(START, name)
        assert await code_of(builder.compile(), {"n": 0}) is ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE
        assert await plain(3) == "INVALID_GRAPH_NODE_RETURN_VALUE"
        assert await code_of(graph_of(a=c.function(lambda s: None)).compile(), {"n": 1}, {"recursion_limit": 1}) is (
            ErrorCode.GRAPH_RECURSION_LIMIT
        )

    colour.run(body)


def test_a_question_knows_its_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="read `.id`"):
        assert Interrupt("?", "abc").interrupt_id == "abc"


def test_all_errors_live_in_one_tree() -> None:
    assert issubclass(LoopBlocked, asyncio.InvalidStateError)
    assert LoopBlocked is errors.LoopBlocked
    assert issubclass(InvalidNamespaceError, UsageError)
    with pytest.raises(AttributeError):
        _ = errors.Nope


def test_a_parameter_called_store_needs_no_annotation(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        if c.sync:

            def plain(state: Any, store: Any) -> Any:
                return {"log": [store]}

            def optional(state: Any, store=None) -> Any:  # type: ignore[no-untyped-def]
                return {"log": [store]}

            def bare(state, store):  # type: ignore[no-untyped-def]
                return {"log": [store]}
        else:

            async def plain(state: Any, store: Any) -> Any:
                return {"log": [store]}

            async def optional(state: Any, store=None) -> Any:  # type: ignore[no-untyped-def]
                return {"log": [store]}

            async def bare(state, store):  # type: ignore[no-untyped-def]
                return {"log": [store]}

        kept = InMemoryStore()
        for node in (bare, optional):
            assert (await run(c, graph_of(a=node).compile(store=kept), {"log": []}))["log"] == [kept]
            assert await run(c, graph_of(a=node).compile(), {"log": []}) == {"log": [None]}
        with pytest.raises(TypeError, match="store"):  # of another type it is the caller's own
            await run(c, graph_of(a=plain).compile(store=kept), {"log": []})

    colour.run(body)
