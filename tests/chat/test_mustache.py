from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import AIMessage, ChatPromptTemplate, HumanMessage, HumanMessagePromptTemplate, PromptTemplate
from millstream.chat.mustache import MustacheTemplate


def rendered(text: str, **values: Any) -> str:
    return MustacheTemplate(text).render(values)


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("hi {{name}}!", {"name": "Ann"}, "hi Ann!"),
        ("{{ a.b.c }}", {"a": {"b": {"c": 1}}}, "1"),
        ("{{a.1}} {{a.9}}", {"a": ["x", "y"]}, "y "),
        ('{{x}} {{{x}}} {{&x}}', {"x": '<a href="b">&'}, '&lt;a href=&quot;b&quot;&gt;&amp; <a href="b">& <a href="b">&'),
        ("{{x}}{{y}}{{z}}", {"x": None, "y": False, "z": 0}, "False0"),
        ("[{{x}}{{y}}]", {"x": [], "y": {}}, "[]"),
        ("{{#a}}<{{.}}>{{/a}}", {"a": ["1", 2]}, "<1><2>"),
        ("{{#a}}{{n}}{{m}};{{/a}}", {"a": [{"n": 1}, {"n": 2, "m": 3}], "m": 9}, "19;23;"),
        ("{{#a}}{{b}}{{/a}}", {"a": {"b": 1}}, "1"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": True}, "yes"),
        *(("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": empty}, "no") for empty in (None, False, [], {}, "", 0)),
        ("{{#a}}{{#b}}{{.}}{{/b}}|{{/a}}", {"a": [{"b": "xy"}, {"b": ["z"]}]}, "xy|z|"),
        ("a{{! comment }}b", {}, "ab"),
        ("{{=<% %>=}}<% x %> {{x}}<%={{ }}=%>{{x}}", {"x": 1}, "1 {{x}}1"),
        ("{ {x} } }}", {"x": 1}, "{ {x} } }}"),
        # A tag alone on its line leaves no empty line behind.
        ("a\n  {{#x}}\nb\n  {{/x}}\r\nc", {"x": [1, 2]}, "a\nb\nb\nc"),
        ("{{! one }}\n  {{^x}}  \n{{/x}}", {"x": 1}, ""),
        ("a {{#x}}\nb\n{{/x}} c", {"x": 1}, "a \nb\n c"),
        ("{{#x}}{{/x}}\n", {"x": 1}, "\n"),
    ],
)  # fmt: skip
def test_rendering(text: str, values: dict[str, Any], result: str) -> None:
    assert rendered(text, **values) == result


def test_what_is_not_given_is_nothing_but_invoke_wants_all() -> None:
    text = "{{a}}|{{#items}}{{.}}{{/items}}{{^items}}none{{/items}}|{{b.c}}"
    prompt = PromptTemplate.from_template(text, template_format="mustache")
    assert prompt.format(a=1) == "1|none|"
    assert prompt.partial(a=2).format() == "2|none|"
    with pytest.raises(KeyError, match="items"):
        prompt.invoke({"a": 1, "b": {}})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{a}} {{b.c}} {{{a}}}", ("a", "b")),
        ("{{#s}}{{inside}}{{/s}}{{^t}}{{/t}}{{.}}", ("s", "t")),
        ("no tags {{! at all }}{{> partial }}", ()),
    ],
)
def test_the_variables_are_the_names_outside_of_sections(text: str, names: tuple[str, ...]) -> None:
    assert MustacheTemplate(text).names == names


@pytest.mark.parametrize(
    "text",
    ["{{a", "{{{a}}", "{{#a}}", "{{/a}}", "{{#a}}{{/b}}", "{{#a}}{{#b}}{{/a}}{{/b}}", "{{}}", "{{& }}", "{{=<%=}}", "{{= =}}"],
)  # fmt: skip
def test_what_is_not_valid_is_refused_when_built(text: str) -> None:
    with pytest.raises(ValueError, match="not a valid mustache template"):
        PromptTemplate.from_template(text, template_format="mustache")


class Watched:
    """Tells whether anything of it was read, called or asked."""

    touched: list[str]

    def __init__(self) -> None:
        object.__setattr__(self, "touched", [])

    def __getattribute__(self, name: str) -> Any:
        if name not in ("touched", "__class__"):
            object.__getattribute__(self, "touched").append(name)
        return object.__getattribute__(self, name)

    def x(self) -> str:
        raise AssertionError

    def __bool__(self) -> bool:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError

    def __iter__(self) -> Any:
        raise AssertionError

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError


