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

from millstream import AIMessage, AIMessageChunk, ProviderError, ProviderInterrupted
from millstream.data.chunks import message_chunk_to_message
from millstream.providers.responses_answer import read_response, response_chunk
from millstream.providers.responses_input import to_responses
from millstream.providers.responses_stream import ResponsesDecoder
from millstream.testing import frames_of, response_frame, response_item, response_of, response_stream

CREATED = response_frame(
    "response.created", response={"id": "resp_1", "model": "m", "status": "in_progress", "output": []}
)
CITATION = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 4}
END = b'"type":"response.completed"'


def decode(stream: bytes, cuts: list[int] | None = None, **options: Any) -> list[AIMessageChunk]:
    decoder = ResponsesDecoder(**options)
    edges = [0, *sorted(cuts or []), len(stream)]
    chunks = [chunk for a, b in pairwise(edges) for chunk in decoder.feed(stream[a:b])]
    return chunks + decoder.close()


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return reduce(lambda a, b: a + b, chunks)


def ended(*output: dict[str, Any], type: str = "response.completed", **response: Any) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    status = type.removeprefix("response.")
    return response_frame(
        type, response={"id": "resp_1", "model": "m", "status": status, "output": output, "usage": usage, **response}
    )


def message(*items: bytes) -> AIMessageChunk:
    return whole(decode(CREATED + b"".join(items) + ended()))


def text_delta(text: str, output: int = 0, content: int = 0, **more: Any) -> bytes:
    return response_frame("response.output_text.delta", output_index=output, content_index=content, delta=text, **more)


def said(text: str, **part: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], **part}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}


SEARCH = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "mills"}}
SQL = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "sql", "input": 'SELECT "a"\n'}

OWN = {
    "text": response_stream("The mill 🐎 grinds slowly."),
    "tool": response_stream(tool_calls=[{"name": "add", "args": {"a": 1, "b": "žluť"}}]),
    "parallel": response_stream("Both.", tool_calls=[{"name": "add", "args": {"a": 1}}, {"name": "now", "args": {}}]),
    "reasoning": response_stream("Four.", reasoning="two and two"),
    "halved characters": response_stream(["a\ud83d", "\udc4b b", "c\ud83d", "d"], reasoning=["x\ud83d"]),
    "server tools": CREATED
    + response_item(0, SEARCH)
    + response_item(1, said("They grind.", annotations=[CITATION]), ["They ", "grind."])
    + ended(),
    "free form": CREATED + response_item(0, SQL, ["SELECT ", '"a"', "\n"]) + ended(),
    "two responses": response_stream("One.", tool_calls=[{"name": "add", "args": {"a": 1}}])
    + response_stream(["Two."], usage=(20, 7)),
}


# -- what a stream becomes ----------------------------------------------------------------------------------------------


def test_the_shape_of_a_text_stream() -> None:
    chunks = decode(OWN["text"])
    texts = [block["text"] for c in chunks for block in c.content if "text" in block]  # type: ignore[index,operator]
    assert texts == ["The ", "mill ", "🐎 ", "grinds ", "slowly."]
    assert chunks[0].content == [{"type": "text", "text": "The ", "index": 0}]
    assert all(c.id is None for c in chunks)
    assert all(c.response_metadata == {"model_provider": "openai"} for c in chunks[:-1])
    assert [c.chunk_position for c in chunks] == [None] * (len(chunks) - 1) + ["last"]
    last = chunks[-1]
    assert last.content == []
    assert last.response_metadata.pop("token_usage")["total_tokens"] == 13
    assert last.response_metadata.pop("id").startswith("resp_standin_")
    assert last.response_metadata == {
        "model_provider": "openai",
        "model_name": "stand-in-1",
        "model": "stand-in-1",
        "object": "response",
        "status": "completed",
        "service_tier": "default",
        "created_at": 1_700_000_000,
    }
    assert last.usage_metadata == {
        "input_tokens": 9,
        "output_tokens": 4,
        "total_tokens": 13,
        "input_token_details": {"cache_read": 0},
        "output_token_details": {"reasoning": 0},
    }
    got = whole(chunks)
    assert got.content == [{"type": "text", "text": "The mill 🐎 grinds slowly.", "id": "msg_1", "index": 0}]
    assert got.text == "The mill 🐎 grinds slowly."
    assert whole(decode(OWN["text"], usage=False)).usage_metadata is None


