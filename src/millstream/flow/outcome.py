"""How a part of concurrent work ended."""

from __future__ import annotations

from typing import Any

from ..data.lazy import logger_of
from ..errors import GraphBubbleUp

__all__ = ["Outcome", "log_late"]

logger = logger_of("millstream")


class Outcome:
    """How one of several concurrent parts ended: `error` is None, or `value` means nothing."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error

    def get(self) -> Any:
        """The value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value

    @property
    def is_final(self) -> bool:
        """Whether it ended by an interrupt, exit or cancellation, which nothing else may outlast or hide."""
        return self.error is not None and not isinstance(self.error, Exception)


def log_late(error: BaseException | None) -> None:
    """Log an error of a part that is being ended: whoever could be told of it has left, or is being told of another."""
    if isinstance(error, Exception) and not isinstance(error, GraphBubbleUp):
        logger.warning("an error while a part was being ended: %r", error, exc_info=error)
