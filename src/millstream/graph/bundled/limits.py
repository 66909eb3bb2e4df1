"""How often an agent may call its model, and its tools: in one run, and on one thread."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NotRequired, TypedDict

from ...data.messages import AIMessage, ToolMessage
from ...errors import InvalidArgument, MillstreamError
from ..channels import UntrackedValue
from ..middleware import AgentMiddleware, PrivateStateAttr, hook_config

__all__ = [
    "ModelCallLimitExceededError",
    "ModelCallLimitMiddleware",
    "ToolCallLimitExceededError",
    "ToolCallLimitMiddleware",
]

ALL_TOOLS = "__all__"
STOPPED = "Not run: another call of the same answer went over its limit, which ended the run."


class _LimitExceeded(MillstreamError):
    def __init__(
        self, what: str, thread_count: int, run_count: int, thread_limit: int | None, run_limit: int | None
    ) -> None:
        super().__init__(f"{what} limit exceeded: {_exceeded(thread_count, run_count, thread_limit, run_limit)}.")
        self.thread_count = thread_count
        self.run_count = run_count
        self.thread_limit = thread_limit
        self.run_limit = run_limit


class ModelCallLimitExceededError(_LimitExceeded):
    """An agent would have called its model more often than it may."""


class ToolCallLimitExceededError(_LimitExceeded):
    """A model called tools more often than it may. `tool_name` is None where the limit is about all tools."""

    def __init__(self, *counts: Any, tool_name: str | None) -> None:
        super().__init__("Tool call" if tool_name is None else f"{tool_name!r} call", *counts)
        self.tool_name = tool_name


class _ModelCounts(TypedDict):
    thread_model_call_count: Annotated[NotRequired[int], PrivateStateAttr]
    run_model_call_count: Annotated[NotRequired[int], UntrackedValue, PrivateStateAttr]


class ModelCallLimitMiddleware(AgentMiddleware):
    """Ends an agent that has called its model too often.

    `thread_limit` counts all runs of a thread (which needs a checkpointer), `run_limit` one. With `exit_behavior="end"`
    the run ends with a message that says so, with `"error"` it raises `ModelCallLimitExceededError`.

    Raises:
        InvalidArgument: (a ValueError) no limit, or an unknown `exit_behavior`.
    """

    state_schema: ClassVar[Any] = _ModelCounts

    def __init__(
        self,
        *,
        thread_limit: int | None = None,
        run_limit: int | None = None,
        exit_behavior: Literal["end", "error"] = "end",
    ) -> None:
        _check(thread_limit, run_limit, exit_behavior, ("end", "error"))
        self.thread_limit = thread_limit
        self.run_limit = run_limit
        self.exit_behavior = exit_behavior

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """End the run where a limit is reached."""
        counts = state.get("thread_model_call_count", 0), state.get("run_model_call_count", 0)
        limits = self.thread_limit, self.run_limit
        if not any(limit is not None and count >= limit for count, limit in zip(counts, limits, strict=True)):
            return None
        if self.exit_behavior == "error":
            raise ModelCallLimitExceededError("Model call", *counts, *limits)
        text = f"Model call limits exceeded: {_exceeded(*counts, *limits)}"
        return {"jump_to": "end", "messages": [AIMessage(text)]}

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`before_model` in async form."""
        return self.before_model(state, runtime)

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        """Count the call."""
        return {key: state.get(key, 0) + 1 for key in ("thread_model_call_count", "run_model_call_count")}

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        """`after_model` in async form."""
        return self.after_model(state, runtime)


class _ToolCounts(TypedDict):
    thread_tool_call_count: Annotated[NotRequired[dict[str, int]], PrivateStateAttr]
    run_tool_call_count: Annotated[NotRequired[dict[str, int]], UntrackedValue, PrivateStateAttr]


