from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
import trustme

from millstream.testing import (
    Reply,
    StandInProvider,
    answer_of,
    chat_answer,
    chat_error,
    chat_stream,
    frames_of,
    message_answer,
    message_of,
    message_stream,
    response_answer,
    response_of,
    response_stream,
)

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
    with StandInProvider([chat_stream("one two", tool_calls=calls, usage=(3, 4), id="one")]) as it:
        got = json.loads(post(it, {"n": 1})[1])
    assert got == json.loads(chat_answer("one two", tool_calls=calls, usage=(3, 4), id="one"))


def test_each_answer_has_an_id_of_its_own() -> None:
    ids = [json.loads(answer)["id"] for answer in (chat_answer("a"), chat_answer("a"), message_answer("a"))]
    ids += [
        json.loads(of(stream))["id"]
        for of, stream in ((answer_of, chat_stream("a")), (message_of, message_stream("a")))
    ]
    ids += [json.loads(response_of(response_stream("a")))["id"], json.loads(response_answer("a"))["id"]]
    assert len(set(ids)) == len(ids) == 7
    assert (
        len({json.loads(line[6:])["id"] for line in chat_stream("a b").split(b"\n\n") if line.startswith(b"data: {")})
        == 1
    )


def test_other_paths() -> None:
    with StandInProvider([]) as it:
        connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=5)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"]
        connection.request("GET", "/v1/else")
        assert connection.getresponse().status == 404
        connection.close()


def test_every_form_of_refusal() -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone(timedelta(hours=2)))
    forms = {
        None: None,
        7: "7",
        -1.5: "-1.5",
        10**9: "1000000000",
        "soon": "soon",
        moment: "Mon, 04 May 2026 01:02:01 GMT",
    }
    for given, sent in forms.items():
        assert Reply.error(429, retry_after=given).headers.get("retry-after") == sent  # type: ignore[arg-type]
    with StandInProvider([Reply.error(529, "too much")]) as it:
        status, body = post(it)
    assert (status, json.loads(body)["error"]["type"]) == (529, "overloaded_error")


def test_cuts_at_given_places() -> None:
    with StandInProvider([Reply(STREAM, chunk=[3, 100, 7])]) as it:
        assert post(it) == (200, STREAM)
    assert [len(piece) for _, piece in it.requests[0].sent] == [3, 4, 93, len(STREAM) - 100]


def test_nothing_at_all_is_said() -> None:
    with StandInProvider([Reply(head=False, ending="close"), Reply(head=False, ending="reset")]) as it:
        for _ in range(2):
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                post(it)


@pytest.mark.parametrize("ending", ["clean", "close", "cut", "reset"])
def test_over_tls_with_and_without_its_farewell(ending: str) -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    with StandInProvider([Reply(STREAM, stop_after=100, ending=ending)], tls=server) as it:  # type: ignore[arg-type]
        assert it.base_url.startswith("https://")
        with socket.create_connection(("127.0.0.1", it.port)) as raw:
            raw.settimeout(5)
            # Unlike the usual wrapping this tells a cut from an end.
            with client.wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as tls:
                tls.sendall(b'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"stream":true}')
                data = bytearray()
                how = "open"
                try:
                    while how == "open":
                        piece = tls.recv(1000)
                        data += piece
                        how = "goodbye" if not piece else "clean" if data.endswith(b"0\r\n\r\n") else how
                except ssl.SSLEOFError:
                    how = "cut"
                except ConnectionResetError:
                    how = "reset"
    # OpenSSL tells of a reset in either way.
    assert how in {"close": ("goodbye",), "reset": ("cut", "reset")}.get(ending, (ending,))
    assert ending == "reset" or STREAM[:50] in data
