"""`prompt | model | parser`: what a token costs, unwatched and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

N = size(2_000, 50)
TOKENS = [f"tok{n % 10} " for n in range(N)]
INPUT = {"question": "why"}


def chain() -> Any:
    from doubles import Scripted
    from names import ChatPromptTemplate, StrOutputParser

    return ChatPromptTemplate.from_messages([("human", "{question}")]) | Scripted(tokens=TOKENS) | StrOutputParser()


async def drained(items: AsyncIterator[Any], least: int = 0) -> float:
    """Microseconds a token."""
    start, seen = perf_counter(), 0
    async for _ in items:
        seen += 1
    assert seen >= (least or N), f"{seen} items for {N} tokens"
    return (perf_counter() - start) / N * 1e6


@case("chain, stream", "µs/token", Budget(1 / 20))
def stream() -> float:
    it, seen = chain(), 0
    start = perf_counter()
    for _ in it.stream(INPUT):
        seen += 1
    assert seen >= N
    return (perf_counter() - start) / N * 1e6


@case("chain, astream", "µs/token", Budget(1 / 30))
def astream() -> float:
    it = chain()

    async def main() -> float:
        return await drained(it.astream(INPUT))

    return asyncio.run(main())


@case("chain, astream_events", "µs/token", Budget(1 / 20))
def astream_events() -> float:
    it = chain()

    async def main() -> float:
        return await drained(it.astream_events(INPUT, version="v2"), 3 * N)

    return asyncio.run(main())


@case('chain, astream_events, include_types=["chat_model"]', "µs/token", Budget(1 / 40))
def astream_events_filtered() -> float:
    it = chain()

    async def main() -> float:
        return await drained(it.astream_events(INPUT, version="v2", include_types=["chat_model"]))

    return asyncio.run(main())


@case("chain, astream_log", "µs/token", Budget(1 / 20))
def astream_log() -> float:
    it = chain()

    async def main() -> float:
        return await drained(it.astream_log(INPUT))

    return asyncio.run(main())


def token_counter() -> Any:
    from names import BaseCallbackHandler

    class Tokens(BaseCallbackHandler):  # type: ignore[misc]
        count = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.count += 1

    return Tokens()


@case("chain, stream, a handler of tokens", "µs/token", Budget(1 / 4))
def stream_handled() -> float:
    it, tokens = chain(), token_counter()
    start = perf_counter()
    for _ in it.stream(INPUT, {"callbacks": [tokens]}):
        pass
    assert tokens.count >= N
    return (perf_counter() - start) / N * 1e6


@case("chain, astream, a handler of tokens", "µs/token", Budget(1 / 20))
def astream_handled() -> float:
    it, tokens = chain(), token_counter()

    async def main() -> float:
        figure = await drained(it.astream(INPUT, {"callbacks": [tokens]}))
        assert tokens.count >= N
        return figure

    return asyncio.run(main())


def plain() -> Iterator[str]:
    yield from TOKENS


async def aplain() -> AsyncIterator[str]:
    for token in TOKENS:
        yield token


async def events(names: list[str]) -> AsyncIterator[dict[str, Any]]:
    async for token in aplain():
        for name in names:
            yield {
                "event": name,
                "name": "x",
                "run_id": "1",
                "tags": [],
                "metadata": {},
                "parent_ids": [],
                "data": {"chunk": token},
            }


@floor(stream)
def stream_floor() -> float:
    start = perf_counter()
    for _ in plain():
        pass
    return (perf_counter() - start) / N * 1e6


@floor(astream)
def astream_floor() -> float:
    return asyncio.run(drained(aplain()))


@floor(astream_events)
def astream_events_floor() -> float:
    return asyncio.run(drained(events(["on_chat_model_stream", "on_parser_stream", "on_chain_stream"])))


@floor(astream_events_filtered)
def astream_events_filtered_floor() -> float:
    return asyncio.run(drained(events(["on_chat_model_stream"])))
