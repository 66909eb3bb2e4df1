"""A whole application around one agent: its routes and the chat page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fastapi import FastAPI

from .guard import LOOPBACK, Guard
from .page import page_router
from .routes import router

__all__ = ["app"]


def app(
    agent: Any,
    *,
    title: str = "Millstream",
    model: str | None = None,
    notice: str | None = None,
    suggestions: Sequence[str] = (),
    hosts: Collection[str] | None = LOOPBACK,
    **options: Any,
) -> FastAPI:
    """An application that serves `agent` and a page to chat with it at `/`.

    It is made for one's own machine: it answers only under the names in `hosts` (None: any), only to its own page
    or to programs, and asks nobody who they are. The page shows `title`, the
    `model` that runs, a `notice` above the conversation, and `suggestions` for a first message. `options` are those of
    `router`.
    """
    routes = router(agent, model=model, **options)
    application = FastAPI(title=title, docs_url=None, redoc_url=None)
    application.include_router(routes)
    application.include_router(page_router(title=title, model=model, notice=notice, suggestions=suggestions))
    application.add_middleware(Guard, hosts=hosts)
    application.state.runs = routes.runs
    return application
