"""Tools that take free text (`{"type": "custom"}`), on both of OpenAI's wires."""

from __future__ import annotations

from typing import Any

import pytest
from colours import Colour
from wires import joined

from millstream import AIMessage, ChatOpenAI, HumanMessage, InvalidArgument, Tool, ToolMessage, create_react_agent
from millstream.providers.free_text import chat_tool, flat_tool
from millstream.providers.openai_chat import OpenAIChatDecoder
from millstream.testing import Reply, StandInProvider, chat_answer, chat_frame, chat_stream, response_stream

TEXT = 'SELECT "a"\n-- ž\\ 🐎 {"x": 1}'
SQL = {"type": "custom", "name": "sql", "description": "Asks a database."}
NESTED = {"type": "custom", "custom": {"name": "sql", "description": "Asks a database."}}
CALL = {"name": "sql", "input": TEXT, "id": "call_7"}
SENT = {"type": "custom", "id": "call_7", "custom": {"name": "sql", "input": TEXT}}
ADD = {"name": "add", "args": {"a": 1}, "id": "call_8"}


def model_at(provider: StandInProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=provider.base_url, **settings)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
def test_a_call(whole: bool, colour: Colour) -> None:
    async def body(colour: Colour) -> Any:
        model = model_at(provider)
        return await colour.invoke(model, "hi") if whole else joined(await colour.collect(model, "hi"))

    with StandInProvider(lambda _: chat_stream("Hm. ", tool_calls=[CALL, ADD])) as provider:
        message = colour.run(body)
    assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
        ("sql", {"__arg1": TEXT}, "call_7"),
        ("add", {"a": 1}, "call_8"),
    ]
    assert not message.invalid_tool_calls and message.text == "Hm. "
    assert message.additional_kwargs["custom_tool_calls"] == ["call_7"]


def test_the_pieces_are_text_as_it_comes() -> None:
    chunks = OpenAIChatDecoder().feed(chat_stream(tool_calls=[CALL]))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert pieces[0]["args"] == '{"__arg1": "' and pieces[0]["name"] == "sql"
    assert pieces[1]["args"] == "SELEC" and pieces[-1]["args"] == '"}'
    early = joined(chunks[:4])
    assert early.tool_calls[0]["args"]["__arg1"] and TEXT.startswith(early.tool_calls[0]["args"]["__arg1"])


