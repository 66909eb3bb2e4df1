"""What models give: generations and results, and the chunks in which generations arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import InvalidType, ValidationError
from .chunks import BaseMessageChunk, merge_chunks
from .merging import merge_dicts
from .messages import BaseMessage
from .record import Record

__all__ = [
    "ChatGeneration",
    "ChatGenerationChunk",
    "ChatResult",
    "Generation",
    "GenerationChunk",
    "LLMResult",
    "RunInfo",
]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class Generation(Record):
    """One text that a model gave; `generation_info` is what the provider said about it."""

    __slots__ = ("generation_info", "text")
    _required: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    generation_info: dict[str, Any] | None
    type: ClassVar[str] = "Generation"

    def __init__(self, text: str, generation_info: dict[str, Any] | None = None, type: str | None = None) -> None:
        if not isinstance(text, str):
            raise ValidationError(f"`text` must be a str, not {text.__class__.__name__}.", field="text")
        self.text = text
        self.generation_info = generation_info
        _check_type(self, type)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class GenerationChunk(Generation):
    """A piece of a Generation; `+` joins."""

    __slots__ = ()

    type: ClassVar[str] = "GenerationChunk"

    def __add__(self, other: Any) -> Self:
        """Join with another piece, or a list of them.

        Raises:
            InvalidType: (TypeError) `other` is neither.
        """
        pieces = _pieces(self, other)
        return self.__class__(text="".join([piece.text for piece in pieces]), generation_info=_joined_info(pieces))


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatGeneration(Record):
    """One message that a model gave. `text` is the message's."""

    __slots__ = ("generation_info", "message")
    _required: ClassVar[frozenset[str]] = frozenset({"message"})
    _message_class: ClassVar[Any] = BaseMessage

    text: str
    message: BaseMessage
    generation_info: dict[str, Any] | None
    type: ClassVar[str] = "ChatGeneration"

    def __init__(
        self,
        message: Any,
        generation_info: dict[str, Any] | None = None,
        *,
        text: str | None = None,
        type: str | None = None,
    ) -> None:
        # `text` is accepted, so that a dump can be read back; it always is the message's.
        if not isinstance(message, self._message_class):
            message = _message_of(self, message)
        self.message = message
        self.generation_info = generation_info
        if type is not None:
            _check_type(self, type)

    if not TYPE_CHECKING:
        text = property(lambda self: self.message.text, doc="The text of the message.")

    @classmethod
    def _field_names(cls) -> tuple[str, ...]:
        return tuple(name for name in super()._field_names() if name != "text")  # it is said by `message`

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """All fields, and `text`, as a dict."""
        dumped = super().model_dump(**options)
        include, exclude = options.get("include"), options.get("exclude")
        if (include is None or "text" in include) and (exclude is None or "text" not in exclude):
            dumped["text"] = self.text
        return dumped


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatGenerationChunk(ChatGeneration):
    """A piece of a ChatGeneration, around a message chunk; `+` joins."""

    __slots__ = ()
    _message_class: ClassVar[Any] = BaseMessageChunk

    type: ClassVar[str] = "ChatGenerationChunk"

    def __add__(self, other: Any) -> Self:
        """Join with another piece, or a list of them.

        Raises:
            InvalidType: (TypeError) `other` is neither.
        """
        if other.__class__ is self.__class__:
            message = self.message + other.message
            pieces: Sequence[Any] = (self, other)
        else:
            pieces = _pieces(self, other)
            message = merge_chunks([piece.message for piece in pieces])
        return self.__class__(message, _joined_info(pieces))


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatResult(Record):
    """What one call of a chat model gave: the candidates, and what the provider said about the call."""

    __slots__ = ("generations", "llm_output")
    _required: ClassVar[frozenset[str]] = frozenset({"generations"})

    generations: list[ChatGeneration]
    llm_output: dict[str, Any] | None

    def __init__(self, generations: Sequence[ChatGeneration], llm_output: dict[str, Any] | None = None) -> None:
        self.generations = [_made(ChatGeneration, generation) for generation in generations]
        self.llm_output = llm_output


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class RunInfo(Record):
    """The run in which a result was made."""

    __slots__ = ("run_id",)
    _required: ClassVar[frozenset[str]] = frozenset({"run_id"})

    run_id: Any

    def __init__(self, run_id: Any) -> None:
        self.run_id = run_id


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class LLMResult(Record):
    """What calls of a model gave: for each prompt its candidates."""

    __slots__ = ("generations", "llm_output", "run")
    _required: ClassVar[frozenset[str]] = frozenset({"generations"})

    generations: list[list[Any]]
    llm_output: dict[str, Any] | None
    run: list[RunInfo] | None
    type: ClassVar[str] = "LLMResult"

    def __init__(
        self,
        generations: Sequence[Sequence[Any]],
        llm_output: dict[str, Any] | None = None,
        run: Sequence[RunInfo] | None = None,
        type: str | None = None,
    ) -> None:
        self.generations = [[_any_generation(one) for one in candidates] for candidates in generations]
        self.llm_output = llm_output
        self.run = None if run is None else [_made(RunInfo, info) for info in run]
        if type is not None:
            _check_type(self, type)

    def flatten(self) -> list[LLMResult]:
        """One result for each prompt, with its candidates. The token usage stays with the first, to count once."""
        flat: list[LLMResult] = []
        for place, candidates in enumerate(self.generations):
            output = self.llm_output
            if place and output is not None:
                output = {**output, "token_usage": {}}
            flat.append(LLMResult([candidates], output))
        return flat


def _check_type(made: Any, type: str | None) -> None:
    if type is not None and type != made.type:
        raise ValidationError(f"{made.__class__.__name__} has the type {made.type!r}, not {type!r}.", field="type")


def _message_of(generation: ChatGeneration, message: Any) -> Any:
    cls = generation.__class__
    if isinstance(message, dict):
        return cls._message_class.model_validate(message)
    raise ValidationError(
        f"The message of a {cls.__name__} must be a {cls._message_class.__name__}, not {message.__class__.__name__}.",
        field="message",
    )


def _made(cls: type[Any], value: Any) -> Any:
    return value if isinstance(value, cls) else cls.model_validate(value)


def _any_generation(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    classes: dict[Any, type[Any]] = {cls.type: cls for cls in (Generation, GenerationChunk, ChatGenerationChunk)}
    return classes.get(value.get("type"), ChatGeneration if "message" in value else Generation).model_validate(value)


def _pieces(first: Any, other: Any) -> Sequence[Any]:
    others = other if isinstance(other, (list, tuple)) else (other,)
    kind = ChatGenerationChunk if isinstance(first, ChatGenerationChunk) else GenerationChunk
    for piece in others:
        if not isinstance(piece, kind):
            raise InvalidType(f"Cannot join {first.__class__.__name__} and {piece.__class__.__name__}.")
    return (first, *others)


def _joined_info(pieces: Sequence[Any]) -> dict[str, Any] | None:
    given = [piece.generation_info for piece in pieces if piece.generation_info]
    return merge_dicts(*given) if given else None
