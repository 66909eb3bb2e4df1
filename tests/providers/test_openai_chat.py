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
from millstream.providers.openai_chat import OpenAIChatDecoder
from millstream.testing import chat_frame, chat_stream, frames_of

DONE = b"data: [DONE]\n\n"


def decode(stream: bytes, cuts: list[int] | None = None) -> list[AIMessageChunk]:
    decoder = OpenAIChatDecoder()
    edges = [0, *sorted(cuts or []), len(stream)]
    chunks = [chunk for a, b in pairwise(edges) for chunk in decoder.feed(stream[a:b])]
    return chunks + decoder.close()


def whole(chunks: list[AIMessageChunk], choice: int = 0) -> AIMessageChunk:
    return reduce(lambda a, b: a + b, [c for c in chunks if c.response_metadata.get("index", 0) == choice])


def message(*frames: bytes) -> AIMessageChunk:
    return whole(decode(b"".join(frames)))


def calls(of: AIMessageChunk) -> list[tuple[str, Any]]:
    return [(call["name"], call["args"]) for call in of.tool_calls]


def pieces(*pieces: dict[str, Any]) -> bytes:
    return chat_frame({"tool_calls": list(pieces)})


def piece(id: str | None, name: str | None, arguments: Any, **index: int) -> dict[str, Any]:
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not ...}
    return {**index, **({"id": id} if id is not None else {}), "type": "function", "function": function}


OWN = {
    "text": chat_stream("The mill 🐎 grinds slowly."),
    "tool": chat_stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": "žluť"}}]),
    "parallel": chat_stream("Both.", tool_calls=[{"name": "add", "args": {"a": 1}}, {"name": "now", "args": {}}]),
    "reasoning": chat_stream("Four.", reasoning="two and two"),
    "halved characters": chat_stream(["a\ud83d", "\udc4b b", "c\ud83d", "d"]),
    "several choices": b"".join(
        [chat_frame({"content": word}, index=n) for word in ("a ", "b ") for n in (0, 1)]
        + [chat_frame({}, index=n, finish_reason="stop") for n in (0, 1)]
        + [DONE]
    ),
}


# -- what a stream becomes ----------------------------------------------------------------------------------------------


def test_the_shape_of_a_text_stream() -> None:
    chunks = decode(OWN["text"])
    assert [c.content for c in chunks] == ["", "The ", "mill ", "🐎 ", "grinds ", "slowly.", "", ""]
    assert all(c.response_metadata["model_provider"] == "openai" for c in chunks)
    assert all(c.id is None for c in chunks)
    *_, finish, usage = chunks
    assert finish.response_metadata == {
        "model_provider": "openai",
        "finish_reason": "stop",
        "model_name": "stand-in-1",
        "system_fingerprint": "fp_standin",
    }
    assert usage.usage_metadata == {
        "input_tokens": 9,
        "output_tokens": 4,
        "total_tokens": 13,
        "input_token_details": {"cache_read": 0},
        "output_token_details": {"reasoning": 0},
    }
    assert whole(chunks).content == "The mill 🐎 grinds slowly."


def test_tool_calls_come_as_pieces_and_join() -> None:
    chunks = decode(OWN["parallel"])
    opening = [c.tool_call_chunks[0] for c in chunks if c.tool_call_chunks and c.tool_call_chunks[0]["name"]]
    assert [(p["name"], p["id"], p["index"], p["args"]) for p in opening] == [
        ("add", "call_1", 0, ""),
        ("now", "call_2", 1, ""),
    ]
    assert calls(whole(chunks)) == [("add", {"a": 1}), ("now", {})]
    assert whole(chunks).content == "Both."


def test_several_choices_are_told_apart() -> None:
    chunks = decode(OWN["several choices"])
    assert [whole(chunks, n).content for n in (0, 1)] == ["a b ", "a b "]
    assert whole(chunks, 1).response_metadata["finish_reason"] == "stop"


def test_every_way_to_give_usage() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": 0.5}
    for stream in (
        [chat_frame({"content": "x"}), chat_frame({}, finish_reason="stop", usage=usage)],
        [chat_frame({"content": "x"}), chat_frame({}, finish_reason="stop"), chat_frame(choices=[], usage=usage)],
        [chat_frame({"content": "x"}), chat_frame({}, finish_reason="stop", x_groq={"id": "r", "usage": usage})],
        # on every chunk, growing: the last one counts
        [
            chat_frame({"content": "x"}, usage={**usage, "completion_tokens": 1, "total_tokens": 6}),
            chat_frame({}, finish_reason="stop", usage=usage),
        ],
    ):
        got = message(*stream, DONE)
        assert got.usage_metadata == {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
        assert got.response_metadata["token_usage"]["cost"] == 0.5
    assert message(chat_stream("x", usage=None)).usage_metadata is None
    assert message(
        chat_frame({"content": "x"}, finish_reason="stop", usage={"prompt_tokens": None})
    ).usage_metadata == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
    }


