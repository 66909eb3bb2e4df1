"""What frameworks take the streams for."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest

from millstream import RunnableLambda
from millstream.errors import InvalidType


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
