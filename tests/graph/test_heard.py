"""The quick way of tokens to a reader of `messages`: it says what events say, and lets nothing else be seen of itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from colours import Colour, colour
from graph_helpers import chunks, graph_of, run, stream

from millstream import (
    START,
    AIMessage,
    AIMessageChunk,
    BaseCallbackHandler,
    ChatGenerationChunk,
    ChatPromptTemplate,
    GenericFakeChatModel,
    HumanMessage,
    MessagesState,
    RunnableLambda,
    StateGraph,
    TracePolicy,
    create_react_agent,
    entrypoint,
    task,
    tool,
)
from millstream.spine.events import EVERYTHING, STREAM, Event, Tap
from millstream.spine.run import Run
from millstream.spine.scope import Scope
from millstream.testing import ScriptedChatModel

__all__ = ["colour"]

ASKED = {"messages": [HumanMessage("q", id="h")]}


@tool
def look(what: str) -> str:
    """Look."""
    return f"saw {what}"


CALL = {"name": "look", "args": {"what": "x"}, "id": "c1", "type": "tool_call"}


def agent() -> Any:
    """A react agent; the ids of its messages are given."""
    answers = [AIMessage("", id="m1", tool_calls=[CALL]), AIMessage("one two three", id="m2")]
    return create_react_agent(ScriptedChatModel(answers), [look])


@contextlib.contextmanager
def counting_events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many tokens are told by an event."""
    counted: list[int] = []
    emit = Run.emit

    def counted_emit(self: Run, kind: int, data: Any) -> None:
        if kind == STREAM and self.type == "chat_model":
            counted.append(kind)
        emit(self, kind, data)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "emit", counted_emit)
        yield counted


def plain(item: Any) -> Any:
    """An item without what differs between runs."""
    if isinstance(item, dict) and "type" in item and "ns" in item:
        return item["type"], item["ns"], plain(item["data"])
    if isinstance(item, (list, tuple)):
        return [plain(each) for each in item]
    if isinstance(item, dict):
        return {key: plain(value) for key, value in item.items() if not key.endswith("checkpoint_ns")}
    if isinstance(item, (AIMessage, HumanMessage)):
        id = item.id and item.id.partition("--")[0]  # an id that names the run: another each time
        return type(item).__name__, item.content, id, getattr(item, "chunk_position", None)
    return getattr(item, "content", item)


SHAPES: list[dict[str, Any]] = [
    {"stream_mode": "messages"},
    {"stream_mode": ("messages",)},
    {"stream_mode": ["messages"]},
    {"stream_mode": ["updates", "messages"]},
    {"stream_mode": "messages", "subgraphs": True},
    {"stream_mode": ["messages", "custom"], "subgraphs": True},
    {"stream_mode": "messages", "version": "v2"},
    {"stream_mode": "messages", "print_mode": "updates"},
]