class ToolCallLimitMiddleware(AgentMiddleware):
    """Keeps a model from calling tools (all, or the one called `tool_name`) too often.

    Calls up to the limit run. Of those beyond it the model is told ("continue"), or the run ends with a message that says
    so and none of the calls runs ("end"), or `ToolCallLimitExceededError` is raised ("error").

    Raises:
        InvalidArgument: (a ValueError) no limit, a `run_limit` above the `thread_limit`, an unknown `exit_behavior`.
    """

    state_schema: ClassVar[Any] = _ToolCounts

    def __init__(
        self,
        *,
        tool_name: str | None = None,
        thread_limit: int | None = None,
        run_limit: int | None = None,
        exit_behavior: Literal["continue", "error", "end"] = "continue",
    ) -> None:
        _check(thread_limit, run_limit, exit_behavior, ("continue", "error", "end"))
        if thread_limit is not None and run_limit is not None and run_limit > thread_limit:
            raise InvalidArgument(f"run_limit ({run_limit}) cannot be more than thread_limit ({thread_limit}).")
        self.tool_name = tool_name
        self.thread_limit = thread_limit
        self.run_limit = run_limit
        self.exit_behavior = exit_behavior

    @property
    def name(self) -> str:
        own = type(self).__name__
        return own if self.tool_name is None else f"{own}[{self.tool_name}]"

    @hook_config(can_jump_to=["end"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Count the calls of the last message, and answer those that are too many."""
        answer = next((m for m in reversed(state["messages"]) if isinstance(m, AIMessage)), None)
        calls = [] if answer is None else [c for c in answer.tool_calls if self.tool_name in (None, c["name"])]
        if answer is None or not calls:
            return None
        key = self.tool_name or ALL_TOOLS
        threads, runs = state.get("thread_tool_call_count") or {}, state.get("run_tool_call_count") or {}
        on_thread, in_run = threads.get(key, 0), runs.get(key, 0)
        bounds = [
            limit - count
            for count, limit in ((on_thread, self.thread_limit), (in_run, self.run_limit))
            if limit is not None
        ]
        allowed = max(0, min([len(calls), *bounds]))
        blocked = calls[allowed:]
        # What was refused is no call on the thread; in the run it counts, so that the message says how many were tried.
        update: dict[str, Any] = {
            "thread_tool_call_count": {**threads, key: on_thread + allowed},
            "run_tool_call_count": {**runs, key: in_run + len(calls)},
        }
        if not blocked:
            return update
        counts = on_thread + len(calls), in_run + len(calls), self.thread_limit, self.run_limit
        if self.exit_behavior == "error":
            raise ToolCallLimitExceededError(*counts, tool_name=self.tool_name)
        if self.exit_behavior == "continue":
            return {**update, "messages": [self._refused(call) for call in blocked]}
        refused = {call["id"] for call in blocked}
        beside = [_instead(call, STOPPED) for call in answer.tool_calls if call["id"] not in refused]
        what = "Tool" if self.tool_name is None else f"'{self.tool_name}' tool"
        text = f"{what} call limit reached: {_exceeded(*counts, ' exceeded', ' calls')}."
        return {
            **update,
            "thread_tool_call_count": {**threads, key: on_thread},
            "jump_to": "end",
            "messages": [*map(self._refused, blocked), *beside, AIMessage(text)],
        }

    @hook_config(can_jump_to=["end"])
    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`after_model` in async form."""
        return self.after_model(state, runtime)

    def _refused(self, call: Any) -> ToolMessage:
        what = "make additional tool calls" if self.tool_name is None else f"call '{self.tool_name}' again"
        text = f"Tool call limit exceeded. Do not {what}."
        return _instead(call, text)


def _instead(call: Any, text: str) -> ToolMessage:
    return ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error")


def _exceeded(
    thread_count: int, run_count: int, thread_limit: int | None, run_limit: int | None, said: str = "", unit: str = ""
) -> str:
    """Which of the limits were reached, with their counts."""
    counts = (("thread", thread_count, thread_limit), ("run", run_count, run_limit))
    return ", ".join(
        f"{name} limit{said} ({count}/{limit}{unit})"
        for name, count, limit in counts
        if limit is not None and count >= limit
    )


def _check(thread_limit: int | None, run_limit: int | None, behavior: str, known: tuple[str, ...]) -> None:
    if thread_limit is None and run_limit is None:
        raise InvalidArgument("give a `thread_limit`, a `run_limit` or both.")
    if behavior not in known:
        raise InvalidArgument(f"exit_behavior must be one of {known}, not {behavior!r}.")
