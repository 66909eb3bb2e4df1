"""The body of a chat-completion request: a model's settings and a call's, one under the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidArgument
from .endpoint import HOW_TO_ASK

__all__ = ["call_parameters", "is_openais", "takes_temperature", "tool_choice_of", "with_usage"]

# Names of models that nobody but OpenAI has, also behind a gateway or a proxy. (gpt-oss is anybody's.)
_OPENAIS = re.compile(r"(ft:)?(gpt-[3-9]|chatgpt-|o\d+(-|$)|codex-|computer-use-)")


def is_openais(model: str) -> bool:
    """A model of that name is OpenAI's, whatever the address at which it is asked."""
    return _OPENAIS.match(model.lower()) is not None


def takes_temperature(model: str, effort: str | None) -> bool:
    """This model takes a temperature other than 1. Those of the series GPT-5 do not, unless they are told not to reason."""
    name = model.lower()
    return not name.startswith("gpt-5") or "chat" in name or effort == "none"


def call_parameters(
    settings: Mapping[str, Any],
    call: Mapping[str, Any],
    *,
    disabled: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is sent beside the messages: `settings`, overlaid by the call's keywords, without what is None.

    `disabled` names parameters that this model refuses: with None always, with a list those values.
    """
    parameters = {
        key: value for key, value in {**settings, **call}.items() if key not in HOW_TO_ASK and value is not None
    }
    for key, values in (disabled or {}).items():
        if key in parameters and (values is None or parameters[key] in values):
            del parameters[key]
    if "max_completion_tokens" in parameters and "max_tokens" in parameters:
        # The call's word counts, whichever of the two names it uses.
        del parameters["max_tokens" if "max_completion_tokens" in call else "max_completion_tokens"]
    return {**parameters, **(settings.get("extra_body") or {}), **(call.get("extra_body") or {})}


def tool_choice_of(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """A `tool_choice` as the wire wants it: "any" and True mean that some tool must be called, a name means that tool.

    Raises:
        InvalidArgument: (a ValueError) it names a tool that is not there.
    """
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any":
        return "required"
    if not isinstance(choice, str) or choice in ("auto", "none", "required"):
        return choice
    kinds = {_name(tool): tool["type"] for tool in tools if tool.get("type") in ("function", "custom")}
    if choice in kinds:
        return {"type": kinds[choice], kinds[choice]: {"name": choice}}
    if any(tool.get("type") == choice for tool in tools):
        return {"type": choice}
    raise InvalidArgument(
        f"tool_choice={choice!r} names no tool that was given; these are: {', '.join(kinds) or 'none'}."
    )


def _name(tool: Mapping[str, Any]) -> str:
    inner = tool.get(tool["type"])
    return str((inner if isinstance(inner, Mapping) else tool).get("name"))


def with_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a streamed request that also asks for usage, unless the caller's own `stream_options` speak of it."""
    return {**body, "stream_options": {"include_usage": True, **(body.get("stream_options") or {})}}
