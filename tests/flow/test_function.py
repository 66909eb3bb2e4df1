"""What counts as a function, and of which kind it is."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, Iterable
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest
from colours import Colour, colour

from millstream import RunnableGenerator, RunnableLambda, chain
from millstream.errors import InvalidType

__all__ = ["colour"]


def test_mocks_stand_in_for_functions(run_async: Any) -> None:
    for mock in (Mock(return_value=3), MagicMock(return_value=3)):
        assert RunnableLambda(mock).invoke(1) == 3
        assert run_async(RunnableLambda(mock).ainvoke(1)) == 3
        mock.assert_called_with(1)
    mock = AsyncMock(return_value=4)
    assert run_async(RunnableLambda(mock).ainvoke(1)) == 4
    mock.assert_awaited_once_with(1)


def test_partials_methods_and_objects_that_can_be_called(colour: Colour) -> None:
    class Adds:
        async def __call__(self, x: int) -> int:
            return x + 1

        async def more(self, by: int, x: int) -> int:
            return x + by

        def plain(self, by: int, x: int) -> int:
            return x + by

    async def body(c: Colour) -> None:
        assert await c.invoke(RunnableLambda(functools.partial(Adds().plain, 2)), 1) == 3
        if not c.sync:
            assert await c.invoke(RunnableLambda(Adds()), 1) == 2
            assert await c.invoke(RunnableLambda(functools.partial(Adds().more, 2)), 1) == 3

    colour.run(body)


def test_each_form_of_a_generator_is_given_what_it_asks_for(colour: Colour) -> None:
    def sync_form(inputs: Iterable[Any]) -> Any:
        yield from inputs

    async def async_form(inputs: AsyncIterable[Any], config: Any) -> Any:
        async for _ in inputs:
            yield config["tags"]

    async def body(c: Colour) -> None:
        both = RunnableGenerator(sync_form, async_form)
        assert await c.collect(both, 1, {"tags": ["t"]}) == ([1] if c.sync else [["t"]])

    colour.run(body)


def test_a_sync_generator_function_is_streamed_by_stream_alone() -> None:
    def letters(word: str) -> Any:
        yield from word

    runnable = RunnableLambda(letters)
    assert list(runnable.stream("ab")) == ["a", "b"]

    async def streamed() -> list[str]:
        return [item async for item in runnable.astream("ab")]

    assert asyncio.run(runnable.ainvoke("ab")) == "ab"
    with pytest.raises(InvalidType, match="`letters` is a sync generator function"):
        asyncio.run(streamed())


def test_a_generator_says_at_once_which_form_it_lacks() -> None:
    def plain(chunks: Any) -> Any:
        yield from chunks

    async def asynchronous(chunks: Any) -> Any:
        async for chunk in chunks:
            yield chunk

    with pytest.raises(NotImplementedError, match="asynchronous"):
        RunnableGenerator(asynchronous).stream(1)
    with pytest.raises(NotImplementedError, match="asynchronous"):
        RunnableGenerator(asynchronous).transform([1])
    with pytest.raises(NotImplementedError, match="plain"):
        RunnableGenerator(plain).astream(1)
    inside = (RunnableGenerator(asynchronous) | str).stream(1)
    with pytest.raises(NotImplementedError, match="asynchronous"):
        next(inside)


def test_a_decorated_lambda_is_called_as_others() -> None:
    assert chain(lambda x: x).get_name() == "RunnableLambda"
    with pytest.raises(InvalidType, match="decorates a function"):
        chain(5)  # type: ignore[call-overload]
