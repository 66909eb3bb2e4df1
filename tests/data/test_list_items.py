from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millstream.data.list_items import MARKED_LINES, NUMBERED_LINES, CommaItems, LineItems


def read(reader: Any, *pieces: str) -> list[list[str]]:
    return [*(reader.feed(piece) for piece in pieces), reader.end()]


def flat(items: list[list[str]]) -> list[str]:
    return [item for some in items for item in some]


@pytest.mark.parametrize(
    ("pieces", "items"),
    [
        (["a, b", "c, ", "d,e", " f"], [["a"], ["bc"], ["d"], [], ["e f"]]),
        (['x, "y', ', z" ,', "w"], [["x"], [], ["y, z "], [], ["w"]]),
        (['"a ""b"" c"'], [[], ['a "b" c']]),
        (["a,,b,"], [["a", "", "b"], [""]]),
        (["a\n", "\n", "b\r\nc"], [["a"], [], ["b"], ["c"]]),
        (["", ""], [[], [], []]),
        (['"never closed, '], [[], ["never closed, "]]),
        (['a "b" c'], [[], ['a "b" c']]),
    ],
)
def test_items_between_commas(pieces: list[str], items: list[list[str]]) -> None:
    found = read(CommaItems(), *pieces)
    assert flat(found) == flat(items)
    if len(found) == len(items):
        assert found == items


@given(st.text('ab", \n', max_size=30))
def test_commas_are_read_as_the_csv_module_reads_them(text: str) -> None:
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    assert flat(read(CommaItems(), text)) == [item for row in rows for item in row]


def test_an_item_is_given_once_the_next_begins() -> None:
    assert read(LineItems(NUMBERED_LINES), "1. on", "e\n2. t", "wo", "\n", "3", ".", " x") == [
        [], ["one"], [], [], [], [], ["two"], ["x"]
    ]  # fmt: skip
    assert read(LineItems(MARKED_LINES), "- a\n-", " b", "\nso\n* c") == [[], ["a"], ["b"], ["c"]]


def test_lines_without_a_mark_are_passed_over() -> None:
    text = "Here they are:\n\n  1. one\n(really)\n 12. twelve\nThat was all: 3.5 of them.\n"
    assert flat(read(LineItems(NUMBERED_LINES), text)) == ["one", "twelve"]
    assert flat(read(LineItems(MARKED_LINES), "- a\n-b\n--- \n  * c d\n")) == ["a", "c d"]


def readers() -> list[tuple[Callable[[], Any], Callable[[str], list[str]]]]:
    return [
        (CommaItems, lambda text: flat(read(CommaItems(), text))),
        (lambda: LineItems(NUMBERED_LINES), NUMBERED_LINES.findall),
        (lambda: LineItems(MARKED_LINES), MARKED_LINES.findall),
    ]


@pytest.mark.parametrize(("reader", "whole"), readers(), ids=["commas", "numbered", "marked"])
@given(st.lists(st.text('12. -*\nab,"', max_size=8), max_size=8))
@example(["1.\n", "a\n2. b"])
@example(["-\n", "a\n\n", "\n- b"])
@example(["x 1. a 2. b\n", "3", "4. c"])
def test_however_the_text_is_cut_the_items_are_the_same(
    reader: Callable[[], Any], whole: Callable[[str], list[str]], pieces: list[str]
) -> None:
    assert flat(read(reader(), *pieces)) == whole("".join(pieces))


@pytest.mark.parametrize("pattern", [NUMBERED_LINES, MARKED_LINES])
@pytest.mark.parametrize("flood", ["\n", "1", "1. a\n", "- a\n", "- ", "a "])
def test_little_is_held_of_what_was_looked_through(pattern: Any, flood: str) -> None:
    reader = LineItems(pattern)
    for _ in range(1000):
        reader.feed(flood)
    assert len(reader._rest) <= len(flood) + 1


@pytest.mark.parametrize("pattern", [NUMBERED_LINES, MARKED_LINES])
@pytest.mark.parametrize("flood", ["\n", "1", "- ", " ", "-", "1.\n"])
def test_a_flood_is_looked_through_once(pattern: Any, flood: str) -> None:
    text = flood * 200_000
    start = time.perf_counter()
    pattern.findall(text)
    assert time.perf_counter() - start < 2  # milliseconds; looking again from each place would take minutes
