"""A45: a key is found nowhere: not in errors and their traces, logs, traces, reprs, dumps, caches, checkpoints, events or pages."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from promising import FULL, record
from wires import BY_NAME, WIRES, Wire, url_of

from millstream import (
    AuthenticationError,
    AzureChatOpenAI,
    BaseTracer,
    InMemoryCache,
    OpenAIEmbeddings,
    OpenTelemetryListener,
    SqliteSaver,
    StrOutputParser,
    Timeouts,
    create_react_agent,
    init_chat_model,
    serve,
    set_llm_cache,
    tool,
)
from millstream.providers import http_async, http_sync
from millstream.providers.http_async import AsyncLink
from millstream.providers.http_sync import SyncLink
from millstream.testing import Reply, StandInProvider

KEY = "sk-do-not-tell-4711-XYZ"
VARIABLES = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"]
ECHO = f"Incorrect key: {KEY}"
pytestmark = pytest.mark.timeout(600 if FULL else 60)

HI: Any = {"messages": [("user", "hi")]}


def _azure(url: str, **settings: Any) -> AzureChatOpenAI:
    return AzureChatOpenAI(azure_endpoint=url.removesuffix("/v1"), azure_deployment="d", api_version="1", **settings)


def _named(url: str, **settings: Any) -> Any:
    return init_chat_model("openai:m", base_url=url, **settings)


MAKERS: dict[str, tuple[Wire, Callable[..., Any]]] = {
    **{wire.name: (wire, wire.model) for wire in WIRES},
    "azure": (BY_NAME["openai-chat"], _azure),
    "by name": (BY_NAME["openai-chat"], _named),
}
WAYS = ["argument", "environment", "header", "query", "function"]


def settings_of(way: str, monkeypatch: pytest.MonkeyPatch, maker: str) -> dict[str, Any]:
    """What gives a model the key in this way."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if way == "environment":
        for name in VARIABLES:
            monkeypatch.setenv(name, KEY)
        return {"api_key": None}
    if way == "header":
        # The key itself must be something on a provider's own address.
        return {"api_key": "other-key-123", "default_headers": {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY}}
    if way == "query":
        return {"api_key": "other-key-123", "default_query": {"key": KEY}}
    return {"api_key": (lambda: KEY) if way == "function" else KEY}


