"""Templates of single messages, and the place for a list of them, inside a chat prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from ..data.coercion import convert_to_messages
from ..data.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, title_line
from ..errors import InvalidArgument, MissingKey
from .component import Configured
from .content_templates import ContentTemplate
from .prompts import PromptTemplate

if TYPE_CHECKING:
    from .chat_prompt import ChatPromptTemplate

__all__ = [
    "AIMessagePromptTemplate",
    "BaseMessagePromptTemplate",
    "ChatMessagePromptTemplate",
    "HumanMessagePromptTemplate",
    "MessagesPlaceholder",
    "SystemMessagePromptTemplate",
]


class BaseMessagePromptTemplate(Configured, ABC):
    """What may stand in a chat prompt beside whole messages: it makes messages from variables."""

    @property
    @abstractmethod
    def input_variables(self) -> list[str]:
        """The variables that must be given."""

    @abstractmethod
    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The messages for these variables; others are ignored."""

    def __add__(self, other: Any) -> ChatPromptTemplate:
        """The chat prompt of this, and then a message, a text, a template, a list of such, or a chat prompt."""
        from .chat_prompt import ChatPromptTemplate  # which is made of these

        joined: ChatPromptTemplate = ChatPromptTemplate([self]) + other
        return joined

    def pretty_repr(self, html: bool = False) -> str:
        """What it makes for people to read, under a title line, with the fields as they are written."""
        return f"{title_line(self._title(), html)}\n\n{self._as_written()}"

    def pretty_print(self) -> None:
        """Print `pretty_repr()`."""
        print(self.pretty_repr())

    def _title(self) -> str:
        return type(self).__name__.removesuffix("PromptTemplate").removesuffix("Message") + " Message"

    def _as_written(self) -> str:
        return "\n".join(f"{{{name}}}" for name in self.input_variables)