def test_calls_come_as_pieces_and_join() -> None:
    chunks = decode(OWN["parallel"])
    opening = [c.tool_call_chunks[0] for c in chunks if c.tool_call_chunks and c.tool_call_chunks[0]["name"]]
    assert [(p["name"], p["id"], p["index"], p["args"]) for p in opening] == [
        ("add", "call_1", 1, ""),
        ("now", "call_2", 2, ""),
    ]
    got = whole(chunks)
    assert [(c["name"], c["args"]) for c in got.tool_calls] == [("add", {"a": 1}), ("now", {})]
    assert got.content[1] == {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "add",
        "arguments": '{"a": 1}',
        "index": 1,
    }


def test_reasoning_in_its_forms() -> None:
    def summary(text: str, number: int) -> bytes:
        return response_frame("response.reasoning_summary_text.delta", output_index=0, summary_index=number, delta=text)

    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "X", "status": "completed"}
    opened = response_frame("response.output_item.added", output_index=0, item={**item, "encrypted_content": "early"})
    closed = response_frame("response.output_item.done", output_index=0, item=item)
    got = message(opened, summary("two ", 0), summary("and", 0), summary("two", 1), closed)
    assert got.content == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [
                {"type": "summary_text", "text": "two and", "index": 0},
                {"type": "summary_text", "text": "two", "index": 1},
            ],
            "encrypted_content": "X",
            "status": "completed",
            "index": 0,
        }
    ]
    only_secret = message(opened, closed).content[0]
    assert (only_secret["summary"], only_secret["encrypted_content"]) == ([], "X")  # type: ignore[index,call-overload]
    shown = response_frame("response.reasoning_text.delta", output_index=0, content_index=0, delta="hm")
    assert message(opened, shown, shown).content[0]["content"] == [  # type: ignore[index,call-overload]
        {"type": "reasoning_text", "text": "hmhm", "index": 0}
    ]


def test_server_tools_and_citations() -> None:
    got = whole(decode(OWN["server tools"]))
    assert got.content == [
        {**SEARCH, "status": "completed", "index": 0},
        {"type": "text", "text": "They grind.", "annotations": [CITATION], "id": "msg_1", "index": 1},
    ]
    assert got.tool_calls == []


def test_code_and_mcp_calls_are_streamed() -> None:
    code = {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "code": "1+1",
        "container_id": "c",
        "outputs": [{"logs": "2"}],
    }
    asked = {"type": "mcp_call", "id": "mcp_1", "name": "ask", "arguments": "{}", "output": "yes", "error": None}
    got = message(
        response_frame("response.output_item.added", output_index=0, item={**code, "code": "", "outputs": None}),
        response_frame("response.code_interpreter_call_code.delta", output_index=0, delta="1+"),
        response_frame("response.code_interpreter_call_code.delta", output_index=0, delta="1"),
        response_frame("response.code_interpreter_call.interpreting", output_index=0),
        response_frame("response.output_item.done", output_index=0, item=code),
        response_frame("response.output_item.added", output_index=1, item={**asked, "arguments": "", "output": None}),
        response_frame("response.mcp_call_arguments.delta", output_index=1, delta="{}"),
        response_frame("response.output_item.done", output_index=1, item=asked),
    )
    del asked["error"]
    assert got.content == [{**code, "index": 0}, {**asked, "index": 1}]


