"""The input of a task that runs one tool call."""

from __future__ import annotations

from typing import Any

__all__ = ["TOOL_CALL", "ToolCallWithContext"]

TOOL_CALL = "tool_call_with_context"
"""The `__type` of such an input."""


class ToolCallWithContext(dict[str, Any]):
    """A tool call, and the state that it was made in.

    It is stored without the state: that is in the checkpoint which the task waits in, once for all calls, and is put
    back when the task is made.
    """

    __slots__ = ()

    @classmethod
    def of(cls, call: Any, **state: Any) -> ToolCallWithContext:
        """The input for a call; without `state=...` as it is stored."""
        return cls(__type=TOOL_CALL, tool_call=call, **state)