def test_usage_details() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert message(chat_stream("x", usage=usage)).usage_metadata == {
        "input_tokens": 5,
        "output_tokens": 7,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 4},
    }


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_by_its_names(key: str) -> None:
    got = message(
        chat_frame({key: "two "}), chat_frame({key: "two"}), chat_frame({"content": "4"}, finish_reason="stop")
    )
    assert got.additional_kwargs["reasoning_content"] == "two two"
    assert got.content == "4"


def test_reasoning_details_are_kept_and_read() -> None:
    def detail(text: str) -> bytes:
        return chat_frame(
            {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": text, "index": 0, "format": "f"}]}
        )

    got = message(detail("two "), detail("two"), chat_frame({"content": "4"}, finish_reason="stop"))
    assert got.additional_kwargs["reasoning_content"] == "two two"
    assert got.additional_kwargs["reasoning_details"] == [
        {"type": "reasoning.text", "text": "two two", "index": 0, "format": "f"}
    ]
    both = message(chat_frame({"reasoning": "x", "reasoning_details": [{"type": "reasoning.text", "text": "x"}]}), DONE)
    assert both.additional_kwargs["reasoning_content"] == "x"


def test_content_as_blocks() -> None:
    blocks = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}]
    got = message(chat_frame({"content": blocks}), chat_frame({"content": "2"}, finish_reason="stop"))
    assert (got.content, got.additional_kwargs["reasoning_content"]) == ("42", "hm")


def test_refusal_logprobs_and_annotations_join() -> None:
    def logprobs(token: str) -> dict[str, Any]:
        return {"content": [{"token": token, "logprob": -1.0}], "refusal": None}

    got = message(
        chat_frame({"refusal": "I "}),
        chat_frame({"refusal": "will not"}),
        chat_frame(choices=[{"index": 0, "delta": {"content": "a"}, "logprobs": logprobs("a")}]),
        chat_frame(
            choices=[{"index": 0, "delta": {"content": "b"}, "logprobs": logprobs("b"), "finish_reason": "stop"}]
        ),
        chat_frame({"annotations": [{"type": "url_citation", "n": 1}]}),
        chat_frame({"annotations": [{"type": "url_citation", "n": 2}]}),
    )
    assert got.additional_kwargs["refusal"] == "I will not"
    assert [item["token"] for item in got.response_metadata["logprobs"]["content"]] == ["a", "b"]
    assert [item["n"] for item in got.additional_kwargs["annotations"]] == [1, 2]


# -- imitators ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [None, "", "{}", ...], ids=str)
def test_no_arguments_in_every_form(arguments: Any) -> None:
    got = message(pieces(piece("0", "now", arguments, index=0)), DONE)
    assert calls(got) == [("now", {})]
    assert got.tool_calls[0]["id"] == "0"


def test_arguments_as_an_object() -> None:
    assert calls(message(pieces(piece("1", "add", {"a": 1}, index=0)), DONE)) == [("add", {"a": 1})]


def test_pieces_without_an_index() -> None:
    one, two = piece("a", "add", '{"a":'), piece("b", "sub", '{"b":')
    assert calls(
        message(pieces(one), pieces(piece(None, None, " 1}")), pieces(two), pieces(piece(None, None, "2}")), DONE)
    ) == [
        ("add", {"a": 1}),
        ("sub", {"b": 2}),
    ]
    assert calls(message(pieces(one, two), pieces(piece("a", None, "1}"), piece("b", None, "2}")), DONE)) == [
        ("add", {"a": 1}),
        ("sub", {"b": 2}),
    ]


def test_several_whole_calls_with_one_index_and_one_id() -> None:
    for id in ("0", "", None):
        got = message(pieces(piece(id, "add", '{"a":1}', index=0)), pieces(piece(id, "add", '{"a":2}', index=0)), DONE)
        assert calls(got) == [("add", {"a": 1}), ("add", {"a": 2})]
        assert len({call["id"] for call in got.tool_calls}) == 2
        assert all(call["id"] for call in got.tool_calls)


def test_ids_tell_calls_of_one_index_apart() -> None:
    got = message(pieces(piece("x", "add", '{"a":1}', index=0)), pieces(piece("y", "add", '{"a":2}', index=0)), DONE)
    assert [(call["id"], call["args"]) for call in got.tool_calls] == [("x", {"a": 1}), ("y", {"a": 2})]