def troubles(wire: Wire) -> list[Reply]:
    """Answers that fail in each way, and say the key where they can."""
    stream = wire.stream("Hello there, this is a longer text.")
    told = wire.error(ECHO)
    midway = stream[: len(stream) // 2].rpartition(b"\n\n")[0]
    return [
        *(Reply.error(status, ECHO) for status in (400, 401, 403, 404, 413, 422)),
        *(Reply.error(status, ECHO, retry_after=0) for status in (408, 409, 429, 500, 529)),
        Reply(ECHO.encode(), status=502, headers={"content-type": "text/plain"}),
        Reply.error(302, ECHO),
        Reply.json(told),
        Reply(b"event: error\ndata: " + told + b"\n\n"),
        Reply(midway + b"\n\nevent: error\ndata: " + told + b"\n\n"),
        Reply(midway + f"\n\ndata: {{{ECHO}\n\n".encode()),
        Reply(midway, ending="clean"),
        Reply(midway, ending="close"),
        Reply(midway, ending="reset"),
        Reply(midway, ending="silent"),
        Reply(b"", ending="silent"),
        Reply(head=False, ending="close"),
        Reply(ECHO.encode(), headers={"content-type": "text/html"}),
        Reply(b"{" + ECHO.encode(), headers={"content-type": "application/json"}),
        Reply(b"no gzip", headers={"content-type": "text/event-stream", "content-encoding": "gzip"}),
    ]


def some(replies: list[Reply], maker: str, way: str) -> list[Reply]:
    """All in full; else a sixth of them, so that all are seen over the makers and ways."""
    return replies if FULL else replies[(list(MAKERS).index(maker) + WAYS.index(way)) % 6 :: 6]


class Written:
    """Everything that was written anywhere; `found` says where the key is."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str]] = []

    def add(self, where: str, *values: Any) -> None:
        self.parts += [(where, value if isinstance(value, str) else repr(value)) for value in values]

    def error(self, where: str, error: BaseException) -> None:
        told = traceback.TracebackException.from_exception(error, capture_locals=False)
        self.add(where, *told.format(), repr(error), vars(error))
        partial = getattr(error, "partial", None)
        if partial is not None:
            self.add(where, partial.model_dump_json())

    def locals_of_ours(self, where: str, error: BaseException | None) -> None:
        """What error reporters show of our frames: the variables of each, as they print them."""
        while error is not None:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if "/millstream/" in frame.f_code.co_filename:
                    self.add(f"{where}: variables of {frame.f_code.co_qualname}", *map(repr, frame.f_locals.values()))
            error = error.__cause__ or error.__context__

    @property
    def found(self) -> list[str]:
        return [f"{where}: {text[:300]}" for where, text in self.parts if KEY in text or KEY[3:] in text]


class Recorder(BaseTracer):
    """Every run, with all that a tracer is given."""

    raise_error = False

    def __init__(self, written: Written) -> None:
        super().__init__()
        self._written = written

    def _persist_run(self, run: Any) -> None:
        self._written.add("tracer", run)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two attempts."""

    async def sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr(http_async, "AsyncLink", partial(AsyncLink, sleep=sleep))
    monkeypatch.setattr(http_sync, "SyncLink", partial(SyncLink, sleep=lambda _: None))


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing in {where}"


@contextmanager
def watched(written: Written, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """The callbacks that see everything, and what is logged, printed and warned of."""
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield [Recorder(written), OpenTelemetryListener(provider, capture_content=True)]
    written.add("warnings", *(str(warning.message) for warning in warned))
    written.add("spans", *(span.to_json() for span in exporter.get_finished_spans()))
    written.add("logs", caplog.text, *(str(vars(entry)) for entry in caplog.records))
    written.add("printed", *capsys.readouterr())


async def _drive(model: Any, callbacks: Any, written: Written, saver: Any, *, echoes: bool) -> None:
    """Every path that a failure can take out of a model."""
    config: Any = {"callbacks": callbacks, "configurable": {"thread_id": "1"}}
    agent = create_react_agent(model, [look], checkpointer=saver)

    async def events() -> None:
        async for event in agent.astream_events(HI, {"callbacks": callbacks, "configurable": {"thread_id": "2"}}):
            written.add("events", event)

    async def log() -> None:
        async for patch in (model | StrOutputParser()).astream_log("hi", config):
            written.add("log", patch)

    async def pieces() -> None:
        async for piece in model.astream("hi", config):
            written.add("pieces", piece)

    def modes() -> None:
        for item in agent.stream(HI, config, stream_mode=["values", "updates", "messages", "debug", "tasks"]):
            written.add("modes", item)

    for way in (events, log, pieces, lambda: asyncio.to_thread(modes), lambda: model.ainvoke("hi", config)):
        try:
            await way()
        except Exception as error:
            written.error("errors", error)
            if not echoes:  # else a variable holds the body that the server sent
                written.locals_of_ours("errors", error)
        else:
            raise AssertionError("this gave no error")
    written.add("history", *agent.get_state_history(config))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("maker", MAKERS)
def test_a45_the_key_is_found_nowhere(
    maker: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wire, make = MAKERS[maker]
    written = Written()
    given = settings_of(way, monkeypatch, maker)
    attempts = 0
    with watched(written, caplog, capsys) as callbacks:
        for number, reply in enumerate(some(troubles(wire), maker, way)):
            with (
                StandInProvider(lambda _, reply=reply: reply) as provider,  # type: ignore[misc]
                SqliteSaver.from_conn_string(str(tmp_path / f"{number}.sqlite")) as saver,
            ):
                limits = Timeouts(first_token=0.5, idle=0.2) if reply.ending == "silent" else None
                model = make(url_of(provider), **{"max_retries": 1, "timeout": limits, **given})
                asyncio.run(_drive(model, callbacks, written, saver, echoes=ECHO.encode() in reply.body))
                attempts += len(provider.requests)
                assert all(KEY in f"{request.path} {request.headers}" for request in provider.requests)
            for file in tmp_path.glob(f"{number}.sqlite*"):
                written.add("checkpoints", file.read_bytes().decode("latin-1"))
    written.add("model", model, str(model), model.model_dump(), model.model_dump_json(), vars(model))
    written.add("model", model._get_ls_params(), model._identifying_params, model.bind_tools([look]))
    written.add("model", model | StrOutputParser(), model.with_structured_output({"title": "x", "type": "object"}))
    record("A45", f"{maker}/{way}", attempts, len(written.found), len(written.found), "places with the key")
    assert not written.found, "\n".join(written.found)


@pytest.mark.parametrize("maker", MAKERS)
def test_a45_pages_and_records_of_a_server(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = MAKERS[maker][1]
    written = Written()
    given = settings_of("argument", monkeypatch, maker)
    with StandInProvider(lambda _: Reply.error(401, ECHO)) as provider:
        agent = create_react_agent(make(url_of(provider), **given), [look])
        app = FastAPI()
        app.include_router(serve.router(agent))
        with TestClient(app) as client:
            for path in ("/docs", "/openapi.json", "/redoc", "/"):
                written.add(path, client.get(path).text)
            for accept in ("application/x-ndjson", "text/event-stream"):
                answer = client.post("/runs", json={"input": "hi", "thread_id": "t"}, headers={"accept": accept})
                assert "error" in answer.text
                written.add("/runs", answer.text, answer.headers)
            written.add("/threads", client.get("/threads/t").text)
    assert not written.found


def test_a45_the_cache_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = InMemoryCache()
    set_llm_cache(cache)
    try:
        for maker, (wire, make) in MAKERS.items():
            for way in WAYS:
                with StandInProvider(lambda _, wire=wire: wire.stream("Hello.")) as provider:  # type: ignore[misc]
                    make(url_of(provider), **settings_of(way, monkeypatch, maker)).invoke("hi")
        assert vars(cache) and KEY not in repr(vars(cache))
    finally:
        set_llm_cache(None)


@pytest.mark.parametrize("given", [{"extra_headers": {"X-Api-Key": KEY}}, {"extra_query": {"key": KEY}}], ids=str)
@pytest.mark.parametrize("maker", MAKERS)
def test_a45_a_key_given_with_a_call(
    maker: str, given: dict[str, Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    wire, make = MAKERS[maker]
    written = Written()
    script = [wire.stream("Hello."), Reply.error(401, ECHO), wire.stream("Hello."), Reply.error(401, ECHO)]
    with watched(written, caplog, capsys) as callbacks, StandInProvider(script) as provider:
        cache = InMemoryCache()
        model = make(url_of(provider), api_key="other-key-123", cache=cache).bind(**given)
        model.invoke("hi", {"callbacks": callbacks})
        with pytest.raises(AuthenticationError) as caught:
            model.invoke("ho", {"callbacks": callbacks})
        written.error("errors", caught.value)

        async def events(text: str) -> None:
            async for event in model.astream_events(text, {"callbacks": callbacks}):
                written.add("events", event)

        asyncio.run(events("ha"))
        with pytest.raises(AuthenticationError) as caught:
            asyncio.run(events("he"))
        written.error("errors", caught.value)
        assert all(KEY in f"{request.path} {request.headers}" for request in provider.requests)
    written.add("cache", vars(cache))
    written.add("model", model)
    assert len(caplog.records) and not written.found, "\n".join(written.found)


def test_headers_of_a_call_tell_it_apart_in_a_cache() -> None:
    with StandInProvider(lambda _: BY_NAME["openai-chat"].stream("Hello.")) as provider:
        model = MAKERS["openai-chat"][1](url_of(provider), cache=InMemoryCache())
        for who in ("a", "b", "a"):
            model.invoke("hi", extra_headers={"x-user": who})
    assert [request.headers["x-user"] for request in provider.requests] == ["a", "b"]


@pytest.mark.parametrize("way", WAYS)
def test_a45_embeddings(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    given = settings_of(way, monkeypatch, "")

    def ask(reply: Reply, how: Callable[[OpenAIEmbeddings], Any]) -> None:
        with StandInProvider([reply]) as provider:
            it = OpenAIEmbeddings(model="m", base_url=url_of(provider), max_retries=0, **given)
            with pytest.raises(Exception) as caught:
                how(it)
            written.error("errors", caught.value)
            written.add("model", it, it.model_dump(), it.model_dump_json())

    for reply in troubles(BY_NAME["openai-chat"])[:12]:
        ask(reply, lambda it: it.embed_query("hi"))
        ask(reply, lambda it: asyncio.run(it.aembed_documents(["hi"])))
    assert written.parts and not written.found


def test_a45_control_what_is_told_is_found() -> None:
    """The search sees a key in each of the places that it looks at."""
    written = Written()
    for place in ("errors", "spans", "checkpoints"):
        written.add(place, json.dumps({"headers": {"authorization": f"Bearer {KEY}"}}))
    try:
        raise ValueError(ECHO)
    except ValueError as error:
        written.error("trace", error)
    assert {line.partition(":")[0] for line in written.found} == {"errors", "spans", "checkpoints", "trace"}
