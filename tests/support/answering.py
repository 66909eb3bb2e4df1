"""An agent's model that answers in order and notes what it was sent and told of, a tool, and a question."""

from __future__ import annotations

from typing import Any

from millstream import AIMessage, HumanMessage, tool
from millstream.chat.models import BaseChatModel
from millstream.data.outputs import ChatGeneration, ChatResult

__all__ = ["ASK", "Model", "add", "calling", "model", "texts"]


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


class Model(BaseChatModel):
    """Answers in order; notes what it was sent and told of."""

    replies: list[Any]
    seen: list[Any]
    bound: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        self.bound.append((tools, kwargs))
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.seen.append([message.text for message in messages])
        reply = self.replies[len(self.seen) - 1]
        if isinstance(reply, Exception):
            raise reply
        return ChatResult(generations=[ChatGeneration(message=reply)])


def calling(*calls: tuple[str, dict[str, Any], str]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": n, "args": a, "id": i, "type": "tool_call"} for n, a, i in calls])


def model(*replies: Any) -> Model:
    return Model(replies=list(replies), seen=[], bound=[])


ASK: Any = {"messages": [HumanMessage("q")]}


def texts(result: Any) -> list[str]:
    return [message.text for message in result["messages"]]