def test_items_without_deltas() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'}
    approval = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "zip", "arguments": "{}", "server_label": "z"}
    items = [call, approval, said("Hi", annotations=[CITATION]), SQL]
    by_items = [response_frame("response.output_item.done", output_index=n, item=item) for n, item in enumerate(items)]
    for stream in (CREATED + b"".join(by_items) + ended(*items), CREATED + ended(*items)):
        got = whole(decode(stream))
        assert [(c["name"], c["args"]) for c in got.tool_calls] == [
            ("add", {"a": 1}),
            ("sql", {"__arg1": 'SELECT "a"\n'}),
        ]
        assert got.content[1] == {**approval, "index": 1}
        assert got.content[2] == {"type": "text", "text": "Hi", "annotations": [CITATION], "id": "msg_1", "index": 2}


def test_input_in_free_form_is_one_argument() -> None:
    chunks = decode(OWN["free form"])
    got = whole(chunks)
    assert got.tool_calls[0]["args"] == {"__arg1": 'SELECT "a"\n'}
    assert got.content[0]["input"] == 'SELECT "a"\n'  # type: ignore[index,call-overload]
    empty = {**SQL, "input": ""}
    assert message(response_item(0, empty)).tool_calls[0]["args"] == {"__arg1": ""}


def test_a_refusal() -> None:
    def delta(text: str) -> bytes:
        return response_frame("response.refusal.delta", output_index=0, content_index=0, delta=text)

    refused = {"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": "I will not"}]}
    done = response_frame("response.output_item.done", output_index=0, item=refused)
    added = response_frame("response.output_item.added", output_index=0, item={**refused, "content": []})
    for stream in ((added, delta("I "), delta("will not"), done), (done,)):
        got = message(*stream)
        assert got.content == [{"type": "refusal", "refusal": "I will not", "id": "msg_1", "index": 0}]
        assert got.additional_kwargs == {"refusal": "I will not"}


def test_several_texts_phases_and_logprobs() -> None:
    got = message(
        text_delta("a", 0, 0, logprobs=[{"token": "a", "logprob": -1.0}]),
        text_delta("b", 0, 1, logprobs=[{"token": "b", "logprob": -1.0}]),
        text_delta("c", 0, 0),
        response_frame("response.output_item.done", output_index=0, item={**said("ac"), "phase": "commentary"}),
    )
    assert got.content == [
        {"type": "text", "text": "ac", "id": "msg_1", "phase": "commentary", "index": 0},
        {"type": "text", "text": "b", "index": 1},
    ]
    assert [item["token"] for item in got.response_metadata["logprobs"]["content"]] == ["a", "b"]


def test_what_is_not_known_is_skipped() -> None:
    noise = response_frame("response.weather", rain=1) + response_frame("response.image_generation_call.partial_image")
    assert whole(decode(CREATED + noise + text_delta("a") + ended())).text == "a"


def test_a_resumed_stream_does_not_begin_at_its_beginning() -> None:
    got = whole(decode(text_delta("a", item_id="x") + text_delta("b", item_id="y") + ended()))
    assert (got.text, got.response_metadata["id"]) == ("ab", "resp_1")


# -- ends ---------------------------------------------------------------------------------------------------------------


def test_an_incomplete_response_ends_with_its_reason() -> None:
    call = response_frame(
        "response.output_item.added",
        output_index=0,
        item={"type": "function_call", "call_id": "c1", "name": "add", "arguments": ""},
    )
    cut = response_frame("response.function_call_arguments.delta", output_index=0, delta='{"a": [1')
    details = {"reason": "max_output_tokens"}
    got = whole(decode(CREATED + call + cut + ended(type="response.incomplete", incomplete_details=details)))
    assert got.response_metadata["status"] == "incomplete"
    assert got.response_metadata["incomplete_details"] == details
    assert got.tool_calls == []
    assert got.invalid_tool_calls[0]["args"] == '{"a": [1'


