from __future__ import annotations

import json
import random
import time
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import Recording, recorded

from millstream import AIMessageChunk, ProviderInterrupted
from millstream.providers.anthropic_stream import AnthropicDecoder
from millstream.testing import frames_of, message_block, message_frame, message_stream

STOP = message_frame("message_stop")


def decode(stream: bytes, cuts: list[int] | None = None, **options: Any) -> list[AIMessageChunk]:
    decoder = AnthropicDecoder(**options)
    edges = [0, *sorted(cuts or []), len(stream)]
    chunks = [chunk for a, b in pairwise(edges) for chunk in decoder.feed(stream[a:b])]
    return chunks + decoder.close()


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return reduce(lambda a, b: a + b, chunks)


def start(**message: Any) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": 1}
    return message_frame(
        "message_start", message={"id": "msg_1", "model": "m", "content": [], "usage": usage, **message}
    )


def end(reason: str = "end_turn", **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return message_frame("message_delta", delta=delta, usage={"output_tokens": 4, **usage}) + STOP


def delta(index: int, **delta: Any) -> bytes:
    return message_frame("content_block_delta", index=index, delta=delta)


def began(index: int, **block: Any) -> bytes:
    return message_frame("content_block_start", index=index, content_block=block)


def message(*blocks: bytes, **options: Any) -> AIMessageChunk:
    return whole(decode(start() + b"".join(blocks) + end(), **options))


SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "url": "u"}],
}
CITATION = {"type": "web_search_result_location", "url": "u", "cited_text": "c"}

OWN = {
    "text": message_stream("The mill 🐎 grinds slowly."),
    "tool": message_stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": "žluť"}}]),
    "parallel": message_stream("Both.", tool_calls=[{"name": "add", "args": {"a": 1}}, {"name": "now", "args": {}}]),
    "thinking": message_stream("Four.", thinking="two and two"),
    "halved characters": message_stream(["a\ud83d", "\udc4b b", "c\ud83d", "d"], thinking=["x\ud83d"]),
    "server tools": start()
    + message_block(0, {"type": "text", "text": ""}, ["Let me ", "look."])
    + message_block(1, SEARCH, ["", '{"query"', ': "mills"}'])
    + message_block(2, FOUND)
    + message_block(3, {"type": "text", "text": "", "citations": [CITATION, CITATION]}, ["They ", "grind."])
    + end(),
    "two messages": message_stream("One.", tool_calls=[{"name": "add", "args": {"a": 1}}])
    + message_stream(["Two."], tool_calls=[{"name": "now", "args": {}, "id": "toolu_9"}], usage=(20, 7)),
}


# -- what a stream becomes ----------------------------------------------------------------------------------------------


def test_the_shape_of_a_text_stream() -> None:
    chunks = decode(OWN["text"])
    assert [c.content for c in chunks] == ["", "The ", "mill ", "🐎 ", "grinds ", "slowly.", ""]
    assert [c.chunk_position for c in chunks] == [None] * 6 + ["last"]
    assert all(c.id is None for c in chunks)
    first, *texts, last = chunks
    assert first.response_metadata.pop("id").startswith("msg_standin_")
    assert first.response_metadata == {"model_provider": "anthropic", "model_name": "stand-in-1"}
    assert all(c.response_metadata == {"model_provider": "anthropic"} for c in texts)
    assert all(c.usage_metadata is None for c in chunks[:-1])
    assert last.response_metadata["stop_reason"] == "end_turn"
    assert last.response_metadata["stop_sequence"] is None
    assert last.usage_metadata == {
        "input_tokens": 9,
        "output_tokens": 4,
        "total_tokens": 13,
        "input_token_details": {"cache_read": 0, "cache_creation": 0},
    }
    assert whole(chunks).content == "The mill 🐎 grinds slowly."


