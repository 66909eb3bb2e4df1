"""Joining the chunks of a stream with `+`, one after the other, as users do."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from cases import Budget, case, floor, size

CHUNKS = size(16_000, 200)
DELTAS = size(1_600, 200)
WORDS = [f"t{n % 1000:03d} "[:5] for n in range(CHUNKS)]
ARGUMENTS = ['{"text": "', *(f"w{n % 100:02d} " for n in range(DELTAS - 2)), '"}']


def per_item(start: float, n: int) -> float:
    return (perf_counter() - start) / n * 1e6


def joined(pieces: list[Any]) -> Any:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    return whole


def deltas(n: int) -> float:
    from names import AIMessageChunk

    step = max(1, DELTAS // n)
    texts = ["".join(ARGUMENTS[i : i + step]) for i in range(0, DELTAS, step)]
    pieces = [
        AIMessageChunk(
            content="",
            tool_call_chunks=[
                {
                    "name": None if i else "write",
                    "args": text,
                    "id": None if i else "1",
                    "index": 0,
                    "type": "tool_call_chunk",
                }
            ],
        )
        for i, text in enumerate(texts)
    ]
    start = perf_counter()
    calls = joined(pieces).tool_calls
    assert calls[0]["args"]["text"].startswith("w00 w01")
    return per_item(start, len(pieces))


@case(f"joining {CHUNKS:,} chunks of text", "µs/chunk", Budget(1.0, of=None))
def text() -> float:
    from names import AIMessageChunk

    pieces = [AIMessageChunk(content=word) for word in WORDS]
    start = perf_counter()
    assert joined(pieces).content == "".join(WORDS)
    return per_item(start, CHUNKS)


@case(f"joining {DELTAS:,} deltas of one tool call", "µs/delta", Budget(2.0, of=None), repeat=3)
def tool_call() -> float:
    return deltas(DELTAS)


@case(f"the same, per delta, over the cost with {DELTAS // 8:,}", "×", Budget(1.5, of=None), repeat=3)
def tool_call_growth() -> float:
    return deltas(DELTAS) / deltas(DELTAS // 8)


@floor(text)
def text_floor() -> float:
    start = perf_counter()
    pieces: list[str] = []
    for word in WORDS:
        pieces.append(word)
    assert "".join(pieces)
    return per_item(start, CHUNKS)


@floor(tool_call)
def tool_call_floor() -> float:
    import json

    start = perf_counter()
    pieces: list[str] = []
    for piece in ARGUMENTS:
        pieces.append(piece)
    assert json.loads("".join(pieces))
    return per_item(start, DELTAS)
