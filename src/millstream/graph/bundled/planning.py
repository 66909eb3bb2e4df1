"""A list of things to do that the model keeps, for work of several steps."""

from __future__ import annotations

import sys
from typing import Annotated, Any, ClassVar, Literal

from ...chat.marks import InjectedToolCallId
from ...data.messages import AIMessage, SystemMessage, ToolMessage
from ...flow.driver import Driver
from ..control import Command
from ..middleware import ModelAnswer, ModelRequest, OmitFromInput
from .colourless import Inside, ModelWrapper

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:  # pydantic refuses typing.TypedDict before 3.12, and this one is the argument of a tool
    from typing_extensions import NotRequired, TypedDict  # noqa: UP035

__all__ = ["Todo", "TodoListMiddleware"]

TOOL = "write_todos"

DESCRIPTION = """\
Write down the whole list of things to do for this task, in order, each with how it stands. Use it for work of three steps or \
more; for anything shorter just do the work. Mark a thing in_progress before you begin it and completed as soon as it is done, \
and change the list whenever the plan changes. Each call replaces the list."""

PROMPT = """\
You have the tool `write_todos` to plan work of several steps and to show how far it is. Use it for such work, keep it up to \
date, and never call it twice at once."""


class Todo(TypedDict):
    """One thing to do."""

    content: str
    status: Literal["pending", "in_progress", "completed"]


class _Planning(TypedDict):
    todos: Annotated[NotRequired[list[Todo]], OmitFromInput]


class TodoListMiddleware(ModelWrapper):
    """Gives the agent a tool to keep a list of things to do; the list is `todos` in the state."""

    state_schema: ClassVar[Any] = _Planning

    def __init__(self, *, system_prompt: str = PROMPT, tool_description: str = DESCRIPTION) -> None:
        from ...chat.structured_tool import StructuredTool

        self.system_prompt = system_prompt
        self.tools = [StructuredTool.from_function(_write, name=TOOL, description=tool_description)]

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        own = request.system_message
        before: list[Any] = [] if own is None else [{"type": "text", "text": own.content}] if own.content else []
        if own is not None and not isinstance(own.content, str):
            before = [*own.content]  # blocks stay as they are, with what providers keep in them
        text = f"\n\n{self.system_prompt}" if before else self.system_prompt
        asked = request.override(system_message=SystemMessage([*before, {"type": "text", "text": text}]))
        answer: ModelAnswer = await inside(asked)
        return answer

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Refuse several lists at once: one of them would be lost."""
        last = next((m for m in reversed(state["messages"]) if isinstance(m, AIMessage)), None)
        calls = [] if last is None else [call for call in last.tool_calls if call["name"] == TOOL]
        if len(calls) < 2:
            return None
        text = f"Error: {TOOL} replaces the whole list, so call it only once at a time."
        return {"messages": [ToolMessage(text, name=TOOL, tool_call_id=c["id"] or "", status="error") for c in calls]}

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`after_model` in async form."""
        return self.after_model(state, runtime)


def _write(todos: list[Todo], tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    told = ToolMessage(f"Updated todo list to {todos}", tool_call_id=tool_call_id)
    return Command(update={"todos": todos, "messages": [told]})
