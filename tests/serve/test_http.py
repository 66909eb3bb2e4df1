"""A served agent over real sockets: streams, stops, leavers, slow readers, refusals, errors, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from agents import ScriptedAgent, Told, message, speaking
from fastapi import FastAPI, Request
from serving import Client, Running, connect, serving, until
from starlette.middleware.gzip import GZipMiddleware

from millstream.errors import GraphInterrupt, InvalidType, RateLimitError, StorageError
from millstream.serve import Allowed, Limits, router
from millstream.serve.threads import answers_owed

HELLO = {"input": "Hello"}


def app_for(agent: Any, prefix: str = "", **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(router(agent, **options), prefix=prefix)
    return app


@contextlib.contextmanager
def served(script: Any, *, send_buffer: int | None = None, **options: Any) -> Iterator[tuple[ScriptedAgent, Running]]:
    agent = ScriptedAgent(script)
    with serving(app_for(agent, **options), send_buffer=send_buffer) as server:
        yield agent, server


def run(server: Running, body: Any = HELLO, headers: str = "") -> list[dict[str, Any]]:
    with Client(server.port, "/runs", body, headers=headers) as client:
        return list(client.records())


async def forever(told: Told) -> None:
    told.say("first")
    await asyncio.Event().wait()


# Streams


def test_a_run_streams_from_start_to_done() -> None:
    with served(speaking("Hel", "lo"), name="greeter", model="m-1") as (agent, server):
        with Client(server.port, "/runs", {"input": "Hi", "thread_id": "t1"}) as client:
            records = list(client.records())
        assert [(record.pop("type"), record.pop("seq")) for record in records] == [
            ("start", 1),
            ("token", 2),
            ("token", 3),
            ("usage", 4),
            ("done", 5),
        ]
        times = [record.pop("ts") for record in records]
        assert times == sorted(times) and all(isinstance(ts, int) for ts in times)
        usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
        assert records == [
            {"run_id": client.headers["x-run-id"], "thread_id": "t1", "agent": "greeter", "model": "m-1"},
            {"content": "Hel", "message_id": "m1"},
            {"content": "lo", "message_id": "m1"},
            {"model": None, **usage, "details": {}, "message_id": "m1"},
            {"status": "success", "usage": usage},
        ]
        assert client.headers["content-type"] == "application/x-ndjson"
        assert client.headers["cache-control"] == "no-cache"
        assert client.headers["x-accel-buffering"] == "no"
        assert agent.inputs == [{"messages": [{"role": "user", "content": "Hi"}]}]
        assert agent.configs[0]["configurable"] == {"thread_id": "t1"}


def test_the_same_run_as_server_sent_events() -> None:
    with served(speaking("a\nb", "\u2028")) as (_, server):
        with Client(server.port, "/runs", HELLO, headers="Accept: text/event-stream\r\n") as client:
            raw = b"".join(client.parts()).decode()
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        frames = raw.split("\n\n")
        assert frames.pop() == ""
        for number, frame in enumerate(frames, 1):
            id_line, event_line, data_line = frame.split("\n")
            record = json.loads(data_line.removeprefix("data: "))
            assert (id_line, event_line) == (f"id: {number}", f"event: {record['type']}")
            assert record["seq"] == number


def test_tokens_go_out_one_by_one_and_headers_before_them() -> None:
    go = threading.Semaphore(0)

    async def script(told: Told) -> None:
        for word in ("one", "two", "three"):
            while not go.acquire(blocking=False):  # noqa: ASYNC110 - it is another thread that says go
                await asyncio.sleep(0.001)
            told.say(word)

    with served(script) as (_, server), Client(server.port, "/runs", HELLO) as client:
        assert client.head().status == 200
        records = client.records()
        assert next(records)["type"] == "start"
        for word in ("one", "two", "three"):
            go.release()
            assert next(records)["content"] == word
        assert next(records)["type"] == "done"


def test_what_is_ready_goes_in_one_write() -> None:
    async def script(told: Told) -> None:
        for _ in range(100):
            told.say("x")

    with served(script) as (_, server), Client(server.port, "/runs", HELLO) as client:
        assert len(list(client.parts())) <= 2


def test_silence_is_filled_with_heartbeats() -> None:
    with served(forever, limits=Limits(heartbeat=0.02)) as (_, server):
        for accept, beat in (("application/x-ndjson", b"\n"), ("text/event-stream", b": hb\n\n")):
            with Client(server.port, "/runs", HELLO, headers=f"Accept: {accept}\r\n") as client:
                parts = client.parts()
                while b"first" not in next(parts):
                    pass
                assert [next(parts) for _ in range(3)] == [beat] * 3


@pytest.mark.parametrize("style", ["gzip", "function"])
def test_middleware_neither_holds_tokens_back_nor_hides_leavers(style: str) -> None:
    agent = ScriptedAgent(forever)
    app = app_for(agent)
    if style == "gzip":
        app.add_middleware(GZipMiddleware, minimum_size=1)
    else:

        @app.middleware("http")
        async def passing(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    with serving(app) as server:
        with Client(server.port, "/runs", HELLO, headers="Accept-Encoding: gzip\r\n") as client:
            records = client.records()
            assert next(records)["type"] == "start"
            assert next(records)["content"] == "first"
        until(lambda: agent.cancelled == 1 and agent.active == 0)


def test_events_of_other_threads_come_in_order() -> None:
    async def script(told: Told) -> None:
        for index in range(50):
            await asyncio.to_thread(told.say, f"{index} ")

    with served(script) as (_, server):
        words = [record["content"] for record in run(server) if record["type"] == "token"]
        assert "".join(words) == "".join(f"{index} " for index in range(50))


# Ends


def test_a_person_stops_a_run() -> None:
    with served(forever) as (agent, server):
        with Client(server.port, "/runs", HELLO) as client:
            records = client.records()
            run_id = next(records)["run_id"]
            assert next(records)["content"] == "first"
            for _ in range(2):  # idempotent, also when it has ended
                with Client(server.port, f"/runs/{run_id}/stop", {}) as stop:
                    assert stop.head().status == 202
            last = list(records)
        assert [(r["type"], r["status"], r["cause"]) for r in last] == [("done", "stopped", "stop")]
        until(lambda: agent.cancelled == 1)
        with Client(server.port, "/runs/unknown/stop", {}) as stop:
            assert (stop.head().status, stop.json()["error"]["code"]) == (404, "unknown_run")


def test_a_run_that_takes_too_long_is_stopped() -> None:
    with served(forever, limits=Limits(run_seconds=0.05)) as (agent, server):
        last = run(server)[-1]
        assert (last["status"], last["cause"]) == ("stopped", "timeout")
        until(lambda: agent.cancelled == 1)


def test_a_leaving_client_cancels_its_run_at_once() -> None:
    with served(forever) as (agent, server):
        with Client(server.port, "/runs", HELLO) as client:
            next(client.records())
            until(lambda: agent.active == 1)
        took = until(lambda: agent.cancelled == 1)
        assert took < 1  # 250 ms is promised; see the report of the main job for the figure
        until(lambda: not server.tasks())


def test_a_client_may_leave_its_run_behind() -> None:
    done = threading.Event()

    async def script(told: Told) -> None:
        told.say("a")
        while not done.is_set():  # noqa: ASYNC110 - it is another thread that says so
            await asyncio.sleep(0.005)

    with served(script) as (agent, server):
        with Client(server.port, "/runs", {**HELLO, "on_disconnect": "continue"}) as client:
            next(client.records())
        time.sleep(0.05)
        assert (agent.active, agent.cancelled) == (1, 0)
        done.set()
        until(lambda: agent.finished == 1)
        until(lambda: not server.tasks())


def test_a_question_to_a_person_ends_the_run_as_interrupted() -> None:
    async def asks(told: Told) -> Any:
        return {"messages": [], "__interrupt__": ("really?",)}

    async def raises(told: Told) -> Any:
        raise GraphInterrupt

    for script in (asks, raises):
        with served(script) as (_, server):
            assert run(server)[-1]["status"] == "interrupted"


def test_a_tool_that_cannot_be_cancelled_is_not_waited_for() -> None:
    release = threading.Event()

    async def script(told: Told) -> None:
        told.say("a")
        work = asyncio.ensure_future(asyncio.to_thread(release.wait, 10))
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(work)
        told.say("too late")

    with served(script, limits=Limits(cancel_grace=0.05)) as (agent, server):
        with Client(server.port, "/runs", HELLO) as client:
            records = client.records()
            run_id = next(records)["run_id"]
            next(records)
            with Client(server.port, f"/runs/{run_id}/stop", {}) as stop:
                stop.head()
            assert [record["type"] for record in records] == ["done"]
            assert agent.active == 1
        release.set()
        until(lambda: agent.active == 0)


def test_an_error_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def script(told: Told) -> None:
        told.say("a")
        raise ValueError("sk-secret in /home/me/app.py\r\nforged line")

    with served(script) as (_, server), caplog.at_level(logging.ERROR, "millstream.serve"):
        records = run(server)
    last = records[-1]
    assert [record["type"] for record in records] == ["start", "token", "error"]
    assert (last["code"], last["retryable"]) == ("internal", False)
    assert "secret" not in json.dumps(records) and "ValueError" not in json.dumps(records)
    (logged,) = caplog.records
    assert last["error_id"] in logged.getMessage() and logged.exc_info is not None


def test_an_error_of_the_provider_is_told_as_one() -> None:
    async def script(told: Told) -> None:
        raise RateLimitError("too fast, key sk-secret", provider="openai", status=429)

    with served(script) as (_, server):
        last = run(server)[-1]
        assert (last["code"], last["retryable"]) == ("provider_rate_limited", True)
        assert "sk-secret" not in json.dumps(last)


def test_shutdown_ends_every_run() -> None:
    agent = ScriptedAgent(forever)
    app = app_for(agent, limits=Limits(grace=0.05), on_disconnect="continue")
    with serving(app) as server:
        for _ in range(5):
            with Client(server.port, "/runs", HELLO) as client:
                next(client.records())
        until(lambda: agent.active == 5)
    assert (agent.active, agent.cancelled) == (0, 5)


# Many clients


def test_clients_that_never_read_neither_slow_the_others_nor_stay() -> None:
    async def chatty(told: Told) -> None:
        for _ in range(1_000):
            told.say("x" * 1_000)
            await asyncio.sleep(0)

    async def script(told: Told) -> Any:
        if told.input["messages"][0]["content"] == "much":
            return await chatty(told)
        return await speaking(*["word "] * 20, pause=0.005)(told)

    with (
        served(script, send_buffer=32 * 1024, limits=Limits(send_timeout=2)) as (agent, server),
        contextlib.ExitStack() as stack,
    ):
        for _ in range(100):
            stack.enter_context(Client(server.port, "/runs", {"input": "much"}))
        records = run(server)
        assert records[-1]["status"] == "success"
        assert sum(record["type"] == "token" for record in records) == 20
        # 1 MB each: more than the budget and the kernel's buffers, so each run is stopped and let go.
        until(lambda: agent.cancelled == 100 and not agent.active, timeout=30)
        until(lambda: not server.tasks(), timeout=10)


def test_a_client_that_stops_taking_is_let_go_also_when_little_is_left() -> None:
    async def script(told: Told) -> None:
        for _ in range(400):
            told.say("x" * 10_000)
        await asyncio.sleep(0.3)

    limits = Limits(send_timeout=0.1, viewer_bytes=10**9)
    with (
        served(script, send_buffer=32 * 1024, limits=limits) as (agent, server),
        Client(server.port, "/runs", HELLO),
    ):
        until(lambda: agent.cancelled + agent.finished == 1)
        until(lambda: not server.tasks())


def test_too_many_runs_are_refused_for_a_while() -> None:
    with served(forever, limits=Limits(concurrent_runs=1)) as (agent, server):
        with Client(server.port, "/runs", HELLO) as first:
            next(first.records())
            with Client(server.port, "/runs", HELLO) as second:
                assert second.head().status == 429
                assert int(second.headers["retry-after"]) > 0
                assert second.json()["error"]["code"] == "too_many_runs"
        until(lambda: agent.active == 0)
        with Client(server.port, "/runs", HELLO) as third:
            assert next(third.records())["type"] == "start"


# What clients may ask for


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], ""),
        ({}, "input"),
        ({"input": "  "}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"messages": []}}, "input.messages"),
        ({"input": {"messages": ["hi"]}}, "input.messages.0"),
        ({"input": {"messages": [{"role": "user"}]}}, "input.messages.0.content"),
        ({"input": {"messages": [{"role": "system", "content": "obey"}]}}, "input.messages.0.role"),
        ({"input": {"messages": [{"role": "remove", "content": ""}]}}, "input.messages.0.role"),
        ({"input": {"messages": [{"role": ["user"], "content": ""}]}}, "input.messages.0.role"),
        ({"input": {"messages": [{"role": "tool", "content": "x"}]}}, "input.messages.0.tool_call_id"),
        (
            {"input": {"messages": [{"role": "user", "content": "x", "additional_kwargs": {}}]}},
            "input.messages.0.additional_kwargs",
        ),
        ({"input": {"messages": [{"role": "user", "content": "x"}], "secret_channel": 1}}, "input.secret_channel"),
        ({**HELLO, "thread_id": "../etc"}, "thread_id"),
        ({**HELLO, "thread_id": "a\r\nX: y"}, "thread_id"),
        ({**HELLO, "thread_id": ""}, "thread_id"),
        ({**HELLO, "thread_id": 5}, "thread_id"),
        ({**HELLO, "on_disconnect": "explode"}, "on_disconnect"),
        ({**HELLO, "surprise": 1}, "surprise"),
        ({**HELLO, "config": []}, "config"),
        ({**HELLO, "config": {"callbacks": []}}, "config.callbacks"),
        ({**HELLO, "config": {"recursion_limit": "9"}}, "config.recursion_limit"),
        ({**HELLO, "config": {"recursion_limit": True}}, "config.recursion_limit"),
        ({**HELLO, "config": {"recursion_limit": 0}}, "config.recursion_limit"),
        ({**HELLO, "config": {"configurable": {"thread_id": "x"}}}, "config.configurable.thread_id"),
        ({**HELLO, "config": {"configurable": {"checkpoint_id": "x"}}}, "config.configurable.checkpoint_id"),
        ({**HELLO, "config": {"configurable": {"api_key": "x"}}}, "config.configurable.api_key"),
        ({**HELLO, "config": {"configurable": {"__x": "x"}}}, "config.configurable.__x"),
    ],
)
def test_a_bad_body_is_refused_with_the_place(shared: tuple[ScriptedAgent, Running], body: Any, path: str) -> None:
    agent, server = shared
    with Client(server.port, "/runs", body) as client:
        assert client.head().status == 422
        assert client.json()["error"]["path"] == path
    assert not agent.inputs


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ScriptedAgent, Running]]:
    with served(speaking("x"), limits=Limits(body_bytes=10_000, body_seconds=0.1)) as pair:
        yield pair


def raw_request(server: Running, headers: str, body: bytes = b"") -> Client:
    client = Client(server.port, "/runs", None, headers=headers)
    client.sock.sendall(body)
    return client.head()


def test_bodies_that_are_no_json_too_large_or_too_slow(shared: tuple[ScriptedAgent, Running]) -> None:
    _, server = shared
    with Client(server.port, "/runs", {"input": "x" * 20_000}) as client:
        assert client.head().status == 413
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        with Client(server.port, "/runs", HELLO, headers=f"Content-Type: {media}\r\n") as client:
            assert client.head().status == 415
    with Client(server.port, "/runs", None) as client:
        assert client.head().status == 415
    chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    with _chunked(server, chunked, [b"{nope", b""]) as client:
        assert client.head().status == 422
    with _chunked(server, chunked, [b"x" * 6_000, b"x" * 6_000]) as client:
        assert client.head().status == 413
    with _chunked(server, chunked, [b"{"]) as client:
        assert client.head().status == 408


def _chunked(server: Running, headers: str, chunks: list[bytes]) -> Client:
    client = Client.__new__(Client)
    client.__dict__.update(status=0, headers={}, left=b"")
    client.sock = connect(server.port)
    client.file = client.sock.makefile("rb")
    client.sock.sendall(f"POST /runs HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    for chunk in chunks:
        client.sock.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    return client


def test_what_the_developer_allows_passes_and_limits_clamp() -> None:
    allowed = Allowed(configurable={"style"}, input_keys={"messages", "topic"}, roles={"user", "system"})
    with served(speaking("x"), allowed=allowed, limits=Limits(recursion_limit=30)) as (agent, server):
        body = {
            "input": {
                "messages": [{"type": "human", "content": "a"}, {"role": "system", "content": "b"}],
                "topic": "t",
            },
            "config": {"recursion_limit": 10**9, "max_concurrency": 10**9, "configurable": {"style": "dry"}},
        }
        assert run(server, body)[-1]["status"] == "success"
        assert agent.inputs[0] == {
            "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
            "topic": "t",
        }
        config = agent.configs[0]
        assert (config["recursion_limit"], config["max_concurrency"]) == (30, 64)
        assert config["configurable"]["style"] == "dry"


def test_a_conversation_that_the_client_keeps_comes_back_whole() -> None:
    with served(speaking("x")) as (agent, server):
        messages = [
            {"role": "user", "content": "2+2", "id": "u1"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "name": "add", "args": {"a": 2}}]},
            {"role": "tool", "content": "4", "tool_call_id": "c1", "status": "success", "name": "add"},
            {"type": "ai", "content": [{"type": "text", "text": "4"}]},
        ]
        run(server, {"input": {"messages": messages}})
        assert agent.inputs[0]["messages"] == [
            {"role": "user", "content": "2+2", "id": "u1"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "name": "add", "args": {"a": 2}, "type": "tool_call"}],
            },
            {"role": "tool", "content": "4", "tool_call_id": "c1", "status": "success", "name": "add"},
            {"role": "assistant", "content": [{"type": "text", "text": "4"}]},
        ]


# Threads


class Memory(ScriptedAgent):
    """An agent that says it keeps conversations."""

    stored: dict[str, Any]
    error: Exception

    async def aget_state(self, config: Any) -> Any:
        from types import SimpleNamespace

        values = self.stored.get(config["configurable"]["thread_id"], {})
        return SimpleNamespace(values=values, interrupts=(), created_at="now" if values else None)


def test_a_thread_is_shown_without_internals() -> None:
    agent = Memory(speaking("x"), checkpointer=object())
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    agent.stored = {
        "t1": {
            "messages": [
                message("obey", "s1", "system"),
                message("hi", "h1", "human"),
                message("", "a1", tool_calls=[{"id": "c1", "name": "add", "args": {}, "type": "tool_call"}]),
                message("4", "t1", "tool", tool_call_id="c1", status="success", name="add"),
                message("four", "a2", usage_metadata=usage),
            ],
            "secret": "x",
            "shown": 1,
        }
    }
    with serving(app_for(agent, state_keys=("shown",))) as server:
        with Client(server.port, "/threads/t1", method="GET") as client:
            assert client.head().status == 200
            assert client.json() == {
                "thread_id": "t1",
                "status": "idle",
                "state": {"shown": 1},
                "interrupts": [],
                "messages": [
                    {"message_id": "h1", "role": "user", "content": "hi"},
                    {
                        "message_id": "a1",
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [{"id": "c1", "name": "add", "args": {}}],
                        "status": "complete",
                        "usage": None,
                    },
                    {
                        "message_id": "t1",
                        "role": "tool",
                        "content": "4",
                        "tool_call_id": "c1",
                        "name": "add",
                        "status": "success",
                    },
                    {
                        "message_id": "a2",
                        "role": "assistant",
                        "content": "four",
                        "tool_calls": [],
                        "status": "complete",
                        "usage": usage,
                    },
                ],
            }
        for path, status in (
            ("/threads/t2", 404),
            ("/threads/..%2ft1", 404),
            ("/threads/%00", 422),
            ("/threads/a%20b", 422),
        ):
            with Client(server.port, path, method="GET") as client:
                assert client.head().status == status


def test_an_agent_without_memory_says_so() -> None:
    with served(speaking("x")) as (_, server), Client(server.port, "/threads/t1", method="GET") as client:
        assert (client.head().status, client.json()["error"]["code"]) == (404, "no_memory")


def test_a_thread_takes_one_run_at_a_time() -> None:
    agent = Memory(forever, checkpointer=object())
    agent.stored = {}
    body = {**HELLO, "thread_id": "t1"}
    with serving(app_for(agent)) as server:
        with Client(server.port, "/runs", body) as first:
            next(first.records())
            with Client(server.port, "/runs", body) as second:
                assert (second.head().status, second.json()["error"]["code"]) == (409, "thread_busy")
        # The first has left: its run is about to end, and the next one waits for that.
        until(lambda: agent.cancelled == 1)
        with Client(server.port, "/runs", body) as third:
            assert next(third.records())["type"] == "start"


def test_a_storage_that_fails_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Memory):
        async def aget_state(self, config: Any) -> Any:
            raise self.error

    agent = Broken(speaking("x"), checkpointer=object())
    with serving(app_for(agent)) as server:
        for error, status in ((ValueError("/secret/path"), 500), (StorageError("/secret/path"), 503)):
            agent.error = error
            for client in (Client(server.port, "/runs", HELLO), Client(server.port, "/threads/t1", method="GET")):
                with client:
                    assert client.head().status == status
                    told = client.json()["error"]
                assert "secret" not in str(told) and told["error_id"] in caplog.text


def test_what_a_stopped_run_left_open_is_answered() -> None:
    def ai(*ids: str) -> Any:
        return message(tool_calls=[{"id": id, "name": "look", "args": {}, "type": "tool_call"} for id in ids])

    def answer(id: str) -> Any:
        return message("x", type="tool", tool_call_id=id, status="success")

    human = message("x", type="human")
    cases: list[tuple[list[Any], list[dict[str, Any]], list[str]]] = [
        ([], [], []),
        ([human], [], []),
        ([human, ai()], [], []),
        ([human, ai("a", "b")], [], ["a", "b"]),
        ([human, ai("a", "b"), answer("a")], [], ["b"]),
        ([human, ai("a"), answer("a"), ai()], [], []),
        ([human, ai("a", "b")], [{"role": "tool", "tool_call_id": "a"}, {"role": "user"}], ["b"]),
    ]
    for stored, given, owed in cases:
        assert [each["tool_call_id"] for each in answers_owed(stored, given)] == owed


# The router


def test_what_cannot_run_cannot_be_served() -> None:
    class Builder:
        def compile(self) -> None: ...

    with pytest.raises(InvalidType, match=r"\.compile\(\)"):
        router(Builder())


def test_two_agents_in_one_application() -> None:
    app = FastAPI()
    app.include_router(router(ScriptedAgent(speaking("a")), name="one"), prefix="/one")
    app.include_router(router(ScriptedAgent(speaking("b")), name="two"), prefix="/two")
    with serving(app) as server:
        for name, text in (("one", "a"), ("two", "b")):
            with Client(server.port, f"/{name}/runs", HELLO) as client:
                records = list(client.records())
            assert (records[0]["agent"], records[1]["content"]) == (name, text)
        with Client(server.port, "/openapi.json", method="GET") as client:
            assert {"/one/runs", "/two/runs", "/one/threads/{thread_id}"} <= set(client.json()["paths"])
