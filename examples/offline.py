"""The model that these programs talk to: OpenAI's when there is a key, else one that says what it was told to.

OPENAI_API_KEY=... python story.py      # a real model
python story.py                         # no key, no network
"""

import os
from typing import Any

from millstream import BaseChatModel, BaseMessage, ChatOpenAI, SimpleChatModel
from millstream.testing import ScriptedChatModel


class KnowsAnswers(SimpleChatModel):
    """Answers with the first of its answers whose key is in the question."""

    answers: dict[str, str]

    @property
    def _llm_type(self) -> str:
        return "knows-answers"

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> str:
        question = messages[-1].text
        return next((answer for key, answer in self.answers.items() if key in question), "I do not know.")


def chat_model(*turns: Any, answers: dict[str, str] | None = None) -> BaseChatModel:
    """A real model, or without a key one that plays `turns` in order, or picks from `answers`."""
    if os.environ.get("OPENAI_API_KEY"):
        return ChatOpenAI(model="gpt-4o-mini", temperature=0)
    if answers is not None:
        return KnowsAnswers(answers=answers)
    return ScriptedChatModel(turns=turns)
