"""Batches: order, bounds, lazily read inputs, errors; the same in both colours."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from colours import Colour, colour
from recorder import Recorder

from millstream import BlockingCallWarning, RunnableLambda, get_config_list
from millstream.errors import InvalidArgument, InvalidType
from millstream.flow.mailbox import HIGH_WATER
from millstream.spine.events import END, ERROR, START

__all__ = ["colour"]


async def batch(c: Colour, runnable: Any, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
    if c.sync:
        return runnable.batch(inputs, config, **kwargs)
    return await runnable.abatch(inputs, config, **kwargs)


async def completed(c: Colour, runnable: Any, inputs: Any, config: Any = None, **kwargs: Any) -> list[Any]:
    if c.sync:
        return list(runnable.batch_as_completed(inputs, config, **kwargs))
    return [item async for item in runnable.abatch_as_completed(inputs, config, **kwargs)]


def counting(c: Colour) -> tuple[Any, list[int]]:
    """A function that waits a little, and the highest number of calls that were inside at once."""
    lock = threading.Lock()
    state = {"now": 0}
    peak = [0]
    gate = threading.Event()

    def enter() -> None:
        with lock:
            state["now"] += 1
            peak[0] = max(peak[0], state["now"])

    def leave() -> None:
        with lock:
            state["now"] -= 1

    def sync_form(x: int) -> int:
        enter()
        gate.wait(0.005)
        leave()
        return x * 10

    async def async_form(x: int) -> int:
        enter()
        await asyncio.sleep(0.005)
        leave()
        return x * 10

    return (sync_form if c.sync else async_form), peak


@pytest.mark.parametrize("limit", [1, 3])
def test_order_and_bound(colour: Colour, limit: int) -> None:
    async def body(c: Colour) -> None:
        fn, peak = counting(c)
        assert await batch(c, RunnableLambda(fn), range(8), {"max_concurrency": limit}) == [n * 10 for n in range(8)]
        assert peak[0] == limit
        assert await batch(c, RunnableLambda(fn), []) == []

    colour.run(body)


def test_a_bound_concurrency_counts_unless_the_call_has_its_own(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        fn, peak = counting(c)
        bound = RunnableLambda(fn).with_config(max_concurrency=2)
        await batch(c, bound, range(6))
        assert peak[0] == 2
        await batch(c, bound, range(6), {"max_concurrency": 3})
        assert peak[0] == 3

    colour.run(body)


def test_inputs_are_read_as_they_start(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        read: list[int] = []

        def inputs() -> Iterator[int]:
            for n in range(50):
                read.append(n)
                yield n

        ahead: list[int] = []

        def note(x: int) -> int:
            ahead.append(len(read) - len(ahead))  # read, but not started
            return x

        await batch(c, RunnableLambda(c.function(note)), inputs(), {"max_concurrency": 4})
        assert len(read) == 50 and max(ahead) <= 6

    colour.run(body)


def test_errors(colour: Colour) -> None:
    def odd(x: int) -> int:
        if x % 2:
            raise ValueError(f"odd: {x}")
        return x

    async def body(c: Colour) -> None:
        runnable = RunnableLambda(c.function(odd))
        with pytest.raises(ValueError, match="odd: 1"):
            await batch(c, runnable, [0, 1, 2, 3])
        results = await batch(c, runnable, [0, 1, 2, 3], return_exceptions=True)
        assert results[0::2] == [0, 2] and [str(e) for e in results[1::2]] == ["odd: 1", "odd: 3"]
        with pytest.raises(InvalidArgument, match="list of 1 for 2 inputs"):
            await batch(c, runnable, [0, 2], [{}])
        pairs = await completed(c, runnable, [0, 1], return_exceptions=True)
        assert sorted(index for index, _ in pairs) == [0, 1]
        with pytest.raises(ValueError, match="odd: 1"):
            await completed(c, runnable, [1, 0])

    colour.run(body)


@pytest.mark.parametrize("limit", [1, 2])
def test_an_interrupt_is_never_a_result_and_nothing_starts_after_it(limit: int) -> None:
    ran: list[int] = []

    def stop(x: int) -> int:
        ran.append(x)
        raise KeyboardInterrupt

    runnable = RunnableLambda(stop)
    with pytest.raises(KeyboardInterrupt):
        runnable.batch(range(9), {"max_concurrency": limit}, return_exceptions=True)
    assert len(ran) <= limit
    with pytest.raises(KeyboardInterrupt):
        (runnable | str).with_retry().batch(range(9), {"max_concurrency": limit})
    assert len(ran) <= 2 * limit


def test_a_part_that_cancels_itself_ends_the_batch(run_async: Any) -> None:
    ended: list[str] = []

    async def one(x: int) -> None:
        if x == 1:
            raise asyncio.CancelledError
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("ended")

    async def body() -> None:
        with pytest.raises(asyncio.CancelledError):
            await RunnableLambda(one).abatch([0, 1, 2], return_exceptions=True)
        assert ended == ["ended"] * 2

    run_async(body())


def test_a_single_input_needs_no_other_thread() -> None:
    assert RunnableLambda(lambda _: threading.get_ident()).batch([0]) == [threading.get_ident()]


def test_an_empty_list_of_configs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        bound = RunnableLambda(c.function(str)).with_config(max_concurrency=2)
        assert await batch(c, bound, [], []) == []
        assert await completed(c, bound, [], []) == []

    colour.run(body)


def test_a_sync_batch_inside_the_loop_cannot_deadlock(run_async: Any) -> None:
    """The events of the batch pass the mark of a reader whose thread it blocks."""
    inner = RunnableLambda(Colour("sync").generator(1, 2))

    async def node(value: Any) -> int:
        with pytest.warns(BlockingCallWarning, match="use `abatch`"):
            whole = inner.batch([[]] * HIGH_WATER)
        with pytest.warns(BlockingCallWarning, match="use `abatch_as_completed`"):
            return len(whole) + len(list(inner.batch_as_completed([[]] * HIGH_WATER)))

    async def body() -> None:
        told = [e async for e in RunnableLambda(node).astream_events(1)]
        assert told[-1]["data"]["output"] == 2 * HIGH_WATER

    run_async(body())


def wrapped(runnable: Any) -> list[Any]:
    """`runnable` in everything that ends the runs of a batch by itself."""
    return [
        runnable | str,
        runnable.with_retry(wait_exponential_jitter=False, retry_if_exception_type=(BaseException,)),
        runnable.with_fallbacks([RunnableLambda(str)], exceptions_to_handle=(BaseException,)),
    ]


def test_each_run_of_a_cancelled_batch_is_told(run_async: Any) -> None:
    never = RunnableLambda(Colour("asyncio").waiting(threading.Event(), None, []), name="never")

    async def body() -> None:
        for runnable in wrapped(never):
            recorder = Recorder()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await runnable.abatch([1, 2], {"callbacks": [recorder]})
            told = recorder.told()
            assert sorted(told) == sorted(
                [f"{runnable.get_name()} start", f"{runnable.get_name()} error"] * 2
                + ["never start", "never error"] * 2
            )
            assert told[-2:] == [f"{runnable.get_name()} error"] * 2  # the outer ones last

    run_async(body())


def test_sequences_run_step_by_step_and_each_input_is_a_run_of_its_own(colour: Colour) -> None:
    calls: list[str] = []

    def first(x: int) -> int:
        calls.append(f"first {x}")
        if x == 2:
            raise ValueError("two")
        return x

    def second(x: int) -> int:
        calls.append(f"second {x}")
        return x * 100

    async def body(c: Colour) -> None:
        chain = RunnableLambda(c.function(first), name="first") | RunnableLambda(c.function(second), name="second")
        recorder = Recorder()
        config: Any = {"max_concurrency": 1, "callbacks": [recorder]}
        results = await batch(c, chain, [1, 2, 3], config, return_exceptions=True)
        assert results[0] == 100 and isinstance(results[1], ValueError) and results[2] == 300
        assert calls == ["first 1", "first 2", "first 3", "second 1", "second 3"]
        roots = [event for event in recorder.events if event.run.parent is None]
        assert [event.kind for event in roots] == [START] * 3 + [END, ERROR, END]
        calls.clear()
        with pytest.raises(ValueError, match="two"):
            await batch(c, chain.with_config(tags=["t"]), [1, 2, 3])
        assert not any(call.startswith("second") for call in calls)

    colour.run(body)


def test_leaving_results_early_ends_the_rest(run_async: Any) -> None:
    cancelled: list[int] = []

    async def wait(x: int) -> int:
        try:
            await asyncio.sleep(0 if x == 0 else 10)
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    async def body() -> None:
        async with RunnableLambda(wait).abatch_as_completed([0, 1, 2]) as stream:
            async for index, output in stream:
                assert (index, output) == (0, 0)
                break
        assert sorted(cancelled) == [1, 2]

    run_async(body())


def test_what_is_no_batch_is_named() -> None:
    with pytest.raises(InvalidType, match=r"an iterable of inputs such as \[5\], not 5"):
        RunnableLambda(lambda x: x).batch(5)


def test_a_run_id_for_several_inputs_warns_the_line_that_gave_it(colour: Colour) -> None:
    config = {"run_id": uuid.uuid4()}
    with pytest.warns(RuntimeWarning, match="only the first input") as caught:
        assert list_of_configs(config) == [config["run_id"], None]
        if colour.sync:
            RunnableLambda(str).batch([1, 2], config)
        else:
            asyncio.run(RunnableLambda(str).abatch([1, 2], config))
    assert [each.filename for each in caught][: 2 if colour.sync else 1] == [__file__] * (2 if colour.sync else 1)
    assert len(caught) == 2


def list_of_configs(config: Any) -> list[Any]:
    return [each.get("run_id") for each in get_config_list(config, 2)]


def test_an_async_batch_raises_the_error_that_came_first() -> None:
    async def late(x: str) -> str:
        if x == "now":
            raise ValueError(x)
        for _ in range(3):
            await asyncio.sleep(0)
        ended.append(x)
        raise KeyError(x)

    ended: list[str] = []
    function = RunnableLambda(late)
    for runnable in (function, function | str, function.with_config(tags=["t"])):
        with pytest.raises(ValueError, match="now"):
            asyncio.run(runnable.abatch(["later", "now"]))
    with pytest.raises(ValueError, match="now"):
        asyncio.run(function.map().ainvoke(["later", "now"]))
    assert ended == ["later"] * 4
    first, second = asyncio.run(function.abatch(["later", "now"], return_exceptions=True))
    assert (type(first), type(second)) == (KeyError, ValueError)


def test_no_inputs_need_no_configs(colour: Colour) -> None:
    async def body(c: Colour) -> None:
        assert await batch(c, RunnableLambda(str), [], [{}]) == []

    colour.run(body)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_batch_of_which_nothing_may_run_is_refused(colour: Colour, limit: int) -> None:
    async def body(c: Colour) -> None:
        for runnable, inputs in ((RunnableLambda(str), [1, 2]), (RunnableLambda(str).map(), [[1], [2]])):
            with pytest.raises(InvalidArgument, match="must be at least 1"):
                await batch(c, runnable, inputs, {"max_concurrency": limit})

    colour.run(body)
