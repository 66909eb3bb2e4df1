"""ChatPromptTemplate: a conversation with fields."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millstream import (
    AIMessage,
    AIMessagePromptTemplate,
    ChatMessage,
    ChatMessagePromptTemplate,
    ChatPromptTemplate,
    HumanMessage,
    HumanMessagePromptTemplate,
    InvalidArgument,
    MessagesPlaceholder,
    MissingKey,
    PromptTemplate,
    SystemMessage,
    SystemMessagePromptTemplate,
)


@pytest.fixture
def prompt() -> ChatPromptTemplate:
    return ChatPromptTemplate.from_messages(
        [
            ("system", "You are {who}"),
            MessagesPlaceholder("history", optional=True),
            ("human", "{question}"),
            AIMessage("{literal}"),
            ("placeholder", "{more}"),
        ]
    )


def test_all_kinds_of_parts(prompt: ChatPromptTemplate) -> None:
    given = {"who": "me", "question": "why?", "history": [("human", "old"), AIMessage("older")], "more": ["new"]}
    assert prompt.invoke(given).to_messages() == [
        SystemMessage("You are me"),
        HumanMessage("old"),
        AIMessage("older"),
        HumanMessage("why?"),
        AIMessage("{literal}"),
        HumanMessage("new"),
    ]


def test_variables(prompt: ChatPromptTemplate) -> None:
    assert prompt.input_variables == ["question", "who"]
    assert prompt.optional_variables == ["history", "more"]


def test_sync_and_async_give_the_same(prompt: ChatPromptTemplate) -> None:
    given = {"who": "me", "question": "why?"}
    assert asyncio.run(prompt.ainvoke(given)) == prompt.invoke(given)
    assert asyncio.run(prompt.aformat_messages(**given)) == prompt.format_messages(**given)


def test_what_is_missing_is_named(prompt: ChatPromptTemplate) -> None:
    with pytest.raises(MissingKey, match="question"):
        prompt.invoke({"who": "me"})
    with pytest.raises(MissingKey, match="history"):
        ChatPromptTemplate([MessagesPlaceholder("history")]).invoke({})


@pytest.mark.parametrize("value", [5, "text", {"a": 1}])
def test_a_placeholder_wants_a_list(prompt: ChatPromptTemplate, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="'history' stands for a list"):
        prompt.invoke({"who": "m", "question": "q", "history": value})


def test_a_placeholder_may_keep_the_last_only() -> None:
    prompt = ChatPromptTemplate([MessagesPlaceholder("h", n_messages=1)])
    assert prompt.format_messages(h=["a", "b"]) == [HumanMessage("b")]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("text {x}", HumanMessage("text 1")),
        (("user", "{x}"), HumanMessage("1")),
        (("assistant", "{x}"), AIMessage("1")),
        (("developer", "{x}"), SystemMessage("1", additional_kwargs={"__openai_role__": "developer"})),
        ((SystemMessage, "{x}"), SystemMessage("1")),
        ({"role": "ai", "content": "{x}"}, AIMessage("1")),
        (["human", "{x}"], HumanMessage("1")),
        (HumanMessagePromptTemplate.from_template("{x}"), HumanMessage("1")),
        (AIMessagePromptTemplate.from_template("{x}"), AIMessage("1")),
        (SystemMessagePromptTemplate.from_template("{x}"), SystemMessage("1")),
        (ChatMessagePromptTemplate.from_template("{x}", role="judge"), ChatMessage("1", role="judge")),
        (ChatPromptTemplate.from_template("{x}"), HumanMessage("1")),
    ],
)
def test_shapes_of_parts(part: Any, message: Any) -> None:
    assert ChatPromptTemplate([part]).format_messages(x=1) == [message]


@pytest.mark.parametrize("part", [5, ("martian", "x"), ("human", 5), ("placeholder", "history"), ("a", "b", "c"), None])
def test_bad_parts(part: Any) -> None:
    with pytest.raises(InvalidArgument):
        ChatPromptTemplate([part])


def test_content_blocks_are_filled_in() -> None:
    prompt = ChatPromptTemplate(
        [
            (
                "human",
                [
                    {"type": "text", "text": "see {t}", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": "{u}"},
                    "and {t}",
                    {"type": "image", "size": 3, "parts": ["{t}"]},
                ],
            )
        ]
    )
    assert prompt.input_variables == ["t", "u"]
    assert prompt.format_messages(t="it", u="http://i")[0].content == [
        {"type": "text", "text": "see it", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "http://i"}},
        {"type": "text", "text": "and it"},
        {"type": "image", "size": 3, "parts": ["it"]},
    ]


def test_values_given_ahead(prompt: ChatPromptTemplate) -> None:
    ready = prompt.partial(who=lambda: "called")
    assert ready.input_variables == ["question"]
    assert ready.invoke({"question": "q"}).to_messages()[0] == SystemMessage("You are called")
    nested = ChatPromptTemplate([ready, ("human", "{after}")])
    assert nested.input_variables == ["after", "question"]
    part = HumanMessagePromptTemplate(prompt=PromptTemplate.from_template("{a}{b}").partial(a="x"))
    assert ChatPromptTemplate([part]).invoke({"b": 1}).to_messages() == [HumanMessage("x1")]


def test_adding_appending_slicing(prompt: ChatPromptTemplate) -> None:
    joined = ChatPromptTemplate([("human", "a")]) + HumanMessage("b") + "c {d}" + [("ai", "e")] + ("ai", "f")
    assert [m.content for m in joined.format_messages(d=1)] == ["a", "b", "c 1", "e", "f"]
    assert (HumanMessage("a") + "b {c}").format_messages(c=1) == [HumanMessage("a"), HumanMessage("b 1")]
    joined.append(("ai", "{g}"))
    joined.extend(["h", MessagesPlaceholder("i")])
    assert joined.input_variables == ["d", "g", "i"]
    assert len(prompt) == 5
    assert isinstance(prompt[0], SystemMessagePromptTemplate)
    assert [type(part) for part in prompt[1:3].messages] == [MessagesPlaceholder, HumanMessagePromptTemplate]
    assert bool(ChatPromptTemplate([]))


@pytest.mark.parametrize("other", ["b {y}", HumanMessage("b 2"), ("human", "b {y}"), ChatPromptTemplate(["b {y}"])])
def test_templates_of_messages_begin_a_prompt(other: Any) -> None:
    for part, value in (
        (HumanMessagePromptTemplate.from_template("{x}"), "1"),
        (MessagesPlaceholder("x"), ["1"]),
    ):
        assert (part + other).format_messages(x=value, y=2) == [HumanMessage("1"), HumanMessage("b 2")]


def test_as_text(prompt: ChatPromptTemplate) -> None:
    assert prompt.format(who="me", question="q") == "System: You are me\nHuman: q\nAI: {literal}"
    assert "You are {who}" in prompt.pretty_repr()


def test_no_fresh_message_is_shared_between_uses() -> None:
    prompt = ChatPromptTemplate([("human", "literal")])
    first, second = prompt.invoke({}).to_messages()[0], prompt.invoke({}).to_messages()[0]
    assert first == second
    assert first is not second


def test_people_can_read_a_prompt() -> None:
    prompt = ChatPromptTemplate([("system", "Be {manner}."), MessagesPlaceholder("past"), HumanMessage("lit"), "{q}"])
    lines = prompt.pretty_repr().splitlines()
    titles = [line.strip("= ") for line in lines[::4]]
    assert titles == ["System Message", "Messages Placeholder", "Human Message", "Human Message"]
    assert {len(line) for line in lines[::4]} == {80}
    assert lines[2::4] == ["Be {manner}.", "{past}", "lit", "{q}"]
    assert "<b>" in prompt.pretty_repr(html=True)
    blocks = HumanMessagePromptTemplate.from_template([{"type": "text", "text": "{x}"}])
    assert "{'type': 'text', 'text': '{x}'}" in blocks.pretty_repr()


def test_a_placeholder_by_itself_names_what_it_lacks() -> None:
    with pytest.raises(KeyError, match="the placeholder 'past' needs a list of messages"):
        MessagesPlaceholder("past").format_messages()
    assert MessagesPlaceholder("past", optional=True).format_messages() == []
