"""Streams cut at every byte and in random pieces, on all wires: the same whole, or our error with what came; nothing twice."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from promising import FULL, count, record
from recordings import recorded
from wires import BY_NAME, END_BADLY, WIRES, Wire, joined, own_streams

from millstream import AIMessageChunk, ProviderInterrupted

pytestmark = pytest.mark.timeout(900 if FULL else 60)

OWN = [pytest.param(wire, stream, id=f"{wire}-{name}") for wire in WIRES for name, stream in own_streams(wire).items()]
RECORDINGS = [
    pytest.param(wire, recording, id=f"{wire}-{recording}") for wire in WIRES for recording in recorded(wire.name)
]


# Several messages one after the other: a cut between two of them cannot be told from the end.
SPLICED = {"two-messages-in-one-body", "reasoning-encrypted-tool"}


class End(NamedTuple):
    """How a stream ended that was cut somewhere."""

    came: list[AIMessageChunk]
    """What was handed out before the end."""
    last: list[AIMessageChunk]
    """What was handed out at the end."""
    error: ProviderInterrupted | None


def ends_of(wire: Wire, stream: bytes, cuts: Iterable[int]) -> Iterator[tuple[int, End]]:
    """For each cut, in growing order, how the stream ends there. Read once; each end is that of a copy."""
    decoder, came, at = wire.decoder(), list[AIMessageChunk](), 0
    for cut in cuts:
        came += decoder.feed(stream[at:cut])
        at = cut
        yield cut, _end(copy.deepcopy(decoder), came)


def _end(decoder: Any, came: list[AIMessageChunk]) -> End:
    try:
        return End(came, decoder.close(), None)
    except ProviderInterrupted as error:
        return End(came, [], error)


def of_each_choice(chunks: Sequence[AIMessageChunk]) -> list[AIMessageChunk]:
    """The sum of the chunks, of each choice by itself."""
    by_choice: dict[int, list[AIMessageChunk]] = {}
    for chunk in chunks:
        by_choice.setdefault(chunk.response_metadata.get("index", 0), []).append(chunk)
    return [joined(by_choice[index]) for index in sorted(by_choice)]


class Checker:
    """Compares each end of one stream with its whole."""

    def __init__(self, wire: Wire, stream: bytes, *, spliced: bool = False) -> None:
        self.spliced = spliced
        ((_, self.end),) = ends_of(wire, stream, [len(stream)])
        self.whole = of_each_choice(self.end.came + self.end.last) if self.end.error is None else None
        self.text = (self.whole[0] if self.whole else self.end.error.partial).text if self._said() else ""  # type: ignore[union-attr]
        self._handed_out: tuple[int, AIMessageChunk | None] = (0, None)
        self.cut_short = 0

    def _said(self) -> bool:
        return self.end.error is None or self.end.error.partial is not None

    def check(self, end: End) -> None:
        if end.error is not None:
            self.cut_short += 1
            self._check_partial(end)
            return
        got_all = of_each_choice(end.came + end.last)
        if self.whole is None:
            # The error that ends the whole stream comes after its finish reason; cut between, nothing tells of it.
            assert got_all[0].response_metadata["finish_reason"] and got_all[0].text == self.text
            return
        if self.spliced and len(end.came) < len(self.end.came):
            assert self.text.startswith(got_all[0].text)
            return
        # A stream that ends well although it was cut had said all that counts.
        for got, whole in zip(got_all, self.whole, strict=True):
            assert got.content == whole.content
            assert got.tool_calls == whole.tool_calls

    def _check_partial(self, end: End) -> None:
        assert end.error is not None
        partial, came = end.error.partial, self._sum_of(end.came)
        if came is None:
            # Nothing was handed out for the first choice.
            assert partial is None or not (partial.content or partial.tool_call_chunks)
            return
        assert partial is not None
        assert partial.content == came.content
        assert partial.tool_call_chunks == came.tool_call_chunks
        assert self.text.startswith(partial.text)
        assert partial.text == came.text

    def _sum_of(self, came: list[AIMessageChunk]) -> AIMessageChunk | None:
        """The sum of the first choice's chunks; each chunk is added once."""
        number, whole = self._handed_out
        for chunk in came[number:]:
            if not chunk.response_metadata.get("index"):
                whole = chunk if whole is None else whole + chunk
        self._handed_out = len(came), whole
        return whole


