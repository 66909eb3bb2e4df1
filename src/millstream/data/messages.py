"""Messages: what people, models and tools say to each other.

Each class is a slotted dataclass with one hand-written `__init__`, because messages and their chunks are made per
token: a dataclass's own would not check anything, pydantic's costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast
from uuid import UUID

from ..errors import InvalidArgument, MissingKey, ValidationError
from . import blocks
from .calls import check_calls, check_invalid_calls, legacy_calls
from .record import Record
from .schemas import tagged_schema
from .types import InvalidToolCall, ToolCall, UsageMetadata

__all__ = [
    "AIMessage",
    "BaseMessage",
    "ChatMessage",
    "FunctionMessage",
    "HumanMessage",
    "RemoveMessage",
    "SystemMessage",
    "ToolMessage",
]


_NOTHING: Any = object()  # None is an answer of a tool


def title_line(title: str, html: bool = False) -> str:
    """The line of 80 characters that stands over what is shown to people; `html` makes it bold."""
    title = f" {title} "
    rule = "=" * ((80 - len(title)) // 2)
    line = f"{rule}{title}{rule}{'=' * (len(title) % 2)}"
    return f"<b>{line}</b>" if html else line


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class BaseMessage(Record):
    """What all messages share. `content` is text, or a list of texts and content blocks.

    Keywords that no field takes are kept as attributes. Equal are messages of the same class with equal fields.
    """

    __slots__ = ("__dict__", "additional_kwargs", "content", "id", "name", "response_metadata")
    __match_args__ = ("content",)
    _required: ClassVar[frozenset[str]] = frozenset({"content"})
    _title: ClassVar[str] = "Base"
    _continues: ClassVar[Any] = None  # of a chunk class: the message class whose pieces it holds

    content: str | list[str | dict[str, Any]]
    additional_kwargs: dict[str, Any]
    response_metadata: dict[str, Any]
    type: str
    name: str | None
    id: str | None

    def __init__(
        self,
        content: Any = None,
        *,
        additional_kwargs: dict[str, Any] | None = None,
        response_metadata: dict[str, Any] | None = None,
        name: str | None = None,
        id: str | int | float | None = None,
        content_blocks: Sequence[Any] | None = None,
        **extra: Any,
    ) -> None:
        if content.__class__ is not str or content_blocks is not None:
            content = check_content(self, content, content_blocks)
        self.content = content
        self.additional_kwargs = {} if additional_kwargs is None else check_dict("additional_kwargs", additional_kwargs)
        self.response_metadata = {} if response_metadata is None else check_dict("response_metadata", response_metadata)
        self.name = name if name is None else check_str("name", name)
        self.id = id if id is None or id.__class__ is str else check_id("id", id)  # pyright: ignore[reportAttributeAccessIssue]
        if extra:
            self._keep(extra)

    def _keep(self, extra: dict[str, Any]) -> None:
        """Keep keywords that no field takes; `type` may be given, and must be right."""
        kind = extra.pop("type", self.type)
        if kind != self.type:
            raise ValidationError(
                f"{self.__class__.__name__} has the type {self.type!r}, not {kind!r}; leave `type` out.", field="type"
            )
        if extra:
            self.__dict__.update(extra)

    def _shown(self) -> list[str]:
        told = [(name, getattr(self, name)) for name in self._field_names() if name != "type"]
        told = [(name, value) for name, value in told if value is not None]
        return [f"{name}={value!r}" for name, value in (*told, *self._extras().items())]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Make one from a dict of its fields; `BaseMessage` chooses the class by `type`. An instance is returned as is.

        Raises:
            ValidationError: (ValueError) the dict has the wrong shape.
        """
        if hasattr(cls, "type") or isinstance(obj, cls) or not isinstance(obj, dict):
            return super().model_validate(obj, **options)
        chosen: type[Self] = class_of_type(obj.get("type"), cls)
        return chosen.model_validate(obj, **options)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        if hasattr(cls, "type"):
            return super().__get_pydantic_core_schema__(source, handler)
        return tagged_schema(cls, _concrete(cls), handler)

    @property
    def text(self) -> str:
        """The text of the content: itself, or its texts and text blocks joined."""
        content = self.content
        if content.__class__ is str:
            return content  # pyright: ignore[reportReturnType]
        return blocks.text_of(content)

    @property
    def content_blocks(self) -> list[Any]:
        """The content as a list of typed blocks, whatever the provider's form was."""
        return blocks.content_blocks(self)

    def pretty_repr(self, html: bool = False) -> str:
        """The message for people to read, under an 80-character title line; `html` makes the title bold."""
        line = title_line(f"{self._title} Message", html)
        name = f"\nName: {self.name}" if self.name else ""
        return f"{line}{name}\n\n{self.content}"

    def pretty_print(self) -> None:
        """Print `pretty_repr()`."""
        print(self.pretty_repr())

    def __add__(self, other: Any) -> Any:
        """Join with a chunk of the same role; anything else makes a `ChatPromptTemplate` of both."""
        if isinstance(other, BaseMessage) and other._continues and isinstance(self, other._continues):
            return other._follow(self)
        import millstream

        return millstream.ChatPromptTemplate([self]) + other

    def _follow(self, message: Any) -> Any:
        """`message + self`, where self is a chunk of the same role."""
        raise NotImplementedError  # chunks define it


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class HumanMessage(BaseMessage):
    """What a person says to the model."""

    __slots__ = ()
    _title: ClassVar[str] = "Human"

    type: str = "human"


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class SystemMessage(BaseMessage):
    """Instructions to the model."""

    __slots__ = ()
    _title: ClassVar[str] = "System"

    type: str = "system"


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class AIMessage(BaseMessage):
    """What a model says. `tool_calls` are those it wants run, `usage_metadata` the tokens it took.

    Calls in OpenAI's form under `additional_kwargs["tool_calls"]` are parsed when no others are given.
    """

    __slots__ = ("invalid_tool_calls", "tool_calls", "usage_metadata")
    _title: ClassVar[str] = "Ai"

    type: str = "ai"
    tool_calls: list[ToolCall]
    invalid_tool_calls: list[InvalidToolCall]
    usage_metadata: UsageMetadata | None

    def __init__(
        self,
        content: Any = None,
        *,
        additional_kwargs: dict[str, Any] | None = None,
        response_metadata: dict[str, Any] | None = None,
        name: str | None = None,
        id: str | int | float | None = None,
        tool_calls: Sequence[Any] | None = None,
        invalid_tool_calls: Sequence[Any] | None = None,
        usage_metadata: Any = None,
        content_blocks: Sequence[Any] | None = None,
        **extra: Any,
    ) -> None:
        if content.__class__ is not str or content_blocks is not None:
            content = check_content(self, content, content_blocks)
            if content_blocks is not None and not tool_calls:
                tool_calls = [
                    block for block in content if isinstance(block, dict) and block.get("type") == "tool_call"
                ]
        self.content = content
        self.additional_kwargs = {} if additional_kwargs is None else check_dict("additional_kwargs", additional_kwargs)
        self.response_metadata = {} if response_metadata is None else check_dict("response_metadata", response_metadata)
        self.name = name if name is None else check_str("name", name)
        self.id = id if id is None or id.__class__ is str else check_id("id", id)  # pyright: ignore[reportAttributeAccessIssue]
        self.usage_metadata = usage_metadata if usage_metadata is None else check_usage(usage_metadata)
        self.tool_calls = check_calls(tool_calls) if tool_calls else []
        self.invalid_tool_calls = check_invalid_calls(invalid_tool_calls) if invalid_tool_calls else []
        if additional_kwargs and not (tool_calls or invalid_tool_calls) and "tool_calls" in additional_kwargs:
            self.tool_calls, self.invalid_tool_calls = legacy_calls(additional_kwargs["tool_calls"])
        if extra:
            self._keep(extra)

    def pretty_repr(self, html: bool = False) -> str:
        """The message for people to read, with its tool calls below."""
        shown = [super().pretty_repr(html).strip()]
        for heading, calls in (("Tool Calls:", self.tool_calls), ("Invalid Tool Calls:", self.invalid_tool_calls)):
            if calls:
                shown.append(heading)
            for call in calls:
                args = call["args"]
                error = call.get("error")
                shown += [f"  {call['name'] or 'Tool'} ({call['id']})", f" Call ID: {call['id']}"]
                shown += [f"  Error: {error}"] if error else []
                shown.append("  Args:")
                shown += [f"    {k}: {v}" for k, v in args.items()] if isinstance(args, dict) else [f"    {args}"]
        return "\n".join(shown)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ToolMessage(BaseMessage):
    """What a tool answered to the call `tool_call_id`. `artifact` is for the program, not for the model.

    Content that is neither text nor a list is turned into text, and an id that is a number or a UUID too.

    Raises:
        MissingKey: (KeyError) there is no `tool_call_id`.
    """

    __slots__ = ("artifact", "status", "tool_call_id")
    _required: ClassVar[frozenset[str]] = frozenset({"content", "tool_call_id"})
    _title: ClassVar[str] = "Tool"

    type: str = "tool"
    tool_call_id: str
    artifact: Any
    status: Literal["success", "error"]

    def __init__(
        self,
        content: Any = _NOTHING,
        tool_call_id: str | UUID | int | float | None = _NOTHING,
        *,
        artifact: Any = None,
        status: Literal["success", "error"] = "success",
        content_blocks: Sequence[Any] | None = None,
        **common: Any,
    ) -> None:
        if tool_call_id is _NOTHING:
            raise MissingKey(
                f"{self.__class__.__name__} needs `tool_call_id`, the id of the call it answers.", key="tool_call_id"
            )
        if status not in ("success", "error"):
            raise ValidationError(f"`status` must be 'success' or 'error', not {status!r}.", field="status")
        if content is _NOTHING:
            content = None
        elif content.__class__ is not str:
            content = _tool_content(content)
        BaseMessage.__init__(self, content, content_blocks=content_blocks, **common)
        self.tool_call_id = check_id("tool_call_id", tool_call_id)
        self.artifact = artifact
        self.status = status

    def _shown(self) -> list[str]:
        hidden = ("additional_kwargs=", "response_metadata=", "status='success'")
        return [each for each in super()._shown() if not each.startswith(hidden)]


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class FunctionMessage(BaseMessage):
    """What a function answered, in OpenAI's form before tool calls; `name` is required."""

    __slots__ = ()
    _required: ClassVar[frozenset[str]] = frozenset({"content", "name"})
    _title: ClassVar[str] = "Function"

    type: str = "function"

    def __init__(self, content: Any = None, **common: Any) -> None:
        if common.get("name") is None:
            raise ValidationError(f"{self.__class__.__name__} needs the `name` of the function.", field="name")
        BaseMessage.__init__(self, content, **common)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class ChatMessage(BaseMessage):
    """A message with a role of its own; `role` is required."""

    __slots__ = ("role",)
    _required: ClassVar[frozenset[str]] = frozenset({"content", "role"})
    _title: ClassVar[str] = "Chat"

    type: str = "chat"
    role: str

    def __init__(self, content: Any = None, role: str | None = None, **common: Any) -> None:
        if role is None:
            raise ValidationError(f"{self.__class__.__name__} needs a `role`.", field="role")
        self.role = check_str("role", role)
        BaseMessage.__init__(self, content, **common)


