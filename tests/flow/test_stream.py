"""What frameworks take the streams for."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest

from millstream import RunnableLambda
from millstream.errors import BlockingCallWarning, InvalidType, Unsupported


def test_a_sync_stream_is_iterable_in_one_way_only() -> None:
    """Starlette's StreamingResponse reads whatever is AsyncIterable with `async for`."""
    stream = RunnableLambda(lambda x: x).stream(1)
    assert isinstance(stream, Iterable) and isinstance(stream, Iterator)
    assert not isinstance(stream, AsyncIterable)
    assert list(stream) == [1]


def test_a_plain_for_over_an_async_stream_says_what_to_write() -> None:
    stream = RunnableLambda(lambda x: x).astream(1)
    assert isinstance(stream, AsyncIterable) and isinstance(stream, AsyncIterator)
    with pytest.raises(InvalidType, match=r"write `async for item in ...`, or use `stream\(\)`"):
        iter(stream)  # type: ignore[call-overload]


def test_a_sync_stream_blocks_whoever_iterates_it_not_whoever_makes_it() -> None:
    """So an async handler may hand one to a worker thread, as Starlette's StreamingResponse does."""
    streams = {
        "stream": lambda it: it.stream(1),
        "transform": lambda it: it.transform(iter([1])),
        "stream_log": lambda it: it.stream_log(1),
        "batch_as_completed": lambda it: it.batch_as_completed([1]),
    }

    async def main() -> None:
        for name, make in streams.items():
            iterator = iter(make(RunnableLambda(lambda x: x)))
            with warnings.catch_warnings():
                warnings.simplefilter("error", BlockingCallWarning)
                assert await asyncio.to_thread(list, iterator), name
            with pytest.warns(BlockingCallWarning) as told:
                list(make(RunnableLambda(lambda x: x)))
            assert [each.filename for each in told] == [__file__], name

    asyncio.run(main())


def test_there_are_no_events_in_sync_form() -> None:
    with pytest.raises(Unsupported, match="use `astream_events`"):
        RunnableLambda(lambda x: x).stream_events(1, version="v2")
