"""Messages out of strings, tuples and dicts, and into dicts and transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import InvalidArgument, MissingKey, Unsupported, ValidationError
from .lazy import Lazy
from .messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    class_of_type,
)
from .xml_transcript import as_xml

if TYPE_CHECKING:
    import json
else:
    json = Lazy("json", globals())

__all__ = [
    "MessageLikeRepresentation",
    "convert_to_messages",
    "get_buffer_string",
    "message_to_dict",
    "messages_from_dict",
    "messages_to_dict",
]

MessageLikeRepresentation: TypeAlias = BaseMessage | list[str] | tuple[str, str] | str | dict[str, Any]
"""What `convert_to_messages` takes for one message."""

_ROLES: dict[str, type[BaseMessage]] = {
    "human": HumanMessage,
    "user": HumanMessage,
    "ai": AIMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
    "function": FunctionMessage,
    "tool": ToolMessage,
    "remove": RemoveMessage,
}
_FIELDS = frozenset({"id", "name", "response_metadata"})
_FIELDS_OF: dict[type[BaseMessage], frozenset[str]] = {
    AIMessage: _FIELDS | {"invalid_tool_calls", "tool_calls", "usage_metadata"},
    ToolMessage: _FIELDS | {"artifact", "status", "tool_call_id"},
}


def convert_to_messages(messages: Any) -> list[BaseMessage]:
    """Make messages of a sequence of messages, strings, `(role, content)` pairs and dicts, or of a prompt value.

    A dict has `role` or `type`, and `content`; keys that no field takes go to `additional_kwargs`.

    Raises:
        InvalidArgument: (ValueError) a role is unknown, or a dict lacks its role or content.
        ValidationError: (ValueError) what is given for a field has the wrong shape.
        Unsupported: (NotImplementedError) an item is none of these.
    """
    to_messages = getattr(messages, "to_messages", None)
    if to_messages is not None:
        return list(to_messages())
    if isinstance(messages, (str, BaseMessage)):
        return [_one(messages)]
    if not isinstance(messages, Iterable) or isinstance(messages, (Mapping, bytes)):
        raise InvalidArgument(
            f"Messages are made from a sequence or a prompt value, not from {type(messages).__name__}; "
            "put a single message into a list."
        )
    return [_one(message) for message in messages]


def _one(given: Any) -> BaseMessage:
    if isinstance(given, BaseMessage):
        return given
    if isinstance(given, str):
        return HumanMessage(given)
    if isinstance(given, dict):
        return _from_dict(given)
    if isinstance(given, (tuple, list)):
        if len(given) != 2 or not isinstance(given[0], str):
            raise Unsupported(f"A message as a {type(given).__name__} is (role, content), not {given!r}.")
        return _of_role(given[0], {"content": given[1]}, given)
    raise Unsupported(
        f"No message can be made from {type(given).__name__} ({given!r}); "
        "give a message, a str, a (role, content) pair or a dict."
    )


def _from_dict(given: dict[str, Any]) -> BaseMessage:
    rest = dict(given)
    kind = rest.get("type")
    if kind == "chat" or (isinstance(kind, str) and kind.endswith("Chunk")):  # as `model_dump` writes them
        return class_of_type(kind).model_validate(rest)  # type: ignore[no-any-return]
    role = rest.pop("role", None) or rest.pop("type", None)
    if role is None or "content" not in rest:
        raise InvalidArgument(f"A message as a dict needs `content` and `role` (or `type`): {given!r}.")
    if not isinstance(role, str):
        raise ValidationError(f"The role of a message must be a str, not {role!r}.", field="role")
    rest.pop("type", None)
    if rest["content"] is None:
        rest["content"] = ""
    return _of_role(role, rest, given)


def _of_role(role: str, given: dict[str, Any], source: object) -> BaseMessage:
    cls = _ROLES.get(role)
    if cls is None:
        known = ", ".join(_ROLES)
        raise InvalidArgument(f"Unknown role {role!r} in {source!r}; use one of: {known}.")
    known_fields = _FIELDS_OF.get(cls, _FIELDS)
    fields: dict[str, Any] = {"content": given.pop("content")}
    kwargs = dict(given.pop("additional_kwargs", None) or {})
    for key, value in given.items():
        if key in known_fields and (value is not None or key != "tool_call_id"):
            fields[key] = value
        elif value is not None or key not in _FIELDS_OF[AIMessage] | _FIELDS_OF[ToolMessage]:
            kwargs[key] = value
    if fields.get("tool_calls"):
        fields["tool_calls"] = [_native_call(call) for call in fields["tool_calls"]]
    if role == "developer":
        kwargs["__openai_role__"] = "developer"
    if kwargs:
        fields["additional_kwargs"] = kwargs
    if cls is RemoveMessage:
        if "id" not in fields:
            raise InvalidArgument(f"A message with the role 'remove' needs an `id`: {source!r}.")
        fields.pop("content")
        return RemoveMessage(**fields)
    return cls(**fields)


def _native_call(call: Any) -> Any:
    """A tool call in our form, of ours or of OpenAI's. Arguments that are not JSON raise JSONDecodeError."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    args = function.get("arguments")
    if isinstance(args, str):
        args = json.loads(args, strict=False) if args else {}
    return {"name": function.get("name"), "args": {} if args is None else args, "id": call.get("id")}