@dataclass(init=False, repr=False, eq=False, kw_only=True)
class RemoveMessage(BaseMessage):
    """Tells `add_messages` to delete the message with this `id`. Has no content."""

    __slots__ = ()
    _required: ClassVar[frozenset[str]] = frozenset({"id"})
    _title: ClassVar[str] = "Remove"

    type: str = "remove"

    def __init__(self, id: str | int | float, **common: Any) -> None:
        if common.pop("content", ""):
            raise InvalidArgument("RemoveMessage has no content; give only the `id` to remove.")
        BaseMessage.__init__(self, "", id=id, **common)


def class_of_type(kind: Any, base: type[Any] = BaseMessage) -> type[Any]:
    """The message class whose `type` is `kind`.

    Raises:
        InvalidArgument: (ValueError) there is none below `base`.
    """
    for cls in _concrete(base):
        if cls.type == kind:
            return cls
    known = ", ".join(sorted({repr(cls.type) for cls in _concrete(base)}))
    raise InvalidArgument(f"No message has the type {kind!r}; known are {known}.")


def _concrete(base: type[Any]) -> list[type[Any]]:
    """`base` and its subclasses that have a type, parents first."""
    found = [base] if hasattr(base, "type") else []
    for sub in base.__subclasses__():
        found += [cls for cls in _concrete(sub) if cls not in found]
    return found


