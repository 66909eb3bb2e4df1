"""A20: an address of an image in a message is data. Nothing that we do with the message connects to it; only `fetch` would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from promising import record
from wires import WIRES, url_of

from millstream import (
    AIMessage,
    BaseTracer,
    ChatPromptTemplate,
    FetchError,
    HumanMessage,
    InMemorySaver,
    OpenTelemetryListener,
    convert_to_openai_messages,
    count_tokens_approximately,
    create_react_agent,
    fetch,
    filter_messages,
    get_buffer_string,
    merge_message_runs,
    serve,
    trim_messages,
)
from millstream.providers.clients import close_clients
from millstream.testing import ScriptedChatModel, StandInProvider


class Listener:
    """A socket that listens and counts who came; nobody is answered."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/image.png"

    def connections(self) -> int:
        count = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(no_leaks: None) -> Iterator[Listener]:
    it = Listener()
    yield it
    it.close()
    close_clients()


class Tracer(BaseTracer):
    def _persist_run(self, run: Any) -> None:
        repr(run)


def callbacks() -> list[Any]:
    return [Tracer(), OpenTelemetryListener(TracerProvider(shutdown_on_exit=False), capture_content=True)]


def messages_with(url: str) -> list[Any]:
    forms: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "image", "url": url},
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "image", "source_type": "url", "url": url},
        {"type": "input_image", "image_url": url},
        {"type": "file", "url": url},
        {"type": "audio", "url": url},
    ]
    text = f"Look at ![this]({url}) and <img src='{url}'>"
    asked = [HumanMessage([{"type": "text", "text": text}, form], id=str(number)) for number, form in enumerate(forms)]
    return [part for message in asked for part in (message, AIMessage(f"I see {url}"))]


def rendered(messages: list[Any]) -> None:
    for message in messages:
        for show in (repr, str, lambda m: m.pretty_repr(), lambda m: m.text, lambda m: m.content_blocks):
            show(message)
        message.pretty_print()
        message.model_dump_json()
    get_buffer_string(messages)
    convert_to_openai_messages(messages)
    url = messages[0].content[1]["image_url"]["url"]
    prompt = ChatPromptTemplate(
        [("human", [{"type": "text", "text": "{q}"}, {"type": "image_url", "image_url": {"url": "{u}"}}])]
    )
    prompt.invoke({"q": "what?", "u": url}).to_messages()


def counted(messages: list[Any]) -> None:
    count_tokens_approximately(messages)
    for wire in WIRES:
        model = wire.model("http://127.0.0.1:9/v1")
        try:
            model.get_num_tokens_from_messages(messages)
        except NotImplementedError:
            pass


def trimmed(messages: list[Any]) -> None:
    for strategy in ("first", "last"):
        trim_messages(messages, max_tokens=100, token_counter=count_tokens_approximately, strategy=strategy)
    filter_messages(messages, include_types=["human"])
    merge_message_runs(messages)


def traced(messages: list[Any]) -> None:
    agent = create_react_agent(ScriptedChatModel(turns=["seen"] * 3), [], checkpointer=InMemorySaver())
    for mode in ("messages", "debug"):
        config: Any = {"callbacks": callbacks(), "configurable": {"thread_id": mode}}
        list(agent.stream({"messages": messages}, config, stream_mode=mode))

    async def events() -> None:
        config: Any = {"callbacks": callbacks(), "configurable": {"thread_id": "3"}}
        async for event in agent.astream_events({"messages": messages}, config):
            repr(event)

    asyncio.run(events())


def sent(messages: list[Any]) -> None:
    """To providers: the address goes along as it is."""
    for wire in WIRES:
        with StandInProvider([wire.stream("seen")] * 2) as provider:
            model = wire.model(url_of(provider))
            for message in messages[:3:2] if wire.name == "anthropic" else messages[:1]:
                model.invoke([message], {"callbacks": callbacks()})
            assert all(b"/image.png" in request.body for request in provider.requests)


def served(messages: list[Any]) -> None:
    app = FastAPI()
    app.include_router(serve.router(create_react_agent(ScriptedChatModel(turns=[messages[1].content]), [])))
    with TestClient(app) as client:
        body = {"input": {"messages": [{"role": "user", "content": messages[0].content}]}, "thread_id": "t"}
        assert "/image.png" in client.post("/runs", json=body).text
        client.get("/threads/t")


WAYS: list[Callable[[list[Any]], None]] = [rendered, counted, trimmed, traced, sent, served]


@pytest.mark.parametrize("way", WAYS)
def test_a20_nobody_comes_for_the_image(
    way: Callable[[list[Any]], None], listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    way(messages_with(listener.url))
    came = listener.connections()
    record("A20", way.__name__, 1, came, came, "connections")
    assert came == 0


def test_a20_control_whoever_fetches_is_seen(listener: Listener) -> None:
    with pytest.raises(FetchError):
        fetch(listener.url, allow=["127.0.0.1"], timeout=0.3)
    assert listener.connections() == 1
