from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from pydantic import Field

from millstream import (
    AIMessage,
    BaseChatPromptTemplate,
    BaseExampleSelector,
    BaseMessage,
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    HumanMessage,
    PromptTemplate,
    RunnableLambda,
)

SHOWN = PromptTemplate.from_template("Q:{q} A:{a}")
TALK = ChatPromptTemplate([("human", "{q}"), ("ai", "{a}")])
EXAMPLES = [{"q": "1", "a": "2"}, {"q": "3", "a": "4", "unused": "x"}]


class ByLength(BaseExampleSelector):
    """Those whose question is as long as the input's."""

    def __init__(self, examples: list[dict[str, str]]) -> None:
        self.examples = examples
        self.threads: set[int] = set()
        self.asked: list[Any] = []

    def add_example(self, example: dict[str, str]) -> None:
        self.examples.append(example)

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        self.threads.add(threading.get_ident())
        self.asked.append(input_variables)
        return [example for example in self.examples if len(example["q"]) == len(input_variables["input"])]


def test_the_pieces_in_order() -> None:
    prompt = FewShotPromptTemplate(
        examples=EXAMPLES, example_prompt=SHOWN, prefix="P {topic}", suffix="Q:{input}", input_variables=["ignored"]
    )
    assert prompt.input_variables == ["input", "topic"]
    assert prompt.format(topic="T", input="5") == "P T\n\nQ:1 A:2\n\nQ:3 A:4\n\nQ:5"
    assert prompt.invoke({"topic": "T", "input": "5"}).text == prompt.format(topic="T", input="5")
    assert prompt.partial(topic="X").format(input="5").startswith("P X")
    with pytest.raises(KeyError, match="topic"):
        prompt.invoke({"input": "5"})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"suffix": "S"}, "Q:1 A:2, Q:3 A:4, S"),
        ({"suffix": "", "prefix": "P"}, "P, Q:1 A:2, Q:3 A:4"),
        ({"suffix": "S", "examples": []}, "S"),
        ({"suffix": "{{x}}", "template_format": "f-string"}, "Q:1 A:2, Q:3 A:4, {x}"),
    ],
)
def test_empty_pieces_are_left_out(options: Any, text: str) -> None:
    options = {"examples": EXAMPLES, "example_prompt": SHOWN, "example_separator": ", ", **options}
    assert FewShotPromptTemplate(**options).format() == text


def test_other_template_languages() -> None:
    shown = PromptTemplate.from_template("{{q}}", template_format="mustache")
    prompt = FewShotPromptTemplate(
        examples=EXAMPLES, example_prompt=shown, suffix="{{x}}", template_format="mustache", example_separator=" "
    )
    assert (prompt.input_variables, prompt.format(x="{{y}}")) == (["x"], "1 3 {{y}}")


def test_examples_are_never_read_as_templates() -> None:
    tricky = [{"q": "{topic}", "a": "{q.__class__}"}, {"q": "{", "a": "}}"}]
    prompt = FewShotPromptTemplate(examples=tricky, example_prompt=SHOWN, suffix="{x}", example_separator="|")
    assert prompt.format(x="{q}") == "Q:{topic} A:{q.__class__}|Q:{ A:}}|{q}"
    chat = ChatPromptTemplate(
        [FewShotChatMessagePromptTemplate(examples=tricky, example_prompt=TALK), ("human", "{x}")]
    )
    assert [message.content for message in chat.format_messages(x="{q}")] == [
        "{topic}",
        "{q.__class__}",
        "{",
        "}}",
        "{q}",
    ]


@pytest.mark.parametrize(
    "text", ["{m.__class__}", "{m.content[0]}", "{0}", "{}", "{m!r:{w}}", "{x:>99999999}", "{x:099999999d}"]
)
def test_unsafe_templates_are_refused_when_built(text: str) -> None:
    for options in ({"suffix": text}, {"prefix": text, "suffix": ""}):
        with pytest.raises(ValueError, match="template"):
            FewShotPromptTemplate(examples=[], example_prompt=SHOWN, **options)


def test_what_is_checked_when_built() -> None:
    for options in ({}, {"examples": [], "example_selector": ByLength([])}):
        with pytest.raises(ValueError, match="either `examples` or an `example_selector`"):
            FewShotPromptTemplate(example_prompt=SHOWN, suffix="", **options)
        with pytest.raises(ValueError, match="either `examples` or an `example_selector`"):
            FewShotChatMessagePromptTemplate(example_prompt=TALK, **options)
    with pytest.raises(ValueError, match="differ"):
        FewShotPromptTemplate(
            examples=[], example_prompt=SHOWN, suffix="{a}", input_variables=["b"], validate_template=True
        )
    with pytest.raises(KeyError, match="lacks 'a'"):
        FewShotPromptTemplate(examples=[{"q": "1"}], example_prompt=SHOWN, suffix="").format()