def test_name_and_id_repeated_in_every_piece() -> None:
    got = message(*(pieces(piece("x", "add", part, index=0)) for part in ("", '{"a"', ":1}")), DONE)
    assert [(call["id"], call["name"], call["args"]) for call in got.tool_calls] == [("x", "add", {"a": 1})]


def test_an_index_that_begins_at_one_is_kept() -> None:
    chunks = decode(pieces(piece("x", "add", "{}", index=1)) + DONE)
    assert chunks[0].tool_call_chunks[0]["index"] == 1


def test_a_call_without_an_id_gets_one_that_does_not_depend_on_the_cuts() -> None:
    stream = pieces(piece(None, "add", "{}", index=0)) + DONE
    assert whole(decode(stream)).tool_calls[0]["id"] == "call_chatcmpl-standin_0"
    assert whole(decode(stream, list(range(len(stream))))) == whole(decode(stream))


def test_the_call_form_before_tool_calls() -> None:
    got = message(
        chat_frame({"function_call": {"name": "add", "arguments": None}}),
        chat_frame({"function_call": {"arguments": '{"a"'}}),
        chat_frame({"function_call": {"arguments": ":1}"}}, finish_reason="function_call"),
    )
    assert got.additional_kwargs["function_call"] == {"name": "add", "arguments": '{"a":1}'}


def test_empty_choices_nulls_comments_and_repeats() -> None:
    got = message(
        b": OPENROUTER PROCESSING\n\n",
        chat_frame(choices=[], prompt_filter_results=[{}], model="", id=""),
        b": OPENROUTER PROCESSING\n\ndata:\n\n",
        chat_frame({"role": "assistant", "content": None}),
        chat_frame({"role": "assistant", "content": "a", "tool_calls": None, "refusal": ""}),
        chat_frame(choices=[{"index": None, "delta": None}]),
        chat_frame({"role": "assistant", "content": "b"}, finish_reason="stop"),
        chat_frame({"role": "assistant", "content": ""}, finish_reason="stop"),
        b"data:[DONE]\n\ndata: what follows is nobody's business\n\n",
    )
    assert got.content == "ab"
    assert got.response_metadata["finish_reason"] == "stop"
    assert "refusal" not in got.additional_kwargs


def test_what_says_nothing_makes_no_chunk() -> None:
    empty = chat_frame({"role": "assistant", "content": ""})
    assert [c.content for c in decode(empty + empty + chat_frame({"content": "a"}) + empty + DONE)][:2] == ["", "a"]


def test_no_finish_reason_but_an_end_mark() -> None:
    got = message(chat_frame({"content": "a"}), DONE)
    assert (got.content, got.response_metadata["model_name"]) == ("a", "stand-in-1")
    assert "finish_reason" not in got.response_metadata


def test_no_end_mark_but_a_finish_reason() -> None:
    assert message(chat_stream("a b", done=False)).content == "a b"
    assert message(chat_stream("a b", done=False), b"data: [DONE]").content == "a b"


# -- halves of characters -------------------------------------------------------------------------------------------------


def test_half_characters_are_joined_over_frames() -> None:
    chunks = decode(OWN["halved characters"])
    assert whole(chunks).content == "a👋 bc\ufffdd"
    for chunk in chunks:
        json.dumps(chunk.content, ensure_ascii=False).encode()


@pytest.mark.parametrize("key", ["content", "reasoning_content", "refusal"])
def test_a_half_that_stays_alone_does_not_end_the_stream(key: str) -> None:
    got = message(chat_frame({key: "a\ud83d"}), chat_frame({}, finish_reason="stop"), DONE)
    assert "a\ufffd" in (got.content, *got.additional_kwargs.values())
    assert message(chat_frame({key: "\udc4bz"}), DONE).model_dump_json()


def test_half_characters_in_arguments_and_elsewhere() -> None:
    got = message(
        pieces(piece("x", "say", '{"a":"\ud83d', index=0)),
        pieces(piece(None, None, '\udc4b"}', index=0)),
        chat_frame(choices=[{"index": 0, "delta": {"content": "!"}, "logprobs": {"content": [{"token": "\ud83d"}]}}]),
        DONE,
    )
    assert calls(got) == [("say", {"a": "👋"})]
    assert got.response_metadata["logprobs"]["content"] == [{"token": "\ufffd"}]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    got = message(chat_frame({"content": "caf@"}).replace(b"@", b"\xe9"), DONE)
    assert got.content == "caf\ufffd"


