"""A handler that shows a model's answer as it comes."""

from __future__ import annotations

import sys
from typing import Any

from .handlers import BaseCallbackHandler

__all__ = ["StreamingStdOutCallbackHandler"]


class StreamingStdOutCallbackHandler(BaseCallbackHandler):
    """Writes every token of streaming models to standard output at once."""

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        """Write and flush."""
        sys.stdout.write(token)
        sys.stdout.flush()
