"""Personal data kept from the model, or from the user: found by patterns, then covered, hashed or refused."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from ...data.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from ...errors import InvalidArgument, MillstreamError
from ..middleware import AgentMiddleware

__all__ = ["PIIDetectionError", "PIIMatch", "PIIMiddleware"]

Strategy: TypeAlias = Literal["block", "redact", "mask", "hash"]


class PIIMatch(TypedDict):
    """Where something personal stands in a text."""

    type: str
    value: str
    start: int
    end: int


Detector: TypeAlias = Callable[[str], Sequence[Any]]

_PATTERNS = {
    "email": r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b",
    "credit_card": r"\b\d(?:[ -]?\d){12,18}\b",
    "ip": r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)",
    "mac_address": r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b",
    "url": r"\bhttps?://[^\s<>\"']+|\bwww\.[^\s<>\"']+",
}


class PIIDetectionError(MillstreamError):
    """Personal data where it is refused. `pii_type` and `matches` say what was found."""

    def __init__(self, pii_type: str, matches: Sequence[PIIMatch]) -> None:
        super().__init__(
            f"Detected {len(matches)} instance(s) of {pii_type} in text content, which is not allowed here."
        )
        self.pii_type = pii_type
        self.matches = list(matches)


class PIIMiddleware(AgentMiddleware):
    """Looks for one kind of personal data in what the user writes, and if asked for in answers and in tools' results.

    `pii_type` is "email", "credit_card", "ip", "mac_address", "url", or a name of yours with a `detector`: a pattern, or a
    function of the text that gives dicts with `start` and `end`. What is found is replaced ("redact": `[REDACTED_EMAIL]`,
    "mask": only a part stays, "hash": the same for the same value), or "block" raises `PIIDetectionError`.

    Raises:
        InvalidArgument: (a ValueError) an unknown strategy, or an unknown type without a detector.
    """

    def __init__(
        self,
        pii_type: str,
        *,
        strategy: Strategy = "redact",
        detector: str | Detector | None = None,
        apply_to_input: bool = True,
        apply_to_output: bool = False,
        apply_to_tool_results: bool = False,
    ) -> None:
        if strategy not in ("block", "redact", "mask", "hash"):
            raise InvalidArgument(f"strategy must be 'block', 'redact', 'mask' or 'hash', not {strategy!r}.")
        if detector is None and pii_type not in _PATTERNS:
            raise InvalidArgument(
                f"there is no detector for {pii_type!r}; give one, or use one of {sorted(_PATTERNS)}."
            )
        self.pii_type = pii_type
        self.strategy: Strategy = strategy
        self.apply_to_input = apply_to_input
        self.apply_to_output = apply_to_output
        self.apply_to_tool_results = apply_to_tool_results
        self._detector = detector if callable(detector) else None
        self._pattern = re.compile(detector if isinstance(detector, str) else _PATTERNS.get(pii_type, ""))

    @property
    def name(self) -> str:
        return f"{type(self).__name__}[{self.pii_type}]"

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Treat the last message of the user, and the results of tools since the last answer."""
        messages: list[BaseMessage] = state["messages"]
        found: list[BaseMessage] = []
        if self.apply_to_input:
            found += [m for m in reversed(messages) if isinstance(m, HumanMessage)][:1]
        if self.apply_to_tool_results:
            last = max((n for n, m in enumerate(messages) if isinstance(m, AIMessage)), default=-1)
            found += [m for m in messages[last + 1 :] if isinstance(m, ToolMessage)]
        return self._treated(found)

    async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`before_model` in async form."""
        return self.before_model(state, runtime)

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Treat the answer."""
        if not self.apply_to_output:
            return None
        return self._treated([m for m in reversed(state["messages"]) if isinstance(m, AIMessage)][:1])

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`after_model` in async form."""
        return self.after_model(state, runtime)

    def find(self, text: str) -> list[PIIMatch]:
        """What of this kind stands in a text, in its order."""
        if self._detector is not None:
            spans = [(match["start"], match["end"]) for match in self._detector(text)]
        else:
            spans = [m.span() for m in self._pattern.finditer(text) if _is_one(self.pii_type, m.group())]
        return [
            {"type": self.pii_type, "value": text[start:end], "start": start, "end": end}
            for start, end in sorted(spans)
        ]

    def _treated(self, messages: Sequence[BaseMessage]) -> dict[str, Any] | None:
        changed = []
        for message in messages:
            content = self._content(message.content)
            if content != message.content:
                changed.append(message.model_copy(update={"content": content}))
        return {"messages": changed} if changed else None

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return self._text(content)
        return [
            {**block, "text": self._text(block["text"])}
            if isinstance(block, dict) and isinstance(block.get("text"), str)
            else self._text(block)
            if isinstance(block, str)
            else block
            for block in content
        ]

    def _text(self, text: str) -> str:
        matches = self.find(text)
        if matches and self.strategy == "block":
            raise PIIDetectionError(self.pii_type, matches)
        for match in reversed(matches):
            text = text[: match["start"]] + self._cover(match["value"]) + text[match["end"] :]
        return text

    def _cover(self, value: str) -> str:
        if self.strategy == "redact":
            return f"[REDACTED_{self.pii_type.upper()}]"
        if self.strategy == "hash":
            return f"<{self.pii_type}_hash:{hashlib.sha256(value.encode()).hexdigest()[:8]}>"
        return _masked(self.pii_type, value)


def _masked(pii_type: str, value: str) -> str:
    """A value of which only as much can be read as tells it from others."""
    if pii_type == "email":
        user, _, domain = value.partition("@")
        return f"{user}@****.{domain.rpartition('.')[2]}"
    if pii_type == "ip":
        return re.sub(r"\d+(?=\.)", "*", value)
    if pii_type == "mac_address":
        return re.sub(r"\w", "*", value[:-2]) + value[-2:]
    if pii_type == "url":
        return "[MASKED_URL]"
    if pii_type == "credit_card":
        return re.sub(r"\d", "*", value[:-4]) + value[-4:]
    return "****" + (value[-4:] if len(value) > 4 else "")


def _is_one(pii_type: str, value: str) -> bool:
    """Whether what looks like it is it: cards have a check digit, addresses a range."""
    if pii_type == "credit_card":
        digits = [int(d) for d in reversed(value) if d.isdigit()]
        return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0
    if pii_type == "ip":
        try:
            ipaddress.ip_address(value)
        except ValueError:
            return False
    return True