class _MessagePromptTemplate(BaseMessagePromptTemplate):
    """One message whose content is a text, or a list of blocks with texts inside, with `{name}` fields."""

    prompt: PromptTemplate | list[Any]
    template_format: str = "f-string"
    additional_kwargs: dict[str, Any] = Field(default_factory=dict)

    _message: ClassVar[type[BaseMessage]]

    # A slot, because a private attribute of pydantic costs 3 us a read.
    __slots__ = ("_blocks",)

    if TYPE_CHECKING:
        _blocks: ClassVar[ContentTemplate]  # of each instance; a plain annotation would be a field

    def model_post_init(self, context: Any, /) -> None:
        if not isinstance(self.prompt, PromptTemplate):
            self._content_blocks()

    @classmethod
    def from_template(
        cls,
        template: str | list[Any],
        template_format: str = "f-string",
        *,
        partial_variables: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The template for a text or a list of content blocks.

        Raises:
            InvalidArgument: (a ValueError) a text is not a safe template.
        """
        prompt: Any = template
        if not isinstance(template, list):
            prompt = PromptTemplate.from_template(
                template, template_format=template_format, partial_variables=partial_variables
            )
        return cls(prompt=prompt, template_format=template_format, **kwargs)

    @property
    def input_variables(self) -> list[str]:
        if isinstance(self.prompt, PromptTemplate):
            return self.prompt.input_variables
        return sorted(self._content_blocks().names)

    def _as_written(self) -> str:
        return str(self.prompt.template if isinstance(self.prompt, PromptTemplate) else self.prompt)

    def format(self, **kwargs: Any) -> BaseMessage:
        """The message for these variables."""
        if isinstance(self.prompt, PromptTemplate):
            return self._make(self.prompt.format(**kwargs))
        return self._make(self._content_blocks().render(kwargs))

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return [self.format(**kwargs)]

    def _fill(self, values: Mapping[str, Any]) -> BaseMessage:
        """`format` for a caller that has checked that every variable is given."""
        prompt = self.prompt
        if not isinstance(prompt, PromptTemplate):
            return self._make(self._content_blocks().render(values))
        if prompt.partial_variables:
            return self.format(**values)
        return self._make(prompt._text.render(values))

    def _content_blocks(self) -> ContentTemplate:
        """The templates inside a list of blocks, read once."""
        try:
            return self._blocks
        except AttributeError:
            blocks = ContentTemplate(list(self.prompt), self.template_format)
            object.__setattr__(self, "_blocks", blocks)
            return blocks

    def _make(self, content: Any) -> BaseMessage:
        if self.additional_kwargs:
            return self._message(content, additional_kwargs=dict(self.additional_kwargs))
        return self._message(content)


class HumanMessagePromptTemplate(_MessagePromptTemplate):
    """A message of the user with fields to fill in."""

    _message = HumanMessage


class AIMessagePromptTemplate(_MessagePromptTemplate):
    """A message of the model with fields to fill in."""

    _message = AIMessage


class SystemMessagePromptTemplate(_MessagePromptTemplate):
    """Instructions with fields to fill in."""

    _message = SystemMessage


class ChatMessagePromptTemplate(_MessagePromptTemplate):
    """A message of any role with fields to fill in."""

    role: str

    def _make(self, content: Any) -> BaseMessage:
        return ChatMessage(content, role=self.role, additional_kwargs=dict(self.additional_kwargs))


class MessagesPlaceholder(BaseMessagePromptTemplate):
    """The place for a list of messages that a variable gives; anything that can be read as a message is accepted.

    `optional` ones may be left out; `n_messages` keeps the last ones only.
    """

    variable_name: str
    optional: bool = False
    n_messages: int | None = Field(default=None, gt=0)

    def __init__(self, variable_name: str, *, optional: bool = False, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "variable_name": variable_name, "optional": optional})

    @property
    def input_variables(self) -> list[str]:
        return [] if self.optional else [self.variable_name]

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return self._fill_all(kwargs)

    def _title(self) -> str:
        return "Messages Placeholder"

    def _as_written(self) -> str:
        return f"{{{self.variable_name}}}"

    def _fill_all(self, values: Mapping[str, Any]) -> list[BaseMessage]:
        if self.variable_name not in values and not self.optional:
            raise MissingKey(
                f"the placeholder {self.variable_name!r} needs a list of messages; if it may be left out, "
                "make it optional.",
                key=self.variable_name,
            )
        value = values.get(self.variable_name, [])
        if not isinstance(value, (list, tuple)):
            raise InvalidArgument(
                f"the variable {self.variable_name!r} stands for a list of messages, but is {type(value).__name__}."
            )
        messages = convert_to_messages(value)
        return messages if self.n_messages is None else messages[-self.n_messages :]


def message_template(role: str, template: Any, template_format: str = "f-string") -> BaseMessagePromptTemplate:
    """The template for a `(role, template)` pair.

    Raises:
        InvalidArgument: (a ValueError) the role is unknown, or the template has no usable shape.
    """
    if role == "placeholder":
        return _placeholder(template)
    cls = _ROLES.get(role)
    if cls is None:
        raise InvalidArgument(
            f"unknown role {role!r} in a chat prompt; use one of {', '.join(sorted(_ROLES))}, placeholder."
        )
    if not isinstance(template, (str, list)):
        raise InvalidArgument(
            f"the {role!r} message of a chat prompt must be a text or a list of blocks, not {template!r}."
        )
    extra = {"additional_kwargs": {"__openai_role__": "developer"}} if role == "developer" else {}
    made: BaseMessagePromptTemplate = cls.from_template(template, template_format, **extra)
    return made


_ROLES: dict[str, type[_MessagePromptTemplate]] = {
    "human": HumanMessagePromptTemplate,
    "user": HumanMessagePromptTemplate,
    "ai": AIMessagePromptTemplate,
    "assistant": AIMessagePromptTemplate,
    "system": SystemMessagePromptTemplate,
    "developer": SystemMessagePromptTemplate,
}


def _placeholder(template: Any) -> MessagesPlaceholder:
    optional = True
    if isinstance(template, (list, tuple)) and len(template) == 2:
        template, optional = template
    if not (isinstance(template, str) and template[:1] == "{" and template[-1:] == "}" and isinstance(optional, bool)):
        raise InvalidArgument(f"a placeholder is written ('placeholder', '{{name}}'), not {template!r}.")
    # In a mustache prompt it is natural to write {{name}}.
    return MessagesPlaceholder(template.strip("{}"), optional=optional)
