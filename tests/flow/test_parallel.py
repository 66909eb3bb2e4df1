"""Branches: what they are given when the input breaks off, how far they run ahead, whose error decides."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from colours import Colour, colour

from millstream import RunnableGenerator, RunnableLambda, RunnableParallel, RunnablePassthrough
from millstream.flow.mailbox import HIGH_WATER

__all__ = ["colour"]


def test_no_branch_takes_a_cut_input_for_a_whole_one(colour: Colour) -> None:
    called: list[Any] = []

    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator("part", fail=ValueError("cut")))
        note = RunnableLambda(c.function(called.append))
        with pytest.raises(ValueError, match="cut"):
            await c.collect(source | RunnableParallel(a=note, b=note, c=note), None)
        assert called == []

    colour.run(body)


def test_a_branch_that_gives_up_waiting_does_not_cut_the_input_of_others_silently(run_async: Any) -> None:
    async def source(inputs: Any) -> Any:
        yield "part"
        await asyncio.sleep(10)

    async def impatient(inputs: Any) -> Any:
        try:
            async with asyncio.timeout(0.01):
                async for item in inputs:
                    yield item
        except TimeoutError:
            yield "gave up"

    whole: list[Any] = []

    async def body() -> None:
        both = RunnableParallel(a=RunnableGenerator(impatient), b=whole.append)
        with pytest.raises(RuntimeError, match="the input was cut"):
            async for _ in (RunnableGenerator(source) | both).astream(None):
                pass
        assert whole == []

    run_async(body())


def keyed(c: Colour) -> Any:
    def sync_form(inputs: Any) -> Any:
        for item in inputs:
            yield {"n": item}

    async def async_form(inputs: Any) -> Any:
        async for item in inputs:
            yield {"n": item}

    return RunnableGenerator(sync_form if c.sync else async_form)


@pytest.mark.parametrize("of", ["branches", "assign"])
def test_what_comes_before_the_branches_waits_for_the_reader(colour: Colour, of: str) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        source = RunnableGenerator(c.generator(*range(10 * HIGH_WATER), log=log)) | keyed(c)
        after: Any = RunnableParallel(a=RunnablePassthrough(), b=RunnablePassthrough())
        if of == "assign":
            after = RunnablePassthrough.assign(m=c.function(lambda d: d["n"]))
        async with c.closing(source | after, None) as stream:
            await anext(stream)
            if c.sync:
                threading.Event().wait(0.05)
            else:
                await asyncio.sleep(0.05)
            assert len(log) <= HIGH_WATER + 3
        assert log[-1] == "closed"

    colour.run(body)


def test_a_reader_ends_an_endless_input() -> None:
    both = RunnableParallel(a=RunnablePassthrough(), b=RunnablePassthrough())
    for after in (both, RunnablePassthrough.assign(m=lambda d: 1)):
        with after.transform({"n": n} for n in itertools.count()) as stream:
            assert next(stream)


def test_every_sync_stream_is_live_however_many_there_are() -> None:
    """Their producers have threads of their own: more streams than workers, and none of them ends."""

    def endless(inputs: Any) -> Any:
        yield from itertools.count()

    streams = [RunnableParallel(a=RunnableGenerator(endless), b=lambda x: x).stream(None) for _ in range(40)]
    assert all(next(stream) for stream in streams)
    for stream in streams:
        stream.close()


def test_an_interrupt_comes_before_an_error() -> None:
    def fail(value: Any) -> None:
        raise ValueError("first in order")

    def interrupt(value: Any) -> None:
        raise KeyboardInterrupt

    branches = RunnableParallel(a=fail, b=interrupt)
    with pytest.raises(KeyboardInterrupt):
        branches.invoke(1)
    with pytest.raises(KeyboardInterrupt):
        list(branches.stream(1))


def test_the_errors_of_other_branches_are_noted() -> None:
    def failing(text: str) -> Any:
        def fail(value: Any) -> None:
            raise ValueError(text)

        return fail

    branches = RunnableParallel(a=failing("one"), b=lambda x: x, c=failing("two"))
    for call in (branches.invoke, lambda value: list(branches.stream(value))):
        with pytest.raises(ValueError, match="one") as caught:
            call(1)
        assert "the branch 'c' failed, too: ValueError('two')" in caught.value.__notes__


def test_a_branch_that_has_ended_is_not_fed(run_async: Any) -> None:
    async def two(inputs: Any) -> Any:
        yield await anext(inputs)
        yield await anext(inputs)

    alive: list[int] = []

    class Chunk:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    async def source(inputs: Any) -> Any:
        for _ in range(100):
            yield Chunk()
            await asyncio.sleep(0)

    async def body() -> None:
        last: list[int] = []
        chain = RunnableGenerator(source) | RunnableParallel(a=two, b=RunnablePassthrough())
        async for _ in chain.astream(None):
            last.append(len(alive))
        assert last[-1] < 10

    run_async(body())


def test_branches_that_share_a_failing_input_log_nothing(run_async: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def source(inputs: Any) -> Any:
        yield "a"
        raise ValueError("source")

    async def body() -> None:
        both = RunnableParallel(a=RunnablePassthrough(), b=RunnablePassthrough())
        with pytest.raises(ValueError, match="source"):
            async for _ in (RunnableGenerator(source) | both).astream(None):
                pass

    run_async(body())
    assert caplog.text == ""


def test_the_branches_by_the_name_of_the_argument() -> None:
    both = RunnableParallel(steps__={"a": str}, b=int)
    assert list(both.steps__) == ["a", "b"] and both.invoke("1") == {"a": "1", "b": 1}