class Sly(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise AssertionError

    def __missing__(self, key: str) -> Any:
        raise AssertionError

    def get(self, key: str, default: Any = None) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    "text",
    [
        "{{m.__class__.__name__}}",
        "{{m.x.y}}",
        "{{m.x}}",
        "{{#m}}{{x}}{{content}}{{/m}}",
        "{{#m.x}}never{{/m.x}}",
        "{{f}}{{#f}}never{{/f}}",
        "{{#f}}{{f}}{{/f}}",
        "{{> /etc/passwd}}{{> m }}",
        "{{d.nope}}{{d.__class__}}{{#d}}{{keys}}{{/d}}",
    ],
)
def test_nothing_is_read_or_called(text: str) -> None:
    watched = Watched()
    result = rendered(text, m=watched, f=lambda *args: pytest.fail("called"), d=Sly(a=1))
    assert result == ""
    assert watched.touched == []


def test_no_attribute_of_a_message_is_read() -> None:
    prompt = PromptTemplate.from_template("[{{m.content}}{{m.__class__.__name__}}]", template_format="mustache")
    assert prompt.format(m=HumanMessage("secret")) == "[]"


def test_deep_nesting_costs_nothing() -> None:
    text = "{{#a}}" * 10_000 + "{{/a}}" * 10_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="deeper"):
        PromptTemplate.from_template(text, template_format="mustache")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{{#a}}" * 30 + "x" + "{{/a}}" * 30, {"a": [1] * 10}),
        ("{{#a}}" * 30 + "{{/a}}" * 30, {"a": [1] * 10}),
        ("{{#a}}{{b}}{{/a}}", {"a": [1] * 1000, "b": "x" * 20_000}),
    ],
)
def test_sections_that_multiply_are_stopped(text: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="grows beyond"):
        rendered(text, **values)


@pytest.mark.parametrize("value", ["{{y}}", "{{{y}}}", "{y}", "{{#y}}{{/y}}", "{0.__class__}"])
def test_a_value_is_printed_as_it_is(value: str) -> None:
    first = PromptTemplate.from_template("{{{x}}}", template_format="mustache").format(x=value)
    assert first == value
    assert PromptTemplate.from_template("{x}").format(x=first) == value
    assert rendered("{{{x}}}", x=first, y="never") == value


def test_in_every_prompt_class() -> None:
    chat = ChatPromptTemplate.from_messages(
        [
            ("system", "{{a}} {literal}"),
            ("human", [{"type": "text", "text": "{{b}}"}, {"type": "image_url", "image_url": "{{u}}"}]),
            ("placeholder", "{{past}}"),
        ],
        template_format="mustache",
    )
    assert (chat.input_variables, chat.optional_variables) == (["a", "b", "u"], ["past"])
    system, human, past = chat.format_messages(a=1, b=2, u="http://x", past=[("ai", "p")])
    assert (system.content, past) == ("1 {literal}", AIMessage("p"))
    assert human.content == [{"type": "text", "text": "2"}, {"type": "image_url", "image_url": {"url": "http://x"}}]
    one = HumanMessagePromptTemplate.from_template("{{x}}", "mustache")
    assert one.format(x=1) == HumanMessage("1")


def test_joining_prompts() -> None:
    prompt = PromptTemplate.from_template("{{a}}", template_format="mustache")
    assert (prompt + " {{b}}").format(a=1, b=2) == "1 2"
    with pytest.raises(ValueError, match="cannot be joined"):
        prompt + PromptTemplate.from_template("{b}")


def test_a_missing_variable() -> None:
    with pytest.raises(KeyError, match="name"):
        PromptTemplate.from_template("{{name}}", template_format="mustache").invoke({})


@given(
    st.text("{}#/^!>&=. \nab", max_size=40),
    st.recursive(st.text("{}<a", max_size=3), lambda x: st.lists(x), max_leaves=5),
)
def test_any_text_is_a_template_or_refused(text: str, value: Any) -> None:
    try:
        template = MustacheTemplate(text)
    except ValueError:
        return
    assert isinstance(template.render({"a": value, "b": {"a": value}}), str)
    if template.literal is not None:
        assert template.render({}) == template.literal