# -- ends ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_cut_at_every_byte(name: str) -> None:
    stream = OWN[name]
    complete = whole(decode(stream))
    for cut in range(len(stream)):
        check_cut(stream[:cut], complete)


def check_cut(stream: bytes, complete: AIMessageChunk) -> None:
    """Cut, a stream raises with what came, or had said all but its end mark."""
    decoder = OpenAIChatDecoder()
    chunks = decoder.feed(stream)
    came = whole(chunks).content if chunks else ""
    try:
        chunks += decoder.close()
    except ProviderInterrupted as error:
        partial = error.partial
        assert (partial is None) == (not chunks)
        if partial is not None:
            assert partial.content == came
            assert complete.content.startswith(came)  # type: ignore[arg-type]
            assert [c["name"] for c in partial.tool_call_chunks] == [c["name"] for c in whole(chunks).tool_call_chunks]
            for ours, theirs in zip(partial.tool_call_chunks, complete.tool_call_chunks, strict=False):
                assert (theirs["args"] or "").startswith(ours["args"] or "")
    else:
        assert b'"finish_reason":"' in stream
        assert whole(chunks).content == complete.content
        assert whole(chunks).tool_calls == complete.tool_calls


def test_an_error_in_the_middle() -> None:
    for error in (
        {"message": "Overloaded", "code": 529},
        {"message": "Overloaded", "type": "529"},
        "Overloaded",
    ):
        decoder = OpenAIChatDecoder()
        chunks = decoder.feed(
            chat_frame({"content": "so far"})
            + chat_frame({"content": ""}, error=error)
            + chat_frame({"content": "no"})
            + DONE
        )
        assert [c.content for c in chunks] == ["so far"]
        assert decoder.finished
        with pytest.raises(ProviderInterrupted, match="Overloaded") as caught:
            decoder.close()
        assert caught.value.partial.content == "so far"
        assert caught.value.code in ("529", None)
        assert caught.value.provider == "openai"


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "[1]",
        "3",
        '{"choices": 3}',
        '{"choices": [3]}',
        '{"choices":[{"delta":[1]}]}',
        "[" * 10_000,
        '{"a": "\\ud83d", "b": ' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
)
def test_frames_of_another_shape_are_an_error(frame: str) -> None:
    decoder = OpenAIChatDecoder()
    assert [c.content for c in decoder.feed(chat_frame({"content": "a"}) + f"data: {frame}\n\n".encode() + DONE)] == [
        "a"
    ]
    with pytest.raises(ProviderInterrupted) as caught:
        decoder.close()
    assert caught.value.partial.content == "a"


def test_secrets_are_taken_out_of_errors() -> None:
    decoder = OpenAIChatDecoder(secrets=["sk-12345"])
    decoder.feed(chat_frame({}, error={"message": "no such key: sk-12345"}))
    with pytest.raises(ProviderInterrupted) as caught:
        decoder.close()
    assert "sk-12345" not in str(caught.value)


# -- any cuts ------------------------------------------------------------------------------------------------------------


TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\ud83d\udc4b"), max_size=5), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(
    text=TEXTS,
    reasoning=TEXTS,
    args=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    data=st.data(),
)
def test_any_cuts_give_the_same_message(
    text: list[str], reasoning: list[str], args: dict[str, Any], ends: str, data: st.DataObject
) -> None:
    stream = chat_stream(text, reasoning=reasoning, tool_calls=[{"name": "f", "args": args}], id="one").replace(
        b"\n", ends.encode()
    )
    expected = whole(decode(stream))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert whole(decode(stream, cuts)) == expected
    joined = "".join(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert expected.content == joined
    assert calls(expected) == [("f", args)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FUNCTION = st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON})
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON,
        "reasoning_content": JSON,
        "refusal": JSON,
        "reasoning_details": JSON,
        "annotations": JSON,
        "tool_calls": st.lists(st.fixed_dictionaries({"function": FUNCTION}, optional={"id": JSON, "index": JSON}))
        | JSON,
    },
)
CHOICE = st.fixed_dictionaries(
    {"delta": DELTA | JSON}, optional={"index": st.integers(0, 1) | JSON, "finish_reason": JSON, "logprobs": JSON}
)
FRAME = st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2) | JSON}, optional={"usage": JSON, "error": JSON})


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAME | JSON, max_size=4), st.binary(max_size=20))
def test_any_frames_end_in_a_message_or_in_our_error(frames: list[Any], rest: bytes) -> None:
    begun = chat_frame({"content": "so far"})
    stream = begun + b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + rest
    try:
        decode(stream)
    except ProviderInterrupted as error:
        assert error.partial.text.startswith("so far")
        error.partial.model_dump_json()