ERROR = {"code": "server_error", "message": "Broken: sk-12345"}


@pytest.mark.parametrize(
    "frame",
    [
        response_frame("error", error={"type": "x", **ERROR}),
        response_frame("error", param=None, sequence_number=3, **ERROR),
        response_frame("response.failed", response={"id": "resp_1", "status": "failed", "error": ERROR}),
    ],
)
def test_an_error_in_the_middle(frame: bytes) -> None:
    decoder = ResponsesDecoder(secrets=["sk-12345"])
    chunks = decoder.feed(CREATED + text_delta("so far") + frame + ended())
    assert [c.text for c in chunks] == ["so far"]
    assert decoder.finished and decoder.reported
    with pytest.raises(ProviderInterrupted, match="Broken") as caught:
        decoder.close()
    assert caught.value.partial.text == "so far"
    assert caught.value.partial.response_metadata["id"] == "resp_1"
    assert caught.value.code == "server_error"
    assert "sk-12345" not in str(caught.value)


@pytest.mark.parametrize("name", OWN)
def test_cut_at_every_byte(name: str) -> None:
    stream = OWN[name]
    for cut in range(len(stream)):
        check_cut(stream[:cut])


def check_cut(stream: bytes) -> None:
    decoder = ResponsesDecoder()
    chunks = decoder.feed(stream)
    after = stream.rpartition(END)[2].replace(b"\ndata: [DONE]", b"")
    if decoder.complete and b"\nd" not in after:
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
        assert partial.additional_kwargs == got.additional_kwargs


@pytest.mark.parametrize("name", OWN)
def test_own_streams_byte_by_byte(name: str) -> None:
    stream = OWN[name]
    assert whole(decode(stream, list(range(len(stream))))) == whole(decode(stream))


def test_two_responses_in_one_body_are_read_as_one() -> None:
    got = whole(decode(OWN["two responses"]))
    assert got.text == "One.Two."
    assert [block["index"] for block in got.content] == [0, 1, 2]  # type: ignore[index]
    assert (got.usage_metadata or {})["total_tokens"] == 27


def test_a_mark_of_another_protocol_after_the_end_ends_it() -> None:
    decoder = ResponsesDecoder()
    assert (
        whole(decoder.feed(b"data: [DONE]\n\n" + OWN["text"] + b"data: [DONE]\n\n")).text
        == "The mill 🐎 grinds slowly."
    )
    assert decoder.finished
    assert whole(decode(OWN["text"] + b"data: [DONE]")).text == "The mill 🐎 grinds slowly."


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "[1]",
        "{}",
        '{"type":"response.output_text.delta"}',
        '{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":3}',
        '{"type":"response.output_item.added","output_index":0,"item":3}',
        '{"type":"response.function_call_arguments.delta","output_index":7,"delta":"x"}',
        '{"type":"response.created"}',
        '{"type":"response.completed","response":{"output":[3]}}',
        "[" * 10_000,
    ],
)
def test_frames_of_another_shape_are_an_error(frame: str) -> None:
    decoder = ResponsesDecoder()
    chunks = decoder.feed(CREATED + text_delta("a") + f"data: {frame}\n\n".encode() + ended())
    assert "".join(c.text for c in chunks) == "a"
    with pytest.raises(ProviderInterrupted) as caught:
        decoder.close()
    assert caught.value.partial.text == "a"


# -- whole answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in OWN if name not in ("two responses", "halved characters", "free form", "server tools")]
)
def test_a_whole_response_is_the_sum_of_its_stream(name: str) -> None:
    expected = whole(decode(OWN[name]))
    response = json.loads(response_of(OWN[name]))
    got = response_chunk(response)
    assert normal(got.content) == normal(expected.content)
    assert got.tool_calls == expected.tool_calls
    assert got.usage_metadata == expected.usage_metadata
    assert got.response_metadata == expected.response_metadata
    message = read_response(response).generations[0].message
    told = message_chunk_to_message(got)
    assert (message.text, message.response_metadata) == (told.text, told.response_metadata)
    assert message.tool_calls == told.tool_calls
    assert [block["type"] for block in message.content] == [block["type"] for block in told.content]


