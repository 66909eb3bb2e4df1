"""`prompt | model | parser`: what a token costs, unwatched and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

LONG = [f"tok{n % 10} " for n in range(size(2_000, 80))]
"""Long enough that the run around it does not count: what one more token costs."""
SHORT = LONG[:40]
"""A short answer, with its share of the whole run."""
INPUT = {"question": "why"}


def chain(tokens: list[str]) -> Any:
    from doubles import Scripted
    from names import ChatPromptTemplate, StrOutputParser

    return ChatPromptTemplate.from_messages([("human", "{question}")]) | Scripted(tokens=tokens) | StrOutputParser()


def per_token(start: float, seen: int, least: int, tokens: list[str], runs: int) -> float:
    assert seen >= least * runs, f"{seen} items for {runs} answers of {len(tokens)} tokens"
    return (perf_counter() - start) / len(tokens) / runs * 1e6


def drained(make: Callable[[], Iterator[Any]], tokens: list[str]) -> float:
    """Microseconds a token, over as many runs as make a long answer."""
    runs = len(LONG) // len(tokens)
    start, seen = perf_counter(), 0
    for _ in range(runs):
        for _ in make():
            seen += 1
    return per_token(start, seen, len(tokens), tokens, runs)


async def adrained(make: Callable[[], AsyncIterator[Any]], tokens: list[str], least: int = 1) -> float:
    """The same for an async stream with at least so many items a token."""
    runs = len(LONG) // len(tokens)
    start, seen = perf_counter(), 0
    for _ in range(runs):
        async for _ in make():
            seen += 1
    return per_token(start, seen, least * len(tokens), tokens, runs)


def streamed(tokens: list[str]) -> float:
    it = chain(tokens)
    return drained(lambda: it.stream(INPUT), tokens)


def astreamed(tokens: list[str]) -> float:
    it = chain(tokens)
    return asyncio.run(adrained(lambda: it.astream(INPUT), tokens))


def evented(tokens: list[str], least: int, **filters: Any) -> float:
    it = chain(tokens)
    return asyncio.run(adrained(lambda: it.astream_events(INPUT, version="v2", **filters), tokens, least))


def logged(tokens: list[str]) -> float:
    it = chain(tokens)
    return asyncio.run(adrained(lambda: it.astream_log(INPUT), tokens))


@case("chain, stream, long answer", "µs/token", Budget(1 / 20))
def stream() -> float:
    return streamed(LONG)


@case("chain, stream, 40 tokens", "µs/token", Budget(1 / 20))
def stream_short() -> float:
    return streamed(SHORT)


@case("chain, astream, long answer", "µs/token", Budget(1 / 30))
def astream() -> float:
    return astreamed(LONG)


@case("chain, astream, 40 tokens", "µs/token", Budget(1 / 30))
def astream_short() -> float:
    return astreamed(SHORT)


@case("chain, astream_events, long answer", "µs/token", Budget(1 / 20))
def astream_events() -> float:
    return evented(LONG, 3)


@case("chain, astream_events, 40 tokens", "µs/token", Budget(1 / 20))
def astream_events_short() -> float:
    return evented(SHORT, 3)


@case('chain, astream_events, include_types=["chat_model"], long answer', "µs/token", Budget(1 / 40))
def astream_events_filtered() -> float:
    return evented(LONG, 1, include_types=["chat_model"])


@case('chain, astream_events, include_types=["chat_model"], 40 tokens', "µs/token", Budget(1 / 40))
def astream_events_filtered_short() -> float:
    return evented(SHORT, 1, include_types=["chat_model"])


@case("chain, astream_log, long answer", "µs/token", Budget(1 / 20))
def astream_log() -> float:
    return logged(LONG)


@case("chain, astream_log, 40 tokens", "µs/token", Budget(1 / 20))
def astream_log_short() -> float:
    return logged(SHORT)


def token_counter() -> Any:
    from names import BaseCallbackHandler

    class Tokens(BaseCallbackHandler):  # type: ignore[misc]
        count = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.count += 1

    return Tokens()


@case("chain, stream, a handler of tokens", "µs/token", Budget(1 / 4))
def stream_handled() -> float:
    it, tokens = chain(LONG), token_counter()
    figure = drained(lambda: it.stream(INPUT, {"callbacks": [tokens]}), LONG)
    assert tokens.count >= len(LONG)
    return figure


@case("chain, astream, a handler of tokens", "µs/token", Budget(1 / 20))
def astream_handled() -> float:
    it, tokens = chain(LONG), token_counter()
    figure = asyncio.run(adrained(lambda: it.astream(INPUT, {"callbacks": [tokens]}), LONG))
    assert tokens.count >= len(LONG)
    return figure


def plain() -> Iterator[str]:
    yield from LONG


async def aplain() -> AsyncIterator[str]:
    for token in LONG:
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
    return drained(plain, LONG)


@floor(astream)
def astream_floor() -> float:
    return asyncio.run(adrained(aplain, LONG))


@floor(astream_events)
def astream_events_floor() -> float:
    names = ["on_chat_model_stream", "on_parser_stream", "on_chain_stream"]
    return asyncio.run(adrained(lambda: events(names), LONG))


@floor(astream_events_filtered)
def astream_events_filtered_floor() -> float:
    return asyncio.run(adrained(lambda: events(["on_chat_model_stream"]), LONG))
