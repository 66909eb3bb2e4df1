"""Content blocks: what each provider's form is shown as."""

from __future__ import annotations

from typing import Any

import pytest

from millstream import AIMessage, AIMessageChunk, HumanMessage

CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


def without_ids(blocks: list[Any]) -> list[Any]:
    for block in blocks:
        if block["type"] in ("image", "audio", "video", "file", "text-plain"):
            assert block.pop("id")
    return blocks


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ("a", {"type": "text", "text": "a"}),
        ({"type": "text", "text": "a", "index": 0}, {"type": "text", "text": "a", "index": 0}),
        ({"type": "weird", "x": 1}, {"type": "non_standard", "value": {"type": "weird", "x": 1}}),
        ({"x": 1}, {"type": "non_standard", "value": {"x": 1}}),
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


def test_content_of_version_1_is_returned_as_it_is() -> None:
    message = AIMessage([{"type": "own"}], response_metadata={"output_version": "v1"})
    assert message.content_blocks is message.content


def test_blocks_do_not_change_the_content() -> None:
    content = [{"type": "image_url", "image_url": {"url": "u"}}]
    message = HumanMessage(content)
    _ = message.content_blocks
    assert message.content == [{"type": "image_url", "image_url": {"url": "u"}}]
