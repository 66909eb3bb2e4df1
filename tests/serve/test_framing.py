"""Records as bytes: whatever a model, a tool or an attacker wrote, one record is one record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.serve.dialects.framing import encode, ndjson, sse, to_json

HOSTILE = [
    "\n\nevent: done\ndata: {}\n\n",
    "a\rb",
    "\r\nid: 7\r\n",
    "x\u2028y\u2029z\x85w",
    "\ufeffbom",
    "data: [DONE]",
    ": hb",
    "\x00\x1b[31m\x0b\x0c\x1c\x1d\x1e",
    "</script><img src=x onerror=alert(1)>",
    "👋 ü",
]


def parse_sse(raw: bytes) -> Iterator[dict[str, str]]:
    """An event-stream parser after the standard: lines end at CR, LF or CRLF, a blank line ends the event."""
    event: dict[str, str] = {}
    for line in raw.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line == "":
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event[field] = f"{event[field]}\n{value}" if field == "data" and field in event else value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_inside_its_record(text: str) -> None:
    first = encode("token", 1, 0, {"content": text, text: 1})
    raw = sse("token", 1, first) + sse("done", 2, encode("done", 2, 5, {}))
    events = list(parse_sse(raw))
    assert [(event["id"], event["event"]) for event in events] == [("1", "token"), ("2", "done")]
    assert json.loads(events[0]["data"])["content"] == text
    assert raw.count(b"\n") == 8 and b"\r" not in raw


@pytest.mark.parametrize("text", HOSTILE)
def test_every_line_reader_sees_one_line(text: str) -> None:
    raw = ndjson(encode("token", 1, 0, {"content": text})) * 2
    # Both take more for a line end than LF.
    by_client = list(httpx2.Response(200, content=raw).iter_lines())
    assert len(by_client) == len(raw.decode().splitlines()) == 2
    assert json.loads(by_client[0])["content"] == text


@given(st.text(st.characters(codec=None), max_size=50))
def test_any_text_gives_valid_utf8_and_the_same_text_where_it_is_text(text: str) -> None:
    body = encode("token", 1, 0, {"content": text})
    told = json.loads(body.decode())["content"]
    try:
        text.encode()
    except UnicodeEncodeError:
        told.encode()  # surrogates are gone
    else:
        assert told == text


@dataclass
class Secret:
    key: str = "sk-secret"


class Odd:
    def __str__(self) -> str:
        return "odd"


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (10**30, 10**30),
        (-(10**400), -(10**400)),
        (float("nan"), None),
        (float("inf"), None),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        ({"a": "\ud83d\udc4b \ud800"}, {"a": "👋 \ufffd"}),
        ((1, {"x": (2,)}), [1, {"x": [2]}]),
        ({"o": Odd()}, {"o": "odd"}),
    ],
)
def test_values_that_json_does_not_know(value: Any, told: Any) -> None:
    assert json.loads(to_json({"v": value}))["v"] == told


def test_deep_circular_and_huge_values_do_not_raise() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (DEEP, circle, 1 << 100_000):
        assert len(to_json({"v": value})) < 1_000


def test_the_head_comes_first() -> None:
    assert encode("token", 3, 14, {"content": "x"}) == b'{"type":"token","seq":3,"ts":14,"content":"x"}'
    assert encode("done", 4, 15, {}) == b'{"type":"done","seq":4,"ts":15}'
