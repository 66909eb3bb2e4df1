"""Old results of tools left out of what the model is sent, while the state keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ...data.messages import AIMessage, BaseMessage, ToolMessage
from ...data.token_estimate import count_tokens_approximately
from ...errors import InvalidArgument
from ...flow.driver import Driver
from ..middleware import ModelAnswer, ModelRequest
from .colourless import Inside, ModelWrapper

__all__ = ["ClearToolUsesEdit", "ContextEdit", "ContextEditingMiddleware"]

CountTokens = Callable[[Sequence[BaseMessage]], int]


class ContextEdit(Protocol):
    """A change of the messages for one call of the model."""

    def apply(self, messages: list[BaseMessage], *, count_tokens: CountTokens) -> None:
        """Change the list in place, never the messages in it."""
        ...


@dataclass(slots=True)
class ClearToolUsesEdit:
    """Once there are more than `trigger` tokens, puts `placeholder` in the place of all results but the last `keep`.

    With `clear_at_least` it stops when so many tokens are saved; `clear_tool_inputs` empties the calls' arguments as well;
    results of `exclude_tools` stay.
    """

    trigger: int = 100_000
    clear_at_least: int = 0
    keep: int = 3
    clear_tool_inputs: bool = False
    exclude_tools: Sequence[str] = ()
    placeholder: str = "[cleared]"

    def apply(self, messages: list[BaseMessage], *, count_tokens: CountTokens) -> None:
        tokens = count_tokens(messages)
        if tokens <= self.trigger:
            return
        results = [index for index, message in enumerate(messages) if isinstance(message, ToolMessage)]
        for index in results[: len(results) - self.keep] if self.keep else results:
            message = messages[index]
            if not isinstance(message, ToolMessage) or self._stays(messages, index):
                continue
            messages[index] = message.model_copy(
                update={
                    "content": self.placeholder,
                    "artifact": None,
                    "response_metadata": {
                        **message.response_metadata,
                        "context_editing": {"cleared": True, "strategy": "clear_tool_uses"},
                    },
                }
            )
            if self.clear_tool_inputs:
                self._clear_input(messages, message.tool_call_id)
            if self.clear_at_least and tokens - count_tokens(messages) >= self.clear_at_least:
                return

    def _stays(self, messages: list[BaseMessage], index: int) -> bool:
        message = messages[index]
        assert isinstance(message, ToolMessage)
        if not self.exclude_tools:
            return False
        name = message.name or next(
            (
                call["name"]
                for said in messages[:index]
                if isinstance(said, AIMessage)
                for call in said.tool_calls
                if call["id"] == message.tool_call_id
            ),
            None,
        )
        return name in self.exclude_tools

    def _clear_input(self, messages: list[BaseMessage], call_id: str) -> None:
        for index, message in enumerate(messages):
            if isinstance(message, AIMessage) and any(call["id"] == call_id for call in message.tool_calls):
                calls = [{**call, "args": {}} if call["id"] == call_id else call for call in message.tool_calls]
                messages[index] = message.model_copy(update={"tool_calls": calls})


class ContextEditingMiddleware(ModelWrapper):
    """Changes what the model is sent, by `edits` in their order; the conversation itself stays as it is.

    Raises:
        InvalidArgument: (a ValueError) an unknown `token_count_method`: it is "approximate", or "model" for the model's own.
    """

    def __init__(
        self,
        *,
        edits: Iterable[ContextEdit] | None = None,
        token_count_method: Literal["approximate", "model"] = "approximate",
    ) -> None:
        if token_count_method not in ("approximate", "model"):
            raise InvalidArgument(f"token_count_method must be 'approximate' or 'model', not {token_count_method!r}.")
        self.edits: list[ContextEdit] = [ClearToolUsesEdit()] if edits is None else list(edits)
        self.token_count_method = token_count_method

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        count: Any = count_tokens_approximately
        if self.token_count_method == "model":
            count = request.model.get_num_tokens_from_messages
        system = [] if request.system_message is None else [request.system_message]
        messages = list(request.messages)
        for edit in self.edits:
            edit.apply(messages, count_tokens=lambda found: count([*system, *found]))
        answer: ModelAnswer = await inside(request.override(messages=messages))
        return answer
