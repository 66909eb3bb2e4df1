"""Templates that come from outside cannot reach into objects nor fill the memory."""

from __future__ import annotations

import pytest

from millstream import (
    AIMessagePromptTemplate,
    ChatMessagePromptTemplate,
    ChatPromptTemplate,
    FewShotPromptTemplate,
    HumanMessage,
    HumanMessagePromptTemplate,
    InvalidArgument,
    PromptTemplate,
    SystemMessagePromptTemplate,
)
from millstream.chat.templates import Template

PLAIN = PromptTemplate.from_template("plain")
REFUSED = [
    "{m.__class__.__init__.__globals__}",
    "{m.content[0]}",
    "{m[0]}",
    "{0}",
    "{}",
    "{m!r:{w}}",
    "{m!z}",
    "{m!}",
    "{m:{w}}",
    "{open",
    "close}",
    "{x:>99999999}",
    "{x:099999999d}",
    "{x:.99999999f}",
    "{x:" + "<" * 100 + "}",
    '{"json": 1}',
]


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize(
    "build",
    [
        Template,
        PromptTemplate.from_template,
        lambda text: PromptTemplate(template=text),
        ChatPromptTemplate.from_template,
        lambda text: ChatPromptTemplate([("system", text)]),
        lambda text: ChatPromptTemplate([("human", [{"type": "text", "text": text}])]),
        lambda text: ChatPromptTemplate([("human", [{"type": "image_url", "image_url": {"url": text}}])]),
        HumanMessagePromptTemplate.from_template,
        lambda text: SystemMessagePromptTemplate(prompt=PromptTemplate(template=text)),
        AIMessagePromptTemplate.from_template,
        lambda text: ChatMessagePromptTemplate.from_template(text, role="r"),
        lambda text: FewShotPromptTemplate(examples=[], example_prompt=PLAIN, suffix=text),
        lambda text: FewShotPromptTemplate(examples=[], example_prompt=PLAIN, suffix="x", prefix=text),
        lambda text: ChatPromptTemplate([]) + text,
        lambda text: PromptTemplate.from_template("x") + text,
    ],
)
def test_refused_when_it_is_built(build: object, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        build(text)  # type: ignore[operator]
    assert isinstance(caught.value, ValueError)


def test_the_error_names_the_field_and_the_mend() -> None:
    with pytest.raises(InvalidArgument, match=r"\{m\.x\}.*pass the value itself"):
        Template("hi {m.x}")
    with pytest.raises(InvalidArgument, match=r"'\{\"a\": 1\}'.*write them as"):
        Template('{"a": 1}')


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("{{x}} {y}", {"y": 1}, "{x} 1"),
        ("{x:.2f}|{x!r:>6}", {"x": 1.5}, "1.50|   1.5"),
        ("no fields", {}, "no fields"),
        ("{x}{x}", {"x": "a"}, "aa"),
    ],
)
def test_what_works(text: str, values: dict[str, object], shown: str) -> None:
    assert Template(text).format(values) == shown


def test_values_are_never_read_as_templates() -> None:
    prompt = ChatPromptTemplate([("human", "{a}"), HumanMessage("{literal}")])
    first = prompt.invoke({"a": "{other} {{y}} {a.__class__}"})
    assert [message.content for message in first.messages] == ["{other} {{y}} {a.__class__}", "{literal}"]
    again = ChatPromptTemplate([("human", "{a}"), first.messages[0]]).invoke({"a": first.messages[0].content})
    assert [message.content for message in again.messages] == ["{other} {{y}} {a.__class__}"] * 2
