from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from pydantic import BaseModel, Field

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseChatMessageHistory,
    BaseMessage,
    ChatPromptTemplate,
    ConfigurableFieldSpec,
    FakeListChatModel,
    HumanMessage,
    InMemoryChatMessageHistory,
    MessagesPlaceholder,
    RunnableGenerator,
    RunnableLambda,
    RunnableWithMessageHistory,
)


def session(id: str = "a") -> dict[str, Any]:
    return {"configurable": {"session_id": id}}


class Sessions(dict[str, InMemoryChatMessageHistory]):
    def __call__(self, session_id: str) -> InMemoryChatMessageHistory:
        return self.setdefault(session_id, InMemoryChatMessageHistory())

    def said(self, id: str = "a") -> list[tuple[str, Any]]:
        return [(message.type, message.content) for message in self[id].messages]


def count(messages: Any) -> AIMessage:
    return AIMessage(f"saw {len(messages)}")


# -- histories -------------------------------------------------------------------------------------------------------


def test_in_memory() -> None:
    history = InMemoryChatMessageHistory(messages=[HumanMessage("a")])
    history.add_user_message(HumanMessage("b"))
    history.add_user_message("c")
    history.add_ai_message("d")
    assert str(history) == "Human: a\nHuman: b\nHuman: c\nAI: d"
    history.clear()
    assert history.messages == []


def test_in_memory_async() -> None:
    async def main() -> None:
        history = InMemoryChatMessageHistory()
        await history.aadd_messages([HumanMessage("a")])
        assert await history.aget_messages() == [HumanMessage("a")]
        await history.aclear()
        assert history.messages == []

    asyncio.run(main())


class Pydantic(BaseChatMessageHistory, BaseModel):
    """As users write them."""

    messages: list[BaseMessage] = Field(default_factory=list)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        self.messages.extend(messages)

    def clear(self) -> None:
        self.messages = []


class OneByOne(BaseChatMessageHistory):
    def __init__(self) -> None:
        self.messages = []

    def add_message(self, message: BaseMessage) -> None:
        self.messages.append(message)

    def clear(self) -> None:
        self.messages.clear()


@pytest.mark.parametrize("make", [Pydantic, OneByOne])
def test_a_users_history(make: Any) -> None:
    async def main() -> None:
        history = make()
        history.add_ai_message("x")
        history.add_messages([HumanMessage("y")])
        await history.aadd_messages([HumanMessage("z")])
        assert [m.content for m in await history.aget_messages()] == ["x", "y", "z"]
        await history.aclear()
        assert str(history) == ""

    asyncio.run(main())


def test_a_history_that_can_keep_nothing() -> None:
    class Nothing(BaseChatMessageHistory):
        def clear(self) -> None: ...

    with pytest.raises(NotImplementedError, match="Nothing"):
        Nothing().add_user_message("x")


# -- a runnable with history -----------------------------------------------------------------------------------------