def test_the_shape_of_a_stream_in_blocks() -> None:
    chunks = decode(OWN["parallel"], blocks=True)
    assert [c.content for c in chunks if not c.tool_call_chunks] == [
        [],
        [{"type": "text", "text": "Both.", "index": 0}],
        [],
    ]
    opening = [c for c in chunks if c.tool_call_chunks and c.tool_call_chunks[0]["id"]]
    assert opening[0].content == [{"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}, "index": 1}]
    assert [dict(c.tool_call_chunks[0]) for c in opening] == [
        {"name": "add", "args": "", "id": "toolu_1", "index": 1, "type": "tool_call_chunk"},
        {"name": "now", "args": "", "id": "toolu_2", "index": 2, "type": "tool_call_chunk"},
    ]
    begun, *pieces = [c for c in chunks if c.tool_call_chunks and c.tool_call_chunks[0]["index"] == 1][1:]
    assert begun.content == [{"type": "input_json_delta", "partial_json": "", "index": 1}]
    assert pieces[0].content == [{"type": "input_json_delta", "partial_json": '{"a":', "index": 1}]
    assert pieces[0].tool_call_chunks[0]["args"] == '{"a":'
    got = whole(chunks)
    assert got.content == [
        {"type": "text", "text": "Both.", "index": 0},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}, "index": 1, "partial_json": '{"a": 1}'},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}, "index": 2, "partial_json": "{}"},
    ]
    assert [(c["name"], c["args"], c["id"]) for c in got.tool_calls] == [
        ("add", {"a": 1}, "toolu_1"),
        ("now", {}, "toolu_2"),
    ]


def test_thoughts_come_with_their_signatures() -> None:
    assert message(
        message_block(0, {"type": "thinking", "thinking": "", "signature": "S"}, ["two ", "and two"]),
        message_block(1, {"type": "redacted_thinking", "data": "xyz"}),
        message_block(2, {"type": "thinking", "thinking": "", "signature": "T"}),
        message_block(3, {"type": "text", "text": ""}, ["Four."]),
    ).content == [
        {"type": "thinking", "thinking": "two and two", "signature": "S", "index": 0},
        {"type": "redacted_thinking", "data": "xyz", "index": 1},
        {"type": "thinking", "thinking": "", "signature": "T", "index": 2},
        {"type": "text", "text": "Four.", "index": 3},
    ]


def test_server_tools_and_citations() -> None:
    got = whole(decode(OWN["server tools"], blocks=True))
    assert got.content == [
        {"type": "text", "text": "Let me look.", "index": 0},
        {**SEARCH, "partial_json": '{"query": "mills"}', "index": 1},
        {**FOUND, "index": 2},
        {"type": "text", "text": "They grind.", "citations": [CITATION, CITATION], "index": 3},
    ]
    assert got.tool_calls == []
    assert got.text == "Let me look.They grind."
    plain = whole(decode(OWN["server tools"]))
    assert (plain.content[0], plain.content[1:]) == ("Let me look.", got.content[1:])


def test_blocks_of_kinds_nobody_knows_are_kept_and_events_are_not() -> None:
    news = {"type": "hologram", "data": {"x": 1}}
    got = message(
        message_frame("weather", rain=True),
        message_block(0, news),
        delta(0, type="shimmer_delta", shimmer="s"),
        delta(1, type="shimmer_delta", shimmer="s"),
        message_frame("content_block_stop", index=7),
    )
    assert got.content == [{**news, "index": 0}]


def test_a_compacted_conversation() -> None:
    got = message(
        began(0, type="compaction", content=None),
        delta(0, type="compaction_delta", content="They said hello."),
        message_frame("content_block_stop", index=0),
        message_block(1, {"type": "text", "text": ""}, ["Hi"]),
    )
    assert got.content == [
        {"type": "compaction", "content": "They said hello.", "index": 0},
        {"type": "text", "text": "Hi", "index": 1},
    ]


def test_the_model_that_stood_in_is_named() -> None:
    fallback = {"type": "fallback", "from": {"model": "m"}, "to": {"model": "n"}}
    got = message(message_block(0, fallback), message_block(1, {"type": "text", "text": ""}, ["Hi"]))
    assert got.response_metadata["model_name"] == "n"
    assert got.content[0] == {**fallback, "index": 0}


def test_usage_later_counts_replace_and_all_input_is_counted() -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 20},
        "output_tokens": 1,
    }
    stream = start(usage=usage) + message_block(0, {"type": "text", "text": ""}, ["Hi"])
    got = whole(decode(stream + end(input_tokens=6, output_tokens=7, cache_read_input_tokens=None)))
    assert got.usage_metadata == {
        "input_tokens": 126,
        "output_tokens": 7,
        "total_tokens": 133,
        "input_token_details": {"cache_read": 100, "cache_creation": 20},
    }
    assert got.response_metadata["usage"] == {**usage, "input_tokens": 6, "output_tokens": 7}
    thought = whole(decode(stream + end(output_tokens=7, output_tokens_details={"thinking_tokens": 3})))
    assert (thought.usage_metadata or {})["output_token_details"] == {"reasoning": 3}
    assert whole(decode(stream + end(), usage=False)).usage_metadata is None


