"""Counting tokens: a handler that sums the usage of model runs, by the name of the model."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ...data.merging import add_usage
from ...data.types import UsageMetadata
from ..hooks import hooks
from .handlers import BaseCallbackHandler

__all__ = ["UsageMetadataCallbackHandler", "get_usage_metadata_callback"]


class UsageMetadataCallbackHandler(BaseCallbackHandler):
    """Sums the usage of all model runs that it sees in `usage_metadata`, by `response_metadata["model_name"]`.

    Runs that do not say a model's name or their usage are not counted.
    """

    # Counting is quick, and its result is wanted the moment that a call returns.
    run_inline = True

    def __init__(self) -> None:
        self.usage_metadata: dict[str, UsageMetadata] = {}
        self._lock = threading.Lock()

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        """Add the usage of one run."""
        for candidates in response.generations[:1]:
            message = getattr(candidates[0], "message", None) if candidates else None
            usage = getattr(message, "usage_metadata", None)
            name = getattr(message, "response_metadata", {}).get("model_name")
            if usage and name:
                with self._lock:
                    self.usage_metadata[name] = add_usage(self.usage_metadata.get(name), usage)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.usage_metadata})"


# One for each `with` that is open around the call: the outer ones count what inner ones count.
_counting: ContextVar[tuple[UsageMetadataCallbackHandler, ...]] = ContextVar("millstream_usage", default=())


def _hook(listeners: Iterable[Any]) -> Iterable[Any]:
    return _counting.get()


hooks.append(_hook)


@contextmanager
def get_usage_metadata_callback(name: str = "usage_metadata_callback") -> Iterator[UsageMetadataCallbackHandler]:
    """Count the tokens of all model runs inside the `with`, those in tasks and threads that it starts included.

    Example:
        >>> from millstream import AIMessage, FakeMessagesListChatModel
        >>> usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        >>> answer = AIMessage("hi", usage_metadata=usage, response_metadata={"model_name": "m"})
        >>> model = FakeMessagesListChatModel(responses=[answer])
        >>> with get_usage_metadata_callback() as counted:
        ...     _ = model.invoke("a"), model.invoke("b")
        >>> counted.usage_metadata["m"]["total_tokens"]
        10
    """
    handler = UsageMetadataCallbackHandler()
    token = _counting.set((*_counting.get(), handler))
    try:
        yield handler
    finally:
        _counting.reset(token)
