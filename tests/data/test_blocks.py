"""Content blocks: what each provider's form is shown as."""

from __future__ import annotations

from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk, HumanMessage

CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


def without_ids(blocks: list[Any]) -> list[Any]:
    for block in blocks:
        if block["type"] in ("image", "audio", "video", "file", "text-plain"):
            block.pop("id", None)
    return blocks


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ("a", {"type": "text", "text": "a"}),
        ({"type": "text", "text": "a", "index": 0}, {"type": "text", "text": "a", "index": 0}),
        ({"type": "weird", "x": 1}, {"type": "non_standard", "value": {"type": "weird", "x": 1}}),
        ({"x": 1}, {"type": "non_standard", "value": {"x": 1}}),
        ({"text": "a"}, {"type": "text", "text": "a"}),
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, {"type": "image", "url": "https://x/y.png"}),
        ({"type": "image_url", "image_url": "https://x/y.png"}, {"type": "image", "url": "https://x/y.png"}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "image", "base64": "AA==", "mime_type": "image/png", "extras": {"detail": "low"}},
        ),
        ({"type": "image_url"}, {"type": "non_standard", "value": {"type": "image_url"}}),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "audio", "base64": "AA==", "mime_type": "audio/wav"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            {"type": "file", "base64": "AA==", "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}},
        ),
        ({"type": "file", "file": {"file_id": "f1"}}, {"type": "file", "file_id": "f1"}),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            {"type": "image", "base64": "AA==", "mime_type": "image/png"},
        ),
        ({"type": "image", "source": {"type": "url", "url": "u"}}, {"type": "image", "url": "u"}),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "t"},
            {"type": "text-plain", "text": "a", "mime_type": "text/plain", "extras": {"title": "t"}},
        ),
        (
            {"type": "image", "source_type": "base64", "data": "AA==", "mime_type": "image/png"},
            {"type": "image", "base64": "AA==", "mime_type": "image/png"},
        ),
        ({"type": "audio", "source_type": "url", "url": "u"}, {"type": "audio", "url": "u"}),
        ({"type": "file", "source_type": "id", "id": "f1"}, {"type": "file", "file_id": "f1"}),
        (
            {"type": "media", "mime_type": "video/mp4", "file_uri": "u"},
            {"type": "video", "mime_type": "video/mp4", "url": "u"},
        ),
        (
            {"type": "media", "mime_type": "application/pdf", "data": "AA=="},
            {"type": "file", "mime_type": "application/pdf", "base64": "AA=="},
        ),
        ({"type": "image", "url": "u", "id": "i1"}, {"type": "image", "url": "u"}),
        (
            {"type": "thinking", "thinking": "hm", "signature": "s", "index": 0},
            {"type": "reasoning", "reasoning": "hm", "index": 0, "extras": {"signature": "s"}},
        ),
    ],
    ids=repr,
)
def test_forms(block: Any, shown: Any) -> None:
    assert without_ids(HumanMessage([block]).content_blocks) == [shown]


@pytest.mark.parametrize(
    ("block", "made"),
    [
        ({"type": "image_url", "image_url": {"url": "u"}}, True),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, True),
        ({"type": "file", "file": {"file_id": "f"}}, True),
        ({"type": "image", "source": {"type": "url", "url": "u"}}, False),
        ({"type": "image", "source_type": "url", "url": "u"}, False),
    ],
    ids=repr,
)
def test_only_openais_forms_get_an_id(block: Any, made: bool) -> None:
    assert ("id" in HumanMessage([block]).content_blocks[0]) is made


def test_what_more_a_block_says_is_kept() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    for block in (
        {"type": "image", "source_type": "url", "url": "u", **mark},
        {"type": "image", "source": {"type": "url", "url": "u"}, **mark},
    ):
        assert HumanMessage([block]).content_blocks == [{"type": "image", "url": "u", "extras": mark}]


def test_text() -> None:
    assert AIMessage("hi").content_blocks == [{"type": "text", "text": "hi"}]
    assert AIMessage("").content_blocks == []


def test_reasoning_comes_first_and_calls_last() -> None:
    message = AIMessage("hi", additional_kwargs={"reasoning_content": "because"}, tool_calls=[CALL])
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call"]


def test_a_call_is_shown_once() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}
    assert AIMessage([use], tool_calls=[CALL]).content_blocks == [CALL]
    assert AIMessage([CALL], tool_calls=[CALL]).content_blocks == [CALL]


def test_pieces_of_a_call_while_it_arrives() -> None:
    piece = {"name": "f", "args": '{"a"', "id": "c1", "index": 0, "type": "tool_call_chunk"}
    assert AIMessageChunk("", tool_call_chunks=[piece]).content_blocks == [piece]
    whole = AIMessageChunk("", tool_call_chunks=[{**piece, "args": '{"a": 1}'}], chunk_position="last")
    assert whole.content_blocks == [CALL]


def test_blocks_can_be_given_instead_of_content() -> None:
    message = AIMessage(content_blocks=[{"type": "text", "text": "t"}, CALL])
    assert message.content == [{"type": "text", "text": "t"}, CALL]
    assert message.tool_calls == [CALL]
    piece = {"type": "tool_call_chunk", "name": "f", "args": "{", "id": "1", "index": 0}
    assert AIMessageChunk(content_blocks=[piece]).tool_call_chunks == [piece]


def test_pieces_in_content_of_version_1_become_calls_at_the_end() -> None:
    version = {"output_version": "v1"}
    piece = {"type": "tool_call_chunk", "name": "f", "args": '{"a"', "id": "c1", "index": "lc_tc_0", "extras": {"k": 1}}
    served = {"type": "server_tool_call_chunk", "name": "web_search", "args": '{"q": 1}', "id": "s", "index": 1}
    first = AIMessageChunk(content_blocks=[piece, served], response_metadata=version)
    rest = AIMessageChunk(
        content_blocks=[{**piece, "name": None, "id": None, "args": ": 1}", "extras": None}], response_metadata=version
    )
    last = AIMessageChunk([], chunk_position="last")
    assert [block["type"] for block in (first + rest).content] == ["tool_call_chunk", "server_tool_call_chunk"]
    done = {**served, "type": "server_tool_call", "args": {"q": 1}}
    pieces = [rest, last]
    for whole in (first + rest + last, first + pieces):
        assert whole.content == whole.content_blocks == [{**CALL, "extras": {"k": 1}}, done]
    assert (first + last).content[0]["type"] == "invalid_tool_call"


def test_content_of_version_1_is_returned_as_it_is() -> None:
    message = AIMessage([{"type": "own"}], response_metadata={"output_version": "v1"})
    assert message.content_blocks is message.content


def test_blocks_do_not_change_the_content() -> None:
    content = [{"type": "image_url", "image_url": {"url": "u"}}]
    message = HumanMessage(content)
    _ = message.content_blocks
    assert message.content == [{"type": "image_url", "image_url": {"url": "u"}}]
