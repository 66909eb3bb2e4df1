"""Fetching a URL that a stranger chose: a user, a model, a document. It leads to the public internet or nowhere."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from ..errors import FetchError, FetchRefused
from ..flow.driver import in_worker
from .discreet import hide_query

if TYPE_CHECKING:
    import ssl

    import httpx2

__all__ = ["Fetched", "afetch", "fetch"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 5
# Beside what `is_global` says: networks that it learnt only in later versions of Python, and an address that answers to all
# machines of Azure and belongs to none.
_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "3fff::/20", "5f00::/16", "64:ff9b:1::/48", "fec0::/10", "168.63.129.16")
]
# Networks of IPv6 that lead to an address of IPv4: its place in the bits.
_CARRIES_IPV4 = {
    ipaddress.IPv6Network("64:ff9b::/96"): 0,
    ipaddress.IPv6Network("2002::/16"): 80,
    ipaddress.IPv6Network("::/96"): 0,
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL led to."""

    url: str
    """Where the body came from, after all redirects."""
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        """What kind of thing it is, such as "image/png"; empty where the server does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def data_url(self) -> str:
        """The body as a `data:` URL, which models take for images without fetching anything."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.body).decode()}"


@dataclass(frozen=True, slots=True)
class _Rules:
    names: frozenset[str]
    networks: tuple[_Network, ...]
    max_bytes: int
    content_types: tuple[str, ...]
    headers: dict[str, str]

    def permits(self, host: str, address: _Address) -> bool:
        return host in self.names or _is_public(address) or any(address in network for network in self.networks)


async def afetch(
    url: str,
    *,
    allow: Iterable[str] = (),
    max_bytes: int = 20_000_000,
    timeout: float = 30.0,  # noqa: ASYNC109 - the same in both colours
    content_types: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """Fetch a URL, which may come from anybody, without being led into your own network.

    A host is looked up once, all its addresses must be public, and the connection goes to one that was checked: a name that
    answers differently the next time gains nothing. Each redirect is checked in the same way. `allow` makes exceptions: host
    names, addresses, or networks such as "10.1.0.0/16". No proxy is used, and no cookie or password is sent.

    `content_types` are the beginnings of what may come, such as "image/". `timeout` is for all of it, `headers` for the first
    host only.

    Raises:
        FetchRefused: (ValueError) it leads where none may go, or what came is too large or of another type.
        FetchError: it cannot be reached, answers with an error, or takes too long.
    """
    rules = _Rules(*_exceptions(allow), max_bytes, tuple(kind.lower() for kind in content_types), dict(headers or {}))
    try:
        async with asyncio.timeout(timeout):
            return await _follow(url, rules)
    except TimeoutError:
        raise FetchError(f"{_shown(url)} took longer than {timeout:g} s.") from None


def fetch(
    url: str,
    *,
    allow: Iterable[str] = (),
    max_bytes: int = 20_000_000,
    timeout: float = 30.0,
    content_types: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """`afetch` for synchronous callers: blocks until the body is here."""

    def run() -> Fetched:
        # With a factory the runner leaves the thread's current event loop as it is.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(
                afetch(
                    url,
                    allow=allow,
                    max_bytes=max_bytes,
                    timeout=timeout,
                    content_types=content_types,
                    headers=headers,
                )
            )

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    # No second loop can run in this thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


# -- one hop after the other -----------------------------------------------------------------------------------------------


async def _follow(url: str, rules: _Rules) -> Fetched:
    headers = rules.headers
    context = await in_worker(copy_context(), _tls)
    for _ in range(_MOST_REDIRECTS + 1):
        parts = _checked(url)
        addresses = await _addresses(parts, rules)
        found = await _ask(url, parts, addresses, context, headers, rules)
        if isinstance(found, Fetched):
            return found
        target = urljoin(url, found)
        if urlsplit(target).netloc != parts.netloc:
            headers = {}
        url = target
    raise FetchError(f"{_shown(url)} comes after more than {_MOST_REDIRECTS} redirects.")


async def _ask(
    url: str,
    parts: SplitResult,
    addresses: list[_Address],
    context: ssl.SSLContext,
    headers: dict[str, str],
    rules: _Rules,
) -> Fetched | str:
    """What is there, or where it redirects to. The first address that can be reached is asked."""
    import httpx2

    last: Exception | None = None
    for address in addresses:
        async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=None) as client:
            request = _request(client, parts, address, headers)
            try:
                response = await client.send(request, stream=True)
            except httpx2.ConnectError as error:
                last = error
                continue
            except httpx2.HTTPError as error:
                raise FetchError(f"{_shown(url)} cannot be fetched: {error}") from error
            try:
                return await _read(response, url, rules)
            except httpx2.HTTPError as error:
                raise FetchError(f"{_shown(url)} broke off: {error}") from error
            finally:
                await response.aclose()
    raise FetchError(f"{_shown(url)} cannot be reached: {last}") from last