@pytest.mark.parametrize("name", OWN)
def test_own_streams_byte_by_byte(name: str) -> None:
    stream = OWN[name]
    assert whole(decode(stream, list(range(len(stream))))) == whole(decode(stream))


def test_a_long_argument_in_small_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        frames = [pieces(piece("x", "f", "", index=0)), *[pieces(piece(None, None, "[", index=0))] * size]
        decoder = OpenAIChatDecoder()
        start = time.process_time()
        for frame in frames:
            decoder.feed(frame)
        return time.process_time() - start

    assert min(seconds(8000) for _ in range(3)) < 4 * 2.3 * min(seconds(2000) for _ in range(3))


# -- recordings ----------------------------------------------------------------------------------------------------------

RECORDINGS = recorded("openai-chat")
ENDS_BADLY = {"error-midstream", "connection-cut-midframe"}


def expected_text(recording: Recording, choice: dict[str, Any]) -> str:
    if "helper_error" not in recording.expected:
        return choice["text"] or ""
    # There the official client's own collector gave up: join the pieces as they stand.
    deltas = [
        c["delta"].get("content") or ""
        for line in recording.path.read_text(encoding="utf-8").splitlines()
        if line.startswith("data: {")
        for c in json.loads(line[6:])["choices"]
        if c["index"] == choice["index"]
    ]
    return "".join(deltas)


@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recordings(recording: Recording) -> None:
    stream = recording.path.read_bytes()
    if recording.name in ENDS_BADLY:
        with pytest.raises(ProviderInterrupted) as caught:
            decode(stream)
        chunks = [caught.value.partial]
        if recording.expected["error"]:
            assert recording.expected["error"]["message"] in str(caught.value)
    else:
        chunks = decode(stream)
    assert {c.response_metadata.get("index", 0) for c in chunks} == {c["index"] for c in recording.expected["choices"]}
    for choice in recording.expected["choices"]:
        check_choice(whole(chunks, choice["index"]), choice, expected_text(recording, choice))
    if recording.expected["usage"]:
        check_usage(whole(chunks), recording.expected["usage"])


def check_choice(got: AIMessageChunk, expected: dict[str, Any], text: str) -> None:
    assert got.content == text
    assert got.response_metadata.get("finish_reason") == expected["finish_reason"] or not expected["finish_reason"]
    assert got.additional_kwargs.get("refusal", "") == (expected["refusal"] or "")
    assert expected["reasoning"] in (None, got.additional_kwargs.get("reasoning_content"))
    assert [(c["id"], c["name"], c["args"] or None) for c in got.tool_call_chunks] == [
        (c["id"], c["name"], c["arguments"]) for c in expected["tool_calls"]
    ]


def check_usage(got: AIMessageChunk, expected: dict[str, Any]) -> None:
    usage = got.usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (
        expected["prompt_tokens"],
        expected["completion_tokens"],
        expected["total_tokens"],
    )
    reasoning = (expected.get("completion_tokens_details") or {}).get("reasoning_tokens")
    assert usage.get("output_token_details", {}).get("reasoning") == reasoning
    assert got.response_metadata["token_usage"] == expected


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r.name not in ENDS_BADLY], ids=str)
def test_recordings_in_pieces_and_cut(recording: Recording) -> None:
    stream = recording.path.read_bytes()
    complete = decode(stream)
    indices = {c.response_metadata.get("index", 0) for c in complete}
    expected = [whole(complete, index) for index in indices]
    chance = random.Random(recording.name)
    for cuts in (list(range(len(stream))), [chance.randrange(len(stream)) for _ in range(200)]):
        chunks = decode(stream, cuts)
        assert [whole(chunks, index) for index in indices] == expected
    if len(indices) == 1:
        for _ in range(60):
            check_recorded_cut(stream, chance.randrange(len(stream)), expected[0])


def check_recorded_cut(stream: bytes, cut: int, complete: AIMessageChunk) -> None:
    decoder = OpenAIChatDecoder()
    chunks = decoder.feed(stream[:cut])
    try:
        chunks += decoder.close()
    except ProviderInterrupted as error:
        if chunks:
            assert error.partial.content == whole(chunks).content
            assert complete.content.startswith(error.partial.content)  # type: ignore[arg-type]
        else:
            assert error.partial is None
    else:
        assert whole(chunks).content == complete.content
        assert whole(chunks).tool_calls == complete.tool_calls


def test_own_streams_cut_before_the_first_frame_have_no_partial() -> None:
    with pytest.raises(ProviderInterrupted) as caught:
        decode(frames_of(OWN["text"])[0][:-1])
    assert caught.value.partial is None