def test_the_past_under_a_key_of_its_own(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        prompt = ChatPromptTemplate([("system", "s"), MessagesPlaceholder("past"), ("human", "{q}")])
        answer = prompt | RunnableLambda(lambda value: count(value.to_messages()))
        chat = RunnableWithMessageHistory(answer, sessions, input_messages_key="q", history_messages_key="past")
        assert (await c.invoke(chat, {"q": "one"}, session())).content == "saw 2"
        assert (await c.invoke(chat, {"q": "two"}, session())).content == "saw 4"
        assert (await c.invoke(chat, {"q": "other"}, session("b"))).content == "saw 2"
        assert sessions.said() == [("human", "one"), ("ai", "saw 2"), ("human", "two"), ("ai", "saw 4")]

    colour.run(body)


def test_the_past_before_the_new_messages(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        chat = RunnableWithMessageHistory(RunnableLambda(count), sessions)
        for given in ("one", HumanMessage("two"), [("human", "three")], {"anything": "four"}):
            await c.invoke(chat, given, session())
        assert [content for kind, content in sessions.said() if kind == "ai"] == ["saw 1", "saw 3", "saw 5", "saw 7"]

    colour.run(body)


def test_the_past_under_the_key_of_the_input(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        seen = RunnableLambda(lambda given: count(given["q"]).model_copy(update={"name": given["style"]}))
        chat = RunnableWithMessageHistory(seen, sessions, input_messages_key="q")
        await c.invoke(chat, {"q": "one", "style": "terse"}, session())
        last = await c.invoke(chat, {"q": "two", "style": "terse"}, session())
        assert (last.content, last.name) == ("saw 3", "terse")

    colour.run(body)


@pytest.mark.parametrize(
    ("output", "options", "kept"),
    [
        ("text", {}, ["text"]),
        (AIMessageChunk("chunk"), {}, [AIMessageChunk("chunk")]),
        ([AIMessage("a"), AIMessage("b")], {}, ["a", "b"]),
        ({"only": "x"}, {}, ["x"]),
        ({"output": "x", "other": 1}, {}, ["x"]),
        ({"answer": "x", "other": 1}, {"output_messages_key": "answer"}, ["x"]),
    ],
)
def test_every_kind_of_output_is_kept(output: Any, options: dict[str, Any], kept: list[Any]) -> None:
    sessions = Sessions()
    chat: Any = RunnableWithMessageHistory(RunnableLambda(lambda _: output), sessions, **options)
    assert chat.invoke("hi", session()) == output
    assert sessions["a"].messages == [
        HumanMessage("hi"),
        *(AIMessage(each) if isinstance(each, str) else each for each in kept),
    ]


@pytest.mark.parametrize(
    ("given", "output", "said"),
    [
        (5, "x", "int"),
        ({"a": 1, "b": 2}, "x", "input_messages_key"),
        ("x", 5, "int"),
        ("x", {"a": 1, "b": 2}, "output_messages_key"),
    ],
)
def test_what_holds_no_messages_is_refused(given: Any, output: Any, said: str) -> None:
    sessions = Sessions()
    chat: Any = RunnableWithMessageHistory(RunnableLambda(lambda _: output), sessions)
    with pytest.raises(KeyError if "key" in said else ValueError, match=said):
        chat.invoke(given, session())
    assert sessions["a"].messages == []


def test_streaming(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        chat = RunnableWithMessageHistory(FakeListChatModel(responses=["abc", "de"]), sessions)
        pieces = [chunk.content async for chunk in c.stream(chat, "hi", session())]
        assert pieces == ["a", "b", "c"]
        assert sessions.said() == [("human", "hi"), ("AIMessageChunk", "abc")]

    colour.run(body)


def test_a_failed_or_unread_answer_is_not_kept(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        log: list[str] = []
        cut = RunnableGenerator(c.generator("a", "b", fail=RuntimeError("cut"), log=log))
        chat = RunnableWithMessageHistory(cut, sessions)
        with pytest.raises(RuntimeError, match="cut"):
            await c.collect(chat, "hi", session())
        async with c.closing(chat, "hi", session()) as stream:
            async for _ in stream:
                break
        assert log.count("closed") == 2
        assert sessions["a"].messages == []

    colour.run(body)


def test_the_conversation_must_be_named() -> None:
    chat = RunnableWithMessageHistory(RunnableLambda(count), Sessions())
    with pytest.raises(ValueError, match=r"lacks session_id.*'session_id': \.\.\."):
        chat.invoke("x")


def test_several_keys_name_a_conversation(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        sessions = Sessions()
        specs = [ConfigurableFieldSpec(id, str) for id in ("user", "thread")]

        def history(thread: str, user: str) -> InMemoryChatMessageHistory:
            return sessions(f"{user}/{thread}")

        chat = RunnableWithMessageHistory(RunnableLambda(count), history, history_factory_config=specs)
        await c.invoke(chat, "x", {"configurable": {"user": "ann", "thread": "1"}})
        assert list(sessions) == ["ann/1"]
        with pytest.raises(ValueError, match="lacks thread"):
            await c.invoke(chat, "x", {"configurable": {"user": "ann"}})
        other = RunnableWithMessageHistory(RunnableLambda(count), sessions, history_factory_config=specs)
        with pytest.raises(ValueError, match="session_id"):
            await c.invoke(other, "x", {"configurable": {"user": "ann", "thread": "1"}})
        assert [spec.id for spec in chat.config_specs] == ["user", "thread"]

    colour.run(body)


def test_a_factory_without_arguments_or_without_colour() -> None:
    one = InMemoryChatMessageHistory()
    RunnableWithMessageHistory(RunnableLambda(count), lambda: one).invoke("x")
    assert len(one.messages) == 2

    async def history(session_id: str) -> InMemoryChatMessageHistory:
        return one

    chat = RunnableWithMessageHistory(RunnableLambda(count), history)
    assert asyncio.run(chat.ainvoke("y", session())).content == "saw 3"
    with pytest.raises(TypeError, match="ainvoke"):
        chat.invoke("z", session())


def test_histories_of_both_forms_are_used_in_theirs() -> None:
    used: list[str] = []

    class Noted(InMemoryChatMessageHistory):
        def add_messages(self, messages: Sequence[BaseMessage]) -> None:
            used.append("sync")
            super().add_messages(messages)

        async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
            used.append("async")
            self.messages.extend(messages)

    kept = Noted()
    chat = RunnableWithMessageHistory(RunnableLambda(count), lambda: kept)
    chat.invoke("x")
    asyncio.run(chat.ainvoke("y"))
    assert used == ["sync", "async"]


def test_its_run_encloses_the_runnables() -> None:
    chat = RunnableWithMessageHistory(RunnableLambda(count), Sessions())

    async def main() -> list[tuple[str, str]]:
        return [(event["event"], event["name"]) async for event in chat.astream_events("x", session())]

    events = asyncio.run(main())
    assert events[0] == ("on_chain_start", "RunnableWithMessageHistory")
    assert events[1] == ("on_chain_start", "count")
    assert events[-1] == ("on_chain_end", "RunnableWithMessageHistory")


def test_a_batch_of_conversations() -> None:
    sessions = Sessions()
    chat = RunnableWithMessageHistory(RunnableLambda(count), sessions)
    answers = chat.batch(["x", "y"], [session("a"), session("b")])  # type: ignore[list-item]
    assert [answer.content for answer in answers] == ["saw 1", "saw 1"]
    assert sessions.said("b") == [("human", "y"), ("ai", "saw 1")]
