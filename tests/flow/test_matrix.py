"""The matrix that freezes the engine: twenty ways in which live delivery goes wrong, in every colour.

Cases 4, 6 and 10 with graphs are in tests/graph; here they stand on parallel branches.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import tracemalloc
import warnings
from typing import Any

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import (
    BlockingCallWarning,
    FakeListChatModel,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
)
from millstream.errors import AsyncOnly
from millstream.flow.mailbox import HIGH_WATER, Mailbox
from millstream.spine import run as run_module
from millstream.spine.events import END, START, Event
from millstream.spine.run import Run

__all__ = ["colour"]


def two_steps(colour: Colour, log: list[str]) -> Any:
    """A pull pipeline of two generators."""
    return RunnableGenerator(colour.generator(1, 2, 3, log=log)) | RunnableGenerator(passing(colour))


def passing(colour: Colour) -> Any:
    def sync_form(inputs: Any) -> Any:
        yield from inputs

    async def async_form(inputs: Any) -> Any:
        async for item in inputs:
            yield item

    return sync_form if colour.sync else async_form


def test_01_early_break(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        async for item in c.stream(two_steps(c, log), None):
            assert item == 1
            break
        gc.collect()
        for _ in range(0 if c.sync else 10):
            await asyncio.sleep(0)
        assert log == ["make 1", "closed"]

    colour.run(body)


def test_02_explicit_close(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        stream: Any = c.stream(two_steps(c, log), None)
        assert await anext(stream) == 1
        await stream.aclose()
        assert log == ["make 1", "closed"]  # the source's clean-up is over when the close returns
        assert [item async for item in stream] == []

    colour.run(body)


def test_02_explicit_close_of_a_push_stream(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        many = RunnableGenerator(c.generator(*range(10 * HIGH_WATER), log=log))
        async with c.closing(RunnableParallel(a=many, b=many), None) as stream:
            await anext(stream)
        assert log.count("closed") == log.count("make 0") > 0  # whatever had begun

    colour.run(body)


def test_03_consumer_raises(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with c.closing(two_steps(c, log), None) as stream:
                async for _ in stream:
                    raise KeyError("mine")
        assert log == ["make 1", "closed"]

    colour.run(body)


def test_04_one_of_three_raises_while_others_run(colour: Colour) -> None:
    log: list[str] = []
    release = threading.Event()

    def fail(value: Any) -> Any:
        release.set() if colour.sync else None
        raise ValueError("one of three")

    async def body(c: Colour) -> None:
        slow = c.waiting(release, "slow", log)
        branches = RunnableParallel(a=slow, b=c.function(fail), c=slow)
        with pytest.raises(ValueError, match="one of three"):
            await c.invoke(branches, None)
        # Threads cannot be stopped: they are waited for. Tasks are cancelled, and waited for as well.
        assert log == ["waited"] * 2 if c.sync else ["cancelled"] * 2
        log.clear()
        with pytest.raises(ValueError, match="one of three"):
            await c.collect(branches, None)
        assert len(log) == 2

    colour.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_05_cancelled_from_outside(streamed: bool, run_async: Any) -> None:
    log: list[str] = []
    colour = Colour("asyncio")
    never = threading.Event()

    async def body() -> None:
        slow = RunnableLambda(colour.waiting(never, None, log))
        chain = RunnableParallel(a=slow, b=slow) | slow
        call = colour.collect(chain, None) if streamed else chain.ainvoke(None)
        task = asyncio.create_task(call)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["cancelled"] * 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_async(body())


def test_05_a_second_cancel_does_not_break_the_clean_up_of_the_first(run_async: Any) -> None:
    log: list[str] = []

    async def stubborn(value: Any) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.02)
            log.append("cleaned up")

    async def body() -> None:
        task = asyncio.create_task(RunnableParallel(a=stubborn, b=stubborn).ainvoke(None))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["cleaned up"] * 2

    run_async(body())


def test_06_timeout_of_one_part(run_async: Any) -> None:
    log: list[str] = []
    colour = Colour("asyncio")

    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:

                async def first(value: Any) -> Any:
                    limit.reschedule(asyncio.get_running_loop().time())  # so it is up when the second step waits
                    return value

                await (RunnableLambda(first) | colour.waiting(threading.Event(), None, log)).ainvoke(0)
        assert log == ["cancelled"]

    run_async(body())


def test_07_sync_code_under_async_emits_across_threads(run_async: Any) -> None:
    inner = RunnableGenerator(Colour("sync").generator("a", "b"), name="inner")
    threads: set[int] = set()

    def node(value: Any) -> Any:
        threads.add(threading.get_ident())
        return inner.invoke(value)

    async def body() -> list[str]:
        stream = RunnableLambda(node).astream_events(1)
        return [f"{e['name']} {e['event']}" async for e in stream]

    assert run_async(body()) == [
        "node on_chain_start",
        "inner on_chain_start",
        "inner on_chain_stream",
        "inner on_chain_stream",
        "inner on_chain_end",
        "node on_chain_stream",
        "node on_chain_end",
    ]
    assert threads and threading.get_ident() not in threads


def test_08_async_only_leaf_under_sync_names_itself() -> None:
    async def fetch(value: Any) -> Any:
        return value

    for chain in (RunnableLambda(fetch), RunnableLambda(lambda x: x) | fetch):
        for call in (chain.invoke, lambda x, chain=chain: list(chain.stream(x))):
            with pytest.raises(AsyncOnly, match=r"`fetch` has only an async form.*`a(invoke|stream)`") as caught:
                call(1)
            assert isinstance(caught.value, TypeError)
            assert caught.value.leaf == "`fetch`"


def test_09_users_generators_as_transform(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        def sync_form(inputs: Any) -> Any:
            for item in inputs:
                yield item * 10

        async def async_form(inputs: Any) -> Any:
            async for item in inputs:
                yield item * 10

        chain = RunnableGenerator(c.generator(1, 2)) | (sync_form if c.sync else async_form)
        assert await c.collect(chain, None) == [10, 20]
        assert await c.invoke(chain, None) == 30

    colour.run(body)


def test_10_live_delivery_through_nested_composites(colour: Colour) -> None:
    """The first item of an inner push stream arrives although the inner source waits before its second."""
    release = threading.Event()

    async def body(c: Colour) -> None:
        wait = c.waiting(release, "later", [])
        inner = RunnableParallel(now=c.function(lambda x: "now"), later=wait)
        outer = RunnableParallel(inner=inner, also=c.function(lambda x: "also"))
        seen: list[Any] = []
        async for item in c.stream(outer, None):
            seen.append(item)
            if len(seen) == 2:
                release.set()
        assert sorted(map(str, seen[:2])) == ["{'also': 'also'}", "{'inner': {'now': 'now'}}"]
        assert seen[2:] == [{"inner": {"later": "later"}}]

    colour.run(body)


def test_11_slow_reader_meets_the_high_water_mark(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        many = RunnableGenerator(c.generator(*range(20 * HIGH_WATER), log=log))
        async with c.closing(RunnableParallel(a=many, b=c.function(lambda x: x)), None) as stream:
            await anext(stream)
            if c.sync:
                time.sleep(0.05)  # noqa: ASYNC251 - a sync reader that dawdles
            else:
                await asyncio.sleep(0.05)
            made = len([line for line in log if line.startswith("make")])
            assert made <= HIGH_WATER + 3, made

    colour.run(body)


def test_11_control_without_a_mark_the_writer_runs_away(run_async: Any) -> None:
    log: list[str] = []
    source = RunnableGenerator(Colour("asyncio").generator(*range(4 * HIGH_WATER), log=log))

    async def body() -> None:
        recorder = Recorder()  # a listener, and no gate
        async for _ in source.astream(None, {"callbacks": [recorder]}):
            pass
        assert len(recorder.events) > 4 * HIGH_WATER

    run_async(body())


def test_12_a_burst_wakes_the_reader_once(run_async: Any) -> None:
    async def body() -> None:
        mailbox: Mailbox[int] = Mailbox()
        wakes = 0

        async def reader() -> list[int]:
            return [item async for item in mailbox.read()]

        task = asyncio.create_task(reader())
        await asyncio.sleep(0)
        [(_, future)] = mailbox._awake  # type: ignore[misc]
        future.add_done_callback(lambda _: note())

        def note() -> None:
            nonlocal wakes
            wakes += 1

        for n in range(100):
            mailbox.put(n)
        assert not mailbox._awake  # the 99 later ones found nobody to wake
        mailbox.close()
        assert await task == list(range(100))
        assert wakes == 1

    run_async(body())


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_13_context_variables_in_and_none_out(colour: Colour) -> None:
    seen: list[str] = []

    def look(value: Any) -> Any:
        seen.append(variable.get())
        variable.set("from a step")
        return value

    def sync_looking(inputs: Any) -> Any:
        variable.set("from a generator")
        for item in inputs:
            seen.append(variable.get())
            yield item

    async def async_looking(inputs: Any) -> Any:
        variable.set("from a generator")
        async for item in inputs:
            seen.append(variable.get())
            yield item

    async def body(c: Colour) -> None:
        variable.set("from the caller")
        looking = sync_looking if c.sync else async_looking
        chain = RunnableLambda(c.function(look)) | RunnableParallel(a=c.function(look), b=c.function(look))
        await c.invoke(chain, 1)
        async for _ in c.stream(RunnableLambda(c.function(look)) | looking | c.function(look), 1):
            seen.append(variable.get())
        assert variable.get() == "from the caller"

    contextvars.copy_context().run(colour.run, body)
    assert seen == ["from the caller"] * 4 + ["from a generator"] + ["from the caller"] * 2


def test_14_sync_call_inside_a_running_loop_works_and_warns(run_async: Any) -> None:
    chain = RunnableParallel(a=RunnableGenerator(Colour("sync").generator(1, 2)), b=lambda x: x)

    async def body() -> None:
        with pytest.warns(BlockingCallWarning, match="use `astream`"):
            told = sorted(map(str, chain.stream(7)))
        assert told == ["{'a': 1}", "{'a': 2}", "{'b': 7}"]
        with pytest.warns(BlockingCallWarning, match="use `ainvoke`"):
            assert chain.invoke(7) == {"a": 3, "b": 7}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_async(body())


def test_14_sync_stream_of_a_gated_run_inside_the_loop_cannot_deadlock(run_async: Any) -> None:
    inner = RunnableGenerator(Colour("sync").generator(*range(3 * HIGH_WATER)), name="inner")
    chain = RunnableLambda(lambda x: x) | inner

    async def node(value: Any) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BlockingCallWarning)
            return len(list(chain.stream(value)))  # on the loop's thread, which also reads the events

    async def body() -> list[Any]:
        return [e async for e in RunnableLambda(node).astream_events(1)]

    told = run_async(body())
    assert told[-1]["data"]["output"] == 3 * HIGH_WATER
    assert sum(e["event"] == "on_chain_stream" and e["name"] == "inner" for e in told) == 3 * HIGH_WATER


def test_15_abandoned_without_close(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        many = RunnableGenerator(c.generator(*range(4 * HIGH_WATER), log=log))
        stream: Any = c.stream(RunnableParallel(a=many, b=many), None)
        await anext(stream)
        del stream
        gc.collect()
        for _ in range(0 if c.sync else 20):
            await asyncio.sleep(0)
        assert log.count("closed") == log.count("make 0") > 0  # whatever had begun
        untouched = c.stream(RunnableParallel(a=many, b=many), None)
        del untouched  # never begun: nothing to clean up, nothing to warn of

    colour.run(body)


def test_15_errors_in_clean_up_are_logged_once(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    async def body(c: Colour) -> None:
        def sync_form(inputs: Any) -> Any:
            try:
                yield from range(4 * HIGH_WATER)
            finally:
                raise OSError("while closing the file")

        async def async_form(inputs: Any) -> Any:
            for item in sync_form(inputs):
                yield item

        failing = RunnableGenerator(sync_form if c.sync else async_form)
        async with c.closing(RunnableParallel(a=failing, b=c.function(lambda x: x)), None) as stream:
            while "a" not in await anext(stream):
                pass

    colour.run(body)
    assert [record.exc_info is not None for record in caplog.records] == [True], caplog.text
    assert "while closing the file" in caplog.text


def test_16_keyboard_interrupt(colour: Colour) -> None:
    log: list[str] = []

    async def body(c: Colour) -> None:
        source = c.generator(1, log=log, fail=KeyboardInterrupt())
        chain = RunnableGenerator(source) | RunnableGenerator(passing(c))
        with pytest.raises(KeyboardInterrupt):
            await c.collect(chain, None)
        assert log == ["make 1", "closed"]

    colour.run(body)


def test_17_a_listener_raises(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def feed(self, event: Event) -> None:
            raise OSError("disk of the listener is full")

    async def body(c: Colour) -> None:
        good = Recorder()
        chain = RunnableGenerator(c.generator(1, 2), name="source") | RunnableGenerator(passing(c))
        assert await c.collect(chain, None, {"callbacks": [Broken(), good]}) == [1, 2]
        assert good.told()[-1] == "RunnableSequence end"
        strict = Broken()
        strict.raise_error = True  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="disk of the listener"):
            await c.collect(chain, None, {"callbacks": [strict]})

    colour.run(body)
    assert "listener Broken failed in run 'source'" in caplog.text


def test_18_start_before_chunk_before_end_and_parents_first(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        recorder = Recorder()
        inner = RunnableGenerator(c.generator(1, 2), name="inner") | RunnableGenerator(passing(c), name="pass")
        chain = RunnableParallel(a=inner, b=c.function(lambda x: x)) | c.function(lambda d: d)
        await c.collect(chain, None, {"callbacks": [recorder]})
        started: list[Run] = []
        ended: list[Run] = []
        for event in recorder.events:
            run = event.run
            if event.kind == START:
                assert run.parent is None or run.parent in started
                assert run.parent not in ended
                started.append(run)
            else:
                assert run in started and run not in ended
                if event.kind == END:
                    ended.append(run)
        assert len(ended) == len(started) == 7

    colour.run(body)


def test_19_no_listeners_no_events(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    make = run_module._new
    monkeypatch.setattr(run_module, "_new", lambda cls: built.append(cls) or make(cls))
    started: list[object] = []
    begin = Run.__init__
    monkeypatch.setattr(Run, "__init__", lambda self, *args: started.append(self) or begin(self, *args))

    async def body(c: Colour) -> None:
        chain = RunnableGenerator(c.generator(*range(100))) | RunnableGenerator(passing(c))
        model = FakeListChatModel(responses=["x" * 100])
        await c.collect(chain, None)
        await c.collect(model | StrOutputParser() | RunnablePassthrough(), "hi")
        await c.invoke(model | StrOutputParser(), "hi")
        assert (built, started) == ([], [])
        await c.collect(chain, None, {"callbacks": [Recorder()]})
        assert len(built) > 200 and len(started) == 3

    colour.run(body)


def test_19_a_watched_run_that_nobody_wants_builds_no_events(run_async: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    make = run_module._new
    monkeypatch.setattr(run_module, "_new", lambda cls: built.append(cls) or make(cls))
    chain = RunnableGenerator(Colour("asyncio").generator(*range(100)), name="source") | RunnableLambda(lambda x: x)

    async def body() -> None:
        told = [e async for e in chain.astream_events(None, include_names=["nobody"])]
        assert told == [] and built == []

    run_async(body())


def test_20_the_same_events_in_both_colours() -> None:
    def told(name: str) -> list[str]:
        recorder = Recorder()

        async def body(c: Colour) -> None:
            chain = (
                RunnableGenerator(c.generator("a", "b"), name="source")
                | RunnableGenerator(passing(c), name="pass")
                | RunnableLambda(c.function(lambda s: s + "!"), name="shout")
            )
            await c.collect(chain, None, {"callbacks": [recorder]})
            await c.invoke(chain, None, {"callbacks": [recorder]})

        Colour(name).run(body)
        return recorder.told()

    assert told("sync") == told("asyncio") != []


def test_memory_of_a_long_stream_is_flat() -> None:
    """Nothing is kept of what has passed through a pull pipeline."""

    def many(inputs: Any) -> Any:
        for n in range(20_000):
            yield f"token {n}"

    stream = (RunnableGenerator(many) | RunnableGenerator(passing(Colour("sync")))).stream(None)
    for _ in range(100):
        next(stream)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in stream:
            pass
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000
