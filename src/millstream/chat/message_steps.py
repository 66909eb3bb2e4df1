"""What the functions on lists of messages share: each is also a step of a chain, and tells messages apart by type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, overload

from ..data.chunks import BaseMessageChunk
from ..data.coercion import MessageLikeRepresentation
from ..data.messages import BaseMessage
from ..data.prompt_values import PromptValue
from ..flow.function import RunnableLambda

__all__ = ["Kinds", "MessageStep", "Messages", "is_of_kind", "usable_as_step"]

Messages: TypeAlias = Iterable[MessageLikeRepresentation] | PromptValue
Kinds: TypeAlias = str | type[BaseMessage] | Sequence[str | type[BaseMessage]]
"""Message types as they are written (`"human"`), message classes, or a sequence of both."""

P = ParamSpec("P")


class MessageStep(Protocol[P]):
    """A function on messages; called without them it gives a runnable that takes them."""

    @overload
    def __call__(self, messages: Messages, *args: P.args, **kwargs: P.kwargs) -> list[BaseMessage]: ...
    @overload
    def __call__(
        self, messages: None = None, *args: P.args, **kwargs: P.kwargs
    ) -> RunnableLambda[Messages, list[BaseMessage]]: ...


def usable_as_step(fn: Callable[Concatenate[Messages, P], list[BaseMessage]]) -> MessageStep[P]:
    """Decorator: without messages, `fn` with the other arguments as a RunnableLambda."""

    @wraps(fn)
    def either(messages: Any = None, *args: P.args, **kwargs: P.kwargs) -> Any:
        if messages is not None:
            return fn(messages, *args, **kwargs)
        return RunnableLambda(partial(fn, **kwargs), name=fn.__name__)

    return either


def is_of_kind(message: BaseMessage, kinds: Kinds) -> bool:
    """Whether the message is of one of these types or classes; a chunk is of the type of its message too."""
    if isinstance(kinds, (str, type)):
        kinds = (kinds,)
    types = {message.type}
    if isinstance(message, BaseMessageChunk):
        types.add(message._continues.type)
    return any(kind in types if isinstance(kind, str) else isinstance(message, kind) for kind in kinds)