@pytest.mark.parametrize("asked", SHAPES, ids=repr)
def test_the_same_is_said_with_and_without_events(colour: Colour, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(c: Colour) -> None:
        with counting_events(monkeypatch) as events:
            quick = await chunks(c, agent(), ASKED, **asked)
            assert not events
            # A listener that wants tokens too: then they are told as events.
            tap = Tap(lambda run: EVERYTHING if run.type == "chat_model" else 0, lambda event: None)
            slow = await chunks(c, agent(), ASKED, {"callbacks": [tap]}, **asked)
            assert events
        assert [plain(item) for item in quick] == [plain(item) for item in slow]

    colour.run(body)


def test_a_listener_beside_the_mode_hears_every_run(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def heard_by() -> tuple[list[tuple[int, str]], Any]:
            heard: list[tuple[int, str]] = []

            def put(event: Event) -> None:
                if event.kind != STREAM:
                    heard.append((event.kind, event.run.name))

            return heard, {"callbacks": [Tap(lambda run: EVERYTHING, put)]}

        alone, config = heard_by()
        await run(c, agent(), ASKED, config)
        beside, config = heard_by()
        await chunks(c, agent(), ASKED, config, stream_mode="messages")
        assert {"call_model", "Prompt", "look", "should_continue", "tools"} <= {name for _, name in beside}
        assert sorted(alone) == sorted(beside)

    colour.run(body)


def test_a_handler_of_tokens_hears_them_in_its_own_context(colour: Colour) -> None:
    inside: ContextVar[str] = ContextVar("inside", default="no")
    seen: list[str] = []

    class Model(GenericFakeChatModel):
        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            inside.set("yes")
            yield ChatGenerationChunk(message=AIMessageChunk("a"))
            yield ChatGenerationChunk(message=AIMessageChunk("b"))

        async def _astream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[Any]:
            for piece in self._stream(messages):
                yield piece

    class Handler(BaseCallbackHandler):
        run_inline = True

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            seen.append(inside.get())

    async def body(c: Colour) -> None:
        app = create_react_agent(Model(messages=iter(())), [])
        found = await chunks(c, app, ASKED, {"callbacks": [Handler()]}, stream_mode="messages")
        assert "".join(m.content for m, _ in found) == "ab"
        assert seen and set(seen) == {"no"}
        seen.clear()

    colour.run(body)


def test_steps_of_a_sequence_are_no_tags_of_a_token(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        chain: Any = (
            ChatPromptTemplate.from_messages([("user", "{x}")])
            | ScriptedChatModel([AIMessage("a b", id="m")], tags=["mine"])
            | RunnableLambda[Any, Any](lambda message: {"messages": [message]})
        )
        app = graph_of(state=MessagesState, talk=RunnableLambda[Any, Any](lambda s: {"x": "q"}) | chain).compile()
        found = await chunks(c, app, ASKED, {"tags": ["all"]}, stream_mode="messages")
        assert "".join(m.content for m, _ in found) == "a b"
        for _, facts in found:
            assert sorted(facts["tags"]) == ["all", "mine"]
            assert facts["langgraph_node"] == "talk"

    colour.run(body)


def test_an_error_in_the_middle_of_an_answer_comes_after_its_tokens_and_names_the_model(colour: Colour) -> None:
    class Broken(GenericFakeChatModel):
        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            yield ChatGenerationChunk(message=AIMessageChunk("a"))
            raise ValueError("the wire broke")

        async def _astream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[Any]:
            for piece in self._stream(messages):
                yield piece

    async def body(c: Colour) -> None:
        app = create_react_agent(Broken(messages=iter(())), [])
        got = []
        with pytest.raises(ValueError, match="the wire broke") as caught:
            async for message, _ in stream(c, app, ASKED, stream_mode="messages"):
                got.append(message.content)
        assert got == ["a"]
        assert "while running 'Broken' (chat_model)" in caught.value.__notes__

    colour.run(body)


def test_leaving_in_the_middle_of_an_answer_closes_the_model() -> None:
    log: list[str] = []

    class Endless(GenericFakeChatModel):
        async def _astream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            try:
                while True:  # it never waits: only the reader that is behind makes it
                    log.append("token")
                    yield ChatGenerationChunk(message=AIMessageChunk("a"))
            finally:
                log.append("closed")

    async def main() -> None:
        app = create_react_agent(Endless(messages=iter(())), [])
        async with contextlib.aclosing(app.astream(ASKED, stream_mode="messages")) as items:
            async for _ in items:
                break
        assert log[-1] == "closed"
        assert len(log) <= 2 * 256 + 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("modes", "types"),
    [
        ("updates", set()),
        ("messages", {"chat_model"}),
        ("tools", {"tool"}),
        (["messages", "custom"], {"chat_model", "tool"}),
    ],
    ids=repr,
)
def test_a_run_that_no_reader_wants_anything_of_is_not_begun(
    colour: Colour, modes: Any, types: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    begin = Scope.open

    def counted(self: Scope, name: str, type: str, **more: Any) -> Run:
        begun.append(type)
        return begin(self, name, type, **more)

    async def body(c: Colour) -> None:
        begun.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Scope, "open", counted)
            await chunks(c, agent(), ASKED, stream_mode=modes)
        assert set(begun) == types

    colour.run(body)


def test_what_tasks_of_a_workflow_return_is_told_once(colour: Colour) -> None:
    @task
    def said(text: str) -> AIMessage:
        return AIMessage(text, id=text)

    @entrypoint()
    def flow(texts: list[str]) -> list[Any]:
        return [said(text).result() for text in texts]

    async def body(c: Colour) -> None:
        found = await chunks(c, flow, ["a", "b", "a"], stream_mode="messages")
        assert [(m.content, facts["langgraph_node"]) for m, facts in found] == [("a", "said"), ("b", "said")]

    colour.run(body)


def test_what_a_trace_hides_is_told_as_the_node_returned_it(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        graph = StateGraph(MessagesState)
        trace = TracePolicy(process_outputs=lambda output: {"messages": []})
        graph.add_node("say", c.function(lambda s: {"messages": [AIMessage("a", id="a")]}), trace_policy=trace)
        graph.add_edge(START, "say")
        tap = Tap(lambda run: EVERYTHING, lambda event: None)
        for config in (None, {"callbacks": [tap]}):
            found = await chunks(c, graph.compile(), ASKED, config, stream_mode="messages")
            assert [m.content for m, _ in found] == ["a"]

    colour.run(body)


def test_a_model_that_chooses_the_first_node_is_heard_as_part_of_the_start(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        model = ScriptedChatModel(turns=["first"])
        if c.sync:

            def choose(state: Any) -> Any:
                return model.invoke("which?").text
        else:

            async def choose(state: Any) -> Any:
                return (await model.ainvoke("which?")).text

        graph = StateGraph(MessagesState).add_node("first", lambda state: None)
        graph.add_conditional_edges(START, choose, ["first"])
        found = await chunks(c, graph.compile(), ASKED, stream_mode="messages")
        assert "".join(message.text for message, _ in found) == "first"
        assert {(facts["langgraph_node"], *facts["tags"]) for _, facts in found} == {("__start__", "langsmith:hidden")}

    colour.run(body)
