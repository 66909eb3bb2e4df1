"""A21: fetching a URL that a stranger chose leads to a public address or nowhere."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from millstream import Fetched, FetchError, FetchRefused, afetch, fetch
from millstream.providers import fetch as fetching

Get = Callable[..., Fetched]


@pytest.fixture(params=["sync", "async", "sync in a loop"])
def get(request: pytest.FixtureRequest) -> Get:
    async def inside(url: str, **options: Any) -> Fetched:
        return fetch(url, **options)

    def run(url: str, **options: Any) -> Fetched:
        if request.param == "sync":
            return fetch(url, **options)
        return asyncio.run((afetch if request.param == "async" else inside)(url, **options))

    return run


class Server:
    """Answers GET by a table of paths; remembers who asked for what."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.table: dict[str, tuple[int, dict[str, str], Any]] = {
            "/": (200, {"content-type": "text/plain; charset=utf-8"}, [b"hello"]),
            "/gone": (404, {}, [b"no"]),
        }
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                outer.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                status, headers, pieces = outer.table[self.path.partition("?")[0]]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                except (ConnectionError, ssl.SSLError):
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = False  # closing waits for those who still write to a client that has left
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(host, tls) as server:
        yield server


class Names:
    """What names resolve to, one answer after the other; the last one stays. Counts the look-ups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **table: list[str]) -> None:
        self.table = {name.replace("_", "."): list(answers) for name, answers in table.items()}
        self.looked_up: list[str] = []
        real = socket.getaddrinfo

        def resolve(host: str, port: Any, *args: Any, **options: Any) -> Any:
            answers = self.table.get(host.rstrip("."))
            if answers is None:
                return real(host, port, *args, **options)
            self.looked_up.append(host)
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            return [entry for one in found.split() for entry in real(one, port, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_what_is_there_comes_with_its_type(get: Get) -> None:
    with serving() as server:
        got = get(f"http://127.0.0.1:{server.port}/?q=ž&x=1", allow=["127.0.0.1"], headers={"accept": "text/plain"})
    assert (got.body, got.text, got.content_type) == (b"hello", "hello", "text/plain")
    assert got.data_url == "data:text/plain;base64,aGVsbG8="
    path, headers = server.asked[0]
    assert path == "/?q=%C5%BE&x=1"
    assert (headers["host"], headers["accept"]) == (f"127.0.0.1:{server.port}", "text/plain")


LOOPBACK = ["127.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "017700000001"]
LOOPBACK += ["localhost", "LOCALHOST.", "0.0.0.0", "[::]", "１２７.０.０.１", "127。0。0。1", "[::7f00:1]", "127.8.9.10"]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_not_reached_however_it_is_spelled(get: Get, host: str) -> None:
    with serving() as server, pytest.raises((FetchRefused, FetchError)) as caught:
        get(f"http://{host}:{server.port}/")
    assert server.asked == []
    # Some spellings are no host at all to some systems; whoever can look them up must refuse them.
    assert isinstance(caught.value, FetchRefused) or "cannot be found" in str(caught.value)


INSIDE = ["169.254.169.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.200", "168.63.129.16"]
INSIDE += ["192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "2852039166", "0xa9fea9fe"]
INSIDE += [
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[fec0::1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::1]",
    "[2002:a9fe:a9fe::1]",
]
INSIDE += ["[::ffff:10.0.0.1]", "[2001:0:a9fe:a9fe::]", "[64:ff9b::7f00:1]", "[2001:db8::1]", "[::ffff:0:127.0.0.1]"]


@pytest.mark.parametrize("host", INSIDE)
def test_no_address_inside_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_ask", None)  # nothing may get so far
    with pytest.raises(FetchRefused, match="no public address"):
        fetch(f"http://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1:248:1893:25c8:1946]", "8.8.8.8"])
def test_control_public_addresses_pass(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(url: str, *rest: Any) -> Fetched:
        return Fetched(url, {}, b"")

    monkeypatch.setattr(fetching, "_ask", asked)
    assert fetch(f"https://{host}/x").url == f"https://{host}/x"


@pytest.mark.parametrize("answers", ["127.0.0.1", "10.0.0.1", "93.184.216.34 127.0.0.1", "::1", "169.254.169.254"])
def test_names_that_lead_inside(get: Get, answers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, evil_test=[answers])
    with serving() as server, pytest.raises(FetchRefused, match=r"evil\.test.*no public address"):
        get(f"http://evil.test:{server.port}/")
    assert server.asked == []


def test_a_name_that_changes_its_answer_leads_to_the_checked_address(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, rebind_test=["127.0.0.2", "127.0.0.1"])
    with serving("127.0.0.2") as checked, Server("127.0.0.1", None) as inside:
        url = f"http://rebind.test:{checked.port}/"
        assert get(url, allow=["127.0.0.2"]).body == b"hello"
        assert names.looked_up == ["rebind.test"]
        assert [headers["host"] for _, headers in checked.asked] == [f"rebind.test:{checked.port}"]
        # The next time it is looked up again, and refused.
        with pytest.raises(FetchRefused):
            get(url, allow=["127.0.0.2"])
        assert inside.asked == []


TARGETS = [
    ("http://127.0.0.1:{port}/secret", FetchRefused),
    ("//127.0.0.1:{port}/secret", FetchRefused),
    ("http://inside.test:{port}/secret", FetchRefused),
    ("http://user:pw@127.0.0.2:{port}/", FetchRefused),
    ("file:///etc/passwd", FetchRefused),
    ("gopher://127.0.0.2:{port}/_x", FetchRefused),
    ("/again", FetchError),
]


@pytest.mark.parametrize(("target", "error"), TARGETS)
@pytest.mark.parametrize("status", [301, 307])
def test_each_redirect_is_checked(
    get: Get, status: int, target: str, error: type[FetchError], monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, inside_test=["127.0.0.1"])
    with serving("127.0.0.2") as server:
        location = target.format(port=server.port)
        server.table["/again"] = (status, {"location": location}, [])
        with pytest.raises(error):
            get(f"http://127.0.0.2:{server.port}/again", allow=["127.0.0.2"])
        assert {path for path, _ in server.asked} == {"/again"}
        assert len(server.asked) <= 6


def test_redirects_within_what_is_allowed(get: Get) -> None:
    with serving("127.0.0.2") as first, serving("127.0.0.3") as second:
        first.table["/a"] = (302, {"location": "/b"}, [])
        first.table["/b"] = (308, {"location": f"http://127.0.0.3:{second.port}/"}, [])
        got = get(f"http://127.0.0.2:{first.port}/a", allow=["127.0.0.0/8"], headers={"authorization": "Bearer k"})
    assert (got.body, got.url) == (b"hello", f"http://127.0.0.3:{second.port}/")
    assert [headers.get("authorization") for _, headers in first.asked] == ["Bearer k", "Bearer k"]
    # What was meant for one host is not told to another.
    assert [headers.get("authorization") for _, headers in second.asked] == [None]


BAD = [
    "file:///etc/passwd",
    "gopher://x/_1",
    "ftp://x/",
    "data:text/plain,x",
    "/etc/passwd",
    "",
    "http://",
    "http:///x",
]
BAD += ["http://user@example.com/", "http://user:pw@example.com/", "http://a\nb/", "http://a b/", "http://a\\@b/", "x" * 9000]  # fmt: skip
BAD += ["http://example.com:99999/", "http://[::1", "http://[fe80::1%25eth0]/", "http://\x00/", "http://a%2eb/"]


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_plain_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_look_up", None)  # nothing may get so far
    with pytest.raises(FetchRefused) as caught:
        fetch(url)
    assert "pw" not in str(caught.value)


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 65_536


def slow() -> Iterator[bytes]:
    for _ in range(100):
        yield b"x"
        time.sleep(0.05)


def test_no_more_comes_than_is_allowed(get: Get) -> None:
    with serving() as server:
        server.table["/endless"] = (200, {}, endless())
        server.table["/told"] = (200, {"content-length": "99999999999"}, [b"x"])
        server.table["/packed"] = (200, {"content-encoding": "gzip"}, [b"x"])
        server.table["/page"] = (200, {"content-type": "text/html"}, [b"<html>"])
        url = f"http://127.0.0.1:{server.port}"
        for path, why in (("/endless", "larger"), ("/told", "larger"), ("/packed", "packed"), ("/page", "text/html")):
            with pytest.raises(FetchRefused, match=why):
                get(url + path, allow="127.0.0.1", max_bytes=1_000_000, content_types=["image/"] * (path == "/page"))
        with pytest.raises(FetchError, match="404") as caught:
            get(url + "/gone", allow="127.0.0.1")
        assert caught.value.status == 404


def test_no_longer_than_is_allowed(get: Get) -> None:
    with serving() as server:
        server.table["/slow"] = (200, {}, slow())
        start = time.monotonic()
        with pytest.raises(FetchError, match=r"longer than 0\.2 s"):
            get(f"http://127.0.0.1:{server.port}/slow?secret=x", allow="127.0.0.1", timeout=0.2)
        assert time.monotonic() - start < 4  # of the five that the body takes


def test_a_query_is_in_no_log_and_no_error(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        server.table["/page"] = (404, {}, [b"gone"])
        with pytest.raises(FetchError) as caught:
            get(f"http://127.0.0.1:{server.port}/page?sig=do-not-tell", allow="127.0.0.1")
        assert "do-not-tell" in server.asked[-1][0]
    assert "/page?[hidden]" in caplog.text
    assert "do-not-tell" not in caplog.text + repr(caught.value)


def test_a_port_that_nobody_listens_on(get: Get) -> None:
    with serving() as server:
        port = server.port
    with pytest.raises(FetchError, match="cannot be reached"):
        get(f"http://127.0.0.1:{port}/", allow=["127.0.0.1"])


def test_the_next_address_is_asked_where_one_is_down(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, two_test=["127.0.0.3 127.0.0.2"])
    with serving("127.0.0.2") as server:
        assert get(f"http://two.test:{server.port}/", allow=["two.test"]).body == b"hello"


def test_certificates_are_checked_for_the_name(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("good.test").configure_cert(server_side)
    authority.configure_trust(client_side)
    monkeypatch.setattr(fetching, "_tls", lambda: client_side)
    Names(monkeypatch, good_test=["127.0.0.1"], other_test=["127.0.0.1"])
    with serving(tls=server_side) as server:
        assert get(f"https://good.test:{server.port}/", allow=["good.test"]).body == b"hello"
        with pytest.raises(FetchError):
            get(f"https://other.test:{server.port}/", allow=["other.test"])
        assert len(server.asked) == 1


def test_proxies_of_the_environment_are_not_used(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server, serving("127.0.0.2") as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.2:{proxy.port}")
        assert get(f"http://127.0.0.1:{server.port}/", allow=["127.0.0.1"]).body == b"hello"
        assert proxy.asked == []
