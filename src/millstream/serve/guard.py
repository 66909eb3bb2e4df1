"""Who may talk to the application, and what a browser may do with its answers. Pure ASGI, so that streams pass as they are."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import Problem

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _PAGE_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-dns-prefetch-control", b"off"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Refuses requests for another host or from another site, and adds security headers to every answer.

    A page from anywhere may make a browser call this server, under a name of its own that points to 127.0.0.1 or from
    its own origin: neither gets an answer. `hosts`: names that the server goes by, any port; None: not checked.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = LOOPBACK) -> None:
        self.app = app
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        problem = self._refusal(scope)
        await (self.app if problem is None else problem.response())(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        given = headers.get(b"host", [])
        if len(given) != 1 or (host := _host_name(given[0])) is None:
            return Problem(400, "bad_host", "The request must name one host.")
        if self.hosts is not None and host not in self.hosts:
            return Problem(421, "wrong_host", "This server does not answer under that name.")
        if not _same_origin(headers.get(b"origin", []), given[0]):
            return Problem(403, "cross_site", "Requests from other sites are not accepted.")
        return None


def _host_name(value: str) -> str | None:
    """The name in a Host header without its port, None when it is malformed."""
    name, colon, port = value.rpartition(":")
    if not colon or value.endswith("]"):
        name, port = value, ""
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    allowed = ":." if bare is not name else ".-_"
    if not bare or not all(char.isascii() and (char.isalnum() or char in allowed) for char in bare):
        return None
    if port and not (port.isascii() and port.isdecimal() and len(port) <= 5):
        return None
    return name.lower()


def _same_origin(origins: list[str], host: str) -> bool:
    # Not a browser, or a navigation: no Origin. `null` is a page without an origin of its own: another site.
    if not origins:
        return True
    return len(origins) == 1 and urlsplit(origins[0]).netloc.lower() == host.lower()