@pytest.mark.parametrize(("wire", "stream"), OWN)
def test_own_streams_cut_at_every_byte(wire: Wire, stream: bytes) -> None:
    checker = Checker(wire, stream)
    for _, end in ends_of(wire, stream, range(len(stream) + 1)):
        checker.check(end)
    # Nearly every cut is one inside what counts; a decoder that noticed none would pass what is above.
    assert checker.cut_short > len(stream) // 2


def test_control_a_reader_that_takes_every_end_for_a_good_one_is_found() -> None:
    wire = BY_NAME["openai-chat"]
    stream = wire.stream("The mill grinds slowly.")
    checker = Checker(wire, stream)
    found = 0
    for _, end in ends_of(wire, stream, range(len(stream) + 1)):
        try:
            checker.check(end._replace(error=None))
        except (AssertionError, ValueError):
            found += 1
    assert found >= checker.cut_short == 0 and found > len(stream) // 2


def cuts_of(stream: bytes, name: str) -> Iterable[int]:
    """Every byte in full; else around the edges of some frames, where the outcome changes, and at random."""
    if FULL:
        return range(len(stream) + 1)
    chance = random.Random(name)
    edges = [at for at in range(len(stream)) if stream.startswith(b"\n\n", at)]
    some = chance.sample(edges, min(len(edges), 12)) + edges[-3:]
    near = {edge + step for edge in some for step in range(4)} | {*range(max(len(stream) - 30, 0), len(stream))}
    return sorted({cut for cut in near if cut <= len(stream)} | {chance.randrange(len(stream)) for _ in range(30)})


@pytest.mark.parametrize(("wire", "recording"), RECORDINGS)
def test_recordings_cut_at_every_byte(wire: Wire, recording: Any) -> None:
    stream = recording.path.read_bytes()
    checker = Checker(wire, stream, spliced=recording.name in SPLICED)
    cuts = list(cuts_of(stream, recording.name))
    begin = time.perf_counter()
    for cut, end in ends_of(wire, stream, cuts):
        try:
            checker.check(end)
        except AssertionError as error:
            error.add_note(f"cut at byte {cut} of {len(stream)}: {stream[max(cut - 60, 0) : cut]!r}")
            raise
    assert checker.cut_short
    if FULL:
        record("P16", f"cut/{wire}/{recording.name}", len(cuts), 0, round(time.perf_counter() - begin, 1), "s")


@pytest.mark.parametrize(("wire", "recording"), RECORDINGS)
def test_recordings_in_random_pieces(wire: Wire, recording: Any) -> None:
    stream = recording.path.read_bytes()
    expected = outcome(wire, stream, [])
    for seed in range(count(100, 3)):
        chance = random.Random(f"{recording.name} {seed}")
        many = chance.choice([1, 10, len(stream) // 40, len(stream) // 5])
        cuts = sorted(chance.randrange(len(stream)) for _ in range(many))
        assert outcome(wire, stream, cuts) == expected, f"seed {seed}"
    every = outcome(wire, stream, range(len(stream)))
    assert every == expected
    assert (expected[1] is not None) == (recording.name in END_BADLY)


def outcome(wire: Wire, stream: bytes, cuts: Iterable[int]) -> tuple[list[AIMessageChunk], str | None]:
    """What a stream that comes in such pieces adds up to, and with which words it failed."""
    decoder = wire.decoder()
    chunks = [chunk for a, b in pairwise([0, *cuts, len(stream)]) for chunk in decoder.feed(stream[a:b])]
    end = _end(decoder, chunks)
    if end.error is None:
        return of_each_choice(chunks + end.last), None
    return [end.error.partial, *of_each_choice(chunks)], str(end.error)
