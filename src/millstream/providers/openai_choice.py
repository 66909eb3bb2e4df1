"""One choice of a streamed chat completion: what each delta says, and what of it has come so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.merging import merge_dicts
from ..data.types import UsageMetadata
from ..errors import InvalidType
from .free_text import MARK
from .openai_tool_calls import ToolCallPieces

__all__ = ["Choice", "closing_metadata", "reasoning_text", "split_content"]

_CLOSING = (("model", "model_name"), ("system_fingerprint", "system_fingerprint"), ("service_tier", "service_tier"))
# Lists of a delta that are handed on as they are, and texts that are: (key there and in additional_kwargs).
_LISTS = ("annotations", "images")
_REPEATED_IN_DETAILS = ("format",)


class Choice:
    """Reads the deltas of one choice, and keeps what is needed to say what came if the stream breaks.

    Of plain text only the strings are kept, not the chunks: an answer being streamed costs its text and no more.
    """

    __slots__ = ("_calls", "_details", "_kwargs", "_metadata", "_reasoning", "_tags", "_text", "finished", "started")

    def __init__(self, index: int, provider: str) -> None:
        self.started = False
        self.finished = False
        self._tags: dict[str, Any] = {"model_provider": provider, **({"index": index} if index else {})}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls = ToolCallPieces()
        self._details: set[Any] = set()
        self._kwargs: list[dict[str, Any]] = []
        self._metadata: list[dict[str, Any]] = []

    def read(self, choice: Mapping[str, Any], frame: Mapping[str, Any]) -> AIMessageChunk | None:
        """The chunk for this delta; None when it says nothing new."""
        delta = choice.get("delta") or {}
        content = delta.get("content")
        if (
            content
            and type(content) is str
            and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
            and not choice.get("finish_reason")
            and not choice.get("logprobs")
        ):
            # Nearly every frame says nothing but text: one string kept, one chunk made.
            self.started = True
            self._text.append(content)
            return AIMessageChunk(content, response_metadata=self._tags)
        return self._read_all(choice, delta, frame)

    def closing(self, metadata: dict[str, Any], usage: UsageMetadata | None) -> AIMessageChunk:
        """A chunk without content that tells what is known only at the end."""
        self.started = True
        self._metadata.append(metadata)
        return AIMessageChunk("", response_metadata={**self._tags, **metadata}, usage_metadata=usage)

    def ends(self) -> AIMessageChunk | None:
        """The chunk that ends calls which nothing else has ended; None when there are none."""
        pieces = self._calls.ends()
        return AIMessageChunk("", response_metadata=self._tags, tool_call_chunks=pieces) if pieces else None

    def partial(self) -> AIMessageChunk | None:
        """All that came, as one chunk; None when nothing did."""
        if not self.started:
            return None
        kwargs = _merged({}, self._kwargs)
        if self._reasoning:
            kwargs["reasoning_content"] = "".join(self._reasoning)
        return AIMessageChunk(
            "".join(self._text),
            additional_kwargs=kwargs,
            response_metadata=_merged(self._tags, self._metadata),
            tool_call_chunks=self._calls.merged(),
        )

    def _read_all(
        self, choice: Mapping[str, Any], delta: Mapping[str, Any], frame: Mapping[str, Any]
    ) -> AIMessageChunk | None:
        text, thought = split_content(delta.get("content"))
        kwargs = self._extras(delta)
        thought = reasoning_text(delta) or thought
        metadata = self._closing(choice, frame)
        pieces = self._calls.read(delta.get("tool_calls") or (), str(frame.get("id") or ""))
        if self._calls.new_free:
            kwargs[MARK], self._calls.new_free = self._calls.new_free, []
        if self.started and not (text or thought or kwargs or metadata or pieces):
            return None
        chunk = AIMessageChunk(
            text,
            additional_kwargs={**kwargs, "reasoning_content": thought} if thought else {**kwargs},
            response_metadata={**self._tags, **metadata},
            tool_call_chunks=pieces,
        )
        # Only what has passed for a chunk is kept.
        self.started = True
        if text:
            self._text.append(text)
        if thought:
            self._reasoning.append(thought)
        if kwargs:
            self._kwargs.append(kwargs)
        if metadata:
            self._metadata.append(metadata)
        return chunk

    def _closing(self, choice: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        reason = choice.get("finish_reason")
        if reason and not self.finished:
            # Once: some servers repeat the reason, and chunks join their strings.
            self.finished = True
            metadata = {"finish_reason": reason, **closing_metadata(frame)}
        if logprobs := choice.get("logprobs"):
            items = {key: value for key, value in logprobs.items() if value}
            if items:
                metadata["logprobs"] = items
        return metadata

    def _extras(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        """What has no place of its own in a message."""
        extras: dict[str, Any] = {key: list(delta[key]) for key in _LISTS if delta.get(key)}
        if refusal := delta.get("refusal"):
            extras["refusal"] = _text(refusal)
        if audio := delta.get("audio"):
            extras["audio"] = dict(audio)
        if call := delta.get("function_call"):  # the form before tool calls
            extras["function_call"] = {key: _text(value) for key, value in call.items() if value is not None}
        if details := delta.get("reasoning_details"):
            extras["reasoning_details"] = [self._detail(item) for item in details]
        return extras

    def _detail(self, item: dict[str, Any]) -> dict[str, Any]:
        """An item of `reasoning_details`; what its later pieces only repeat is told once."""
        index = item.get("index")
        if index is None:
            return item
        if index in self._details:
            return {key: value for key, value in item.items() if key not in _REPEATED_IN_DETAILS}
        self._details.add(index)
        return item


def _text(value: Any) -> str:
    """Text; a TypeError where it is none."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _merged(first: dict[str, Any], pieces: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        return merge_dicts(first, *pieces)
    except InvalidType:
        # Pieces that do not fit together. The text is what matters.
        return dict(first)


def closing_metadata(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Which model answered, and how it was run, from a frame or a whole answer."""
    return {ours: answer[theirs] for theirs, ours in _CLOSING if answer.get(theirs)}


def reasoning_text(message: Mapping[str, Any]) -> str:
    """The reasoning in a delta or message, under whichever name its server gives it."""
    text = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(text, str):
        return text
    details = message.get("reasoning_details") or ()
    return "".join(_text(item.get("text") or item.get("summary") or "") for item in details)


def split_content(content: Any) -> tuple[str, str]:
    """Content as (text, reasoning). A few servers send a list of blocks where others send text."""
    if not isinstance(content, list):
        return _text(content or ""), ""
    text: list[str] = []
    thought: list[str] = []
    for block in content:
        if isinstance(block, str):
            text.append(block)
        elif block.get("type") == "thinking":
            thought.append(split_content(block.get("thinking"))[0])
        else:
            text.append(_text(block.get("text") or ""))
    return "".join(text), "".join(thought)
