"""Summaries in the place of old messages, before a conversation grows out of the model's context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

from ...chat.trimming import trim_messages
from ...data.coercion import get_buffer_string
from ...data.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from ...data.token_estimate import count_tokens_approximately
from ...errors import InvalidArgument
from ...flow.driver import ASYNC, SYNC, Driver
from ...flow.step import step
from ..constants import REMOVE_ALL_MESSAGES
from ..middleware import AgentMiddleware
from .colourless import ask_model, model_named

__all__ = ["ContextSize", "SummarizationMiddleware"]

ContextSize: TypeAlias = (
    tuple[Literal["fraction"], float] | tuple[Literal["tokens"], int] | tuple[Literal["messages"], int]
)
"""A share of the model's context window, a number of tokens, or a number of messages."""

SUMMARY_PROMPT = """\
The conversation below has become too long to be kept whole. It will be replaced by what you write now, and whoever carries \
on knows nothing else of it. Write down, as briefly as completeness allows: what the user wants, what has been done and \
found (with names, numbers and ids as they are), what was decided and why, and what is still to be done. Write only that.

<messages>
{messages}
</messages>"""


class SummarizationMiddleware(AgentMiddleware):
    """Puts a summary in the place of old messages when the conversation has become too long.

    `trigger` is a size or several, any of which suffices; `keep` is what stays as it is (a tool's result always with its
    call). Sizes are `("messages", 50)`, `("tokens", 4000)` or `("fraction", 0.8)` of the model's context window, which
    needs `model.profile["max_input_tokens"]`. Of what is summarized at most the last `trim_tokens_to_summarize` tokens are
    sent (None: all). `summary_prompt` has a place for `{messages}`.

    Raises:
        InvalidArgument: (a ValueError) a size that cannot be, or a fraction of a window that is not known.
    """

    def __init__(
        self,
        model: Any,
        *,
        trigger: ContextSize | Sequence[ContextSize] | None = None,
        keep: ContextSize = ("messages", 20),
        token_counter: Callable[[Iterable[Any]], int] = count_tokens_approximately,
        summary_prompt: str = SUMMARY_PROMPT,
        trim_tokens_to_summarize: int | None = 4000,
    ) -> None:
        self.model = model_named(model)
        given: Any = trigger
        self.trigger: list[ContextSize] = (
            [] if given is None else [given] if isinstance(given, tuple) and isinstance(given[0], str) else list(given)
        )
        self.keep = keep
        self.token_counter = token_counter
        self.summary_prompt = summary_prompt
        self.trim_tokens_to_summarize = trim_tokens_to_summarize
        self._triggers = [self._size(each) for each in self.trigger]
        self._keep = self._size(keep)

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Summarize, where it is time."""
        return step(self._summarized(SYNC, state["messages"]))

    async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`before_model` in async form."""
        return await self._summarized(ASYNC, state["messages"])

    async def _summarized(self, d: Driver, messages: list[BaseMessage]) -> dict[str, Any] | None:
        if not any(self._reaches(messages, size) for size in self._triggers):
            return None
        cut = _without_parting(messages, self._cut(messages))
        if cut <= 0:
            return None
        summary = await self._summary(d, messages[:cut])
        note = HumanMessage(
            f"Here is a summary of the conversation to date:\n\n{summary}",
            additional_kwargs={"lc_source": "summarization"},
        )
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), note, *messages[cut:]]}

    async def _summary(self, d: Driver, messages: list[BaseMessage]) -> str:
        limit = self.trim_tokens_to_summarize
        if limit is not None:
            counter: Any = self.token_counter
            messages = trim_messages(
                messages,
                max_tokens=limit,
                token_counter=counter,
                strategy="last",
                allow_partial=True,
                include_system=True,
            )
        prompt = self.summary_prompt.format(messages=get_buffer_string(messages, format="xml"))
        answer: BaseMessage = await ask_model(d, self.model, prompt, "summarization")
        return answer.text.strip()

    def _size(self, given: ContextSize) -> tuple[str, int]:
        """A size as ("messages" or "tokens", number)."""
        kind, amount = given
        if kind == "fraction":
            if not 0 < amount <= 1:
                raise InvalidArgument(f"a fraction is more than 0 and at most 1, not {amount}.")
            window = (getattr(self.model, "profile", None) or {}).get("max_input_tokens")
            if not isinstance(window, int):
                raise InvalidArgument(
                    f"{given} is a share of the model's context window, which is not known; give the model "
                    "profile={'max_input_tokens': ...}, or a size in tokens."
                )
            return "tokens", max(1, int(window * amount))
        if kind not in ("messages", "tokens"):
            raise InvalidArgument(f"a size is in 'messages', 'tokens' or a 'fraction', not in {kind!r}.")
        if amount <= 0:
            raise InvalidArgument(f"a size is more than 0 {kind}, not {amount}.")
        return kind, int(amount)

    def _reaches(self, messages: list[BaseMessage], size: tuple[str, int]) -> bool:
        kind, amount = size
        return (len(messages) if kind == "messages" else self.token_counter(messages)) >= amount

    def _cut(self, messages: list[BaseMessage]) -> int:
        """How many messages are too old to be kept."""
        kind, amount = self._keep
        if kind == "messages":
            return len(messages) - amount
        low, high = 0, len(messages)
        while low < high:  # the most messages at the end that fit
            middle = (low + high) // 2
            if self.token_counter(messages[middle:]) <= amount:
                high = middle
            else:
                low = middle + 1
        return low


def _without_parting(messages: list[BaseMessage], cut: int) -> int:
    """The place nearest to `cut`, earlier if it can be, where no tool's result is parted from its call."""
    if not 0 < cut < len(messages) or not isinstance(messages[cut], ToolMessage):
        return cut
    before = cut
    while before and isinstance(messages[before], ToolMessage):
        before -= 1
    if before and isinstance(messages[before], AIMessage):
        return before
    while cut < len(messages) and isinstance(messages[cut], ToolMessage):
        cut += 1
    return cut
