"""A chat completion that came whole, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import AIMessage
from ..data.outputs import ChatGeneration, ChatResult
from ..data.types import InvalidToolCall, ToolCall, ToolCallChunk, invalid_tool_call, tool_call
from ..errors import ProviderError
from .free_text import MARK, free_args
from .openai_choice import closing_metadata, reasoning_text, split_content
from .openai_usage import usage_metadata
from .wire_json import dumps, loads

__all__ = ["all_outputs", "answer_chunk", "read_answer"]

_KEPT = ("refusal", "annotations", "images", "audio", "function_call", "reasoning_details")


def read_answer(answer: Any, *, provider: str = "openai") -> ChatResult:
    """All choices of an answer; usage is told with the first.

    Raises:
        ProviderError: it is no chat completion.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not choices:
        raise ProviderError(f"{provider} sent an answer without choices.", provider=provider)
    told: dict[str, Any] = {"model_provider": provider, **closing_metadata(answer)}
    if answer.get("id"):
        told["id"] = answer["id"]
    usage = answer.get("usage") or None
    try:
        generations = [_generation(choice, told, usage if at == 0 else None) for at, choice in enumerate(choices)]
    except (AttributeError, KeyError, TypeError) as error:
        raise ProviderError(
            f"{provider} sent an answer of another shape than chat completions have.", provider=provider
        ) from error
    return ChatResult(generations=generations, llm_output={"token_usage": usage, **told})


def all_outputs(outputs: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """What several answers told beside their messages, as one: their tokens summed, and what the first says of the model."""
    told = [output for output in outputs if output]
    made: dict[str, Any] = {"token_usage": _summed([output.get("token_usage") or {} for output in told])}
    for key in ("model_name", "system_fingerprint"):
        if (value := next((output[key] for output in told if output.get(key)), None)) is not None:
            made[key] = value
    return made


def _summed(usages: list[Mapping[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for usage in usages:
        for key, value in usage.items():
            if isinstance(value, Mapping):
                made[key] = _summed([made.get(key) or {}, value])
            elif isinstance(value, int | float) and isinstance(made.get(key, 0), int | float):
                made[key] = made.get(key, 0) + value
            else:
                made.setdefault(key, value)
    return made


def answer_chunk(answer: Any, *, provider: str = "openai") -> AIMessageChunk:
    """The first choice of a whole answer as one chunk, for whoever asked for a stream."""
    message = read_answer(answer, provider=provider).generations[0].message
    assert isinstance(message, AIMessage)
    calls: list[ToolCall | InvalidToolCall] = [*message.tool_calls, *message.invalid_tool_calls]
    return AIMessageChunk(
        message.content,
        additional_kwargs={key: value for key, value in message.additional_kwargs.items() if value is not None},
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        tool_call_chunks=[_as_chunk(index, call) for index, call in enumerate(calls)],
    )


def _generation(choice: Mapping[str, Any], told: Mapping[str, Any], usage: Mapping[str, Any] | None) -> ChatGeneration:
    said = choice.get("message") or {}
    text, thought = split_content(said.get("content"))
    extras = {key: said[key] for key in _KEPT if said.get(key)}
    if "refusal" in said:
        extras["refusal"] = said["refusal"]
    if thought := reasoning_text(said) or thought:
        extras["reasoning_content"] = thought
    metadata: dict[str, Any] = {
        **told,
        "finish_reason": choice.get("finish_reason"),
        "logprobs": choice.get("logprobs"),
    }
    if usage is not None:
        metadata["token_usage"] = usage
    if free := [call.get("id") for call in said.get("tool_calls") or () if call.get("custom")]:
        extras[MARK] = free
    calls, invalid = _calls(said.get("tool_calls") or (), told.get("id", ""))
    message = AIMessage(
        text,
        additional_kwargs=extras,
        response_metadata=metadata,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=None if usage is None else usage_metadata(usage),
    )
    info = {"finish_reason": metadata["finish_reason"], "logprobs": metadata["logprobs"]}
    return ChatGeneration(message=message, generation_info=info)


def _calls(given: Any, answer_id: str) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for number, call in enumerate(given):
        free = call.get("custom") or None
        function = free or call.get("function") or {}
        name, arguments = function.get("name"), function.get("arguments")
        id = call.get("id") or f"call_{answer_id}_{number}"
        try:
            args = _arguments(arguments) if free is None else free_args(free.get("input") or "")
        except ValueError as error:
            invalid.append(invalid_tool_call(name=name, args=arguments, id=id, error=f"not valid JSON: {error}"))
            continue
        if isinstance(args, dict):
            calls.append(tool_call(name=name or "", args=args, id=id))
        else:
            invalid.append(
                invalid_tool_call(name=name, args=arguments, id=id, error="the arguments are no JSON object")
            )
    return calls, invalid


def _arguments(given: Any) -> Any:
    """Arguments as values. Nothing, in any form, means none; a few servers send the object itself."""
    if not isinstance(given, str):
        return given or {}
    return loads(given.encode()) if given.strip() else {}


def _as_chunk(index: int, call: ToolCall | InvalidToolCall) -> ToolCallChunk:
    args = call["args"]
    text = args if isinstance(args, str) else dumps(args or {}).decode()
    return {"name": call["name"], "args": text, "id": call["id"], "index": index, "type": "tool_call_chunk"}
