"""The demo's model: which one is chosen, and what the offline one understands."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from millstream import AIMessageChunk, ChatAnthropic, ChatOpenAI, HumanMessage, create_react_agent
from millstream.errors import InvalidArgument
from millstream.serve.demo.agent import demo_agent
from millstream.serve.demo.choice import choose
from millstream.serve.demo.intents import intents
from millstream.serve.demo.offline_model import OfflineModel
from millstream.serve.demo.tools import tools

# Which model

NOBODY = ("127.0.0.1", 9)  # the discard port: nobody answers


@contextmanager
def local_server(listing: bytes, status: int = 200) -> Iterator[tuple[str, int]]:
    """What answers on Ollama's port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(listing)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "127.0.0.1", server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_named_model_comes_first() -> None:
    environment = {"MILLSTREAM_MODEL": "openai:gpt-4o", "OPENAI_API_KEY": "sk-x"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-x")
        choice = choose(environment, ollama=NOBODY)
    assert isinstance(choice.model, ChatOpenAI)
    assert (choice.model.model_name, choice.name, choice.notice) == ("gpt-4o", "OpenAI gpt-4o", None)
    assert choose({"MILLSTREAM_MODEL": "offline"}, ollama=NOBODY).notice is not None


@pytest.mark.parametrize("named", ["gpt-4o", "openai:", "nobody:x", "anthropic:", ":"])
def test_a_name_that_means_nothing_is_refused(named: str) -> None:
    with pytest.raises(InvalidArgument, match="MILLSTREAM_MODEL="):
        choose({"MILLSTREAM_MODEL": named}, ollama=NOBODY)


def test_a_key_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    choice = choose({"OPENAI_API_KEY": "sk-secret"}, ollama=NOBODY)
    assert isinstance(choice.model, ChatOpenAI) and "sk-secret" not in repr(choice)


def test_anthropics_key_comes_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    choice = choose({"ANTHROPIC_API_KEY": "sk-ant-secret"}, ollama=NOBODY)
    assert isinstance(choice.model, ChatAnthropic) and "secret" not in repr(choice)
    assert (choice.name, choice.notice) == ("Anthropic claude-haiku-4-5", None)
    assert choose({"MILLSTREAM_MODEL": "anthropic:claude-x"}, ollama=NOBODY).name == "Anthropic claude-x"


def test_a_local_server_comes_fourth() -> None:
    models = {"data": [{"id": "nomic-embed-text"}, {"id": "llama3.2:3b"}]}
    with local_server(json.dumps(models).encode()) as address:
        choice = choose({}, ollama=address)
    assert isinstance(choice.model, ChatOpenAI)
    assert choice.name == "llama3.2:3b, on this machine"


@pytest.mark.parametrize(
    ("listing", "status"),
    [(b"", 200), (b"nope", 200), (b"[]", 200), (b'{"data": null}', 200), (b'{"data": []}', 200), (b"{}", 404)],
)
def test_a_server_that_says_nothing_useful_is_passed_over(listing: bytes, status: int) -> None:
    with local_server(listing, status) as address:
        choice = choose({}, ollama=address)
    assert isinstance(choice.model, OfflineModel)


def test_the_offline_model_is_last_and_says_what_it_is() -> None:
    choice = choose({}, ollama=NOBODY)
    assert isinstance(choice.model, OfflineModel)
    assert "not an LLM" in choice.name and "not an LLM" in str(choice.notice)


# What the offline model understands


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("12*7", [("calculator", "12*7")]),
        ("What is 12% of 3,450?", [("calculator", "12% * 3,450")]),
        ("what's 5 plus 7 times 3", [("calculator", "5 + 7 * 3")]),
        ("square root of 144", [("calculator", "sqrt(144)")]),
        ("2 to the power of 10", [("calculator", "2 ^ 10")]),
        ("10 / 0", [("calculator", "10 / 0")]),
        ("(3+4)*5 and 7!", [("calculator", "(3+4)*5"), ("calculator", "7!")]),
        ("What time is it?", [("clock", "UTC")]),
        ("time in Paris, London and UTC+2", [("clock", "Paris"), ("clock", "London"), ("clock", "UTC+2")]),
        ("What time is it in New York and Berlin?", [("clock", "New York"), ("clock", "Berlin")]),
        ("How are checkpoints saved?", [("search_docs", "How are checkpoints saved")]),
        ("search the docs for the run log", [("search_docs", "the run log")]),
        (
            "What is 2+2, 10/0, what time is it in Tokyo, and how does Millstream stream tokens?",
            [
                ("calculator", "2+2"),
                ("calculator", "10/0"),
                ("clock", "Tokyo"),
                ("search_docs", "how does Millstream stream tokens"),
            ],
        ),
        ("hello", []),
        ("Hi there!", []),
        ("thanks!", []),
        ("", []),
        ("2 + 2 = 4, " * 50, [("calculator", "2 + 2")]),
        ("version 1.2.3", []),
    ],
)
def test_what_a_message_asks_for(text: str, calls: list[tuple[str, str]]) -> None:
    assert [(intent.tool, *intent.args.values()) for intent in intents(text)] == calls


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "1+" * 50_000, "how and " * 20_000, "9" * 100_000, "1, " * 50_000, "a" * 10**6]
)
def test_long_messages_take_little_time(text: str) -> None:
    assert len(intents(text)) <= 8


def test_the_offline_agent_calls_tools_at_once_then_answers_in_tokens() -> None:
    agent = demo_agent(OfflineModel(pace=0))

    async def main() -> list[Any]:
        chunks = []
        question = {"messages": [HumanMessage("What is 6*7, what time is it in Atlantis and in Rome?")]}
        async for chunk, metadata in agent.astream(
            question, {"configurable": {"thread_id": "t"}}, stream_mode="messages"
        ):
            chunks.append((chunk, metadata["langgraph_node"]))
        return chunks

    chunks = asyncio.run(main())
    results = [chunk for chunk, node in chunks if node == "tools"]
    assert sorted(result.name for result in results) == ["calculator", "clock", "clock"]
    pieces = [chunk for chunk, node in chunks if node == "agent" and isinstance(chunk, AIMessageChunk)]
    text = "".join(chunk.text for chunk in pieces)
    assert "`6*7` is **42**" in text and "Europe/Rome" in text and "No time zone goes by 'Atlantis'" in text
    assert len([chunk for chunk in pieces if chunk.content]) > 5
    usages = [chunk.usage_metadata for chunk in pieces if chunk.usage_metadata]
    assert len(usages) == 2 and all(
        usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] for usage in usages
    )


def test_a_tool_that_cannot_help_is_told_to_the_model() -> None:
    agent = create_react_agent(OfflineModel(pace=0), tools)
    messages = agent.invoke({"messages": [("user", "1/0")]})["messages"]
    assert messages[-2].status == "error"
    assert messages[-1].text == "The `calculator` tool could not help: Division by zero."


def test_without_tools_it_says_what_it_is() -> None:
    assert "not a language model" in OfflineModel(pace=0).invoke("What is 2+2?").text