def test_what_came_whole_needs_no_numbers_and_says_all_of_its_items() -> None:
    items = [
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
    ]
    assert read_response({"output": items}).generations[0].message.content == [
        {"type": "text", "text": "hi", "annotations": [], "id": "msg_1"},
        {**items[1]},
    ]


def test_two_citations_at_one_place_stay_two() -> None:
    cited = [{"type": "file_citation", "file_id": f"file-{n}", "filename": f"{n}.txt", "index": 30} for n in (1, 2)]
    item = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi", "annotations": cited}]}
    (block,) = response_chunk({"output": [item]}).content
    assert [(a["file_id"], a["file_index"]) for a in block["annotations"]] == [("file-1", 30), ("file-2", 30)]
    sent = to_responses([AIMessage([block])])[0]["content"][0]["annotations"]
    assert sent == cited


def normal(content: Any) -> Any:
    """Texts of a summary are numbered only where they came in pieces."""
    text = json.dumps(content).replace(', "index": 0}]', "}]").replace(', "index": 0', "")
    return json.loads(text)


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"output": None}, {"output": [3]}, {"output": [{"type": "message", "content": [3]}]}]
)
def test_answers_of_another_shape(answer: Any) -> None:
    with pytest.raises(ProviderError, match="another shape"):
        read_response(answer)


# -- halves of characters, any cuts, any frames ---------------------------------------------------------------------------

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\ud83d\udc4b"), max_size=5), max_size=6
)


def joined(pieces: list[str]) -> str:
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


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
    stream = response_stream(text, reasoning=reasoning, tool_calls=[{"name": "f", "args": args}], id="resp_1")
    stream = stream.replace(b"\n", ends.encode())
    expected = whole(decode(stream))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert whole(decode(stream, cuts)) == expected
    assert expected.text == joined(text)
    assert [(c["name"], c["args"]) for c in expected.tool_calls] == [("f", args)]
    expected.model_dump_json()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KINDS = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.completed",
        "response.failed",
        "error",
    ]
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal"])}, optional={"text": JSON, "refusal": JSON, "annotations": JSON}
)
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "custom_tool_call", "reasoning", "mcp_call", "x"])},
    optional={
        "id": JSON,
        "call_id": JSON,
        "name": JSON,
        "arguments": JSON,
        "input": JSON,
        "summary": JSON,
        "content": st.lists(PART, max_size=2) | JSON,
    },
)
RESPONSE = st.fixed_dictionaries(
    {}, optional={"output": st.lists(ITEM, max_size=2) | JSON, "usage": JSON, "error": JSON}
)
FRAME = st.fixed_dictionaries(
    {"type": KINDS},
    optional={
        "output_index": st.integers(0, 2) | JSON,
        "content_index": st.integers(0, 1) | JSON,
        "summary_index": st.integers(0, 1) | JSON,
        "delta": st.text(max_size=3) | JSON,
        "item": ITEM | JSON,
        "annotation": JSON,
        "response": RESPONSE | JSON,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAME | JSON, max_size=6), st.binary(max_size=20))
def test_any_frames_end_in_a_message_or_in_our_error(frames: list[Any], rest: bytes) -> None:
    begun = CREATED + text_delta("so far")
    stream = begun + b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + rest
    try:
        decode(stream)
    except ProviderInterrupted as error:
        assert error.partial.text.startswith("so far")
        error.partial.model_dump_json()


