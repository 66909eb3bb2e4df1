"""The chat page: files that are read once and served as they are."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib import resources

from fastapi import APIRouter, Request
from starlette.responses import Response

__all__ = ["page_router"]

_PLACE = re.compile(r"\{\{ (\w+) \}\}")
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}


def page_router(*, title: str, model: str | None, notice: str | None, suggestions: Sequence[str]) -> APIRouter:
    """The page at `/` and its files under `/ui/`."""
    files = {
        file.name: file.read_bytes()
        for file in resources.files("millstream.serve").joinpath("ui").iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }
    index = files.pop("index.html").decode()
    told = {"title": title, "model": model or "", "notice": notice or "", "suggestions": json.dumps(list(suggestions))}
    # In one pass, so that no value is taken for a place to fill in.
    index = _PLACE.sub(lambda place: html.escape(told[place[1]]), index)
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page() -> Response:
        return Response(index, headers={"cache-control": "no-store"}, media_type="text/html")

    @routes.get("/ui/{name}")
    async def file(name: str, request: Request) -> Response:
        body = files.get(name)
        if body is None:
            return Response("Not found\n", 404, media_type="text/plain")
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"cache-control": "no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])

    return routes
