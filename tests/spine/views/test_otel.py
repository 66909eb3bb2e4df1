"""OpenTelemetry: which spans are made, how they hang together, and what they say."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import pytest
from colours import Colour, colour  # noqa: F401 - a fixture
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from millstream import (
    AIMessage,
    AIMessageChunk,
    BaseRetriever,
    ChatPromptTemplate,
    Document,
    OpenTelemetryListener,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    StrOutputParser,
    ToolMessage,
    create_react_agent,
    tool,
)
from millstream.testing import ScriptedChatModel


class Spans:
    """A provider of tracers, and the spans that it was given, by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def listener(self, **options: Any) -> OpenTelemetryListener:
        return OpenTelemetryListener(self.provider, **options)

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def __getitem__(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.all if span.name == name]
        return span

    def parents(self) -> dict[str, str | None]:
        names = {span.context.span_id: span.name for span in self.all}
        return {span.name: names.get(span.parent.span_id) if span.parent else None for span in self.all}


@tool
def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


class Words(BaseRetriever):
    def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
        return [Document("red " + query, id="1")]


USAGE = {
    "input_tokens": 3,
    "output_tokens": 2,
    "total_tokens": 5,
    "input_token_details": {"cache_read": 1},
    "output_token_details": {"reasoning": 1},
}
ANSWER = AIMessageChunk(
    " b",
    usage_metadata=USAGE,
    response_metadata={"model_name": "m-2", "finish_reason": "stop", "id": "resp-1"},
)


def answering(**settings: Any) -> ScriptedChatModel:
    return ScriptedChatModel([["a", ANSWER]], **settings)


def test_the_spans_of_a_chain(colour: Colour) -> None:  # noqa: F811
    spans = Spans()
    before = time.time_ns()

    async def body(c: Colour) -> None:
        chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | answering() | StrOutputParser()
        config = {"callbacks": [spans.listener()], "configurable": {"thread_id": "t1"}, "tags": ["x"]}
        await c.collect(chain, {"q": "hey"}, config)

    colour.run(body)
    root = "invoke_workflow RunnableSequence"
    model = "chat ScriptedChatModel"
    assert spans.parents() == {root: None, "ChatPromptTemplate": root, model: root, "StrOutputParser": root}
    assert len({span.context.trace_id for span in spans.all}) == 1
    told = dict(spans[model].attributes or {})
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.provider.name"] == "scriptedchatmodel"
    assert told["gen_ai.response.model"] == "m-2" and told["gen_ai.response.id"] == "resp-1"
    assert told["gen_ai.response.finish_reasons"] == ("stop",) and told["gen_ai.conversation.id"] == "t1"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 2)
    assert told["gen_ai.usage.cache_read.input_tokens"] == told["gen_ai.usage.reasoning.output_tokens"] == 1
    assert told["millstream.run.type"] == "chat_model" and set(told["millstream.run.tags"]) == {"seq:step:2", "x"}  # type: ignore[arg-type]
    assert not any("messages" in key for key in told)
    assert spans[model].kind is SpanKind.CLIENT and spans[root].kind is SpanKind.INTERNAL
    assert (spans[root].attributes or {})["gen_ai.workflow.name"] == "RunnableSequence"
    for span in spans.all:
        assert before <= span.start_time <= span.end_time <= time.time_ns()  # type: ignore[operator]
        assert spans[root].start_time <= span.start_time and span.end_time <= spans[root].end_time  # type: ignore[operator]
        assert span.status.status_code is StatusCode.UNSET


def test_what_was_asked_of_the_model() -> None:
    class ChatOpenAI(ScriptedChatModel):
        model: str = "gpt-x"
        temperature: float = 0.5
        max_tokens: int = 9

    class AzureChatOpenAI(ChatOpenAI):
        n: int = 2

    spans = Spans()
    listener = spans.listener()
    ChatOpenAI(["a"]).invoke("x", {"callbacks": [listener]}, stop=["END"], top_p=0.1, seed=7)
    told = dict(spans["chat gpt-x"].attributes or {})
    assert told["gen_ai.provider.name"] == "openai" and told["gen_ai.request.model"] == "gpt-x"
    assert (told["gen_ai.request.temperature"], told["gen_ai.request.max_tokens"]) == (0.5, 9)
    assert told["gen_ai.request.stop_sequences"] == ("END",)
    assert (told["gen_ai.request.top_p"], told["gen_ai.request.seed"]) == (0.1, 7)
    assert "gen_ai.request.choice.count" not in told and "gen_ai.response.id" not in told
    AzureChatOpenAI(["a"]).invoke("x", {"callbacks": [listener]})
    assert (spans.all[-1].attributes or {})["gen_ai.request.choice.count"] == 2