def check_content(message: BaseMessage, content: Any, content_blocks: Sequence[Any] | None) -> Any:
    """The content to store: text, or a new list of texts and dicts."""
    if content_blocks is not None:
        content = list(content_blocks)
    if isinstance(content, str):
        return content
    cls = message.__class__.__name__
    if not isinstance(content, (list, tuple)):
        got = "nothing" if content is None else type(content).__name__
        raise ValidationError(f"The content of {cls} must be a str or a list of blocks, not {got}.", field="content")
    for item in content:
        if not isinstance(item, (str, dict)):
            raise ValidationError(
                f"The content list of {cls} must hold str and dict, not {type(item).__name__}: {item!r}.",
                field="content",
            )
    return list(content)


def check_dict(field: str, value: Any) -> dict[str, Any]:
    """A dict of our own, so that two messages never share one."""
    if not isinstance(value, dict):
        raise ValidationError(f"`{field}` must be a dict, not {type(value).__name__}.", field=field)
    return value.copy()


def check_str(field: str, value: Any) -> str:
    """A str, or a ValidationError that names the field."""
    if not isinstance(value, str):
        raise ValidationError(f"`{field}` must be a str, not {type(value).__name__}: {value!r}.", field=field)
    return value


def check_id(field: str, value: Any) -> str:
    """An id as a str: numbers and UUIDs are turned into one."""
    if isinstance(value, (str, int, float, UUID)):
        return str(value)
    raise ValidationError(f"`{field}` must be a str, not {type(value).__name__}: {value!r}.", field=field)


def check_usage(value: Any) -> UsageMetadata:
    """A usage of our own; the three totals must be there, unless it only tells the cost (of an answer from a cache)."""
    if not isinstance(value, dict):
        raise ValidationError(f"`usage_metadata` must be a dict, not {type(value).__name__}.", field="usage_metadata")
    for key in ("input_tokens", "output_tokens", "total_tokens") if value.keys() != {"total_cost"} else ():
        if not isinstance(value.get(key), int):
            raise ValidationError(f"`usage_metadata` needs the int `{key}`: {value!r}.", field="usage_metadata")
    return cast("UsageMetadata", value.copy())


def _tool_content(content: Any) -> Any:
    if isinstance(content, (list, tuple)):
        return [item if isinstance(item, (str, dict)) else str(item) for item in content]
    return str(content)
