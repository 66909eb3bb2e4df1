"""ChatPromptTemplate: messages with fields to fill in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from pydantic import Field

from ..data.any_message import AnyMessage
from ..data.messages import BaseMessage
from ..errors import InvalidArgument
from ..flow.driver import ASYNC, SYNC, Driver
from ..flow.step import step
from ..spine.scope import Scope, enter
from .base_chat_prompt import BaseChatPromptTemplate
from .message_prompts import BaseMessagePromptTemplate, MessagesPlaceholder, _MessagePromptTemplate, message_template
from .prompts import BasePromptTemplate

__all__ = ["ChatPromptTemplate"]


class ChatPromptTemplate(BaseChatPromptTemplate):
    """A conversation with fields to fill in.

    Its parts are messages (taken literally, braces and all), `(role, template)` pairs, bare texts (of the user),
    `MessagesPlaceholder`, `("placeholder", "{name}")`, message templates, and other chat prompts.

    Example:
        >>> prompt = ChatPromptTemplate([("system", "You are {who}."), ("human", "{question}")])
        >>> prompt.invoke({"who": "brief", "question": "Why?"}).to_string()
        'System: You are brief.\\nHuman: Why?'
    """

    messages: list[Any] = Field(default_factory=list)

    def __init__(self, messages: Sequence[Any] = (), *, template_format: str = "f-string", **kwargs: Any) -> None:
        parts = [_part(item, template_format) for item in messages]
        ahead = dict(kwargs.pop("partial_variables", None) or {})
        for part in parts:
            ahead = {**_given_ahead(part), **ahead}
        kwargs.pop("input_variables", None)
        kwargs.pop("optional_variables", None)
        super().__init__(**{**kwargs, "messages": parts, "partial_variables": ahead})
        self._find_variables()

    @classmethod
    def from_messages(cls, messages: Sequence[Any], template_format: str = "f-string") -> ChatPromptTemplate:
        """The prompt made of these parts.

        Raises:
            InvalidArgument: (a ValueError) a part has none of the known shapes, or a template is not safe.
        """
        return cls(messages, template_format=template_format)

    @classmethod
    def from_template(cls, template: str, **kwargs: Any) -> ChatPromptTemplate:
        """The prompt of one user message."""
        return cls([("human", template)], **kwargs)

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The messages for these variables.

        Raises:
            MissingKey: (a KeyError) a variable has no value.
            InvalidArgument: (a ValueError) the value of a placeholder is not a list.
        """
        return step(self._made(SYNC, enter(None), kwargs))

    async def aformat_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The same in async form; only a selector of examples may have to be waited for."""
        return await self._made(ASYNC, enter(None), kwargs)

    def append(self, message: Any) -> None:
        """Add a part at the end."""
        self._extend([message])

    def extend(self, messages: Sequence[Any]) -> None:
        """Add parts at the end."""
        self._extend(messages)

    def pretty_repr(self, html: bool = False) -> str:
        """The parts, each under a title line, with the fields as they are written."""
        shown = [
            item.pretty_repr(html) if hasattr(item, "pretty_repr") else f"{type(item).__name__}: {item!r}"
            for item in self.messages
        ]
        return "\n\n".join(shown)

    def pretty_print(self) -> None:
        """Print `pretty_repr()`."""
        print(self.pretty_repr())

    def __len__(self) -> int:
        return len(self.messages)

    def __bool__(self) -> bool:
        # An empty prompt is still a prompt: `prompt or default` must not drop it because it has a length.
        return True

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> ChatPromptTemplate: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, int):
            return self.messages[index]
        return ChatPromptTemplate(self.messages[index], partial_variables=self.partial_variables)

    def __add__(self, other: Any) -> ChatPromptTemplate:
        """This conversation followed by a prompt, a message, a text or a list of parts."""
        if isinstance(other, ChatPromptTemplate):
            ahead = {**self.partial_variables, **other.partial_variables}
            return ChatPromptTemplate([*self.messages, *other.messages], partial_variables=ahead)
        one = not isinstance(other, (list, tuple)) or (isinstance(other, tuple) and _is_pair(other))
        parts = [other] if one else list(other)
        return ChatPromptTemplate([*self.messages, *parts], partial_variables=self.partial_variables)

    def _extend(self, messages: Sequence[Any]) -> None:
        parts = [_part(item, "f-string") for item in messages]
        for part in parts:
            self.partial_variables = {**_given_ahead(part), **self.partial_variables}
        self.messages.extend(parts)
        self._find_variables()

    def _find_variables(self) -> None:
        needed: set[str] = set()
        optional: set[str] = set()
        for part in self.messages:
            if isinstance(part, BaseMessage):
                continue
            needed.update(part.input_variables)
            if isinstance(part, MessagesPlaceholder) and part.optional:
                optional.add(part.variable_name)
            elif isinstance(part, BasePromptTemplate):
                optional.update(part.optional_variables)
        self.input_variables = sorted(needed - self.partial_variables.keys())
        self.optional_variables = sorted(optional - needed)

    def _type_of(self, name: str) -> Any:
        placed = {part.variable_name for part in self.messages if isinstance(part, MessagesPlaceholder)}
        return list[AnyMessage] if name in placed else str

    async def _made(self, d: Driver, scope: Scope, values: Mapping[str, Any]) -> list[BaseMessage]:
        values = self._given(values)
        out: list[BaseMessage] = []
        for part in self.messages:
            if isinstance(part, _MessagePromptTemplate):
                out.append(part._fill(values))
            elif isinstance(part, BaseMessage):
                out.append(part)
            elif isinstance(part, MessagesPlaceholder):
                out.extend(part._fill_all(values))
            elif isinstance(part, BaseChatPromptTemplate):
                out.extend(await part._messages_in(d, scope, values))
            else:
                out.extend(part.format_messages(**values))
        return out


def _part(item: Any, template_format: str) -> Any:
    if isinstance(item, (BaseMessage, BaseMessagePromptTemplate)) or hasattr(item, "format_messages"):
        return item
    if isinstance(item, str):
        return message_template("human", item, template_format)
    if isinstance(item, dict) and {"role", "content"} <= item.keys():
        return message_template(item["role"], item["content"], template_format)
    if _is_pair(item):
        role, template = item
        if isinstance(role, type) and issubclass(role, BaseMessage):
            role = getattr(role, "type", role.__name__)
        return message_template(str(role), template, template_format)
    raise InvalidArgument(
        f"{item!r} cannot be a part of a chat prompt; give a message, a (role, template) pair, a text, "
        "a MessagesPlaceholder or a message template."
    )


def _is_pair(item: Any) -> bool:
    """`(role, template)`: a tuple of two, the first of which is a role."""
    return (
        isinstance(item, (tuple, list))
        and len(item) == 2
        and (isinstance(item[0], str) or (isinstance(item[0], type) and issubclass(item[0], BaseMessage)))
    )


def _given_ahead(part: Any) -> dict[str, Any]:
    """The variables for which a part brings a value of its own."""
    if isinstance(part, ChatPromptTemplate):
        return part.partial_variables
    return {}