def test_why_the_model_stopped() -> None:
    frames = start() + message_frame(
        "message_delta",
        delta={"stop_reason": "stop_sequence", "stop_sequence": "```", "container": {"id": "c"}},
        usage={},
    )
    told = whole(decode(frames + STOP)).response_metadata
    assert (told["stop_reason"], told["stop_sequence"], told["container"]) == ("stop_sequence", "```", {"id": "c"})


def test_nothing_said() -> None:
    chunks = decode(start() + end())
    assert [c.content for c in chunks] == ["", ""]
    assert chunks[-1].usage_metadata


# -- calls --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[], [""], ["", ""]])
def test_a_call_without_arguments(pieces: list[str]) -> None:
    got = message(message_block(0, {"type": "tool_use", "id": "t", "name": "now", "input": {}}, pieces))
    assert [(c["name"], c["args"]) for c in got.tool_calls] == [("now", {})]
    assert got.invalid_tool_calls == []


@pytest.mark.parametrize("pieces", [[], ['{"a"', ": 1}"]])
def test_arguments_at_the_start_of_a_call(pieces: list[str]) -> None:
    call = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}
    for blocks in (
        message_block(0, call, pieces),
        began(0, **call) + b"".join(delta(0, type="input_json_delta", partial_json=p) for p in pieces),
    ):
        assert [(c["name"], c["args"]) for c in message(blocks).tool_calls] == [("add", {"a": 1})]


def test_a_call_that_was_cut_by_the_limit_of_tokens_is_invalid() -> None:
    call = {"type": "tool_use", "id": "t", "name": "add", "input": {}}
    text = start() + began(0, **call) + delta(0, type="input_json_delta", partial_json='{"a": [1, 2')
    so_far = whole(AnthropicDecoder().feed(text))
    assert so_far.tool_calls[0]["args"] == {"a": [1, 2]}
    got = whole(decode(text + end("max_tokens")))
    assert got.tool_calls == []
    assert [(c["name"], c["id"], c["args"]) for c in got.invalid_tool_calls] == [("add", "t", '{"a": [1, 2')]


def test_deltas_of_a_block_that_nobody_announced() -> None:
    got = message(delta(0, type="text_delta", text="Hi"))
    assert got.content == "Hi"
    got = message(delta(0, type="thinking_delta", thinking="Hm"), delta(1, type="text_delta", text="Hi"))
    assert got.content == [
        {"type": "thinking", "thinking": "Hm", "index": 0},
        {"type": "text", "text": "Hi", "index": 1},
    ]


# -- ends ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_cut_at_every_byte(name: str, blocks: bool) -> None:
    stream = OWN[name]
    for cut in range(len(stream)):
        check_cut(stream[:cut], blocks)


def check_cut(stream: bytes, blocks: bool) -> None:
    """Cut, a stream raises with what came, or had said all but its end mark."""
    decoder = AnthropicDecoder(blocks=blocks)
    chunks = decoder.feed(stream)
    said, _, after = stream.rpartition(b'"message_stop"')
    if said and after.lstrip().startswith(b"}") and b"\nd" not in after:
        decoder.close()
        return
    with pytest.raises(ProviderInterrupted) as caught:
        decoder.close()
    partial = caught.value.partial
    assert (partial is None) == (not chunks)
    if partial is not None:
        got = whole(chunks)
        assert partial.content == got.content
        assert partial.tool_call_chunks == got.tool_call_chunks
        assert partial.usage_metadata


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_own_streams_byte_by_byte(name: str, blocks: bool) -> None:
    stream = OWN[name]
    got = whole(decode(stream, list(range(len(stream))), blocks=blocks))
    assert got == whole(decode(stream, blocks=blocks))