def test_tools_and_retrievers(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        spans = Spans()
        call = {"type": "tool_call", "name": "double", "args": {"x": 2}, "id": "c1"}
        await c.invoke(double, call, {"callbacks": [spans.listener()]})
        told = dict(spans["execute_tool double"].attributes or {})
        assert told["gen_ai.tool.name"] == "double" and told["gen_ai.tool.description"] == "Twice as much."
        assert told["gen_ai.tool.call.id"] == "c1" and told["gen_ai.operation.name"] == "execute_tool"
        await c.invoke(Words(), "fish", {"callbacks": [spans.listener()]})
        assert (spans["retrieval Words"].attributes or {})["gen_ai.operation.name"] == "retrieval"
        assert not any(key.startswith(("gen_ai.tool.call.arg", "gen_ai.retrieval")) for key in told)

    colour.run(body)


def test_content_is_captured_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    config: Any = {"callbacks": [spans.listener()]}
    asked = AIMessage("", tool_calls=[{"name": "double", "args": {"x": 1}, "id": "c1"}])
    history = [("system", "Be brief."), ("human", "1 + 1?"), asked, ToolMessage("2", tool_call_id="c1")]
    answering().invoke(history, config)
    told = dict(spans["chat ScriptedChatModel"].attributes or {})
    assert json.loads(str(told["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]
    call = {"type": "tool_call", "id": "c1", "name": "double", "arguments": {"x": 1}}
    assert json.loads(str(told["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "1 + 1?"}]},
        {"role": "assistant", "parts": [call]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "2"}]},
    ]
    (output,) = json.loads(str(told["gen_ai.output.messages"]))
    assert output == {"role": "assistant", "parts": [{"type": "text", "content": "a b"}], "finish_reason": "stop"}
    double.invoke({"x": 2}, config)
    tool_told = spans["execute_tool double"].attributes or {}
    assert (tool_told["gen_ai.tool.call.arguments"], tool_told["gen_ai.tool.call.result"]) == ('{"x": 2}', "4")
    Words().invoke("fish", config)
    found = spans["retrieval Words"].attributes or {}
    assert found["gen_ai.retrieval.query.text"] == "fish" and "red fish" in str(found["gen_ai.retrieval.documents"])


def test_the_root_hangs_on_the_current_span(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        spans = Spans()
        with spans.tracer.start_as_current_span("request"):
            await c.invoke(RunnableLambda(lambda x: x, name="it"), 1, {"callbacks": [spans.listener()]})
        assert spans.parents() == {"request": None, "invoke_workflow it": "request"}

    colour.run(body)


def test_types_choose_and_the_rest_hangs_on_what_is_around(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        spans = Spans()
        only = spans.listener(types=["tool", "chat_model"])
        branches = RunnableParallel(m=answering(), t=RunnableLambda(lambda _: {"x": 1}) | double)
        with spans.tracer.start_as_current_span("request"):
            await c.invoke(branches, "q", {"callbacks": [only]})
        assert spans.parents() == {
            "request": None,
            "chat ScriptedChatModel": "request",
            "execute_tool double": "request",
        }

    colour.run(body)


def test_errors(colour: Colour) -> None:  # noqa: F811
    def fail(_: Any) -> Any:
        raise ValueError("no")

    async def body(c: Colour) -> None:
        spans = Spans()
        with pytest.raises(ValueError, match="no"):
            await c.invoke(RunnableLambda(fail), 1, {"callbacks": [spans.listener()]})
        span = spans["invoke_workflow fail"]
        assert span.status.status_code is StatusCode.ERROR and span.status.description == "no"
        assert (span.attributes or {})["error.type"] == "ValueError"
        (event,) = span.events
        assert event.name == "exception" and event.timestamp == span.end_time
        cut = ScriptedChatModel([[ANSWER, RuntimeError("cut")]])
        with pytest.raises(RuntimeError):
            await c.collect(cut, "x", {"callbacks": [spans.listener()]})
        told = spans["chat ScriptedChatModel"].attributes or {}
        assert told["error.type"] == "RuntimeError" and told["gen_ai.usage.output_tokens"] == 2

    colour.run(body)


def test_a_stream_left_early_detaches_nothing(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        spans = Spans()
        before = context.get_current()
        config = {"callbacks": [spans.listener()]}
        async with c.closing(RunnableGenerator(c.generator(1, 2, 3)), None, config) as stream:
            assert await anext(stream) == 1
            # Nothing of ours is current while the consumer has control.
            assert trace.get_current_span() is trace.INVALID_SPAN and context.get_current() == before
        (span,) = spans.all
        left = {"millstream.run.left_early": True}.items() <= dict(span.attributes or {}).items()
        assert span.status.status_code is StatusCode.UNSET and left is not c.sync

    colour.run(body)


def test_cancellation_is_told() -> None:
    spans = Spans()

    async def main() -> None:
        started = asyncio.Event()

        async def wait(_: Any) -> None:
            started.set()
            await asyncio.sleep(10)

        task = asyncio.create_task(RunnableLambda(wait).ainvoke(1, {"callbacks": [spans.listener()]}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (span,) = spans.all
    assert (span.attributes or {})["error.type"] == "CancelledError" and span.events == ()


def test_concurrent_calls_make_traces_of_their_own() -> None:
    spans = Spans()
    chain = RunnableLambda(lambda x: x, name="a") | answering()

    async def main() -> None:
        listener = spans.listener()
        await asyncio.gather(*[chain.ainvoke("x", {"callbacks": [listener]}) for _ in range(20)])

    asyncio.run(main())
    assert len({span.context.trace_id for span in spans.all}) == 20 and len(spans.all) == 60
    assert list(spans.parents().values()).count(None) == 1


def test_an_agent(colour: Colour) -> None:  # noqa: F811
    async def body(c: Colour) -> None:
        spans = Spans()
        calls = AIMessage("", tool_calls=[{"name": "double", "args": {"x": 2}, "id": "c1"}])
        agent = create_react_agent(ScriptedChatModel([calls, AIMessage("4")]), [double], name="doubler")
        listener = spans.listener(types=["chat_model", "tool", "chain"])
        await c.invoke(agent, {"messages": [("user", "2 * 2")]}, {"callbacks": [listener]})
        names = [span.name for span in spans.all]
        assert names.count("chat ScriptedChatModel") == 2 and names.count("execute_tool double") == 1
        assert names[-1] == "invoke_workflow doubler" and spans.parents()["execute_tool double"] == "tools"

    colour.run(body)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"pip install 'millstream\[otel\]'"):
        OpenTelemetryListener()
