from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import InvalidArgument
from millstream.data.xml_events import GrowingXml, parse_xml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<r>t</r>", {"r": "t"}),
        ("<r/>", {"r": []}),
        ("<r> \n </r>", {"r": []}),
        ("<r><a>1</a><l><i>p</i><i>q</i></l></r>", {"r": [{"a": "1"}, {"l": [{"i": "p"}, {"i": "q"}]}]}),
        ("<r><a/><b> </b></r>", {"r": [{"a": None}, {"b": " "}]}),
        ("<r>text <a>1</a> tail</r>", {"r": [{"a": "1"}]}),
        ('<?xml version="1.0" encoding="utf-16"?><r x="1">ä &lt;&#65;<![CDATA[<b>]]></r>', {"r": "ä <A<b>"}),
        ("<n:r><n:a>1</n:a></n:r>", {"n:r": [{"n:a": "1"}]}),
        ("<!-- c --><r><!-- d --><?pi?>t</r>\n", {"r": "t"}),
    ],
)
def test_trees(text: str, value: Any) -> None:
    assert parse_xml(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "text", "<a><b></a>", "<a>", "<a></a><b></b>", "text <a></a>", "<a>&nobody;</a>", "<a>\ud800</a>", "<a>\0</a>",
        '<!DOCTYPE r [<!ENTITY e "x">]><r>&e;</r>',
        '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><r>&e;</r>',
        '<!DOCTYPE r [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x"> %e;]><r/>',
        "<a>" * 100_000,
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_xml(text)


def fed(*pieces: str) -> list[Any]:
    xml = GrowingXml()
    return [leaf for piece in pieces for leaf in xml.feed(piece)]


def test_leaves_as_they_end() -> None:
    xml = GrowingXml()
    given = ["junk < <r", "oot><a>1</a><b><c>", "x</c>", "</b><d/></roo", "t> junk <e>", "f</e>"]
    assert [xml.feed(piece) for piece in given] == [
        [],
        [{"root": [{"a": "1"}]}],
        [{"root": [{"b": [{"c": "x"}]}]}],
        [{"root": [{"d": None}]}],
        [],
        [],
    ]


def test_a_stream_without_xml_or_without_its_end() -> None:
    assert fed("nothing ", "here <") == []
    assert fed("<a><b>1</b><c>2") == [{"a": [{"b": "1"}]}]
    assert fed("```xml\n<a>", "1</a>\n```") == [{"a": "1"}]


@pytest.mark.parametrize("pieces", [["<a><b></a>"], ["<a>&nobody;", "</a>"], ["<a>" * 300]])
def test_a_stream_that_is_not_well_formed(pieces: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        fed(*pieces)


TEXT = "Sure: ```xml\n<r><a>1 &amp; 2</a><b><c>ä</c><c/></b>\n<d>x</d></r>\n``` done <x>"


@given(st.lists(st.integers(0, len(TEXT)), max_size=9))
def test_however_the_text_is_cut_the_leaves_are_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[start:end] for start, end in pairwise(edges)]
    assert fed(*pieces) == fed(TEXT)
    assert len(fed(TEXT)) == 4