def test_ten_thousand_pieces_of_arguments_take_linear_time() -> None:
    def seconds(size: int) -> float:
        call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "[" * size}
        frames = frames_of(CREATED + response_item(0, call, ["["] * size) + ended())
        decoder = ResponsesDecoder()
        begin = time.process_time()
        for frame in frames:
            decoder.feed(frame)
        return time.process_time() - begin

    assert min(seconds(10_000) for _ in range(3)) < 4 * 2.3 * min(seconds(2_500) for _ in range(3))


# -- recordings ----------------------------------------------------------------------------------------------------------

RECORDINGS = recorded("openai-responses")
ENDS_BADLY = {"error", "connection-cut-midframe"}
SPLICED = "reasoning-encrypted-tool"  # four responses in one body, of which the provider's client knows the last


@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recordings(recording: Recording) -> None:
    stream, expected = recording.path.read_bytes(), recording.expected
    if recording.name in ENDS_BADLY:
        with pytest.raises(ProviderInterrupted) as caught:
            decode(stream)
        got = caught.value.partial
        if expected["error"]:
            assert expected["error"]["message"] in str(caught.value)
            assert got is None
            return
    else:
        got = whole(decode(stream))
        assert got.response_metadata["token_usage"] == expected["usage"]
        assert (got.usage_metadata or {})["total_tokens"] == expected["usage"]["total_tokens"]
    assert got.text == expected["delta_text"]
    assert got.response_metadata["status"] == expected["final_status"]
    if recording.name not in (SPLICED, *ENDS_BADLY):
        check_content(got, expected)


def check_content(got: AIMessageChunk, expected: dict[str, Any]) -> None:
    blocks = [block for block in got.content if isinstance(block, dict)]
    assert ["message" if b["type"] == "text" else b["type"] for b in blocks] == expected["output_items"]
    thoughts = [
        text for b in blocks if b["type"] == "reasoning" for text in (*b.get("summary", ()), *b.get("content", ()))
    ]
    assert "".join(text["text"] for text in thoughts) == expected["reasoning"]
    # The place in the text that OpenAI calls `index` has a name of its own here: lists merge by `index`.
    annotations = [
        {"index" if key == "file_index" else key: a[key] for key in a} for b in blocks for a in b.get("annotations", ())
    ]
    assert annotations == expected["annotations"]
    assert got.additional_kwargs.get("refusal", "") == expected["refusal"]
    calls = [b for b in blocks if b["type"] in ("function_call", "custom_tool_call")]
    assert [(b["call_id"], b["name"], b.get("arguments", b.get("input"))) for b in calls] == [
        (c["id"], c["name"], c["arguments"]) for c in expected["tool_calls"]
    ]
    assert [c["id"] for c in got.tool_calls] == [c["id"] for c in expected["tool_calls"]]


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r.name not in ENDS_BADLY], ids=str)
def test_recordings_in_pieces_and_cut(recording: Recording) -> None:
    stream = recording.path.read_bytes()
    expected = whole(decode(stream))
    chance = random.Random(recording.name)
    for cuts in (list(range(len(stream))), [chance.randrange(len(stream)) for _ in range(200)]):
        assert whole(decode(stream, cuts)) == expected
    for _ in range(60):
        check_cut(stream[: chance.randrange(len(stream))])


def test_a_frame_that_was_repeated_on_the_way_is_read_once() -> None:
    def said(number: int) -> bytes:
        return text_delta("ha ", sequence_number=number)

    # Numbered: the same frame twice is a repeat, another one with the same text is not.
    assert message(CREATED, said(1), said(1), said(2), said(3), said(3), ended()).text == "ha ha ha "
    # Servers that do not number, or number all frames 0, say what they say.
    assert message(CREATED, said(0), said(0), text_delta("ha "), text_delta("ha "), ended()).text == "ha ha ha ha "


def test_an_error_that_names_no_type() -> None:
    with pytest.raises(ProviderInterrupted, match="busy"):
        message(CREATED, b'data: {"error":{"message":"busy","code":"x"}}\n\n')
