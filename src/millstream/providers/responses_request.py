"""The parameters of a request to OpenAI's responses API, from those of chat completions; and when to use which. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .free_text import flat_tool

__all__ = ["only_responses", "responses_parameters"]

# How the names of models begin, or what is in them, that only the responses API knows.
_ONLY_THERE = ("-codex", "-pro", "-deep-research", "computer-use")
_BEGIN_THERE = ("codex-",)
# These call tools only there.
_CALL_TOOLS_THERE = ("gpt-6",)
_ASKING_FOR_IT = ("context_management", "include", "truncation", "previous_response_id", "conversation", "background", "reasoning", "text")  # fmt: skip
_ALSO_IN_CHAT = (None, "function", "custom")


def only_responses(model: str, body: Mapping[str, Any]) -> bool:
    """Only the responses API can answer this: by its model, its parameters, or the tools that OpenAI runs itself."""
    if model.startswith(_BEGIN_THERE) or any(part in f"{model}-" for part in (f"{name}-" for name in _ONLY_THERE)):
        return True
    if any(body.get(key) is not None for key in _ASKING_FOR_IT):
        return True
    tools = body.get("tools") or ()
    if tools and model.startswith(_CALL_TOOLS_THERE):
        return True
    return any(isinstance(tool, Mapping) and tool.get("type") not in _ALSO_IN_CHAT for tool in tools)


def responses_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of chat completions under the names and in the forms of the responses API."""
    # It knows no stop sequences, and refuses a request that has them.
    body = {key: value for key, value in parameters.items() if key != "stop"}
    for name in ("max_completion_tokens", "max_tokens"):
        if (most := body.pop(name, None)) is not None:
            body["max_output_tokens"] = most
    if effort := body.pop("reasoning_effort", None):
        body["reasoning"] = {"effort": effort, **(body.get("reasoning") or {})}
    text = dict(body.pop("text", None) or {})
    if form := body.pop("response_format", None):
        text["format"] = _format(form)
    if verbosity := body.pop("verbosity", None):
        text["verbosity"] = verbosity
    if text:
        body["text"] = text
    if body.pop("logprobs", None):
        body["include"] = [*(body.get("include") or ()), "message.output_text.logprobs"]
    if tools := body.get("tools"):
        body["tools"] = [flat_tool(tool) for tool in tools]
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        body["tool_choice"] = {key: value for key, value in flat_tool(choice).items() if key != "strict"}
    return body


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    schema = form.get("json_schema")
    return {"type": "json_schema", **schema} if isinstance(schema, Mapping) else dict(form)
