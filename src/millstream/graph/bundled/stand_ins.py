"""Other models that help an agent: one that picks the tools for a question, one that plays them in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...data.messages import HumanMessage, SystemMessage, ToolMessage
from ...errors import InvalidArgument
from ...flow.driver import Driver
from ..middleware import ModelAnswer, ModelRequest, ToolCallRequest
from .colourless import Inside, ModelWrapper, ToolWrapper, ask_model, model_named

__all__ = ["LLMToolEmulator", "LLMToolSelectorMiddleware"]

SELECT = "Choose the tools that are most useful for answering the user, the most useful first."

EMULATE = """\
You play a tool of another program. Answer with what it would plausibly return for this call, and with nothing else.

Tool: {name}
Description: {description}
Arguments: {args}"""


class LLMToolSelectorMiddleware(ModelWrapper):
    """Has a model pick the tools that the agent's model is told of; `always_include` names those that it is told of in any case.

    Without `model` the agent's own picks. At most `max_tools` are taken, besides those.

    Raises:
        InvalidArgument: (a ValueError) at run time: `always_include`, or the model's choice, names a tool that there is not.
    """

    def __init__(
        self,
        *,
        model: Any = None,
        system_prompt: str = SELECT,
        max_tools: int | None = None,
        always_include: Sequence[str] | None = None,
    ) -> None:
        self.model = model_named(model)
        self.system_prompt = system_prompt
        self.max_tools = max_tools
        self.always_include = list(always_include or ())

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        named = {tool.name: tool for tool in request.tools if not isinstance(tool, dict)}
        if missing := [name for name in self.always_include if name not in named]:
            raise InvalidArgument(f"always_include names {missing}; the agent's tools are {list(named)}.")
        open_ones = {name: tool for name, tool in named.items() if name not in self.always_include}
        asked = next((m for m in reversed(request.messages) if isinstance(m, HumanMessage)), None)
        if not open_ones or asked is None:
            return await inside(request)  # type: ignore[no-any-return]
        model = (self.model or request.model).with_structured_output(_choice_of(open_ones))
        text = (
            self.system_prompt if self.max_tools is None else f"{self.system_prompt} Choose at most {self.max_tools}."
        )
        chosen = (await ask_model(d, model, [SystemMessage(text), asked], "tool_selection") or {}).get("tools", [])
        if unknown := [name for name in chosen if name not in open_ones]:
            raise InvalidArgument(
                f"the model chose the tools {unknown}, which there are not; there are {list(open_ones)}."
            )
        taken = {*list(dict.fromkeys(chosen))[: self.max_tools], *self.always_include}
        tools = [tool for tool in request.tools if isinstance(tool, dict) or tool.name in taken]
        return await inside(request.override(tools=tools))  # type: ignore[no-any-return]


class LLMToolEmulator(ToolWrapper):
    """Has a model make up what tools return, in the place of running them: all of them, or those in `tools` (tools or names)."""

    def __init__(self, *, tools: Sequence[Any] | None = None, model: Any = None) -> None:
        if model is None:
            raise InvalidArgument("LLMToolEmulator needs a `model` that plays the tools.")
        self.model = model_named(model)
        self._names = None if tools is None else {t if isinstance(t, str) else t.name for t in tools}

    async def around_tool(self, d: Driver, request: ToolCallRequest, inside: Inside) -> Any:
        call = request.tool_call
        if request.tool is None or (self._names is not None and call["name"] not in self._names):
            return await inside(request)
        prompt = EMULATE.format(name=call["name"], description=request.tool.description, args=call["args"])
        answer = await ask_model(d, self.model, [HumanMessage(prompt)], "tool_emulation")
        return ToolMessage(answer.content, name=call["name"], tool_call_id=call["id"])


def _choice_of(tools: dict[str, Any]) -> dict[str, Any]:
    shown = "; ".join(f"{name}: {tool.description}" for name, tool in tools.items())
    return {
        "title": "ToolSelection",
        "description": "The tools to use.",
        "type": "object",
        "properties": {
            "tools": {"type": "array", "items": {"type": "string", "enum": list(tools)}, "description": shown}
        },
        "required": ["tools"],
    }
