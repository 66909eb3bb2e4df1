"""Lines: stages over one source, and what each stage hears of the end."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from colours import Colour, colour

from millstream import GenericFakeChatModel, RunnablePassthrough, StrOutputParser
from millstream.flow.driver import ASYNC, SYNC, Driver
from millstream.flow.line import Leaf, Line, Opened, Stage
from millstream.spine.events import MISSING
from millstream.spine.scope import ROOT

__all__ = ["colour"]


class Noted(Stage):
    def __init__(self, name: str, log: list[str], *, fails: str = "", last: Any = MISSING) -> None:
        self.name, self.log, self.fails, self.more = name, log, fails, last

    def take(self, item: Any) -> Any:
        if self.fails == "take":
            raise ValueError(self.name)
        return f"{item}{self.name}"

    def last(self) -> Any:
        return self.more

    def ended(self) -> None:
        self.log.append(f"{self.name} ended")
        if self.fails == "ended":
            raise ValueError(self.name)

    def stopped(self, error: BaseException, left: bool) -> None:
        self.log.append(f"{self.name} {'left' if left else type(error).__name__}")


def letters(log: list[str], fails: bool = False) -> tuple[Any, Any]:
    def fn() -> Iterator[str]:
        try:
            yield "x"
            if fails:
                raise KeyError("leaf")
            yield "y"
        finally:
            log.append("closed")

    async def afn() -> AsyncIterator[str]:
        for letter in fn():
            yield letter

    return fn, afn


def noted_line(d: Driver, log: list[str], *stages: Stage, fails: bool = False) -> Line:
    fn, afn = letters(log, fails)

    async def opens() -> Opened:
        return Opened(Leaf(ROOT, None if not d.sync else fn, None if d.sync else afn, (), {}), stages[:1])

    line = Line(d, opens)
    for stage in stages[1:]:
        line.then(stage)
    return line


def driver(colour: Colour) -> Driver:
    return SYNC if colour.sync else ASYNC


async def read(line: Line, most: int = 99) -> list[str]:
    items: list[str] = []
    async with contextlib.aclosing(line):
        async for item in line:
            items.append(item)
            if len(items) == most:
                break
    return items


def test_items_pass_the_stages_in_order_and_the_end_is_told_after_the_source_has_closed(colour: Colour) -> None:
    log: list[str] = []

    async def body(colour: Colour) -> list[str]:
        return await read(noted_line(driver(colour), log, Noted("a", log, last="z"), Noted("b", log)))

    assert colour.run(body) == ["xab", "yab", "zb"]
    assert log == ["closed", "a ended", "b ended"]


def test_who_reads_may_leave(colour: Colour) -> None:
    log: list[str] = []

    async def body(colour: Colour) -> list[str]:
        return await read(noted_line(driver(colour), log, Noted("a", log), Noted("b", log)), most=1)

    assert colour.run(body) == ["xab"]
    assert log == ["closed", "a left", "b left"]


def test_an_error_of_the_source_fails_every_stage(colour: Colour) -> None:
    log: list[str] = []

    async def body(colour: Colour) -> None:
        with pytest.raises(KeyError, match="leaf"):
            await read(noted_line(driver(colour), log, Noted("a", log), Noted("b", log), fails=True))

    colour.run(body)
    assert log == ["closed", "a KeyError", "b KeyError"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_error_of_a_stage_fails_it_and_those_behind(colour: Colour, place: int) -> None:
    log: list[str] = []

    async def body(colour: Colour) -> None:
        stages = [Noted(name, log, fails="take" if at == place else "") for at, name in enumerate("abc")]
        with pytest.raises(ValueError, match="abc"[place]):
            await read(noted_line(driver(colour), log, *stages))

    colour.run(body)
    assert log == [
        "closed",
        *(f"{name} ValueError" for name in "abc"[place:]),
        *(f"{name} left" for name in "abc"[:place]),
    ]


def test_an_error_at_the_end_fails_those_behind(colour: Colour) -> None:
    log: list[str] = []

    async def body(colour: Colour) -> None:
        with pytest.raises(ValueError, match="a"):
            await read(noted_line(driver(colour), log, Noted("a", log, fails="ended"), Noted("b", log)))

    colour.run(body)
    assert log == ["closed", "a ended", "b ValueError"]


def test_a_line_that_cannot_begin_fails_its_stages(colour: Colour) -> None:
    log: list[str] = []

    async def opens() -> Opened:
        raise KeyError("no")

    async def body(colour: Colour) -> None:
        with pytest.raises(KeyError, match="no"):
            await read(Line(driver(colour), opens).then(Noted("a", log)))

    colour.run(body)
    assert log == ["a KeyError"]


def test_a_chain_over_a_model_is_one_generator(colour: Colour) -> None:
    """What a token costs is the model's own work and a call for each step, whoever composes."""
    frames: list[int] = []

    class Looking(GenericFakeChatModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for chunk in super()._stream(*args, **kwargs):
                frames.append(len(inspect.stack(0)))
                yield chunk

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            for chunk in super()._stream(*args, **kwargs):
                frames.append(len(inspect.stack(0)))
                yield chunk

    async def depth(chain: Any) -> int:
        frames.clear()
        assert "".join([part async for part in colour.stream(chain, "hi")]) == "to be told"
        return frames[-1]

    async def body(colour: Colour) -> tuple[int, int]:
        short = Looking(messages=iter(["to be told"])) | StrOutputParser()
        long = Looking(messages=iter(["to be told"])) | StrOutputParser() | RunnablePassthrough() | StrOutputParser()
        return await depth(short), await depth(long)

    short, long = colour.run(body)
    assert short == long
