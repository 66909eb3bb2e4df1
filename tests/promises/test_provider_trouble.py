"""P16: provider trouble is never silent, over real sockets, on all wires and in both colours.

A stream that breaks ends in `ProviderInterrupted` with all that came, soon, and is not asked for again; what may pass before
the first token is asked again, no oftener than allowed.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
import trustme
from promising import FULL, count, quantile, record
from recordings import recorded
from wires import BY_NAME, WIRES, Wire, closed_clients, joined, url_of  # noqa: F401 - a fixture

from millstream import (
    AIMessageChunk,
    ProviderConnectionError,
    ProviderError,
    ProviderInterrupted,
    ProviderStatusError,
    RateLimitError,
    Timeouts,
)
from millstream.providers import http_async, http_sync
from millstream.providers.frame_decoder import FrameDecoder
from millstream.providers.http_async import AsyncLink
from millstream.providers.http_sync import SyncLink
from millstream.testing import Reply, StandInProvider

pytestmark = pytest.mark.timeout(1_800 if FULL else 60)

COLOURS = ["sync", "async"]
# The longest that any run here may take before it counts as hung.
HUNG = 5.0
# The promise: from the cut to the error.
SOON = 0.2


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait would have been; none is made."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(http_async, "AsyncLink", partial(AsyncLink, sleep=sleep))
    monkeypatch.setattr(http_sync, "SyncLink", partial(SyncLink, sleep=waits.append))
    return waits


@dataclass
class Read:
    """One stream as its reader saw it."""

    chunks: list[AIMessageChunk] = field(default_factory=list)
    error: ProviderError | None = None
    ended: float = 0.0
    took: float = 0.0
    hung: bool = False

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def arguments(self) -> str:
        return "".join(call["args"] or "" for chunk in self.chunks for call in chunk.tool_call_chunks)


def read_all(colour: str, model: Any, times: int = 1) -> list[Read]:
    """Read as many streams one after the other; each must end within `HUNG`."""
    if colour == "sync":
        return [_read_sync(model) for _ in range(times)]

    async def main() -> list[Read]:
        return [await _read_async(model) for _ in range(times)]

    return asyncio.run(main())


def _read_sync(model: Any) -> Read:
    read, begun = Read(), time.monotonic()
    try:
        for chunk in model.stream("hi"):
            read.chunks.append(chunk)
    except ProviderError as error:
        read.error = error
    read.ended = time.monotonic()
    read.took = read.ended - begun
    return read


async def _read_async(model: Any) -> Read:
    read, begun = Read(), time.monotonic()
    try:
        async with asyncio.timeout(HUNG):
            async for chunk in model.astream("hi"):
                read.chunks.append(chunk)
    except ProviderError as error:
        read.error = error
    except TimeoutError:
        read.hung = True
    read.ended = time.monotonic()
    read.took = read.ended - begun
    return read


@dataclass
class Tally:
    """What went wrong in many reads."""

    whole: AIMessageChunk
    attempts: int = 0
    repeated: int = 0
    lost: int = 0
    hung: int = 0
    silent: int = 0
    took: list[float] = field(default_factory=list)

    def count(self, read: Read, cut_at: float | None, *, may_end: bool) -> None:
        self.attempts += 1
        if read.hung or read.took >= HUNG:
            self.hung += 1
            return
        self.repeated += not (self.whole.text.startswith(read.text) and self._arguments.startswith(read.arguments))
        error = read.error
        if error is None:
            self.silent += not (may_end and read.text == self.whole.text and read.arguments == self._arguments)
        elif isinstance(error, ProviderInterrupted):
            said = [chunk for chunk in read.chunks if chunk.chunk_position != "last" or chunk.content]
            kept = error.partial
            self.lost += bool(said) and not (
                kept is not None and kept.text == read.text and _arguments_of(kept) == read.arguments
            )
            if cut_at is not None:
                self.took.append(max(read.ended - cut_at, 0.0))
        else:
            # Before the first token there is nothing to keep.
            self.lost += bool(read.chunks) or not isinstance(error, ProviderConnectionError)

    @property
    def _arguments(self) -> str:
        return _arguments_of(self.whole)

    def judge(self, test: str) -> None:
        wrong = self.repeated + self.lost + self.hung + self.silent
        p99 = quantile(self.took, 0.99) if self.took else 0.0
        record("P16", test, self.attempts, wrong, round(p99 * 1000, 1), "ms to the error, p99")
        assert (self.repeated, self.lost, self.hung, self.silent) == (0, 0, 0, 0), self
        # On a busy machine a few may be late.
        assert p99 <= (SOON if FULL else 5 * SOON)


def _arguments_of(message: Any) -> str:
    return "".join(call["args"] or "" for call in message.tool_call_chunks)


def stream_of(wire: Wire) -> bytes:
    """Text with characters of several bytes, then the arguments of two calls."""
    calls = [{"name": "add", "args": {"a": 1, "b": 'žluť "{[]}"'}}, {"name": "now", "args": {"zone": "🐎"}}]
    return wire.stream("The mill 🐎 grinds žluť.", tool_calls=calls)


def cuts_of(stream: bytes, few: int, *, every: int = 1) -> list[int]:
    """Every byte (or every so-manyth) in full; else inside characters, inside arguments, at edges, and at random."""
    if FULL:
        return list(range(0, len(stream), every))
    chance = random.Random(len(stream))
    horse = [at for at in range(len(stream)) if stream[at : at + 1] == b"\xf0"]
    inside = [at + step for at in horse[:2] for step in (1, 2, 3)] + [stream.index(b"add") + 60]
    return sorted({*inside, *(chance.randrange(len(stream)) for _ in range(few))})


def play(wire: Wire, colour: str, stream: bytes, cuts: Sequence[int], ending: Any, **settings: Any) -> Tally:
    """Read the stream once whole and once for each cut."""
    replies = [Reply(stream), *(Reply(stream, chunk=None, stop_after=cut, ending=ending) for cut in cuts)]
    with StandInProvider(replies, tls=settings.pop("tls", None)) as provider:
        model = wire.model(url_of(provider), max_retries=0, **settings)
        whole, *reads = read_all(colour, model, len(replies))
        assert whole.error is None
        tally = Tally(joined(whole.chunks))
        for read, request, cut in zip(reads, provider.requests[1:], cuts, strict=True):
            ended = request.sent[-1][0] if request.sent else request.at
            # A body that is ended well although it was cut, or that had said all, is no cut to the decoder.
            tally.count(read, ended, may_end=_had_said_all(wire, stream[:cut]))
        assert len(provider.requests) == len(replies)
    return tally


def _had_said_all(wire: Wire, stream: bytes) -> bool:
    decoder = wire.decoder()
    decoder.feed(stream)
    try:
        decoder.close()
    except ProviderInterrupted:
        return decoder.complete
    return True


@pytest.mark.parametrize("ending", ["clean", "close", "reset"])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_cut_at_every_byte(wire: Wire, colour: str, ending: str) -> None:
    stream = stream_of(wire)
    play(wire, colour, stream, cuts_of(stream, 20), ending).judge(f"cut/{wire}/{colour}/{ending}")


RECORDED = {"openai-chat": "tools-parallel", "openai-responses": "tool-single", "anthropic": "tool-after-text"}
RECORDINGS = [
    pytest.param(wire, entry, id=f"{wire}-{entry}")
    for wire in WIRES
    for entry in recorded(wire.name)
    if entry.name == RECORDED[wire.name]
]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("wire", "recording"), RECORDINGS)
def test_p16_a_recorded_stream_cut_at_every_byte(wire: Wire, recording: Any, colour: str) -> None:
    stream = recording.path.read_bytes()
    chance = random.Random(recording.name)
    cuts = range(len(stream)) if FULL else sorted(chance.randrange(len(stream)) for _ in range(20))
    play(wire, colour, stream, cuts, "close").judge(f"recording/{wire}/{recording}/{colour}")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_cut_under_tls(wire: Wire, colour: str) -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    stream = stream_of(wire)
    for ending in ("close", "cut", "reset"):
        with httpx2.Client(verify=client) as http:
            clients: dict[str, Any] = {"http_client": http}
            if colour == "async":
                clients = {"http_async_client": httpx2.AsyncClient(verify=client)}
            cuts = cuts_of(stream, 3, every=7)
            tally = play(wire, colour, stream, cuts, ending, tls=server, **clients)
        tally.judge(f"tls/{wire}/{colour}/{ending}")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_silence_ends_at_the_idle_limit(wire: Wire, colour: str) -> None:
    # A blocking socket counts in whole seconds.
    limit = 0.2 if colour == "async" else 1.0
    stream = stream_of(wire)
    cuts = [stream.index("🐎".encode()) + 2, stream.index(b"b\\") + 20]
    replies = [Reply(stream, stop_after=cut, ending="silent") for cut in cuts[: count(2, 1)] * count(10, 1)]
    with StandInProvider(replies) as provider:
        model = wire.model(url_of(provider), timeout=Timeouts(idle=limit), max_retries=2)
        reads = read_all(colour, model, len(replies))
        assert len(provider.requests) == len(replies)
        late = [read.ended - request.sent[-1][0] for read, request in zip(reads, provider.requests, strict=True)]
    hung = sum(seconds > limit + 1 for seconds in late)
    record(
        "P16", f"silence/{wire}/{colour}", len(late), hung, round(quantile(late, 0.99) - limit, 3), "s over limit, p99"
    )
    assert hung == 0 and min(late) >= limit * 0.9
    for read in reads:
        assert isinstance(read.error, ProviderInterrupted)
        assert read.error.partial.text == read.text
        assert _arguments_of(read.error.partial) == read.arguments


def test_p16_control_without_the_idle_limit_a_silence_does_not_end() -> None:
    wire = BY_NAME["openai-chat"]

    async def main(url: str) -> None:
        async for _ in wire.model(url, timeout=Timeouts(idle=None)).astream("hi"):
            pass

    silent = Reply(stream_of(wire), stop_after=600, ending="silent")
    with StandInProvider([silent]) as provider, pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(main(url_of(provider)), 0.8))


def test_p16_control_a_client_that_believes_every_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def believes(decoder: FrameDecoder) -> list[AIMessageChunk]:
        return []

    wire = BY_NAME["anthropic"]
    stream = stream_of(wire)
    monkeypatch.setattr(FrameDecoder, "close", believes)
    with pytest.raises(AssertionError):
        play(wire, "sync", stream, [len(stream) // 2], "clean").judge("control")


# -- what is said twice, or not at all ------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
def test_p16_a_frame_that_comes_twice(colour: str) -> None:
    """Only the responses API numbers its frames; on the other wires nothing tells a repeated frame from a repeated word."""
    wire = BY_NAME["openai-responses"]
    frames = [
        frame + b"\n\n"
        for frame in _numbered(wire.stream("The mill grinds.", tool_calls=[{"name": "f", "args": {"a": 1}}]))
    ]
    twice = [[*frames[:at], frame, *frames[at:]] for at, frame in enumerate(frames) if at]
    with StandInProvider([Reply(b"".join(each)) for each in [frames, *twice]]) as provider:
        whole, *reads = read_all(colour, wire.model(url_of(provider)), len(twice) + 1)
    repeated = sum(
        (read.error is not None, read.text, read.arguments) != (False, whole.text, whole.arguments) for read in reads
    )
    record("P16", f"repeated frame/{wire}/{colour}", len(reads), repeated, 0, "repeated tokens")
    assert repeated == 0


def _numbered(stream: bytes) -> list[bytes]:
    """The frames with the numbers that OpenAI gives them."""
    frames = stream.strip().split(b"\n\n")
    return [frame[:-1] + b',"sequence_number":%d}' % number for number, frame in enumerate(frames)]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_bodies_that_are_no_stream(wire: Wire, colour: str, slept: list[float]) -> None:
    """A page of a proxy, an error under a good status, nothing at all: an error before the first token, of few attempts."""
    busy = wire.error("busy", type="api_error")
    replies = [
        (Reply(b"<html>hi</html>", headers={"content-type": "text/html"}), 1),
        (Reply(b"hello", headers={"content-type": "application/octet-stream"}), 1),
        (Reply.json(busy), 1),
        (Reply(b"event: error\ndata: " + busy + b"\n\n"), 1),
        (Reply(b""), 3),
        (Reply(b": ping\n\n"), 3),
        (Reply(head=False, ending="close"), 3),
        (Reply(head=False, ending="reset"), 3),
    ]
    for reply, attempts in replies:
        with StandInProvider(lambda _, reply=reply: reply) as provider:  # type: ignore[misc]
            (read,) = read_all(colour, wire.model(url_of(provider), max_retries=attempts - 1))
            assert read.error is not None and not read.chunks
            assert not isinstance(read.error, ProviderInterrupted)
            assert len(provider.requests) == attempts


# -- asking again before the first token --------------------------------------------------------------------------------


FORMS: list[tuple[Any, float, float]] = [
    (None, 0.25, 1.0),
    (7, 7, 7.7),
    (0.3, 0.3, 0.33),
    (-5, 0, 0),
    (10**9, 60, 60),
    ("inf", 60, 60),
    ("nan", 0.25, 1.0),
    ("soon", 0.25, 1.0),
    ("Mon, 04 May 2020 01:02:01 GMT", 0, 0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 60, 60),
    ("date", 17, 22),
]


@pytest.mark.parametrize(("retry_after", "low", "high"), FORMS)
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_retry_after_is_obeyed(
    wire: Wire, colour: str, retry_after: Any, low: float, high: float, slept: list[float]
) -> None:
    if retry_after == "date":
        retry_after = datetime.now(UTC) + timedelta(seconds=20)
    stream = stream_of(wire)
    with StandInProvider([Reply.error(429, retry_after=retry_after)] * 2 + [Reply(stream)]) as provider:
        (read,) = read_all(colour, wire.model(url_of(provider)))
        assert read.error is None and read.text.startswith("The mill")
        assert len(provider.requests) == 3
    assert len(slept) == 2 and all(low <= wait <= high for wait in slept), slept


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_p16_no_more_attempts_than_allowed(wire: Wire, colour: str, status: int, slept: list[float]) -> None:
    beyond = 0
    for retries in (0, 1, 2, 5):
        with StandInProvider(lambda _: Reply.error(status)) as provider:
            model = wire.model(url_of(provider), max_retries=retries)
            (read,) = read_all(colour, model)
            assert isinstance(read.error, RateLimitError if status == 429 else ProviderStatusError)
            beyond += abs(len(provider.requests) - retries - 1)
            with pytest.raises(ProviderStatusError):
                model.invoke("hi") if colour == "sync" else asyncio.run(model.ainvoke("hi"))
            beyond += abs(len(provider.requests) - 2 * (retries + 1))
    record("P16", f"attempts/{wire}/{colour}/{status}", 8, beyond, beyond, "attempts beyond the limit")
    assert beyond == 0
    with StandInProvider(lambda _: Reply.error(status)) as provider:
        read_all(colour, wire.model(url_of(provider)))
        assert len(provider.requests) == 3  # two retries unless told otherwise