def _request(
    client: httpx2.AsyncClient, parts: SplitResult, address: _Address, headers: dict[str, str]
) -> httpx2.Request:
    """A request to the checked address that names the host as the URL does, for virtual hosts and for certificates."""
    host = f"[{address}]" if address.version == 6 else str(address)
    port = f":{parts.port}" if parts.port else ""
    request = client.build_request(
        "GET",
        f"{parts.scheme}://{host}{port}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}",
        headers={
            "user-agent": "millstream",
            **headers,
            "host": parts.netloc,
            # A small body that grows when it is unpacked would get around the limit.
            "accept-encoding": "identity",
        },
        extensions={"sni_hostname": parts.hostname or ""},
    )
    if parts.query:
        hide_query(request)  # a signed address has its key there
    return request


async def _read(response: httpx2.Response, url: str, rules: _Rules) -> Fetched | str:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status_code in (301, 302, 303, 307, 308) and "location" in headers:
        return headers["location"]
    if response.status_code >= 300:
        raise FetchError(f"{_shown(url)} answered {response.status_code}.", status=response.status_code)
    if headers.get("content-encoding", "identity") != "identity":
        raise FetchRefused(f"{_shown(url)} answers with a packed body although none was asked for.")
    fetched = Fetched(url, headers, b"")
    if rules.content_types and not fetched.content_type.startswith(rules.content_types):
        raise FetchRefused(
            f"{_shown(url)} is of type {fetched.content_type or 'unknown'!r}; wanted: {', '.join(rules.content_types)}."
        )
    body = bytearray()
    told = headers.get("content-length", "0")
    if not (told.isdecimal() and int(told[:20]) > rules.max_bytes):
        async for piece in response.aiter_raw(65_536):
            body += piece
            if len(body) > rules.max_bytes:
                break
        else:
            return Fetched(url, headers, bytes(body))
    raise FetchRefused(f"{_shown(url)} is larger than {rules.max_bytes} bytes.")


@cache
def _tls() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context()


# -- where a URL may lead -----------------------------------------------------------------------------------------------------


def _checked(url: str) -> SplitResult:
    """The parts of a URL that says plainly where it leads."""
    if not isinstance(url, str) or re.search(r"[\x00-\x20\x7f\\]", url) or len(url) > 8_192:
        raise FetchRefused("A URL must be text without spaces, control characters and backslashes.")
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:
        raise FetchRefused(f"{_shown(url)} is no URL.") from None
    if parts.scheme not in _PORTS:
        raise FetchRefused(f"Only http and https are fetched, not {parts.scheme or 'a path'!r}.")
    if "@" in parts.netloc:
        raise FetchRefused("A URL with a user or password is not fetched.")
    if not host:
        raise FetchRefused("The URL names no host.")
    shown = f"[{host}]" if ":" in host else host
    path = "".join(char if char.isascii() else _quoted(char) for char in parts.path)
    query = "".join(char if char.isascii() else _quoted(char) for char in parts.query)
    return SplitResult(parts.scheme, shown if port is None else f"{shown}:{port}", path, query, "")


def _host(name: str) -> str:
    """The name as it is looked up: letters of all scripts become ASCII, and digits of all scripts digits."""
    if "%" in name:
        raise ValueError
    return name if name.isascii() else name.encode("idna").decode().lower()


def _quoted(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))


async def _addresses(parts: SplitResult, rules: _Rules) -> list[_Address]:
    """The addresses of the host, looked up this one time; all of them may be asked."""
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    try:
        found = await in_worker(copy_context(), _look_up, host, port)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"The host {host!r} cannot be found: {error}") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not rules.permits(host.rstrip("."), address):
            raise FetchRefused(
                f"{host!r} leads to {address}, which is no public address. "
                "If it may be asked, name it, its address or its network in `allow`."
            )
    if not addresses:
        raise FetchError(f"The host {host!r} has no address.")
    return list(dict.fromkeys(addresses))


def _look_up(host: str, port: int) -> list[Any]:
    look_up: Callable[..., list[Any]] = socket.getaddrinfo
    return look_up(host, port, type=socket.SOCK_STREAM)


def _is_public(address: _Address) -> bool:
    inner = _ipv4_in(address)
    if inner is not None:
        return _is_public(inner)
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


def _ipv4_in(address: _Address) -> ipaddress.IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.teredo:
        return address.teredo[1]
    shift = next((shift for network, shift in _CARRIES_IPV4.items() if address in network), None)
    return None if shift is None else ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)


def _exceptions(allow: Iterable[str]) -> tuple[frozenset[str], tuple[_Network, ...]]:
    names: set[str] = set()
    networks: list[_Network] = []
    for entry in [allow] if isinstance(allow, str) else allow:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            names.add(_host(entry.lower().rstrip(".")))
    return frozenset(names), tuple(networks)


def _shown(url: Any) -> str:
    """A URL for a message: short, in one line, without what may be secret."""
    plain = re.sub(r"//[^/]*@", "//", str(url).partition("?")[0])
    return repr(plain[:200])
