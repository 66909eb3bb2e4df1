"""Our values as fields of pydantic models and FastAPI endpoints: read, written and described."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter

from millstream import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    BaseMessageChunk,
    ChatGeneration,
    ChatMessage,
    ChatPromptValue,
    ChatResult,
    Document,
    FunctionMessage,
    HumanMessage,
    LLMResult,
    PromptValue,
    RemoveMessage,
    StringPromptValue,
    SystemMessage,
    ToolMessage,
    ToolMessageChunk,
)

CALL = {"name": "f", "args": {"a": [1, None]}, "id": "c1", "type": "tool_call"}
USAGE = {
    "input_tokens": 1,
    "output_tokens": 2,
    "total_tokens": 3,
    "input_token_details": {"cache_read": 1, "of_the_provider": 5},
}
MESSAGES = [
    HumanMessage("a", id="1", name="ann", additional_kwargs={"k": [1]}),
    HumanMessage([{"type": "text", "text": "a"}, "b"]),
    SystemMessage("a"),
    AIMessage("a", tool_calls=[CALL], usage_metadata=USAGE, response_metadata={"model": "m"}),
    AIMessage("a", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}]),
    ToolMessage("a", tool_call_id="c1", artifact={"x": [1]}, status="error"),
    FunctionMessage("a", name="f"),
    ChatMessage("a", role="critic"),
    RemoveMessage(id="1"),
    AIMessageChunk(
        "a", tool_call_chunks=[{"name": "f", "args": '{"a"', "id": "c1", "index": 0}], chunk_position="last"
    ),
    AIMessageChunk("a") + AIMessageChunk("b"),
    ToolMessageChunk("a", tool_call_id="c1"),
    HumanMessage("a", mood="calm"),
]


class Talk(BaseModel):
    messages: list[BaseMessage] = []
    any: list[AnyMessage] = []
    last: AIMessage | None = None


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_round_trip_through_a_model(message: Any) -> None:
    talk = Talk(messages=[message], any=[message])
    assert talk.messages[0] is message
    assert Talk.model_validate(talk.model_dump()) == talk
    assert Talk.model_validate_json(talk.model_dump_json()) == talk
    assert type(Talk.model_validate_json(talk.model_dump_json()).any[0]) is type(message)


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_every_field_is_written(message: Any) -> None:
    written = TypeAdapter(list[AnyMessage]).dump_python([message])[0]
    assert written == message.model_dump()
    assert written["type"] == message.type
    assert "tool_calls" in written or not isinstance(message, AIMessage)


def test_one_class_takes_itself_and_its_dict_only() -> None:
    adapter = TypeAdapter(AIMessage)
    assert adapter.validate_python({"content": "a"}) == AIMessage("a")
    chunk = AIMessageChunk("a")
    assert adapter.validate_python(chunk) is chunk
    assert adapter.dump_python(chunk)["type"] == "AIMessageChunk"
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python({"content": "a", "type": "human"})
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python(HumanMessage("a"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"type": "human"},
        {"type": "martian", "content": "a"},
        {"content": "a"},
        {"type": "human", "content": 5},
        {"type": "human", "content": None},
        {"type": "tool", "content": "a"},
        {"type": "ai", "content": "a", "tool_calls": [{"name": "f", "args": "{}", "id": "1"}]},
        {"type": "ai", "content": "a", "usage_metadata": {"input_tokens": "many"}},
        {"type": "remove", "id": "1", "content": "a"},
        5,
    ],
)
def test_bad_input_is_pydantics_error(given: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        TypeAdapter(BaseMessage).validate_python(given)


def test_options_of_dumping_are_honoured() -> None:
    talk = Talk(messages=[HumanMessage("a")])
    assert talk.model_dump(exclude_none=True)["messages"][0] == {
        "content": "a",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "human",
    }
    assert talk.model_dump(exclude={"messages": {0: {"content"}}})["messages"][0].get("content") is None


def test_chunks_alone() -> None:
    adapter = TypeAdapter(BaseMessageChunk)
    assert adapter.validate_python({"type": "AIMessageChunk", "content": "a"}) == AIMessageChunk("a")
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python({"type": "ai", "content": "a"})


@pytest.mark.parametrize(
    "value",
    [
        Document("a", {"k": 1}, "1"),
        ChatGeneration(message=AIMessage("a")),
        ChatResult(generations=[ChatGeneration(message=AIMessage("a"))], llm_output={"t": 1}),
        LLMResult(generations=[[ChatGeneration(message=AIMessage("a"))]]),
        StringPromptValue("a"),
        ChatPromptValue([HumanMessage("a"), AIMessage("b")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_round_trip(value: Any) -> None:
    adapter = TypeAdapter(type(value))
    assert adapter.validate_json(adapter.dump_json(value)) == value
    assert type(value).model_validate(value.model_dump()) == value


def test_prompt_values_are_told_apart_by_type() -> None:
    adapter = TypeAdapter(PromptValue)
    value = ChatPromptValue([HumanMessage("a")])
    assert adapter.validate_json(adapter.dump_json(value)) == value


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_json_schema_tells_the_classes_apart(mode: Any) -> None:
    schema = Talk.model_json_schema(mode=mode)
    defined = schema["$defs"]
    assert {"HumanMessage", "AIMessage", "ToolMessage", "AIMessageChunk"} <= set(defined)
    assert defined["AIMessage"]["properties"]["type"]["const"] == "ai"
    assert "tool_calls" in defined["AIMessage"]["properties"]
    assert schema["properties"]["messages"]["items"]["discriminator"]["propertyName"] == "type"


def test_fastapi() -> None:
    app = FastAPI()

    @app.post("/talk")
    def talk(body: Talk) -> list[AnyMessage]:
        return [*body.messages, AIMessage("answer", tool_calls=[CALL])]

    @app.post("/one")
    def one(message: AnyMessage) -> dict[str, Any]:
        return {"class": type(message).__name__, "message": message}

    @app.get("/bare")
    def bare():  # type: ignore[no-untyped-def]
        return AIMessageChunk("a") + AIMessageChunk("b", tool_calls=[CALL])

    client = TestClient(app)
    answer = client.post("/talk", json={"messages": [HumanMessage("hi").model_dump()]}).json()
    assert [message["type"] for message in answer] == ["human", "ai"]
    assert answer[1]["tool_calls"] == [CALL]
    answer = client.post("/one", json={"type": "tool", "content": "x", "tool_call_id": "1"}).json()
    assert answer["class"] == "ToolMessage"
    assert answer["message"]["status"] == "success"
    assert client.post("/one", json={"type": "tool", "content": "x"}).status_code == 422
    answer = client.get("/bare").json()
    assert (answer["type"], answer["content"], answer["tool_calls"]) == ("AIMessageChunk", "ab", [CALL])
    assert client.get("/openapi.json").status_code == 200
