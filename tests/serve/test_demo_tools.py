"""The three tools of the demo."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.serve.demo.calculator import CalculationError, calculate
from millstream.serve.demo.clock import UnknownPlace, tell_time
from millstream.serve.demo.search import Index, Section, excerpt, load_docs, sections

# The calculator


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+2", "4"),
        ("12 * 7", "84"),
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("6 / 3", "2"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("17 mod 5", "2"),
        ("2 ^ 10", "1024"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("2 ** -1", "0.5"),
        ("--3", "3"),
        ("0.1 + 0.2", "0.3"),
        ("1e3", "1000"),
        ("1,234 + 1", "1235"),
        ("1_000 * 2", "2000"),
        ("10%", "0.1"),
        ("200 * 15%", "30"),
        ("5!", "120"),
        ("sqrt(144)", "12"),
        ("sqrt(2)", "1.41421356237"),
        ("max(1, 5, 3) + min(2, 1)", "6"),
        ("round(2.567, 1)", "2.6"),
        ("log(1000)", "3"),
        ("log(8, 2)", "3"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("2 * pi", "6.28318530718"),
        ("12 * 12 =", "144"),
        ("10 ** 100", "1" + "0" * 100),
        ("1 / 3", "0.333333333333"),
        ("1 / 1e9", "1e-09"),
    ],
)
def test_arithmetic(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "2 +",
        "(1",
        "1)",
        "1 2",
        "abc",
        "__import__('os').system('id')",
        "().__class__",
        "sqrt",
        "sqrt(-1)",
        "(-8) ** 0.5",
        "1 / 0",
        "1 % 0",
        "0 ** -1",
        "10 ** 10 ** 10",
        "9 ** 9 ** 9 ** 9",
        "1e308 * 10",
        "1.5!",
        "451!",
        "5!!!",
        "max(1)",
        "(" * 1_001,
        "(" * 400 + "1" + ")" * 400,
        "-" * 500 + "1",
        "2 ** " * 190 + "1",
        "9" * 999 + "*" + "9" * 0,
        "²",
        "exp(1e10)",
        "tan(1e400)",
    ],
)
def test_what_is_no_arithmetic_or_too_much_is_refused_at_once(expression: str) -> None:
    start = time.perf_counter()
    with pytest.raises(CalculationError):
        calculate(expression)
    assert time.perf_counter() - start < 1


@given(st.text(alphabet="0123456789+-*/%^!().,e sqrtmaxpi", max_size=60))
def test_any_text_gives_a_number_or_says_why_not(text: str) -> None:
    try:
        assert len(calculate(text)) < 2_000
    except CalculationError:
        pass


numbers = st.integers(-(10**6), 10**6)


@given(numbers, numbers, numbers)
def test_it_agrees_with_python(a: int, b: int, c: int) -> None:
    assert calculate(f"({a}) + ({b}) * ({c}) - ({a})") == str(a + b * c - a)


# The clock

NOW = datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("UTC", "12:00:05 in UTC (UTC+00:00)"),
        ("", "12:00:05 in UTC (UTC+00:00)"),
        ("Europe/Berlin", "14:00:05 in Europe/Berlin (UTC+02:00)"),
        ("tokyo", "21:00:05 in Asia/Tokyo (UTC+09:00)"),
        ("New York", "08:00:05 in America/New_York (UTC-04:00)"),
        ("america/new_york", "08:00:05 in America/New_York (UTC-04:00)"),
        ("Mumbai", "17:30:05 in Asia/Kolkata (UTC+05:30)"),
        ("UTC+5:30", "17:30:05 in UTC+05:30 (UTC+05:30)"),
        ("-3", "09:00:05 in UTC-03:00 (UTC-03:00)"),
    ],
)
def test_the_time_in_a_place(place: str, told: str) -> None:
    assert tell_time(place, now=NOW) == f"Wednesday, 01 July 2026, {told}"


@pytest.mark.parametrize("place", ["Atlantis", "../../etc/passwd", "/etc/localtime", "x" * 10_000, "UTC+99", "\0"])
def test_no_such_place(place: str) -> None:
    with pytest.raises(UnknownPlace) as raised:
        tell_time(place, now=NOW)
    assert len(str(raised.value)) < 200


# The search

PAGE = """
Intro text.

# Streams
Tokens arrive as they come.

```python
# not a heading
```

## Checkpoints
A saver keeps the conversation. Savers: memory and SQLite.
"""


def test_a_page_is_cut_at_its_headings() -> None:
    found = sections("page.md", PAGE)
    assert [section.title for section in found] == ["page.md", "Streams", "Checkpoints"]
    assert "# not a heading" in found[1].text


def test_the_section_that_says_most_comes_first() -> None:
    index = Index(sections("page.md", PAGE))
    assert index.search("How are conversations kept by a saver?")[0].title == "Checkpoints"
    assert index.search("token streaming")[0].title == "Streams"
    assert index.search("quantum chromodynamics") == []
    assert index.search("") == []
    assert Index([]).search("x") == []


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    pages = [Section("p", f"t{i}", "common common common") for i in range(9)] + [Section("p", "rare", "common zebra")]
    assert Index(pages).search("common zebra", limit=1)[0].title == "rare"


def test_an_excerpt_is_the_paragraph_that_matters() -> None:
    section = Section("p", "t", "First.\n\nThe zebra is here.\n\nLast.")
    assert excerpt(section, "zebra").startswith("The zebra")
    assert len(excerpt(Section("p", "t", "word " * 10_000), "word")) < 1_000


def test_the_projects_own_docs_are_found() -> None:
    index = load_docs()
    assert len(index) > 10
    assert any("mailbox" in section.text.lower() for section in index.search("mailbox high-water mark"))
