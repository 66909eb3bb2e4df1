"""A stream of at most one item, asked for item by item or as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from millstream.flow.overrides import folded
from millstream.flow.single import Single, once
from millstream.flow.step import step, step_iter
from millstream.spine.events import MISSING


def made(value: Any, calls: list[Any]) -> Single:
    async def make() -> Any:
        calls.append(value)
        if isinstance(value, Exception):
            raise value
        return value

    return Single(make)


def items(stream: AsyncIterator[Any]) -> list[Any]:
    return list(step_iter(stream))


def test_its_item_is_made_when_it_is_asked_for_and_once() -> None:
    calls: list[Any] = []
    stream = made("a", calls)
    assert calls == []
    assert items(stream) == ["a"]
    assert items(stream) == [] and step(folded(stream)) is MISSING
    assert calls == ["a"]


def test_its_whole_is_its_item() -> None:
    calls: list[Any] = []
    stream = made(["a"], calls)
    assert step(folded(stream)) == ["a"]
    assert items(stream) == [] and calls == [["a"]]


def test_nothing_is_no_item() -> None:
    assert items(made(MISSING, [])) == [] and items(once(MISSING)) == []


def test_none_is_an_item() -> None:
    assert items(once(None)) == [None] and step(folded(once(None))) is None


def test_an_error_ends_it() -> None:
    stream = made(ValueError("no flour"), [])
    with pytest.raises(ValueError, match="no flour"):
        items(stream)
    assert items(stream) == []


@pytest.mark.parametrize("kind", ["made", "given"])
def test_what_is_closed_or_thrown_into_makes_nothing(kind: str) -> None:
    calls: list[Any] = []
    for _ in range(2):
        stream = made(1, calls) if kind == "made" else once(1, calls)
        step(stream.aclose())
        assert items(stream) == []
        stream = made(1, calls) if kind == "made" else once(1, calls)
        with pytest.raises(KeyError):
            step(stream.athrow(KeyError("k")))
        assert items(stream) == []
    assert calls == []


def test_an_item_is_noted_when_it_is_read() -> None:
    taken: list[Any] = []
    stream = once("a", taken)
    assert taken == []
    assert items(stream) == ["a"] and items(stream) == []
    assert taken == ["a"]
