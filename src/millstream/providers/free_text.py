"""Tools that take free text and no JSON (`{"type": "custom"}`): how they are told, called, and sent back, on both of OpenAI's wires.

In a message such a call has one argument, `__arg1`, as tools of one string have. A message that came over chat completions
names the ids of its free calls in `additional_kwargs["custom_tool_calls"]`; on the responses API they are blocks of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..data.lazy import Lazy
from ..data.messages import AIMessage, BaseMessage

if TYPE_CHECKING:
    from . import wire_json
else:
    wire_json = Lazy(".wire_json", globals())

__all__ = ["CLOSE", "MARK", "OPEN", "chat_tool", "flat_tool", "free_args", "free_calls", "free_piece", "free_text"]

MARK = "custom_tool_calls"
# What stands around the text in the call's arguments.
OPEN, CLOSE = '{"__arg1": "', '"}'


def free_args(text: str) -> dict[str, Any]:
    """The arguments of a call, from its text."""
    return {"__arg1": text}


def free_piece(text: str) -> str:
    """A piece of a call's text, as it stands in the arguments."""
    return wire_json.dumps(text).decode()[1:-1]


def free_text(args: Any) -> str:
    """The text of a call, from its arguments."""
    text = args.get("__arg1", "") if isinstance(args, Mapping) else args
    return text if isinstance(text, str) else wire_json.dumps(text).decode()


def free_calls(messages: Iterable[BaseMessage]) -> set[str | None]:
    """The ids of the calls that have free text."""
    found: set[str | None] = set()
    for message in messages:
        if not isinstance(message, AIMessage):
            continue
        found.update(message.additional_kwargs.get(MARK) or ())
        if isinstance(message.content, list):
            blocks = [block for block in message.content if isinstance(block, dict)]
            found.update(block.get("call_id") for block in blocks if block.get("type") == "custom_tool_call")
    return found


def chat_tool(tool: Any) -> Any:
    """A tool, or the choice of one, as chat completions want it: with what it is under its kind."""
    if not isinstance(tool, Mapping) or tool.get("type") != "custom" or isinstance(tool.get("custom"), Mapping):
        return tool
    inner = {key: value for key, value in tool.items() if key != "type"}
    form = inner.get("format")
    if isinstance(form, Mapping) and form.get("type") == "grammar" and "grammar" not in form:
        inner["format"] = {"type": "grammar", "grammar": {key: form[key] for key in form if key != "type"}}
    return {"type": "custom", "custom": inner}


def flat_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool, or the choice of one, as the responses API wants it: without the inner dict that chat completions have."""
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom") else None
    if not isinstance(inner, Mapping):
        return dict(tool)
    flat = {"type": kind, **inner}
    form = flat.get("format")
    if isinstance(form, Mapping) and isinstance(form.get("grammar"), Mapping):
        flat["format"] = {"type": "grammar", **form["grammar"]}
    return flat
