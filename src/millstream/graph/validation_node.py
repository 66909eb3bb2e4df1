"""ValidationNode: check the arguments of the last message's tool calls, and run nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..data.messages import AIMessage, ToolMessage
from ..errors import InvalidArgument, MissingKey
from ..flow.driver import Driver
from ..flow.runnable import Kwargs, Runnable
from ..spine.scope import Scope

__all__ = ["ValidationNode"]

FormatError: TypeAlias = Callable[[Exception, Any, Any], str]


def _default_format_error(error: Exception, call: Any, schema: Any) -> str:
    return f"{error!r}\n\nRespond after fixing all validation errors."


class ValidationNode(Runnable[Any, Any]):
    """A node that answers each tool call with its arguments as JSON, or with what is wrong about them.

    `schemas` are pydantic classes, tools or functions; `format_error(error, call, schema)` gives the text for the model.
    The message about wrong arguments has `additional_kwargs={"is_error": True}`.
    """

    def __init__(
        self,
        schemas: Sequence[Any],
        *,
        format_error: FormatError | None = None,
        name: str = "validation",
        tags: list[str] | None = None,
    ) -> None:
        self.name = name
        self.tags = tags
        self._format_error = format_error or _default_format_error
        self.schemas_by_name: dict[str, Any] = dict(map(_named, schemas))

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        messages = input if isinstance(input, list) else _messages(input)
        last = messages[-1] if messages else None
        if not isinstance(last, AIMessage):
            raise InvalidArgument(f"ValidationNode {self.name!r}: the last message is not an AIMessage but {last!r}.")
        answers = [self._answer(call) for call in last.tool_calls]
        return answers if isinstance(input, list) else {"messages": answers}

    def _answer(self, call: Any) -> ToolMessage:
        import pydantic

        name = call["name"]
        if name not in self.schemas_by_name:
            raise MissingKey(f"there is no schema for {name!r}; there are {list(self.schemas_by_name)}.", key=name)
        schema = self.schemas_by_name[name]
        try:
            text = schema.model_validate(call["args"]).model_dump_json()
        except pydantic.ValidationError as error:
            text = self._format_error(error, call, schema)
            return ToolMessage(text, name=name, tool_call_id=call["id"], additional_kwargs={"is_error": True})
        return ToolMessage(text, name=name, tool_call_id=call["id"])


def _named(given: Any) -> tuple[str, Any]:
    import pydantic

    from ..chat.structured_tool import tool
    from ..chat.tools import BaseTool

    if isinstance(given, type) and issubclass(given, pydantic.BaseModel):
        return given.__name__, given
    made = given if isinstance(given, BaseTool) else tool(given) if callable(given) else None
    if made is None or isinstance(made.args_schema, dict):
        raise InvalidArgument(f"a schema is a pydantic class, a tool with one or a function, not {given!r}.")
    return made.name, made.get_input_schema()


def _messages(input: Any) -> Any:
    return input.get("messages") if isinstance(input, dict) else getattr(input, "messages", None)
