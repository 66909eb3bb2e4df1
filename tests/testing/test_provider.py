from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from itertools import pairwise

import pytest

from millstream.testing import Reply, StandInProvider, chat_answer, chat_error, chat_stream, frames_of

STREAM = chat_stream("one two three")


def post(provider: StandInProvider, body: object = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body or {"stream": True}), {"X-Test": "yes"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_script_is_played_in_order_and_requests_are_kept() -> None:
    with StandInProvider([STREAM, Reply.json(chat_error("slow down"), status=429, headers={"retry-after": "2"})]) as it:
        assert post(it, {"n": 1, "stream": True}) == (200, STREAM)
        assert post(it)[0] == 429
        assert post(it)[0] == 400
    first = it.requests[0]
    assert (first.method, first.path, first.headers["x-test"]) == ("POST", "/v1/chat/completions", "yes")
    assert first.json == {"n": 1, "stream": True}
    assert [piece for _, piece in first.sent] == frames_of(STREAM)
    assert first.at <= first.sent[0][0] <= first.sent[-1][0]
    assert all(connection.closed_at for connection in it.connections)


def test_a_file_and_a_function_as_script(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.sse").write_bytes(STREAM)
    with StandInProvider(lambda request: tmp_path / "a.sse" if request.json.get("stream") else chat_answer("x")) as it:
        assert post(it, {"stream": True}) == (200, STREAM)
        assert json.loads(post(it, {"n": 1})[1])["choices"][0]["message"]["content"] == "x"


@pytest.mark.parametrize("chunk", [None, 1, 7, "frame"])
def test_the_body_is_cut_as_asked_and_is_the_same(chunk: int | None) -> None:
    with StandInProvider([Reply(STREAM, chunk=chunk)]) as it:
        assert post(it) == (200, STREAM)
    sizes = {len(piece) for _, piece in it.requests[0].sent[:-1]}
    assert chunk in ("frame", None) or sizes == {chunk}


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_body_that_breaks_off(ending: str) -> None:
    with StandInProvider([Reply(STREAM, stop_after=100, chunk=50, ending=ending)]) as it:  # type: ignore[arg-type]
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            post(it)
        assert sum(len(piece) for _, piece in it.requests[0].sent) == 100


def test_silence_ends_when_the_client_leaves_and_that_is_noticed_at_once() -> None:
    with StandInProvider([Reply(STREAM, stop_after=100, ending="silent")]) as it:
        client = socket.create_connection(("127.0.0.1", it.port))
        client.sendall(b'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"stream":true}')
        assert it.wait_until(lambda it: bool(it.requests and it.requests[0].sent))
        left = time.monotonic()
        client.close()
        assert it.wait_until(lambda it: it.connections[0].closed_at is not None)
        closed = it.connections[0].closed_at
        assert closed is not None and closed - left < 0.1
        assert it.connections[0].closed_by_client


def test_a_connection_is_used_again_and_pauses_are_kept() -> None:
    with StandInProvider([Reply(STREAM, pause=0.01), STREAM]) as it:
        connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=5)
        for _ in range(2):
            connection.request("POST", "/v1/chat/completions", '{"stream": true}')
            assert connection.getresponse().read() == STREAM
        connection.close()
        times = [at for at, _ in it.requests[0].sent]
        assert all(b - a >= 0.009 for a, b in pairwise(times))
        assert len(it.connections) == 1


def test_in_the_running_loop() -> None:
    async def main() -> bytes:
        async with StandInProvider([STREAM]) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(b'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"stream":true}')
            data = await reader.readuntil(b"0\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            return data

    assert b"three" in asyncio.run(main())


def test_bytes_of_a_stream_answer_a_request_for_a_whole_too() -> None:
    calls = [{"name": "f", "args": {"a": 1}}, {"name": "g", "args": {}}]
    with StandInProvider([chat_stream("one two", tool_calls=calls, usage=(3, 4))]) as it:
        got = json.loads(post(it, {"n": 1})[1])
    assert got == json.loads(chat_answer("one two", tool_calls=calls, usage=(3, 4)))


def test_other_paths() -> None:
    with StandInProvider([]) as it:
        connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=5)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"]
        connection.request("GET", "/v1/else")
        assert connection.getresponse().status == 404
        connection.close()
