"""Handlers that show what happens on standard output."""

from __future__ import annotations

import sys
from typing import Any

from .handlers import BaseCallbackHandler

__all__ = ["StdOutCallbackHandler", "StreamingStdOutCallbackHandler"]


class StreamingStdOutCallbackHandler(BaseCallbackHandler):
    """Writes every token of streaming models to standard output at once."""

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        """Write and flush."""
        _write(token)


class StdOutCallbackHandler(BaseCallbackHandler):
    """Writes a line when a chain starts and ends, and what tools give, to standard output; in `color`, an ANSI code."""

    def __init__(self, color: str | None = None) -> None:
        self.color = color

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Write its name."""
        name = kwargs.get("name") or (serialized or {}).get("name") or "<unknown>"
        _write(f"\n\n\033[1m> Entering new {name} chain...\033[0m\n")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Write that it ended."""
        _write("\n\033[1m> Finished chain.\033[0m\n")

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """Write what the tool gave."""
        self._show(getattr(output, "content", output), "\n")

    def on_text(self, text: str, **kwargs: Any) -> None:
        """Write it."""
        self._show(text, kwargs.get("end", ""))

    def _show(self, value: Any, end: str) -> None:
        _write(f"\033[{self.color}m{value}\033[0m{end}" if self.color else f"{value}{end}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
