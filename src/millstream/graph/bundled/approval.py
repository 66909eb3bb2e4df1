"""Human in the loop: tool calls that wait until a person has approved, changed, refused or answered them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from ...data.messages import AIMessage, ToolMessage
from ...data.types import ToolCall
from ...errors import InvalidArgument
from ..interrupts import asked
from ..middleware import AgentMiddleware, ToolCallRequest

__all__ = [
    "Action",
    "ActionRequest",
    "ApproveDecision",
    "Decision",
    "DecisionType",
    "EditDecision",
    "HITLRequest",
    "HITLResponse",
    "HumanInTheLoopMiddleware",
    "InterruptOnConfig",
    "RejectDecision",
    "RespondDecision",
    "ReviewConfig",
]

DecisionType: TypeAlias = Literal["approve", "edit", "reject", "respond"]
ALL_DECISIONS: list[DecisionType] = ["approve", "edit", "reject", "respond"]


class Action(TypedDict):
    """A tool, and what to call it with."""

    name: str
    args: dict[str, Any]


class ActionRequest(TypedDict):
    """A call that waits for a decision."""

    name: str
    args: dict[str, Any]
    description: NotRequired[str]


class ReviewConfig(TypedDict):
    """Which decisions are possible about a call."""

    action_name: str
    allowed_decisions: list[DecisionType]
    args_schema: NotRequired[dict[str, Any]]


class HITLRequest(TypedDict):
    """The value of the interrupt: the calls that wait, and beside each what may be decided."""

    action_requests: list[ActionRequest]
    review_configs: list[ReviewConfig]


class ApproveDecision(TypedDict):
    """Run the call as it is."""

    type: Literal["approve"]


class EditDecision(TypedDict):
    """Run this in its place."""

    type: Literal["edit"]
    edited_action: Action


class RejectDecision(TypedDict):
    """Don't run it; the model is told why."""

    type: Literal["reject"]
    message: NotRequired[str]


class RespondDecision(TypedDict):
    """Don't run it: the person's message is its result."""

    type: Literal["respond"]
    message: str


Decision: TypeAlias = ApproveDecision | EditDecision | RejectDecision | RespondDecision


class HITLResponse(TypedDict):
    """What the run is resumed with: a decision about each call, in the order of the request."""

    decisions: list[Decision]


class InterruptOnConfig(TypedDict):
    """How calls of one tool are reviewed.

    `description` is a text or a function of (call, state, runtime) that gives one; `args_schema` describes the arguments
    to whoever edits them; `when` says which calls wait at all (others run at once).
    """

    allowed_decisions: list[DecisionType]
    description: NotRequired[str | Callable[[ToolCall, Any, Any], str]]
    args_schema: NotRequired[dict[str, Any]]
    when: NotRequired[Callable[[ToolCallRequest], bool]]


