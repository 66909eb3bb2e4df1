"""Fitting a conversation into a model's window."""

from __future__ import annotations

import inspect
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from ..data.coercion import convert_to_messages
from ..data.messages import BaseMessage, SystemMessage
from ..data.token_estimate import count_tokens_approximately
from ..errors import InvalidArgument
from .message_steps import Kinds, Messages, is_of_kind, usable_as_step

__all__ = ["trim_messages"]

Count: TypeAlias = Callable[[list[BaseMessage]], int]
Split: TypeAlias = Callable[[str], Sequence[str]]

_LINES = re.compile(r"[^\n]*\n|[^\n]+")


@usable_as_step
def trim_messages(
    messages: Messages,
    *,
    max_tokens: int,
    token_counter: Any,
    strategy: Literal["first", "last"] = "last",
    allow_partial: bool = False,
    end_on: Kinds | None = None,
    start_on: Kinds | None = None,
    include_system: bool = False,
    text_splitter: Any = None,
) -> list[BaseMessage]:
    """Keep the last messages (or the first) that have at most `max_tokens` together.

    `token_counter` is a model, a function of a list of messages, a function whose first parameter is annotated
    BaseMessage and which counts one, or "approximate". It is asked about a few beginnings (or ends) of the list, not
    about all: more messages are taken to have more tokens.

    `end_on` and `start_on` name the types that the kept part must end and start on; what stands outside is dropped.
    `include_system` keeps a system message that stands first, whatever it costs. With `allow_partial` the first message
    that does not fit is cut: between content blocks, else between the lines (or what `text_splitter` makes) of its text.

    Raises:
        InvalidArgument: (ValueError) an unknown strategy or counter, or an option that does not go with the strategy.
    """
    if strategy not in ("first", "last"):
        raise InvalidArgument(f"`strategy` must be 'first' or 'last', not {strategy!r}.")
    if strategy == "first" and (start_on or include_system):
        option = "start_on" if start_on else "include_system"
        raise InvalidArgument(f"`{option}` goes with strategy='last' only; the first messages are kept anyway.")
    given = convert_to_messages(messages)
    window = _Window(max_tokens, _counter(token_counter), _splitter(text_splitter) if allow_partial else None)
    if strategy == "first":
        return _ending_on(window.first(given), end_on)
    given = _ending_on(given, end_on)
    system = given[:1] if include_system and given and isinstance(given[0], SystemMessage) else []
    if system:
        window.tokens = max(0, max_tokens - window.count(system))
    kept = window.last(given[len(system) :])
    return system + _starting_on(kept, start_on)


def _ending_on(messages: list[BaseMessage], kinds: Kinds | None) -> list[BaseMessage]:
    end = len(messages)
    while kinds and end and not is_of_kind(messages[end - 1], kinds):
        end -= 1
    return messages[:end]


def _starting_on(messages: list[BaseMessage], kinds: Kinds | None) -> list[BaseMessage]:
    start = 0
    while kinds and start < len(messages) and not is_of_kind(messages[start], kinds):
        start += 1
    return messages[start:]


class _Window:
    """Room for `tokens`; `split` is None where no message may be cut."""

    def __init__(self, tokens: int, count: Count, split: Split | None) -> None:
        self.tokens = tokens
        self.count = count
        self.split = split

    def first(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        size = self._most(len(messages), lambda n: messages[:n])
        kept = messages[:size]
        if self.split is not None and size < len(messages):
            kept += self._cut(messages[size], lambda part: [*kept, part], last=False)
        return kept

    def last(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        total = len(messages)
        size = self._most(total, lambda n: messages[total - n :])
        kept = messages[total - size :]
        if self.split is not None and size < total:
            kept = self._cut(messages[total - size - 1], lambda part: [part, *kept], last=True) + kept
        return kept

    def _most(self, limit: int, candidate: Callable[[int], list[BaseMessage]]) -> int:
        """The largest n <= limit whose candidate fits; 0 stands for nothing, which fits always."""
        if self.tokens <= 0:
            return 0
        if limit and self.count(candidate(limit)) <= self.tokens:
            return limit
        sizes = range(1, limit + 1)
        return bisect_right(sizes, False, key=lambda n: self.count(candidate(n)) > self.tokens)

    def _cut(
        self, message: BaseMessage, beside: Callable[[BaseMessage], list[BaseMessage]], *, last: bool
    ) -> list[BaseMessage]:
        """As much of the message as fits beside the others: none of it, or a message with a part of the content."""
        content = message.content
        texts: list[str] = [content] if isinstance(content, str) else []
        if not isinstance(content, str):
            some = self._part(message, content, beside, last, list)
            if some:
                return some
            texts = [text for text in map(_text, reversed(content) if last else content) if text]
        if not texts or self.split is None:
            return []
        return self._part(message, self.split(texts[0]), beside, last, "".join)

    def _part(
        self,
        message: BaseMessage,
        pieces: Sequence[Any],
        beside: Callable[[BaseMessage], list[BaseMessage]],
        last: bool,
        join: Callable[[Sequence[Any]], Any],
    ) -> list[BaseMessage]:
        def cut(n: int) -> BaseMessage:
            return message.model_copy(update={"content": join(pieces[len(pieces) - n :] if last else pieces[:n])})

        size = self._most(len(pieces), lambda n: beside(cut(n)))
        return [cut(size)] if size else []


def _text(block: Any) -> str:
    if isinstance(block, str):
        return block
    return str(block.get("text", "")) if block.get("type") == "text" else ""


def _splitter(given: Any) -> Split:
    if given is None:
        return _LINES.findall
    split: Split = getattr(given, "split_text", given)
    return split


def _counter(given: Any) -> Count:
    if given == "approximate":
        return count_tokens_approximately
    of_model: Count | None = getattr(given, "get_num_tokens_from_messages", None)
    if of_model is not None:
        return of_model
    counter: Any = given
    if not callable(given):
        raise InvalidArgument(
            f"`token_counter` must be a model, a function of a list of messages or 'approximate', not {given!r}."
        )
    if _counts_one(counter):
        return lambda messages: sum(map(counter, messages))
    return counter  # type: ignore[no-any-return]


def _counts_one(counter: Any) -> bool:
    try:
        parameter = next(iter(inspect.signature(counter).parameters.values()), None)
    except (TypeError, ValueError):  # a builtin such as len
        return False
    annotation = parameter.annotation if parameter is not None else None
    return annotation is BaseMessage or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "BaseMessage")
