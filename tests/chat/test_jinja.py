from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest

from millstream import AIMessage, ChatPromptTemplate, HumanMessage, PromptTemplate
from millstream.chat import jinja
from millstream.chat.jinja import JinjaTemplate


def rendered(text: str, **values: Any) -> str:
    return JinjaTemplate(text).render(values)


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("hi {{ name }}!", {"name": "<Ann>"}, "hi <Ann>!"),
        ("{{ a.b['c'] }}{{ a.d[-1] }}{{ a.nope.more }}", {"a": {"b": {"c": 1}, "d": [2, 3]}}, "13"),
        ("{% if a and not b %}x{% elif b == 'y' %}y{% else %}z{% endif %}", {"a": 0, "b": "y"}, "y"),
        ("{% for x in xs if x != 2 %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", {"xs": [1, 2, 3]}, "11,23"),
        ("{% for k, v in d|items %}{{ k }}={{ v }};{% else %}none{% endfor %}", {"d": {"a": 1, "b": 2}}, "a=1;b=2;"),
        ("{% for x in xs %}{{ x }}{% else %}none{% endfor %}", {"xs": []}, "none"),
        ("{{ 'yes' if x in ['a', 'b'] else 'no' }}", {"x": "b"}, "yes"),
        ("{{ x|default('d') }}{{ y|d('e', true) }}", {"x": 1, "y": ""}, "1e"),
        ("{{ xs|join(', ')|upper }} {{ xs|length }} {{ xs|first }} {{ xs|last }}{{ 'xyz'|last }}{{ 'xyz'|length }}", {"xs": ["a", "b"]}, "A, B 2 a bz3"),
        ("{{ d|tojson }} {{ s|replace('a', 'b')|trim|title }}", {"d": {"ä": [1]}, "s": " aa "}, '{"ä": [1]} Bb'),
        ("{{ '7'|int }}{{ 'x'|int(5) }}{{ xs|sort|reverse|list }}{{ x is defined }}", {"xs": [1, 2], "x": 1}, "75[2, 1]True"),
        ("{# comment #}{% raw %}{{ x }}{% endraw %}", {}, "{{ x }}"),
    ],
)  # fmt: skip
def test_rendering(text: str, values: dict[str, Any], result: str) -> None:
    assert rendered(text, **values) == result


def test_variables() -> None:
    prompt = PromptTemplate.from_template(
        "{% for x in xs %}{{ x }}{{ y }}{% endfor %}{{ loop }}", template_format="jinja2"
    )
    assert prompt.input_variables == ["loop", "xs", "y"]
    with pytest.raises(KeyError, match="xs"):
        prompt.invoke({"y": 1})


@pytest.mark.parametrize(
    "text",
    [
        "{{ m.json() }}", "{{ cycler.__init__.__globals__() }}", "{{ lipsum() }}", "{% for i in range(10**9) %}{% endfor %}",
        "{{ 'a' * 10**9 }}", "{{ 10 ** 10 ** 9 }}", "{{ '%0999999999d' % 1 }}", "{{ a ~ a }}", "{{ a + a }}", "{{ a // 0 }}",
        "{% set x = 1 %}", "{% macro m() %}{% endmacro %}", "{% include '/etc/passwd' %}", "{% import 'x' as y %}",
        "{% extends 'x' %}", "{% filter upper %}{% endfilter %}", "{% with a = 1 %}{% endwith %}", "{% block b %}{% endblock %}",
        "{{ m|attr('__class__') }}", "{{ xs|map(attribute='x')|list }}", "{{ 'a'|center(10**9) }}", "{{ x is iterable }}",
        "{{ x|nope }}", "{{ [a, a] }}", "{{ {'a': a} }}", "{{ x[1:2] }}", "{{ ", "{% if %}", "{% for x in xs %}",
        "{% for x in xs recursive %}{% endfor %}", "{% for a in x %}" * 4 + "{% endfor %}" * 4, "{% if a %}" * 60 + "{% endif %}" * 60,
        "(" * 5_000, "{{ " + "(" * 5_000 + " }}", "{{ " + "9" * 10_000 + " }}", "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    ],
    ids=range(36),
)  # fmt: skip
def test_more_of_the_language_is_refused_when_built(text: str) -> None:
    if text == "(" * 5_000:
        assert rendered(text) == text  # no template at all
        return
    with pytest.raises(ValueError, match="template"):
        PromptTemplate.from_template(text, template_format="jinja2")


class Secret:
    content = "secret"

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError

    def __iter__(self) -> Any:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError

    def __bool__(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "{{ m.content }}{{ m['content'] }}{{ m.__class__.__init__.__globals__ }}",
        "{% for x in m %}{{ x }}{% endfor %}{{ m|first }}{{ m|join }}",
        "{{ cycler.__init__.__globals__ }}{{ lipsum.__globals__ }}{{ namespace }}",
        "{{ d.keys }}{{ d.__class__ }}{{ s.format }}{{ s.__class__ }}{{ xs.append }}",
        "{% for x in xs %}{{ loop.__class__ }}{{ loop._iterable }}{{ loop.cycle }}{% endfor %}",
        "{{ self.__init__ }}",
    ],
)
def test_no_attribute_is_read(text: str) -> None:
    values = {"m": Secret(), "d": {}, "s": "{x}", "xs": [1], "cycler": None, "lipsum": None, "namespace": ""}
    assert rendered(text, **values) == ""


def test_no_attribute_of_a_message_is_read() -> None:
    assert rendered("[{{ m.content }}]", m=HumanMessage("secret")) == "[]"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}", {"x": [1] * 300}),
        ("{% for a in x %}{{ b }}{% endfor %}", {"x": [1] * 1000, "b": "x" * 20_000}),
        ("{{ b" + "|replace('a', 'aaaaaaaaaa')" * 30 + " }}", {"b": "a"}),
        ("{{ b|join(c) }}", {"b": [1] * 10_000, "c": "x" * 2_000}),
        ("{{ b" + "|tojson" * 40 + " }}", {"b": '"'}),
    ],
)
def test_what_grows_too_much_is_stopped(text: str, values: dict[str, Any]) -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"characters"):
        rendered(text, **values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000


@pytest.mark.parametrize("value", ["{{ y }}", "{% if y %}", "{{ cycler }}", "{y}"])
def test_a_value_is_printed_as_it_is(value: str) -> None:
    prompt = PromptTemplate.from_template("{{ x }}", template_format="jinja2")
    first = prompt.format(x=value)
    assert first == value
    assert prompt.format(x=first) == value


def test_what_does_not_fit_the_values_is_said() -> None:
    with pytest.raises(ValueError, match="does not fit its values"):
        rendered("{{ x|sort }}", x=[1, "a"])


def test_in_a_chat_prompt() -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "{% if a %}{{ a }}{% endif %}"), ("ai", [{"type": "text", "text": "{{ b }}"}])],
        template_format="jinja2",
    )
    assert prompt.format_messages(a=1, b=2)[1] == AIMessage([{"type": "text", "text": "2"}])


def test_it_is_not_there_unless_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    jinja._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(NotImplementedError, match=r"millstream\[jinja2\]"):
        PromptTemplate.from_template("{{ a }}", template_format="jinja2")