class HumanInTheLoopMiddleware(AgentMiddleware):
    """Stops the agent before it runs certain tools, until a person has decided.

    `interrupt_on` has, by the tool's name, True (any decision), False (none is needed) or an `InterruptOnConfig`. The
    interrupt's value is a `HITLRequest` with all calls of the message that wait; resume with
    `Command(resume={"decisions": [{"type": "approve"}, ...]})`. The agent needs a checkpointer.

    Raises:
        InvalidArgument: (a ValueError) a configuration without decisions or with unknown ones; at resume: not one
            decision for each call, or one that is not allowed (the question then stays open).
    """

    def __init__(
        self,
        interrupt_on: Mapping[str, bool | InterruptOnConfig],
        *,
        description_prefix: str = "Tool execution requires approval",
    ) -> None:
        self.interrupt_on: dict[str, InterruptOnConfig] = {}
        self.description_prefix = description_prefix
        for name, given in interrupt_on.items():
            if given is True:
                self.interrupt_on[name] = {"allowed_decisions": list(ALL_DECISIONS)}
            elif given and given.get("allowed_decisions"):
                self.interrupt_on[name] = _checked(name, given)
            elif given:
                raise InvalidArgument(f"interrupt_on[{name!r}] allows no decision; give `allowed_decisions`.")

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Ask about the calls of the last message that wait for a decision, and do as was decided."""
        answer = next((m for m in reversed(state["messages"]) if isinstance(m, AIMessage)), None)
        if answer is None or not answer.tool_calls:
            return None
        waiting = [n for n, call in enumerate(answer.tool_calls) if self._waits(call, state, runtime)]
        if not waiting:
            return None
        calls = [answer.tool_calls[n] for n in waiting]
        configs = [self.interrupt_on[call["name"]] for call in calls]
        request: HITLRequest = {
            "action_requests": [self._action(*each, state, runtime) for each in zip(calls, configs, strict=True)],
            "review_configs": [_review(*each) for each in zip(calls, configs, strict=True)],
        }
        decided = asked(request, lambda response: _decided_all(calls, configs, response))
        revised = list(answer.tool_calls)
        for place, (call, _) in zip(waiting, decided, strict=True):
            revised[place] = call
        answers = [message for _, message in decided if message is not None]
        return {"messages": [answer.model_copy(update={"tool_calls": revised}), *answers]}

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """`after_model` in async form."""
        return self.after_model(state, runtime)

    def _waits(self, call: ToolCall, state: Any, runtime: Any) -> bool:
        config = self.interrupt_on.get(call["name"])
        if config is None:
            return False
        when = config.get("when")
        return when is None or bool(when(ToolCallRequest(cast("dict[str, Any]", call), None, state, runtime)))

    def _action(self, call: ToolCall, config: InterruptOnConfig, state: Any, runtime: Any) -> ActionRequest:
        text = config.get("description")
        if text is None:
            text = f"{self.description_prefix}\n\nTool: {call['name']}\nArgs: {call['args']}"
        elif callable(text):
            text = text(call, state, runtime)
        return {"name": call["name"], "args": call["args"], "description": text}


def _checked(name: str, config: InterruptOnConfig) -> InterruptOnConfig:
    unknown = [each for each in config["allowed_decisions"] if each not in ALL_DECISIONS]
    if unknown:
        raise InvalidArgument(f"interrupt_on[{name!r}] allows {unknown}; decisions are {ALL_DECISIONS}.")
    return config


def _review(call: ToolCall, config: InterruptOnConfig) -> ReviewConfig:
    review: ReviewConfig = {"action_name": call["name"], "allowed_decisions": list(config["allowed_decisions"])}
    if "args_schema" in config:
        review["args_schema"] = config["args_schema"]
    return review


def _decided_all(
    calls: list[ToolCall], configs: list[InterruptOnConfig], response: Any
) -> list[tuple[ToolCall, ToolMessage | None]]:
    decisions = response.get("decisions") if isinstance(response, Mapping) else None
    if not isinstance(decisions, (list, tuple)):
        raise InvalidArgument("resume with one decision a call: Command(resume={'decisions': [{'type': ...}, ...]}).")
    if len(decisions) != len(calls):
        raise InvalidArgument(
            f"{len(decisions)} decisions were given and {len(calls)} tool calls wait for one; give one for each, in the "
            "order of the request."
        )
    return [_decided(*each) for each in zip(calls, configs, decisions, strict=True)]


def _decided(call: ToolCall, config: InterruptOnConfig, decision: Any) -> tuple[ToolCall, ToolMessage | None]:
    """The call as it goes on, and what answers it in the tool's place."""
    kind = decision.get("type") if isinstance(decision, Mapping) else decision
    if kind not in config["allowed_decisions"]:
        raise InvalidArgument(
            f"the decision {kind!r} is not allowed for the tool {call['name']!r}; decide one of "
            f"{config['allowed_decisions']}."
        )
    if kind == "approve":
        return call, None
    if kind == "edit":
        edited = decision["edited_action"]
        return {**call, "name": edited["name"], "args": edited["args"]}, None
    text = decision.get("message")
    if kind == "respond":
        return call, _instead(call, text or "", "success")
    rejected = f"User rejected the tool call for `{call['name']}` with "
    unless = ". Nothing was run. Call it again only if the user asks for it."
    return call, _instead(call, rejected + (f"reason: {text}" if text else f"id {call['id']}{unless}"), "error")


def _instead(call: ToolCall, text: str, status: Literal["success", "error"]) -> ToolMessage:
    return ToolMessage(text, name=call["name"], tool_call_id=call["id"] or "", status=status)
