"""Any bytes at all: a decoder gives chunks or our error, the same however the bytes are cut, in time that grows with their number."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promising import FULL, count, record
from recordings import recorded
from wires import WIRES, Wire, joined, own_streams

from millstream import AIMessageChunk, ProviderInterrupted
from millstream.data.accumulator import Accumulator
from millstream.providers.sse import SSEDecoder

pytestmark = pytest.mark.timeout(1_800 if FULL else 60)

# Made once: their ids count, so a stream made later may be longer.
OWN = {wire.name: own_streams(wire) for wire in WIRES}

Outcome = tuple[list[AIMessageChunk], str | None]


def decoded(wire: Wire, stream: bytes, cuts: list[int]) -> Outcome:
    """The chunks of a stream in such pieces, and the words of its error. Any other exception escapes."""
    decoder = wire.decoder()
    chunks: list[AIMessageChunk] = []
    for a, b in pairwise([0, *sorted(cuts), len(stream)]):
        chunks += decoder.feed(stream[a:b])
    try:
        return chunks + decoder.close(), None
    except ProviderInterrupted as error:
        if error.partial is not None:
            use(error.partial)
        return chunks, str(error)


def use(message: Any) -> None:
    """What a program does with a message."""
    assert isinstance(message.text, str)
    assert isinstance(message.tool_calls + message.invalid_tool_calls, list)
    assert message.content_blocks is not None
    assert json.loads(message.model_dump_json())


def check(wire: Wire, stream: bytes, cuts: list[int]) -> None:
    chunks, error = decoded(wire, stream, cuts)
    again, error_again = decoded(wire, stream, [])
    assert error == error_again
    assert [c.text for c in chunks] == [c.text for c in again]
    for chunk in chunks:
        use(chunk)
    whole = Accumulator()
    for chunk in chunks:
        if not chunk.response_metadata.get("index"):
            whole.feed(chunk)
    whole.finish()
    if len(whole):
        use(whole.message())


PIECES = [b"data: ", b"data:", b"data", b"event: x\n", b"\n", b"\n\n", b"\r\n\r\n", b"\r", b": hi\n\n", b"\xef\xbb\xbf"]
PIECES += [
    b"[DONE]",
    b"{",
    b"}",
    b'{"type":"',
    b'"error"',
    b"\xf0\x9f",
    b"\x00",
    b"\\ud83d",
    b"id: 1\n",
    b"null",
    b"[]",
]


@pytest.mark.parametrize("wire", WIRES, ids=str)
@settings(max_examples=count(5_000, 150), deadline=None)
@given(data=st.data())
def test_any_bytes(wire: Wire, data: st.DataObject) -> None:
    own = [frame + b"\n\n" for stream in OWN[wire.name].values() for frame in stream.split(b"\n\n")]
    stream = b"".join(data.draw(st.lists(st.sampled_from(PIECES + own) | st.binary(max_size=8), max_size=12)))
    check(wire, stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))


def spoiled(stream: bytes, chance: random.Random) -> bytes:
    """A stream with a few things wrong in it."""
    data = bytearray(stream)
    for _ in range(chance.choice([1, 2, 5])):
        at = chance.randrange(len(data) + 1)
        end = min(at + chance.choice([1, 3, 40, 400]), len(data))
        match chance.randrange(5):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end]
            case 2:
                data[at:at] = chance.choice(PIECES)
            case 3:
                data[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case 4:
                data[at : at + 1] = chance.choice([b'"', b"{", b"]", b":", b"0", b"\\"])
        if not data:
            return stream
    return bytes(data)


CASES = [pytest.param(wire, None, id=str(wire)) for wire in WIRES]
CASES += [
    pytest.param(wire, recording, id=f"{wire}-{recording}") for wire in WIRES for recording in recorded(wire.name)
]


@pytest.mark.parametrize(("wire", "recording"), CASES)
def test_spoiled_streams(wire: Wire, recording: Any) -> None:
    streams = list(OWN[wire.name].values()) if recording is None else [recording.path.read_bytes()[:60_000]]
    for number in range(count(300, 40 if recording is None else 2)):
        chance = random.Random(f"{wire} {recording} {number}")
        stream = spoiled(chance.choice(streams), chance)
        cuts = [chance.randrange(len(stream)) for _ in range(chance.choice([0, 3, 30]))]
        try:
            check(wire, stream, cuts)
        except Exception as error:
            error.add_note(f"number {number}: {stream[:3000]!r}")
            raise


NAMES = """type choices delta content role tool_calls index id function name arguments finish_reason usage error message
    output_index content_index item response output sequence_number content_block partial_json text thinking
    reasoning_details annotations logprobs refusal audio stop_reason citations signature input summary status custom"""
KEYS = st.sampled_from(NAMES.split())
TYPES = {
    "openai-chat": ["function", "custom", "error"],
    "openai-responses": [
        *(f"response.{kind}" for kind in ("created", "completed", "failed", "output_item.added", "output_item.done")),
        *(
            f"response.{kind}.delta"
            for kind in ("output_text", "refusal", "function_call_arguments", "mcp_call_arguments")
        ),
        *(
            "response.reasoning_summary_text.delta",
            "response.output_text.annotation.added",
            "message",
            "output_text",
            "error",
        ),
        *("function_call", "custom_tool_call", "reasoning", "refusal"),
    ],
    "anthropic": [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"),
        *(
            "message_stop",
            "error",
            "text_delta",
            "input_json_delta",
            "thinking_delta",
            "citations_delta",
            "tool_use",
            "text",
        ),
        *("signature_delta", "compaction_delta", "fallback", "server_tool_use"),
    ],
}


def values_of(wire: Wire) -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    leaf = plain | st.sampled_from(TYPES[wire.name]) | st.integers(0, 2)
    return st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
    )


@pytest.mark.parametrize("wire", WIRES, ids=str)
@settings(max_examples=count(5_000, 60), deadline=None)
@given(data=st.data())
def test_any_values_in_frames_of_the_right_names(wire: Wire, data: st.DataObject) -> None:
    """What is well formed and means nothing."""
    own = OWN[wire.name]["parallel"].split(b"\n\n")
    frames = []
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            frames.append(data.draw(st.sampled_from(own)))
            continue
        value = data.draw(st.dictionaries(KEYS, values_of(wire), max_size=5))
        if data.draw(st.booleans()):
            value["type"] = data.draw(st.sampled_from(TYPES[wire.name]))
        frames.append(b"data: " + json.dumps(value).encode())
    stream = b"\n\n".join(frames) + b"\n\n"
    check(wire, stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))


# -- time --------------------------------------------------------------------------------------------------------------------


def check_linear(test: str, work: Callable[[int], Callable[[], object]], size: int) -> None:
    """Twice the input takes at most 2.3 times as long: the least of several, tried again, because others use the machine too."""

    def seconds(size: int) -> float:
        least = float("inf")
        for _ in range(count(5, 2)):
            run = work(size)
            # Not the collector's time: it visits whatever this process keeps, which here is every chunk of the stream.
            gc.collect()
            gc.disable()
            try:
                begin = time.process_time()
                run()
                least = min(least, time.process_time() - begin)
            finally:
                gc.enable()
        return least

    growth = float("inf")
    for _ in range(4):
        growth = min(growth, seconds(2 * size) / seconds(size))
        if growth <= 2.3:
            break
    record("A33", test, 1, int(growth > 2.3), round(growth, 2), "times as long for twice the input")
    assert growth <= 2.3


def fed(wire: Wire, stream: bytes, step: int | None = None) -> Callable[[], object]:
    def run() -> None:
        decoder = wire.decoder()
        for at in range(0, len(stream), step or len(stream)):
            decoder.feed(stream[at : at + (step or len(stream))])
        try:
            decoder.close()
        except ProviderInterrupted:
            pass

    return run


def calling(wire: Wire, arguments: str) -> bytes:
    """A stream that calls a tool with such arguments, in pieces of 5 or fewer characters; it need not be JSON."""
    return wire.stream(tool_calls=[{"name": "f", "args": arguments}])


def test_control_quadratic_work_is_found() -> None:
    def work(size: int) -> Callable[[], object]:
        return lambda: sum(1 for _ in range(size) for _ in range(size))

    with pytest.raises(AssertionError):
        check_linear("control", work, 300)


ARGUMENTS: dict[str, Callable[[int], str]] = {
    "open brackets": lambda size: "[" * size,
    "open braces": lambda size: '{"a":' * (size // 5),
    "backslashes": lambda size: '{"a": "' + "\\" * size,
    "quotes": lambda size: '"' * size,
    "digits": lambda size: "1" * size,
    "a long text": lambda size: '{"a": "' + "x" * size + '"}',
}


@pytest.mark.parametrize("shape", ARGUMENTS)
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_time_is_linear_in_the_pieces_of_arguments(wire: Wire, shape: str) -> None:
    make = ARGUMENTS[shape]

    def work(size: int) -> Callable[[], object]:
        stream = calling(wire, make(5 * size))

        def run() -> None:
            decoder, whole = wire.decoder(), Accumulator()
            chunks = decoder.feed(stream)
            for chunk in chunks:
                whole.feed(chunk)
            whole.finish()
            message = whole.message()
            assert message.tool_calls or message.invalid_tool_calls

        return run

    check_linear(f"pieces of arguments/{wire}/{shape}", work, count(10_000, 1_000))


SHAPES: dict[str, Callable[[int], bytes]] = {
    "one line without an end": lambda size: b"data: " + b"x" * size,
    "empty lines": lambda size: b"\n" * size,
    "carriage returns": lambda size: b"\r" * size,
    "both line ends": lambda size: b"\r\n" * (size // 2),
    "comments": lambda size: b": hi\n\n" * (size // 6),
    "lines of data in one frame": lambda size: b"data: 1\n" * (size // 8) + b"\n",
    "fields nobody knows": lambda size: b"x: 1\n" * (size // 5) + b"\n",
    "open brackets in a frame": lambda size: b"data: " + b"[" * size + b"\n\n",
    "backslashes in a frame": lambda size: b'data: {"a": "' + b"\\" * size + b"\n\n",
    "bytes that are no text": lambda size: b"data: {" + b"\xff" * size + b"\n\n",
    "halves of characters": lambda size: b'data: {"a": "' + b"\\ud83d" * (size // 6) + b'"}\n\n',
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear_in_the_bytes(shape: str, step: int | None) -> None:
    """Whole, and one byte at a time."""
    wire = WIRES[0]
    make = SHAPES[shape]
    size = count(1_000_000, 25_000) if step else count(4_000_000, 200_000)
    check_linear(f"bytes/{shape}/{step or 'whole'}", lambda size: fed(wire, make(size), step), size)


@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_a33_a_megabyte_of_arguments_byte_by_byte(wire: Wire) -> None:
    def work(size: int) -> Callable[[], object]:
        return fed(wire, calling(wire, '{"a": "' + "x" * size + '"}'), 1)

    # The frames around five characters make ten and more bytes of each.
    check_linear(f"1 MB byte by byte/{wire}", work, count(100_000, 1_500))


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a":' * 20_000, "\\" * 100_000, '{"a": "' + "\\" * 100_001])
@pytest.mark.parametrize("wire", WIRES, ids=str)
def test_a33_no_depth_is_too_deep(wire: Wire, arguments: str) -> None:
    """A call whose arguments cannot be read is an invalid call, not an error of ours."""
    decoder = wire.decoder()
    chunks = decoder.feed(calling(wire, arguments))
    try:
        chunks += decoder.close()
    except ProviderInterrupted as error:
        use(error.partial)
    message = joined(chunks[:50]) if len(chunks) > 50 else joined(chunks)
    use(message)
    # The model says that the message is over; of one that goes on, arguments are read as far as they have come.
    whole = Accumulator([*chunks, AIMessageChunk(chunks[-1].content[:0], chunk_position="last")])
    whole.finish()
    use(whole.message())
    assert [call["name"] for call in whole.message().invalid_tool_calls] == ["f"]


@settings(max_examples=count(5_000, 300), deadline=None)
@given(st.lists(st.sampled_from(PIECES[:10]) | st.binary(max_size=5), max_size=20), st.data())
def test_lines_of_any_bytes_however_they_are_cut(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder, other = SSEDecoder(), SSEDecoder()
    got = [payload for a, b in pairwise([0, *cuts, len(stream)]) for payload in decoder.feed(stream[a:b])]
    assert got == other.feed(stream)
    assert (decoder.close() is None) == (other.close() is None)
