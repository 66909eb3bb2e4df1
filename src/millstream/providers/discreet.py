"""Requests whose URL is sent whole and printed without its query: the HTTP library logs each request, and a query may hold a key."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

__all__ = ["hide_query"]


def hide_query(request: httpx2.Request) -> None:
    """From now on whatever prints the request's URL, such as the library's log, does so without the query."""
    cls: Any = type(request.url)
    request.url = _discreet(cls)(request.url)


@cache
def _discreet(cls: Any) -> Any:
    """Of the library's own class, which a user's client may have from httpx itself."""

    def text(url: Any) -> str:
        return f"{str(cls(url)).partition('?')[0]}?[hidden]"

    namespace: dict[str, Any] = {
        "__str__": text,
        "__repr__": lambda url: f"URL({text(url)!r})",
        "__eq__": lambda url, other: bool(cls(url) == other),
        "__hash__": lambda url: hash(cls(url)),
    }
    return type("URL", (cls,), namespace)
