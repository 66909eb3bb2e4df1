"""Example selectors: which of many examples a prompt shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import copy_context
from typing import Any

from ..flow.driver import in_worker

__all__ = ["BaseExampleSelector"]


class BaseExampleSelector(ABC):
    """Keeps examples and chooses some for an input. The async forms run the sync ones on a worker thread."""

    @abstractmethod
    def add_example(self, example: dict[str, str]) -> Any:
        """Keep one more example."""

    @abstractmethod
    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """The examples to show for these variables, in order."""

    async def aadd_example(self, example: dict[str, str]) -> Any:
        """`add_example` in async form."""
        return await in_worker(copy_context(), self.add_example, example)

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """`select_examples` in async form."""
        chosen: list[dict[str, Any]] = await in_worker(copy_context(), self.select_examples, input_variables)
        return chosen