def test_two_messages_in_one_body_are_read_as_one() -> None:
    got = whole(decode(OWN["two messages"], blocks=True))
    assert [(block["type"], block["index"]) for block in got.content] == [  # type: ignore[index]
        ("text", 0),
        ("tool_use", 1),
        ("text", 2),
        ("tool_use", 3),
    ]
    assert [c["name"] for c in got.tool_calls] == ["add", "now"]
    assert got.response_metadata["stop_reason"] == "tool_use"
    assert (got.usage_metadata or {})["total_tokens"] == 27
    decoder = AnthropicDecoder()
    decoder.feed(message_stream("One."))
    assert decoder.complete
    decoder.feed(start())
    assert not decoder.complete


def test_an_error_in_the_middle() -> None:
    stream = start() + message_block(0, {"type": "text", "text": ""}, ["so far"])
    decoder = AnthropicDecoder(secrets=["sk-12345"])
    error = {"type": "overloaded_error", "message": "Overloaded: sk-12345"}
    chunks = decoder.feed(
        stream + message_frame("error", error=error) + message_block(1, {"type": "text", "text": "no"})
    )
    assert [c.content for c in chunks] == ["", "so far"]
    assert decoder.finished
    with pytest.raises(ProviderInterrupted, match="Overloaded") as caught:
        decoder.close()
    assert caught.value.partial.content == "so far"
    assert caught.value.partial.usage_metadata["input_tokens"] == 9
    assert (caught.value.code, caught.value.provider) == ("overloaded_error", "anthropic")
    assert "sk-12345" not in str(caught.value)


def test_an_error_before_the_first_block_is_no_answer() -> None:
    decoder = AnthropicDecoder()
    assert decoder.feed(start() + message_frame("error", error={"type": "overloaded_error", "message": "x"})) == []
    assert decoder.reported == {"type": "overloaded_error", "message": "x"}


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "[1]",
        "3",
        "{}",
        '{"type":"content_block_delta"}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":3}}',
        '{"type":"content_block_start","index":"x","content_block":{}}',
        '{"type":"message_start"}',
        "[" * 10_000,
    ],
)
def test_frames_of_another_shape_are_an_error(frame: str) -> None:
    decoder = AnthropicDecoder()
    chunks = decoder.feed(start() + delta(0, type="text_delta", text="a") + f"data: {frame}\n\n".encode() + STOP)
    assert "".join(c.text for c in chunks) == "a"
    with pytest.raises(ProviderInterrupted) as caught:
        decoder.close()
    assert caught.value.partial.content == "a"


def test_marks_of_other_protocols_say_nothing() -> None:
    assert whole(decode(b"data: [DONE]\n\n: hello\n\n" + OWN["text"] + b"data: [DONE]\n\n")) == whole(
        decode(OWN["text"])
    )


# -- halves of characters, any cuts, any frames ---------------------------------------------------------------------------

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\ud83d\udc4b"), max_size=5), max_size=6
)


def joined(pieces: list[str]) -> str:
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@settings(max_examples=60, deadline=None)
@given(
    text=TEXTS,
    thinking=TEXTS,
    args=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    blocks=st.booleans(),
    data=st.data(),
)
def test_any_cuts_give_the_same_message(
    text: list[str], thinking: list[str], args: dict[str, Any], ends: str, blocks: bool, data: st.DataObject
) -> None:
    stream = message_stream(text, thinking=thinking, tool_calls=[{"name": "f", "args": args}], id="msg_1")
    stream = stream.replace(b"\n", ends.encode())
    expected = whole(decode(stream, blocks=blocks))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert whole(decode(stream, cuts, blocks=blocks)) == expected
    assert expected.text == joined(text)
    thoughts = [b["thinking"] for b in expected.content if isinstance(b, dict) and b["type"] == "thinking"]
    assert "".join(thoughts) == joined(thinking)
    assert [(c["name"], c["args"]) for c in expected.tool_calls] == [("f", args)]
    expected.model_dump_json()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KINDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ]
)
DELTA = st.fixed_dictionaries(
    {"type": st.sampled_from(["text_delta", "input_json_delta", "citations_delta", "signature_delta"])},
    optional={"text": JSON, "partial_json": JSON, "citation": JSON, "signature": JSON},
)
FRAME = st.fixed_dictionaries(
    {"type": KINDS},
    optional={
        "index": st.integers(0, 2) | JSON,
        "delta": DELTA | JSON,
        "content_block": JSON,
        "message": JSON,
        "usage": JSON,
        "error": JSON,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAME | JSON, max_size=6), st.binary(max_size=20))
