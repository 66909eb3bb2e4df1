"""The demo's application: an agent with the three tools, its page, and a model."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ...graph.agent import create_react_agent
from ...graph.savers.memory import InMemorySaver
from ..application import app
from .choice import Choice
from .tools import tools

__all__ = ["demo_agent", "demo_app"]

_PROMPT = (
    "You are the demo of Millstream, a Python streaming runtime for LLM agents. Use the calculator for arithmetic, the "
    "clock for the time, and search_docs for questions about Millstream; call several tools at once where that helps. "
    "Answer briefly, in Markdown."
)
_SUGGESTIONS = (
    "What is 12% of 3,450, what time is it in Tokyo, and how does Millstream stream tokens?",
    "How are checkpoints saved?",
    "What is 2^64 - 1?",
    "What time is it in New York and Berlin?",
)


def demo_agent(model: Any) -> Any:
    """The agent, with a memory that lasts as long as the process."""
    return create_react_agent(model, tools, prompt=_PROMPT, checkpointer=InMemorySaver(), name="demo")


def demo_app(choice: Choice, **options: Any) -> FastAPI:
    """The application around it. `options` are those of `serve.app`."""
    return app(
        demo_agent(choice.model),
        title="Millstream demo",
        model=choice.name,
        notice=choice.notice,
        suggestions=_SUGGESTIONS,
        **options,
    )
