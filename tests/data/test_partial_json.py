"""Partial JSON: every beginning of a text has a value, and feeding it in pieces gives the same."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millstream import PartialJson, ValidationError, parse_json_markdown, parse_partial_json
from millstream.data.partial_json import MAX_DEPTH

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)
TEXTS = st.builds(
    lambda value, ascii, indent: json.dumps(value, ensure_ascii=ascii, indent=indent),
    JSON,
    st.booleans(),
    st.sampled_from([None, 1]),
)
# What breaks parsers, in any order.
BROKEN = st.lists(
    st.sampled_from(
        [
            *'{}[]",:\\ \n1a-.eu',
            "true",
            "null",
            "NaN",
            "-Infinity",
            '"a":',
            "\\u",
            "\\ud83d",
            "\\ude00",
            "12",
            "\t",
            "0",
        ]
    )
).map("".join)


def plainly(text: str, *, strict: bool = False) -> Any:
    """The rule itself: close what is open; while that does not parse, drop a character from the end."""
    try:
        return json.loads(text, strict=strict)
    except json.JSONDecodeError:
        pass
    kept: list[str] = []
    closers: list[str] = []
    in_string = escaped = False
    for char in text:
        new = char
        if in_string:
            if char == '"' and not escaped:
                in_string = False
            elif char == "\n" and not escaped:
                new = "\\n"
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string, escaped = True, False
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
        elif char in "}]" and (not closers or closers.pop() != char):
            return None
        kept.append(new)
    if in_string:
        if escaped:
            kept.pop()
        kept.append('"')
    while kept:
        try:
            return json.loads("".join(kept + closers[::-1]), strict=strict)
        except json.JSONDecodeError:
            kept.pop()
    return json.loads(text, strict=strict)


def outcome(parse: Any, *args: Any, **options: Any) -> Any:
    try:
        return repr(parse(*args, **options))  # repr, because it tells 1 from 1.0 and True
    except ValueError as error:
        return type(error)


def fed(pieces: list[str], *, strict: bool = False) -> PartialJson:
    parser = PartialJson(strict=strict)
    for piece in pieces:
        parser.feed(piece)
    return parser


UNFINISHED_ESCAPE = re.compile(r"(\\u[dD][89abAB][0-9a-fA-F]{2})?(\\(u[0-9a-fA-F]{0,3})?)?$|\\u[dD][89abAB]..$")


def without_unfinished_escape(text: str) -> str:
    """The text less an escape at its end that says nothing yet: the plain rule drops the whole string then."""
    at = re.search(r"(\\\\)*(?P<end>" + UNFINISHED_ESCAPE.pattern + ")", text)
    return text if at is None else text[: at.start("end")]


@given(TEXTS, st.data())
def test_beginnings_of_valid_text(text: str, data: Any) -> None:
    prefix = text[: data.draw(st.integers(0, len(text)))]
    assert outcome(parse_partial_json, prefix) == outcome(plainly, without_unfinished_escape(prefix))


@given(st.one_of(TEXTS, BROKEN), st.data(), st.booleans())
@example('"\\\\\\"', None, False)
def test_pieces_give_the_same_at_every_point(text: str, data: Any, strict: bool) -> None:
    parser = PartialJson(strict=strict)
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 5)) if data is not None else 1
        parser.feed(text[at : at + size])
        at += size
        assert outcome(lambda: parser.value) == outcome(parse_partial_json, text[:at], strict=strict)


@given(TEXTS)
def test_complete_is_when_the_outermost_value_is_closed(text: str) -> None:
    if text[0] not in '{["':
        return
    parser = PartialJson()
    for char in text:
        assert not parser.complete
        parser.feed(char)
    assert parser.complete
    assert parser.value == json.loads(text)


@given(BROKEN)
def test_broken_text_raises_nothing_else(text: str) -> None:
    try:
        parse_partial_json(text)
    except (json.JSONDecodeError, ValidationError):
        pass


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": tru', {}),
        ('{"a": 1.', {"a": 1}),
        ('{"a": -', {}),
        ('{"a": 1e+', {"a": 1}),
        ('[1, {"k": "v"', [1, {"k": "v"}]),
        ('"str', "str"),
        ('{"a": "line\nbreak', {"a": "line\nbreak"}),
        ('{"a": "esc\\', {"a": "esc"}),
        ('{"a": "b\\u00e', {"a": "b"}),
        ('{"a": "b\\u00e9', {"a": "bé"}),
        ('{"a": "\\ud83d', {"a": ""}),
        ('{"a": "\\ud83d\\ude0', {"a": ""}),
        ('{"a": "\\ud83d\\ude00', {"a": "😀"}),
        ('{"a": "\\ud83dx', {"a": "\ud83dx"}),
        ('{"a": [1, 2], "b":', {"a": [1, 2]}),
        ('{"a": 1} and more', {"a": 1}),
        ('{"a": xx', {}),
        ('{"a": 1, "b": {"c": xx}, "d', {"a": 1}),
        ("}", None),
        ("[1}", None),
        ("", json.JSONDecodeError),
        ("abc", json.JSONDecodeError),
        ("tru", json.JSONDecodeError),
        ("-", json.JSONDecodeError),
        ("[1,]", json.JSONDecodeError),
        ('{"a": xx}', json.JSONDecodeError),
    ],
)
def test_table(text: str, value: Any) -> None:
    if isinstance(value, type):
        with pytest.raises(value):
            parse_partial_json(text)
    else:
        assert parse_partial_json(text) == value


def test_strict_refuses_control_characters_but_newlines() -> None:
    assert parse_partial_json('["a\tb', strict=False) == ["a\tb"]
    assert parse_partial_json('["a\tb', strict=True) == []
    assert parse_partial_json('["a\nb', strict=True) == ["a\nb"]


def test_values_do_not_change_while_feeding_goes_on() -> None:
    parser = fed(['{"a": [1, {"b": "x'])
    before = parser.value
    parser.feed('y"}, 2], "c": 3}')
    assert before == {"a": [1, {"b": "x"}]}
    assert parser.value == {"a": [1, {"b": "xy"}, 2], "c": 3}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * (MAX_DEPTH + 1)])
def test_deep_nesting_is_a_typed_error(text: str) -> None:
    with pytest.raises(ValidationError, match=f"{MAX_DEPTH} levels"):
        parse_partial_json(text)
    parser = fed([text[:1000], text[1000:]])
    with pytest.raises(ValidationError):
        _ = parser.value
    parser.feed("]")  # and it stays so
    with pytest.raises(ValidationError):
        _ = parser.value


def test_deep_nesting_up_to_the_limit() -> None:
    assert repr(parse_partial_json("[" * MAX_DEPTH)) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_whole_text_that_is_too_deep_for_the_stack() -> None:
    with pytest.raises(ValidationError):
        parse_partial_json("[" * 100_000 + "]" * 100_000)


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("unit", ["\\", "\\\\", '\\"', "\\u00e9", "\\ud83d", "word ", "[1],", '{"k": "v"},'])
@pytest.mark.parametrize("size", [1, 7])
def test_cost_is_linear(unit: str, size: int) -> None:
    def seconds(times: int) -> float:
        text = ("[" if unit[0] in "[{" else '"') + unit * times
        start = time.process_time()
        fed([text[at : at + size] for at in range(0, len(text), size)])
        return time.process_time() - start

    small, large = min(seconds(500) for _ in range(3)), min(seconds(8_000) for _ in range(2))
    assert large < small * 16 * 4, "16 times the text took more than 64 times as long"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('text ```json\n{"a": 1}\n``` after ] }', {"a": 1}),
        ("so: ```\n[1, 2", [1, 2]),
        ("2 items: ```\n[1, 2]```", [1, 2]),
        ("[note] ```\n[1, 2]```", [1, 2]),
        ('```json\n{"a": "```", "b": [', {"a": "```", "b": []}),
        ('```json\n{"a": 1\n```', {"a": 1}),
        ("nothing", json.JSONDecodeError),
        ("```\nnothing\n```", json.JSONDecodeError),
    ],
)
def test_markdown(text: str, value: Any) -> None:
    if isinstance(value, type):
        with pytest.raises(value):
            parse_json_markdown(text)
    else:
        assert parse_json_markdown(text) == value


def test_markdown_with_a_parser_of_your_own() -> None:
    assert parse_json_markdown('```json\n{"a": 1}\n```', parser=json.loads) == {"a": 1}