def test_any_frames_end_in_a_message_or_in_our_error(frames: list[Any], rest: bytes) -> None:
    stream = start() + b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + rest
    try:
        whole(decode(stream))
    except ProviderInterrupted as error:
        if error.partial is not None:
            error.partial.model_dump_json()


def test_ten_thousand_pieces_of_arguments_take_linear_time() -> None:
    def seconds(size: int) -> float:
        call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
        frames = frames_of(start() + message_block(0, call, ["["] * size) + end())
        decoder = AnthropicDecoder(blocks=True)
        begin = time.process_time()
        for frame in frames:
            decoder.feed(frame)
        return time.process_time() - begin

    assert min(seconds(10_000) for _ in range(3)) < 4 * 2.3 * min(seconds(2_500) for _ in range(3))


# -- recordings ----------------------------------------------------------------------------------------------------------

RECORDINGS = recorded("anthropic")
ENDS_BADLY = {"error-overloaded-midstream", "connection-cut-midframe"}
# Where we differ from what the provider's client made of it, and why.
CUT_CALL = "tool-json-cut-by-max-tokens"  # there the call is taken for a whole one
SPLICED = "two-messages-in-one-body"  # there the text of the second message is lost


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recordings(recording: Recording, blocks: bool) -> None:
    stream, expected = recording.path.read_bytes(), recording.expected
    if recording.name in ENDS_BADLY:
        with pytest.raises(ProviderInterrupted) as caught:
            decode(stream, blocks=blocks)
        got = caught.value.partial
        assert caught.value.code == ("overloaded_error" if expected["error"] else None)
    else:
        got = whole(decode(stream, blocks=blocks))
        assert got.response_metadata["stop_reason"] == expected["stop_reason"]
        assert got.response_metadata["usage"] == expected["usage"]
    check_expected(got, recording, blocks)


def check_expected(got: AIMessageChunk, recording: Recording, blocks: bool) -> None:
    expected = recording.expected
    assert got.text.startswith(expected["text"]) if recording.name == SPLICED else got.text == expected["text"]
    said = [] if isinstance(got.content, str) else [block for block in got.content if isinstance(block, dict)]
    assert "".join(b["thinking"] for b in said if b["type"] == "thinking") == expected["thinking"]
    assert sum(len(b.get("citations", ())) for b in said if b["type"] == "text") == expected["citations"]
    if blocks:
        assert [block["type"] for block in said] == expected["block_types"]
    calls = [{"id": c["id"], "name": c["name"], "input": c["args"]} for c in got.tool_calls]
    if recording.name == CUT_CALL:
        assert [call["name"] for call in got.invalid_tool_calls] == ["make_file"]
        assert calls == []
    elif recording.name not in ENDS_BADLY:
        assert calls == expected["tool_calls"]
    else:
        assert [c["name"] for c in calls] == [c["name"] for c in expected["tool_calls"]]
    usage, told = got.usage_metadata, expected["usage"]
    assert usage is not None
    counts = [told.get(f"{kind}input_tokens") or 0 for kind in ("", "cache_read_", "cache_creation_")]
    assert usage["input_tokens"] == sum(counts)
    assert usage["output_tokens"] == told["output_tokens"]


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r.name not in ENDS_BADLY], ids=str)
def test_recordings_in_pieces_and_cut(recording: Recording) -> None:
    stream = recording.path.read_bytes()
    expected = whole(decode(stream, blocks=True))
    chance = random.Random(recording.name)
    for cuts in (list(range(len(stream))), [chance.randrange(len(stream)) for _ in range(200)]):
        assert whole(decode(stream, cuts, blocks=True)) == expected
    for _ in range(60):
        cut = chance.randrange(len(stream))
        check_cut(stream[:cut], True)


def test_arguments_that_never_came_are_none() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    stream = start() + message_frame("content_block_start", index=0, content_block=call)
    delta = {"type": "input_json_delta", "partial_json": ""}
    stream += message_frame("content_block_delta", index=0, delta=delta) + message_frame("content_block_stop", index=0)
    got = whole(decode(stream + end(), blocks=True))
    assert got.content == [{**call, "partial_json": "", "index": 0}]
    assert got.tool_calls == [{"type": "tool_call", "name": "now", "args": {}, "id": "toolu_1"}]
