"""Messages out of strings, tuples and dicts, and into dicts and transcripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millstream import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    ChatPromptValue,
    FunctionMessage,
    HumanMessage,
    InvalidArgument,
    MissingKey,
    RemoveMessage,
    StringPromptValue,
    SystemMessage,
    ToolMessage,
    Unsupported,
    convert_to_messages,
    get_buffer_string,
    messages_from_dict,
    messages_to_dict,
)

CALL = {"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}
OPENAI_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("text", HumanMessage("text")),
        (("human", "x"), HumanMessage("x")),
        (("user", "x"), HumanMessage("x")),
        (["ai", "x"], AIMessage("x")),
        (("assistant", [{"type": "text", "text": "x"}]), AIMessage([{"type": "text", "text": "x"}])),
        (("system", "x"), SystemMessage("x")),
        (("developer", "x"), SystemMessage("x", additional_kwargs={"__openai_role__": "developer"})),
        ({"role": "user", "content": "x", "name": "n", "id": 5}, HumanMessage("x", name="n", id="5")),
        ({"role": "user", "content": "x", "own": 5}, HumanMessage("x", additional_kwargs={"own": 5})),
        ({"type": "human", "content": "x"}, HumanMessage("x")),
        ({"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]}, AIMessage("", tool_calls=[CALL])),
        ({"role": "assistant", "content": "x", "tool_calls": [CALL]}, AIMessage("x", tool_calls=[CALL])),
        ({"role": "assistant", "content": "x", "tool_calls": None}, AIMessage("x")),
        (
            {"role": "tool", "content": "x", "tool_call_id": "c", "artifact": [1], "status": "error"},
            ToolMessage("x", tool_call_id="c", artifact=[1], status="error"),
        ),
        ({"role": "function", "content": "x", "name": "f"}, FunctionMessage("x", name="f")),
        ({"role": "remove", "content": "x", "id": "1"}, RemoveMessage(id="1")),
        ({"type": "chat", "role": "critic", "content": "x"}, ChatMessage("x", role="critic")),
        (AIMessage("x").model_dump(), AIMessage("x")),
        (AIMessageChunk("x", tool_calls=[CALL]).model_dump(), AIMessageChunk("x", tool_calls=[CALL])),
        (ToolMessage("x", tool_call_id="c").model_dump(), ToolMessage("x", tool_call_id="c")),
    ],
    ids=repr,
)
def test_one(given: Any, message: Any) -> None:
    assert convert_to_messages([given]) == [message]


def test_messages_and_prompt_values() -> None:
    message = AIMessage("x")
    assert convert_to_messages([message])[0] is message
    assert convert_to_messages(message) == [message]
    assert convert_to_messages("x") == [HumanMessage("x")]
    assert convert_to_messages(("human", "x")) == [HumanMessage("human"), HumanMessage("x")]
    assert convert_to_messages(StringPromptValue("x")) == [HumanMessage("x")]
    assert convert_to_messages(ChatPromptValue([message])) == [message]
    assert convert_to_messages(iter(["x"])) == [HumanMessage("x")]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ([("martian", "x")], InvalidArgument, "'martian'.*human"),
        ([("human", "x", "y")], Unsupported, "role, content"),
        ([(1, 2)], Unsupported, "role, content"),
        ([{"role": "user"}], InvalidArgument, "`content`"),
        ([{"content": "x"}], InvalidArgument, "`role`"),
        ([5], Unsupported, "int"),
        ([None], Unsupported, "NoneType"),
        (5, InvalidArgument, "int"),
        ({"role": "user", "content": "x"}, InvalidArgument, "into a list"),
        ([{"role": "tool", "content": "x"}], MissingKey, "tool_call_id"),
        ([{"role": "remove", "content": ""}], InvalidArgument, "`id`"),
    ],
    ids=repr,
)
def test_bad_input(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        convert_to_messages(given)


def test_bad_json_in_arguments() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": "{"}}
    with pytest.raises(json.JSONDecodeError):
        convert_to_messages([{"role": "assistant", "content": "", "tool_calls": [call]}])


def test_the_given_dict_is_not_changed() -> None:
    given = {"role": "user", "content": None, "additional_kwargs": {"k": 1}, "own": 2}
    assert convert_to_messages([given])[0].additional_kwargs == {"k": 1, "own": 2}
    assert given == {"role": "user", "content": None, "additional_kwargs": {"k": 1}, "own": 2}


def test_to_dicts_and_back() -> None:
    messages = [
        HumanMessage("h", id="1"),
        AIMessage("a", tool_calls=[CALL]),
        ToolMessage("t", tool_call_id="c"),
        AIMessageChunk("a") + AIMessageChunk("b"),
        ChatMessage("c", role="critic"),
        RemoveMessage(id="1"),
    ]
    dicts = messages_to_dict(messages)
    assert [each["type"] for each in dicts] == ["human", "ai", "tool", "AIMessageChunk", "chat", "remove"]
    assert messages_from_dict(json.loads(json.dumps(dicts))) == messages
    with pytest.raises(InvalidArgument, match="martian"):
        messages_from_dict([{"type": "martian", "data": {"content": "x"}}])
    with pytest.raises(MissingKey, match="`data`"):
        messages_from_dict([{"type": "human"}])


def test_transcript() -> None:
    messages = [
        SystemMessage("s"),
        HumanMessage("h"),
        AIMessage("a", tool_calls=[CALL]),
        ToolMessage("t", tool_call_id="c"),
        FunctionMessage("f", name="f"),
        ChatMessage("c", role="critic"),
        AIMessage("", additional_kwargs={"function_call": {"name": "g"}}),
    ]
    assert get_buffer_string(messages).splitlines() == [
        "System: s",
        "Human: h",
        f"AI: a{[CALL]}",
        "Tool: t",
        "Function: f",
        "critic: c",
        "AI: {'name': 'g'}",
    ]
    assert get_buffer_string(messages[1:2], "User", message_separator="!") == "User: h"
    assert get_buffer_string([]) == ""


def test_transcript_as_xml() -> None:
    call = {"name": 'f"', "args": {"q": "<1>"}, "id": None}
    assert get_buffer_string([HumanMessage("a<b & c"), AIMessage("x", tool_calls=[call])], format="xml") == (
        '<message type="human">a&lt;b &amp; c</message>\n'
        '<message type="ai">\n'
        "  <content>x</content>\n"
        '  <tool_call id="" name="f&quot;">{"q": "&lt;1&gt;"}</tool_call>\n'
        "</message>"
    )


def test_transcript_of_what_has_no_place() -> None:
    with pytest.raises(InvalidArgument, match="RemoveMessage"):
        get_buffer_string([RemoveMessage(id="1")])
    with pytest.raises(InvalidArgument, match="'yaml'"):
        get_buffer_string([], format="yaml")  # type: ignore[arg-type]


def test_blocks_in_xml() -> None:
    def shown(*content: Any) -> str:
        return get_buffer_string([HumanMessage(list(content))], format="xml")[len('<message type="human">') : -10]

    assert shown("a<", {"type": "image", "url": "u&"}, "b") == 'a&lt; <image url="u&amp;" /> b'
    assert shown({"type": "image_url", "image_url": {"url": "https://x"}}) == '<image url="https://x" />'
    assert shown({"type": "audio", "file_id": "f"}) == '<audio file_id="f" />'
    assert shown("a", {"type": "image", "base64": "AA=="}, {"type": "own"}) == "a"
    assert shown({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}) == ""
    assert shown({"type": "reasoning", "reasoning": "so"}) == "<reasoning>so</reasoning>"
    call = {"type": "server_tool_call", "id": "1", "name": "n", "args": {"a": "<"}}
    assert shown(call) == '<server_tool_call id="1" name="n">{"a": "&lt;"}</server_tool_call>'
    result = {"type": "server_tool_result", "tool_call_id": "1", "status": "success", "output": "z" * 600}
    assert shown(result).endswith("z...</server_tool_result>") and len(shown(result)) < 600


def test_a_function_call_of_old_in_xml() -> None:
    call = {"name": "f", "arguments": '{"a": "<"}'}
    assert get_buffer_string([AIMessage("", additional_kwargs={"function_call": call})], format="xml") == (
        '<message type="ai">\n  <function_call name="f">{"a": "&lt;"}</function_call>\n</message>'
    )
