"""Example selectors: which of many examples a prompt shows."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from pydantic import Field

from ..flow.driver import in_worker
from .component import Configured
from .prompts import PromptTemplate

__all__ = ["BaseExampleSelector", "LengthBasedExampleSelector"]


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


def words_of(text: str) -> int:
    """How many words a text has, by its blanks and line ends."""
    return len(re.split("\n| ", text))


class LengthBasedExampleSelector(Configured, BaseExampleSelector):
    """The first examples, as many as fit beside the input into `max_length` words.

    `get_text_length` measures otherwise, by tokens for instance.
    """

    examples: list[dict[str, Any]]
    example_prompt: PromptTemplate
    get_text_length: Callable[[str], int] = words_of
    max_length: int = 2048
    example_text_lengths: list[int] = Field(default_factory=list)

    def model_post_init(self, context: Any, /) -> None:
        if not self.example_text_lengths:
            self.example_text_lengths = [self._length(example) for example in self.examples]

    def add_example(self, example: dict[str, str]) -> None:
        """Keep one more example, after the others."""
        self.examples.append(example)
        self.example_text_lengths.append(self._length(example))

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """The examples from the first on, up to the first that does not fit."""
        left = self.max_length - self.get_text_length(" ".join(map(str, input_variables.values())))
        chosen = []
        for example, length in zip(self.examples, self.example_text_lengths, strict=True):
            left -= length
            if left < 0:
                break
            chosen.append(example)
        return chosen

    # Nothing is waited for, so the async forms need no thread.

    async def aadd_example(self, example: dict[str, str]) -> None:
        """`add_example` in async form."""
        self.add_example(example)

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """`select_examples` in async form."""
        return self.select_examples(input_variables)

    def _length(self, example: dict[str, Any]) -> int:
        return self.get_text_length(self.example_prompt.format(**example))