def test_a_new_text_is_read_anew() -> None:
    prompt = FewShotPromptTemplate(examples=[], example_prompt=SHOWN, suffix="a {x}")
    prompt.suffix = "b {x}"
    assert prompt.format(x=1) == "b 1"
    assert prompt.model_copy(update={"suffix": "c {x}"}).format(x=1) == "c 1"
    assert prompt.format(x=1) == "b 1"


def test_a_selector_chooses(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        selector = ByLength([{"q": "1", "a": "one"}])
        if c.sync:
            selector.add_example({"q": "22", "a": "two"})
        else:
            await selector.aadd_example({"q": "22", "a": "two"})
        text = FewShotPromptTemplate(
            example_selector=selector, example_prompt=SHOWN, suffix="Q:{input}", example_separator=" "
        )
        assert (await c.invoke(text, {"input": "xx"})).text == "Q:22 A:two Q:xx"
        shots = FewShotChatMessagePromptTemplate(
            example_selector=selector, example_prompt=TALK, input_variables=["input"]
        )
        assert (await c.invoke(shots, {"input": "x"})).messages == [HumanMessage("1"), AIMessage("one")]
        chat = ChatPromptTemplate([ChatPromptTemplate([shots]), ("human", "{input}")])
        assert chat.input_variables == ["input"]
        value = await c.invoke(chat, {"input": "xx"})
        assert value.to_string() == "Human: 22\nAI: two\nHuman: xx"
        assert selector.asked == [{"input": "xx"}, {"input": "x"}, {"input": "xx"}]
        # It may look the examples up somewhere: under async it must not block the loop.
        assert (threading.get_ident() in selector.threads) is c.sync

    colour.run(body)


def test_the_async_forms_without_a_run() -> None:
    async def main() -> None:
        selector = ByLength([{"q": "1", "a": "one"}])
        text = FewShotPromptTemplate(example_selector=selector, example_prompt=SHOWN, suffix="")
        assert await text.aformat(input="x") == "Q:1 A:one" == (await text.aformat_prompt(input="x")).text
        shots = FewShotChatMessagePromptTemplate(example_selector=selector, example_prompt=TALK)
        assert len(await shots.aformat_messages(input="x")) == 2
        assert await ChatPromptTemplate([shots]).aformat(input="x") == "Human: 1\nAI: one"
        assert len((await ChatPromptTemplate([shots]).aformat_prompt(input="x")).messages) == 2
        assert await PromptTemplate.from_template("{a}").aformat(a=1) == "1"
        assert (await PromptTemplate.from_template("{a}").aformat_prompt(a=1)).to_string() == "1"
        assert threading.get_ident() not in selector.threads

    asyncio.run(main())


class Asking(ByLength):
    """Asks another runnable, whose run must be found under the prompt's."""

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        RunnableLambda(lambda x: x, name="looked up").invoke(1)
        return super().select_examples(input_variables)


def test_runs_of_a_selector_are_under_the_prompts() -> None:
    shots = FewShotChatMessagePromptTemplate(
        example_selector=Asking([]), example_prompt=TALK, input_variables=["input"]
    )
    text = FewShotPromptTemplate(example_selector=Asking([]), example_prompt=SHOWN, suffix="{input}")

    async def main() -> None:
        for prompt in (shots, text, ChatPromptTemplate([shots])):
            events = [event async for event in prompt.astream_events({"input": "x"})]
            start = next(event for event in events if event["event"] == "on_prompt_start")
            inner = next(event for event in events if event["name"] == "looked up")
            assert inner["parent_ids"] == [start["run_id"]]

    asyncio.run(main())


class Greeting(BaseChatPromptTemplate):
    """As users write them."""

    input_variables: list[str] = Field(default=["name"])

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return [HumanMessage(f"I am {kwargs['name']}")]


class Loud(ChatPromptTemplate):
    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return [
            message.model_copy(update={"content": message.text.upper()})
            for message in super().format_messages(**kwargs)
        ]


def test_a_users_chat_prompt(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        assert (await c.invoke(Greeting(), "Ann")).to_string() == "Human: I am Ann"
        assert (await c.invoke(Loud([("human", "{a}")]), "x")).to_string() == "Human: X"
        both = ChatPromptTemplate([Greeting(), Loud([("ai", "hi {name}")])])
        assert (await c.invoke(both, {"name": "Ann"})).to_string() == "Human: I am Ann\nAI: HI ANN"

    colour.run(body)
