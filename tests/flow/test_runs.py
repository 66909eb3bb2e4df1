"""Runs end from the inside out, whatever ends them, and those who watch change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import RunnableGenerator, RunnableLambda, RunnableParallel
from millstream.spine.events import START, Event

__all__ = ["colour"]


def passing(c: Colour) -> Any:
    def sync_form(inputs: Any) -> Any:
        yield from inputs

    async def async_form(inputs: Any) -> Any:
        async for item in inputs:
            yield item

    return RunnableGenerator(sync_form if c.sync else async_form, name="passing")


def ignoring(c: Colour) -> Any:
    """A step that does not read its input."""

    def sync_form(inputs: Any) -> Any:
        yield "own"

    async def async_form(inputs: Any) -> Any:
        yield "own"

    return RunnableGenerator(sync_form if c.sync else async_form, name="ignoring")


def test_an_early_close_ends_the_inner_runs_first(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        recorder = Recorder()
        chain = RunnableGenerator(c.generator(1, 2), name="source") | passing(c)
        async with c.closing(chain, None, {"callbacks": [recorder]}) as stream:
            await anext(stream)
        ends = ["source", "passing", "RunnableSequence"]
        # In sync runs it counts as a normal end.
        assert recorder.told()[-3:] == [f"{name} {'end' if c.sync else 'error'}" for name in ends]

    colour.run(body)


def test_an_early_close_of_branches_is_no_error_in_sync_runs() -> None:
    c = Colour("sync")
    recorder = Recorder()
    many = RunnableGenerator(c.generator(*range(1000)), name="many")
    with RunnableParallel(a=many, b=many).stream(None, {"callbacks": [recorder]}) as stream:
        next(stream)
    assert not [line for line in recorder.told() if line.endswith("error")]


def test_an_input_that_is_not_read_is_closed_before_the_end(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        chain = RunnableGenerator(c.generator(1, 2, log=log), name="source") | ignoring(c)
        assert await c.collect(chain, None) == ["own"]
        assert log == []  # nobody asked it for anything
        recorder = Recorder()
        assert await c.collect(chain, None, {"callbacks": [recorder]}) == ["own"]
        assert log == ["make 1", "closed"]
        told = recorder.told()
        assert told.index("source end") < told.index("ignoring end")

    colour.run(body)


def test_a_listener_that_fails_the_start_leaves_nothing_open(colour: Colour) -> None:
    class Strict(Recorder):
        raise_error = True

        def feed(self, event: Event) -> None:
            if event.kind == START and event.run.name == "passing":
                raise OSError("the listener's disk is full")

    log: list[str] = []

    async def body(c: Colour) -> None:
        chain = RunnableGenerator(c.generator(1, 2, log=log)) | passing(c)
        with pytest.raises(OSError, match="disk is full"):
            await c.collect(chain, None, {"callbacks": [Strict()]})
        assert log == ["make 1", "closed"]

    colour.run(body)


def test_chunks_that_do_not_add_up_fail_nobody(colour: Colour) -> None:
    class Odd:
        def __add__(self, other: object) -> Odd:
            raise ValueError("shapes do not match")

    async def body(c: Colour) -> None:
        first, last = Odd(), Odd()
        recorder = Recorder()
        source = RunnableGenerator(c.generator(first, last), name="source")
        assert await c.collect(source | passing(c), None, {"callbacks": [recorder]}) == [first, last]
        assert recorder.events[-1].data is last

    colour.run(body)


def test_a_cancelled_stream_tells_each_run_from_the_inside_out(run_async: Any) -> None:
    async def slow(inputs: Any) -> Any:
        async for item in inputs:
            yield item
            await asyncio.sleep(10)

    async def body() -> None:
        recorder = Recorder()
        chain = RunnableGenerator(slow, name="slow") | passing(Colour("asyncio")) | RunnableLambda(lambda x: x)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                async for _ in chain.astream(1, {"callbacks": [recorder]}):
                    pass
        assert [line for line in recorder.told() if line.endswith("error")] == [
            "slow error",
            "passing error",
            "RunnableLambda error",
            "RunnableSequence error",
        ]

    run_async(body())


def test_what_fails_in_the_middle_is_told_before_what_it_cut_short(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def sync_form(chunks: Any) -> Any:
            for chunk in chunks:
                if chunk == 2:
                    raise ValueError("two")
                yield chunk

        async def async_form(chunks: Any) -> Any:
            async for chunk in chunks:
                if chunk == 2:
                    raise ValueError("two")
                yield chunk

        failing = RunnableGenerator(sync_form, async_form, name="failing")
        recorder = Recorder()
        chain = RunnableGenerator(c.generator(1, 2, 3), name="source") | failing
        with pytest.raises(ValueError, match="two"):
            await c.collect(chain, None, {"callbacks": [recorder]})
        ends = [told for told in recorder.told() if told.endswith(("end", "error"))]
        assert ends == ["failing error", "RunnableSequence error", "source end" if c.sync else "source error"]

    colour.run(body)
