"""The parameters of a request to Anthropic's messages API: a model's settings, a call's, and the tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..chat.function_calling import convert_to_openai_tool
from ..errors import InvalidArgument
from .endpoint import HOW_TO_ASK

__all__ = ["betas_for", "call_parameters", "most_tokens", "shows_blocks", "to_anthropic_tool", "tool_choice_of"]

# Keywords that go into the body under another name, or into a header.
_NOT_SENT = HOW_TO_ASK | {"betas", "effort", "stop", "parallel_tool_calls", "response_format"}

# The tokens that a model may say at most, by how its name begins; the first row that fits counts.
_MOST_TOKENS = (
    ("claude-3-7-sonnet", 64_000),
    ("claude-3-5", 8_192),
    ("claude-3", 4_096),
    ("claude-2", 4_096),
    ("claude-instant", 4_096),
    ("claude-opus-4-0", 32_000),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4-2025", 32_000),
    *(
        (f"claude-{name}", 128_000)
        for name in ("opus-4-6", "opus-4-7", "opus-4-8", "opus-5", "sonnet-4-6", "sonnet-5", "fable-5")
    ),
    ("claude-", 64_000),
)
_FEW_TOKENS = 4_096

# What the API does only when a feature in test is asked for: by the parameter, by how the type of a tool begins.
_BETAS_OF_PARAMETERS = {"context_management": "context-management-2025-06-27", "mcp_servers": "mcp-client-2025-11-20"}
_BETAS_OF_TOOLS = {
    "code_execution_20250522": "code-execution-2025-05-22",
    "code_execution_20250825": "code-execution-2025-08-25",
    "computer_20241022": "computer-use-2024-10-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "mcp_toolset": "mcp-client-2025-11-20",
    "memory_20250818": "context-management-2025-06-27",
    "tool_search_tool_bm25_20251119": "advanced-tool-use-2025-11-20",
    "tool_search_tool_regex_20251119": "advanced-tool-use-2025-11-20",
    "web_fetch_20250910": "web-fetch-2025-09-10",
}
# What a tool may tell this API beside its schema: in its dict, or in its `extras`. All but the first are in test.
_OF_TOOLS = ("cache_control", "defer_loading", "input_examples", "allowed_callers", "eager_input_streaming")
_BETA_OF_TOOLS = "advanced-tool-use-2025-11-20"
_BETA_OF_FILES = "files-api-2025-04-14"


def most_tokens(model: str) -> int:
    """What to give as `max_tokens`, which the API demands, where the program does not say."""
    return next((most for start, most in _MOST_TOKENS if model.startswith(start)), _FEW_TOKENS)


def betas_for(body: Mapping[str, Any]) -> list[str]:
    """The features in test without which this request would be refused."""
    betas = [beta for name, beta in _BETAS_OF_PARAMETERS.items() if body.get(name)]
    betas += [
        _BETAS_OF_TOOLS[kind] for tool in body.get("tools") or () if (kind := tool.get("type")) in _BETAS_OF_TOOLS
    ]
    # Servers for tools of the form that came before toolsets are asked for under the older name.
    if body.get("mcp_servers") and not any(tool.get("type") == "mcp_toolset" for tool in body.get("tools") or ()):
        betas = ["mcp-client-2025-04-04" if beta.startswith("mcp-client") else beta for beta in betas]
    if any(tool.get(key) for tool in body.get("tools") or () for key in _OF_TOOLS[1:4]):
        betas.append(_BETA_OF_TOOLS)
    if any(_is_file(block) for block in _given_blocks(body)):
        betas.append(_BETA_OF_FILES)
    return betas


def _given_blocks(body: Mapping[str, Any]) -> Iterator[Any]:
    for message in body.get("messages") or ():
        if isinstance(message.get("content"), list):
            yield from message["content"]


def _is_file(block: Mapping[str, Any]) -> bool:
    source = block.get("source")
    return isinstance(source, Mapping) and source.get("type") == "file"


def call_parameters(settings: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent beside the messages: `settings`, overlaid by the call's keywords, without what is None."""
    both = {**settings, **call}
    parameters = {key: value for key, value in both.items() if key not in _NOT_SENT and value is not None}
    if effort := both.get("effort"):
        parameters["output_config"] = {**(parameters.get("output_config") or {}), "effort": effort}
    if form := both.get("response_format"):
        parameters["output_config"] = {**(parameters.get("output_config") or {}), "format": _answer_format(form)}
    if stop := both.get("stop"):
        parameters["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if tools := parameters.get("tools"):
        parameters["tools"] = [to_anthropic_tool(tool) for tool in tools]
    wanted = _choice(parameters.pop("tool_choice", None), None)
    if wanted is not None and wanted["type"] in ("any", "tool") and _thinks(parameters):
        # A model that thinks must not be made to call a tool: such a request is refused.
        parallel = {key: wanted[key] for key in ("disable_parallel_tool_use",) if key in wanted}
        wanted = {"type": "auto", **parallel} if parallel else None
    choice = tool_choice_of(wanted, parallel=both.get("parallel_tool_calls"))
    if choice is not None and tools:
        parameters["tool_choice"] = choice
    return {**parameters, **(settings.get("extra_body") or {}), **(call.get("extra_body") or {})}


def to_anthropic_tool(tool: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in Anthropic's form. One that already has it, or that the API runs itself, is returned as it is."""
    if isinstance(tool, dict) and _is_anthropic(tool):
        return tool
    function = convert_to_openai_tool(tool, strict=strict)["function"]
    made: dict[str, Any] = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    if description := function.get("description"):
        made["description"] = description
    if function.get("strict"):
        made["strict"] = True
    told = tool if isinstance(tool, dict) else getattr(tool, "extras", None) or {}
    return {**made, **{key: told[key] for key in _OF_TOOLS if told.get(key) is not None}}


def _is_anthropic(tool: Mapping[str, Any]) -> bool:
    """`{"name", "input_schema"}`, or `{"type": "web_search_20250305", ...}`; a JSON schema also has a `type`."""
    return "input_schema" in tool or tool.get("type") not in (None, "function", "object")


def tool_choice_of(
    choice: Any, tools: Sequence[Mapping[str, Any]] | None = None, *, parallel: bool | None = None
) -> dict[str, Any] | None:
    """A `tool_choice` as the wire wants it: "any" and True mean that some tool must be called, a name means that tool.

    Raises:
        InvalidArgument: (a ValueError) it names a tool that is not among `tools`, where these are given.
    """
    made = _choice(choice, tools)
    if parallel is not None:
        made = {"disable_parallel_tool_use": not parallel, **(made or {"type": "auto"})}
        if made["type"] == "none":
            del made["disable_parallel_tool_use"]
    return made


def _choice(choice: Any, tools: Sequence[Mapping[str, Any]] | None) -> dict[str, Any] | None:
    if choice is None or choice is False:
        return None
    if choice is True or choice in ("any", "required"):
        return {"type": "any"}
    if choice in ("auto", "none"):
        return {"type": choice}
    if isinstance(choice, Mapping):
        function = choice.get("function")
        return {"type": "tool", "name": function["name"]} if isinstance(function, Mapping) else dict(choice)
    names = [str(tool.get("name")) for tool in tools or ()]
    if tools is not None and choice not in names:
        raise InvalidArgument(
            f"tool_choice={choice!r} names no tool that was given; these are: {', '.join(names) or 'none'}."
        )
    return {"type": "tool", "name": choice}


def _thinks(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") not in (None, "disabled")


def _answer_format(form: Any) -> dict[str, Any]:
    """The form that an answer is to have, as this API wants it told: from a class, a JSON schema, or OpenAI's form."""
    from .json_answers import answer_schema  # a dozen classes of parsers, which few programs need

    return {"type": "json_schema", "schema": answer_schema(form)}


def shows_blocks(body: Mapping[str, Any]) -> bool:
    """The answer to this request is shown as a list of blocks from its beginning: more than text is to be expected."""
    if _thinks(body):
        return True
    return any(body.get(key) for key in ("tools", "mcp_servers", "context_management")) or any(
        isinstance(block.get("citations"), Mapping) and bool(block["citations"].get("enabled"))
        for block in _given_blocks(body)
    )