@pytest.mark.parametrize(
    "frames",
    [
        [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql"}}],
        [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": None}}],
        [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": ""}}],
        [{"id": "c", "custom": {"name": "sql", "input": ""}}, {"custom": {"input": ""}}],
    ],
)
def test_a_call_without_text(frames: list[Any]) -> None:
    decoder = OpenAIChatDecoder()
    chunks = decoder.feed(b"".join(chat_frame({"tool_calls": [frame]}) for frame in frames))
    chunks += decoder.feed(chat_frame({}, finish_reason="tool_calls")) + decoder.close()
    assert [call["args"] for call in joined(chunks).tool_calls] == [{"__arg1": ""}]


def test_a_call_that_was_cut_is_not_one_to_run() -> None:
    decoder = OpenAIChatDecoder()
    stream = chat_stream(tool_calls=[CALL])
    decoder.feed(stream[: stream.index(b'finish_reason":"')])
    with pytest.raises(Exception, match="cut") as caught:
        decoder.close()
    assert caught.value.partial.tool_call_chunks[0]["args"].startswith('{"__arg1": "SELECT')  # type: ignore[attr-defined]
    assert not caught.value.partial.tool_call_chunks[0]["args"].endswith('"}')  # type: ignore[attr-defined]


def test_halves_of_a_character_find_together() -> None:
    pieces = [{"name": "sql", "input": "a\ud83d"}, {"input": "\udc0e"}, {"input": "b\ud83d"}]
    frames = [chat_frame({"tool_calls": [{"index": 0, "custom": piece}]}) for piece in pieces]
    decoder = OpenAIChatDecoder()
    chunks = decoder.feed(b"".join(frames) + b"data: [DONE]\n\n")
    assert joined(chunks + decoder.close()).tool_calls[0]["args"] == {"__arg1": "a🐎b\ufffd"}


@pytest.mark.parametrize("tool", [SQL, NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_tools_are_told_in_the_form_of_the_wire(tool: dict[str, Any], responses: bool) -> None:
    stream = response_stream("ok") if responses else chat_stream("ok")
    with StandInProvider([stream] * 2) as provider:
        model = model_at(provider, use_responses_api=responses)
        model.bind_tools([tool], tool_choice="sql").invoke("hi")
        model.bind(tools=[tool]).invoke("hi")
    choice = {"type": "custom", "name": "sql"} if responses else {"type": "custom", "custom": {"name": "sql"}}
    assert provider.requests[0].json["tools"] == provider.requests[1].json["tools"] == [SQL if responses else NESTED]
    assert provider.requests[0].json["tool_choice"] == choice
    with pytest.raises(InvalidArgument, match=r"no tool that was given.*sql"):
        model.bind_tools([tool], tool_choice="sqlite")


def test_a_grammar_is_told_in_the_form_of_the_wire() -> None:
    rule = {"syntax": "regex", "definition": "a+"}
    flat = {**SQL, "format": {"type": "grammar", **rule}}
    nested = {"type": "custom", "custom": {**NESTED["custom"], "format": {"type": "grammar", "grammar": rule}}}  # type: ignore[dict-item]
    assert chat_tool(flat) == nested and flat_tool(nested) == flat
    assert chat_tool(nested) == nested and flat_tool(flat) == flat


@pytest.mark.parametrize("cls", ["whole", "streamed"])
def test_a_call_goes_back_as_it_came(cls: str) -> None:
    with StandInProvider(lambda _: chat_stream(tool_calls=[CALL, ADD])) as provider:
        model = model_at(provider)
        said: Any = model.invoke("hi") if cls == "whole" else joined(list(model.stream("hi")))
        model.invoke([HumanMessage("hi"), said, ToolMessage("1", tool_call_id="call_7"), ToolMessage("2", tool_call_id="call_8")])  # fmt: skip
    back = provider.requests[-1].json["messages"]
    assert back[1]["tool_calls"][0] == SENT
    assert back[1]["tool_calls"][1]["function"]["name"] == "add"
    assert back[2] == {"role": "tool", "content": "1", "tool_call_id": "call_7"}


def test_a_conversation_may_go_on_with_the_other_wire() -> None:
    item = {"type": "custom_tool_call", "call_id": "call_7", "name": "sql", "input": TEXT}
    by_chat = AIMessage("", tool_calls=[{"name": "sql", "args": {"__arg1": TEXT}, "id": "call_7"}], additional_kwargs={"custom_tool_calls": ["call_7"]})  # fmt: skip
    by_responses = AIMessage([item], tool_calls=by_chat.tool_calls)
    result = ToolMessage("1", tool_call_id="call_7")
    with StandInProvider([response_stream("ok"), chat_stream("ok")]) as provider:
        model_at(provider, use_responses_api=True).invoke([by_chat, result])
        model_at(provider).invoke([by_responses, result])
    assert provider.requests[0].json["input"] == [
        item,
        {"type": "custom_tool_call_output", "call_id": "call_7", "output": "1"},
    ]
    assert provider.requests[1].json["messages"][0]["tool_calls"] == [SENT]


def test_a_whole_agent(colour: Colour) -> None:
    asked: list[str] = []

    def run(text: str) -> str:
        asked.append(text)
        return "3 rows"

    script = [chat_stream(tool_calls=[CALL]), chat_stream("There are 3.")]
    with StandInProvider(script) as provider:
        model = model_at(provider).bind_tools([SQL])
        agent = create_react_agent(model, [Tool(name="sql", description="Asks a database.", func=run)])
        state = colour.run(lambda colour: colour.invoke(agent, {"messages": [("user", "how many?")]}))
    assert state["messages"][-1].text == "There are 3." and asked == [TEXT]
    assert provider.requests[-1].json["messages"][-2]["tool_calls"] == [SENT]


def test_an_answer_that_came_whole_although_a_stream_was_asked_for() -> None:
    with StandInProvider([Reply.json(chat_answer(tool_calls=[CALL]))]) as provider:
        chunk = joined(list(model_at(provider).stream("hi")))
    assert chunk.tool_calls[0]["args"] == {"__arg1": TEXT}
    assert chunk.additional_kwargs == {"custom_tool_calls": ["call_7"]}
