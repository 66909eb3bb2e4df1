"""The application: who gets an answer, and with which headers; the page's files."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import ScriptedAgent, speaking
from serving import Client, Running, connect, serving, until

from millstream import serve

HELLO = {"input": "Hello"}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    app = serve.app(
        ScriptedAgent(speaking("x")),
        title="<script>alert(1)</script>",
        model="{{ notice }}",
        notice='a "quoted" notice',
        suggestions=["it's <b>"],
    )
    with serving(app) as running:
        yield running


def ask(server: Running, lines: str, method: str = "GET", path: str = "/") -> tuple[int, dict[str, str], bytes]:
    """One request with exactly these header lines."""
    client = Client.__new__(Client)
    client.status, client.headers = 0, {}
    client.sock = connect(server.port)
    client.file = client.sock.makefile("rb")
    with client:
        client.sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        client.head()
        return client.status, client.headers, b"".join(client.parts())


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Host: 127.0.0.1:{port}\r\n", 200),
        ("Host: localhost:{port}\r\n", 200),
        ("Host: LOCALHOST\r\n", 200),
        ("Host: [::1]:{port}\r\n", 200),
        ("Host: evil.test\r\n", 421),
        ("Host: 127.0.0.1.evil.test\r\n", 421),
        ("Host: 127.0.0.1@evil.test\r\n", 400),
        ("Host: good/../admin?\r\n", 400),
        ("Host: local host\r\n", 400),
        ("Host: localhost:80:80\r\n", 400),
        ("Host: localhost:99999999\r\n", 400),
        ("Host:\r\n", 400),
        ("", 400),
        ("Host: localhost\r\nHost: evil.test\r\n", 400),
        ("Host: localhost\r\nX-Forwarded-Host: evil.test\r\n", 200),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/runs/x/stop"), ("DELETE", "/threads/x")])
def test_only_its_own_names_get_an_answer(server: Running, lines: str, status: int, method: str, path: str) -> None:
    got = ask(server, lines.format(port=server.port) + "Content-Length: 0\r\n", method, path)[0]
    assert got == status if status != 200 else got in (200, 404, 405)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 404),
        ("http://evil.test", 403),
        ("null", 403),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:{port}.evil.test", 403),
        ("http://localhost:{port}", 403),
    ],
)
def test_pages_of_other_origins_get_nothing(server: Running, origin: str, status: int) -> None:
    lines = f"Host: 127.0.0.1:{server.port}\r\nContent-Length: 0\r\nOrigin: {origin.format(port=server.port)}\r\n"
    got, headers, _ = ask(server, lines, "POST", "/runs/x/stop")
    assert got == status
    assert not [name for name in headers if name.startswith("access-control")]


def test_every_answer_has_the_security_headers(server: Running) -> None:
    for path in ("/", "/ui/app.js", "/nope", "/threads/t"):
        _, headers, _ = ask(server, "Host: localhost\r\n", path=path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_what_the_developer_says_is_text_on_the_page(server: Running) -> None:
    status, headers, body = ask(server, "Host: localhost\r\n")
    page = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ notice }}" in page and "a &quot;quoted&quot; notice" in page
    assert "it&#x27;s &lt;b&gt;" in page


def test_files_of_the_page(server: Running) -> None:
    page = Path(serve.__file__).parent / "ui"
    for file in page.iterdir():
        if file.name == "index.html":
            continue
        status, headers, body = ask(server, "Host: localhost\r\n", path=f"/ui/{file.name}")
        assert (status, body) == (200, file.read_bytes())
        again = ask(server, f"Host: localhost\r\nIf-None-Match: {headers['etag']}\r\n", path=f"/ui/{file.name}")
        assert (again[0], again[2]) == (304, b"")


@pytest.mark.parametrize("path", ["/ui/../page.py", "/ui/%2e%2e/page.py", "/ui/..%2fpage.py", "/ui/", "/ui/index.html"])
def test_no_other_file_is_served(server: Running, path: str) -> None:
    assert ask(server, "Host: localhost\r\n", path=path)[0] == 404


def test_ranges_are_not_served_in_parts(server: Running) -> None:
    ranges = ",".join(f"{i}-{i + 1}" for i in range(3_000))
    status, _, body = ask(server, f"Host: localhost\r\nRange: bytes={ranges}\r\n", path="/ui/app.js")
    assert (status, body) == (200, (Path(serve.__file__).parent / "ui" / "app.js").read_bytes())


def test_the_page_asks_nothing_from_outside() -> None:
    for file in (Path(serve.__file__).parent / "ui").iterdir():
        text = file.read_text()
        assert set(re.findall(r"https?://\w[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}, file
        assert "innerHTML" not in text and "style=" not in text and "onclick" not in text, file


SERVER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from agents import ScriptedAgent
from millstream import serve
async def forever(told):
    told.say("first")
    await asyncio.Event().wait()
agent = ScriptedAgent(forever)
serve.run(serve.app(agent, limits=serve.Limits(grace=0.2)), port=int(sys.argv[2]), log_level="info")
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_tells_its_viewers(how: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    support = str(Path(__file__).parent.parent / "support")
    source = str(Path(serve.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, support, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
    )
    try:
        until(lambda: answers(port), timeout=20)
        with Client(port, "/runs", HELLO) as client:
            records = client.records()
            assert next(records)["type"] == "start"
            assert next(records)["content"] == "first"
            process.send_signal(how)
            last = list(records)
        assert [(record["type"], record["cause"]) for record in last] == [("done", "drain")]
        until(lambda: process.poll() is not None, timeout=10)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read().replace(b"KeyboardInterrupt", b"") or how == signal.SIGINT
    finally:
        process.kill()
        process.communicate()


def answers(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True