def message_to_dict(message: BaseMessage) -> dict[str, Any]:
    """A message as `{"type", "data"}`; `data` holds all its fields."""
    return {"type": message.type, "data": message.model_dump()}


def messages_to_dict(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as dicts, to be read back by `messages_from_dict`."""
    return [message_to_dict(message) for message in messages]


def messages_from_dict(messages: Iterable[Mapping[str, Any]]) -> list[BaseMessage]:
    """Messages back from `messages_to_dict`.

    Raises:
        InvalidArgument: (ValueError) a type is unknown.
        ValidationError: (ValueError) the data does not fit it.
    """
    made: list[BaseMessage] = []
    for message in messages:
        for key in ("type", "data"):
            if key not in message:
                raise MissingKey(f"A message as a dict of `messages_to_dict` needs `{key}`: {message!r}.", key=key)
        made.append(class_of_type(message["type"]).model_validate({**message["data"], "type": message["type"]}))
    return made


def get_buffer_string(
    messages: Sequence[BaseMessage],
    human_prefix: str = "Human",
    ai_prefix: str = "AI",
    *,
    system_prefix: str = "System",
    function_prefix: str = "Function",
    tool_prefix: str = "Tool",
    message_separator: str = "\n",
    format: Literal["prefix", "xml"] = "prefix",
) -> str:
    """The messages as a transcript: lines such as `Human: text`, or XML elements.

    Raises:
        InvalidArgument: (ValueError) a message has no place in a transcript, such as a RemoveMessage.
    """
    if format not in ("prefix", "xml"):
        raise InvalidArgument(f"`format` must be 'prefix' or 'xml', not {format!r}.")
    prefixes = (
        (HumanMessage, human_prefix),
        (AIMessage, ai_prefix),
        (SystemMessage, system_prefix),
        (FunctionMessage, function_prefix),
        (ToolMessage, tool_prefix),
    )
    show: Callable[[BaseMessage, str], str] = as_xml if format == "xml" else _as_line
    return message_separator.join(show(message, _prefix(message, prefixes)) for message in messages)


def _prefix(message: BaseMessage, prefixes: Iterable[tuple[type[BaseMessage], str]]) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    for cls, prefix in prefixes:
        if isinstance(message, cls):
            return prefix
    raise InvalidArgument(f"A {type(message).__name__} has no place in a transcript.")


def _as_line(message: BaseMessage, prefix: str) -> str:
    line = f"{prefix}: {message.text}"
    if isinstance(message, AIMessage):
        if message.tool_calls:
            line += str(message.tool_calls)
        elif "function_call" in message.additional_kwargs:
            line += str(message.additional_kwargs["function_call"])
    return line
