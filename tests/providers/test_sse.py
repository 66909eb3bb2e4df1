from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millstream.providers.sse import SSEDecoder

STREAM = (
    'data: {"a": "žluťoučký 🐎"}\n\n: a comment\n\nevent: x\ndata: one\ndata:two\nid: 7\n\ndata\n\ndata: [DONE]\n\n'
)
PAYLOADS = ['{"a": "žluťoučký 🐎"}'.encode(), b"one\ntwo", b"", b"[DONE]"]


def read(stream: bytes, cuts: list[int] | None = None) -> list[bytes]:
    decoder = SSEDecoder()
    edges = [0, *sorted(cuts or []), len(stream)]
    out = [payload for a, b in pairwise(edges) for payload in decoder.feed(stream[a:b])]
    assert decoder.close() is None
    return out


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_all_line_ends_and_any_cuts(end: str, bom: str) -> None:
    stream = (bom + STREAM.replace("\n", end)).encode()
    assert read(stream) == PAYLOADS
    assert read(stream, list(range(len(stream)))) == PAYLOADS
    for cut in range(len(stream)):
        assert read(stream, [cut]) == PAYLOADS


LINES = st.sampled_from(
    ["data: x", "data:", "data", ": c", "event: e", "", "data:  two spaces", "nonsense", "data: 🐎\ufeff"]
)


@given(
    st.lists(LINES, max_size=30), st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=30, max_size=30), st.data()
)
@example(["data: x", "", "data: y", ""], ["\r"] * 30, None)
def test_a_stream_reads_the_same_however_it_is_cut(
    lines: list[str], ends: list[str], data: st.DataObject | None
) -> None:
    stream = "".join(line + end for line, end in zip(lines, ends, strict=False)).encode() + b"\n\n"
    whole = SSEDecoder().feed(stream)
    cuts = data.draw(st.lists(st.integers(0, len(stream)))) if data else [1, 2, 3]
    assert read(stream, cuts) == whole
    assert whole == by_the_book(stream.decode())


def by_the_book(text: str) -> list[bytes]:
    """The rules one line at a time, as the standard writes them."""
    out, found = [], None
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line == "":
            if found is not None:
                out.append("\n".join(found).encode())
            found = None
        field, _, value = line.partition(":")
        if field == "data":
            found = [*(found or []), value.removeprefix(" ")]
    return out


@pytest.mark.parametrize("rest", ["d", "data", "data:", 'data: {"a', "data: x\n", "event: e\ndata: x"])
def test_an_unfinished_event_is_told_at_the_end(rest: str) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: whole\n\n" + rest.encode()) == [b"whole"]
    assert decoder.close() is not None


@pytest.mark.parametrize("rest", ["", "\n", ": comment", "event: e", "id: 3\n", "\r"])
def test_what_holds_no_data_is_not_missed(rest: str) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: whole\n\n" + rest.encode()) == [b"whole"]
    assert decoder.close() is None


def test_a_large_event_in_single_bytes_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        stream = b"data: " + b"x" * size + b"\n\n"
        pieces = [stream[at : at + 1] for at in range(len(stream))]
        best = 9.9
        for _ in range(3):
            decoder = SSEDecoder()
            start = time.process_time()
            for piece in pieces:
                decoder.feed(piece)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(200_000) < 4 * 2.3 * seconds(50_000)
