"""OpenTelemetry: spans made out of the events of runs, named and described by its conventions for generative AI.

A span is made from two events, with the times that they carry, and hangs on the span of the run around it. No context
is held from one to the other, so a stream that is left early has nothing to detach.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...data.ids import is_generated
from ...errors import GraphBubbleUp
from ..events import END, ERROR, START, Event
from ..run import Run
from .handler_calls import llm_result

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["OpenTelemetryListener"]

# https://opentelemetry.io/docs/specs/semconv/gen-ai/ names some providers otherwise than our classes do.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azurechatopenai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "vertexai": "gcp.vertex_ai",
    "googlevertexai": "gcp.vertex_ai",
    "googlegenerativeai": "gcp.gemini",
    "googlegenai": "gcp.gemini",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
_ROLES: Final = {"human": "user", "ai": "assistant"}
_SENT: Final = ("top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class OpenTelemetryListener:
    """Makes a span of every run: give it as a callback, `config={"callbacks": [OpenTelemetryListener()]}`.

    The outermost span hangs on the span that is current where the call is made. `types` chooses among run types
    ("chat_model", "tool", ...); what runs inside of a run that is left out hangs on the span around that. Prompts, answers
    and arguments go into attributes only with `capture_content` (by default, where the environment variable
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is "true"): they may be private.

    Needs `pip install 'millstream[otel]'`, and an SDK that the application sets up as for its other spans.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        capture_content: bool | None = None,
        types: Collection[str] | None = None,
    ) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise ImportError("OpenTelemetryListener needs more packages: pip install 'millstream[otel]'") from error
        self._trace = trace
        self._tracer = trace.get_tracer("millstream", tracer_provider=tracer_provider)
        self._capture = os.environ.get(_CAPTURE, "").lower() == "true" if capture_content is None else capture_content
        self._types = None if types is None else frozenset(types)
        # Its spans are kept with their runs, under a key of its own: nothing is left here when a run is forgotten.
        self._key = f"otel:{id(self)}"

    def interest(self, run: Run) -> int:
        """Starts, ends and errors of the chosen types."""
        return START | END | ERROR if self._types is None or run.type in self._types else 0

    def feed(self, event: Event) -> None:
        """Begin a span, or end one."""
        run = event.run
        if event.kind == START:
            run.extra[self._key] = self._start(run, event)
            return
        span: Span | None = run.extra.pop(self._key, None)
        if span is None:
            return
        if span.is_recording():
            if event.kind == END:
                span.set_attributes(_known(self._described_end(run, event.data)))
            else:
                self._fail(span, run, event.data, _nanoseconds(event))
        span.end(_nanoseconds(event))

    def span_of(self, run: Run) -> Span | None:
        """The span of the nearest run that has one open: of `run`, or of one around it."""
        within: Run | None = run
        while within is not None:
            span: Span | None = within.extra.get(self._key)
            if span is not None:
                return span
            within = within.parent
        return None

    # -- starts ------------------------------------------------------------------------------------------------------

    def _start(self, run: Run, event: Event) -> Span:
        around = None if run.parent is None else self.span_of(run.parent)
        context: Context | None = None if around is None else self._trace.set_span_in_context(around)
        kinds = self._trace.SpanKind
        is_model = run.type in ("chat_model", "llm")
        name, attributes = _described(run, event.data, is_root=around is None)
        if self._capture:
            attributes.update(_captured_start(run, event.data))
        return self._tracer.start_span(
            name,
            context=context,
            kind=kinds.CLIENT if is_model else kinds.INTERNAL,
            attributes=_known(attributes),
            start_time=_nanoseconds(event),
        )

    # -- ends --------------------------------------------------------------------------------------------------------

    def _described_end(self, run: Run, output: Any) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        if run.type in ("chat_model", "llm"):
            attributes = _answer(run, output)
            if self._capture:
                attributes["gen_ai.output.messages"] = _json(_outputs(run, output))
        elif self._capture and run.type == "tool":
            attributes["gen_ai.tool.call.result"] = _json(getattr(output, "content", output))
        elif self._capture and run.type == "retriever":
            found = [{"id": document.id, "content": document.page_content} for document in output or ()]
            attributes["gen_ai.retrieval.documents"] = _json(found)
        return attributes

    def _fail(self, span: Span, run: Run, error: BaseException, time: int) -> None:
        if isinstance(error, GraphBubbleUp):
            return  # an interrupt or a jump: nothing went wrong
        if isinstance(error, GeneratorExit):
            span.set_attribute("millstream.run.left_early", True)
            return
        span.set_attribute("error.type", type(error).__qualname__)
        if run.extra.get("partial") is not None:
            span.set_attributes(_known(_answer(run, run.extra["partial"])))
        if not isinstance(error, asyncio.CancelledError):
            span.record_exception(error, timestamp=time)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, str(error) or type(error).__qualname__))


def _described(run: Run, input: Any, is_root: bool) -> tuple[str, dict[str, Any]]:
    """The name of a run's span, and its attributes at the start."""
    common: dict[str, Any] = {
        "millstream.run.id": run.id,
        "millstream.run.type": run.type,
        "millstream.run.tags": list(run.tags) or None,
        "gen_ai.conversation.id": run.scope.configurable.get("thread_id") or run.metadata.get("thread_id"),
    }
    if run.type in ("chat_model", "llm"):
        model = run.metadata.get("ls_model_name")
        operation = "chat" if run.type == "chat_model" else "text_completion"
        attributes = {"gen_ai.operation.name": operation, **_request(run, model)}
        return f"{operation} {model}" if model else f"{operation} {run.name}", {**common, **attributes}
    if run.type == "tool":
        described = run.extra.get("object")
        return f"execute_tool {run.name}", {
            **common,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": getattr(described, "name", run.name),
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": getattr(described, "description", None) or None,
            "gen_ai.tool.call.id": run.extra.get("tool_call_id"),
        }
    if run.type == "retriever":
        return f"retrieval {run.name}", {**common, "gen_ai.operation.name": "retrieval"}
    if is_root and run.type == "chain":
        workflow = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": run.name}
        return f"invoke_workflow {run.name}", {**common, **workflow}
    return run.name, common


def _request(run: Run, model: Any) -> dict[str, Any]:
    facts, sent = run.metadata, run.extra.get("sent") or {}
    fields = getattr(run.extra.get("object"), "__dict__", {})
    provider = facts.get("ls_provider", "unknown")
    count = sent.get("n", fields.get("n"))
    return {
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        "gen_ai.request.temperature": facts.get("ls_temperature"),
        "gen_ai.request.max_tokens": facts.get("ls_max_tokens"),
        "gen_ai.request.stop_sequences": facts.get("ls_stop"),
        "gen_ai.request.choice.count": count if count != 1 else None,
        **{f"gen_ai.request.{name}": sent.get(name, fields.get(name)) for name in _SENT},
    }


def _answer(run: Run, output: Any) -> dict[str, Any]:
    """What a model's run says at its end of the answer, its length and its reason to stop."""
    response = llm_result(run, output)
    candidates = [message for given in response.generations[:1] for one in given if (message := _message(one))]
    if not candidates:
        return {}
    facts = [message.response_metadata for message in candidates]
    reasons = [reason for each in facts if (reason := each.get("finish_reason") or each.get("stop_reason"))]
    usage = getattr(candidates[0], "usage_metadata", None) or {}
    read = usage.get("input_token_details") or {}
    told = usage.get("output_token_details") or {}
    id = facts[0].get("id") or (None if is_generated(candidates[0].id) else candidates[0].id)
    return {
        "gen_ai.response.model": facts[0].get("model_name"),
        "gen_ai.response.id": id,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": read.get("cache_read"),
        "gen_ai.usage.cache_creation.input_tokens": read.get("cache_creation"),
        "gen_ai.usage.reasoning.output_tokens": told.get("reasoning"),
    }


# -- content ----------------------------------------------------------------------------------------------------------


def _captured_start(run: Run, input: Any) -> dict[str, Any]:
    if run.type == "chat_model":
        system = [message for message in input if message.type == "system"]
        rest = [message for message in input if message.type != "system"]
        return {
            "gen_ai.system_instructions": _json([part for each in system for part in _parts(each)]) if system else None,
            "gen_ai.input.messages": _json([_told(message) for message in rest]),
        }
    if run.type == "llm":
        asked = [{"role": "user", "parts": [{"type": "text", "content": prompt}]} for prompt in input]
        return {"gen_ai.input.messages": _json(asked)}
    if run.type == "tool":
        return {"gen_ai.tool.call.arguments": _json(input)}
    return {"gen_ai.retrieval.query.text": str(input)} if run.type == "retriever" else {}


def _outputs(run: Run, output: Any) -> list[dict[str, Any]]:
    told = []
    for candidates in llm_result(run, output).generations[:1]:
        for one in candidates:
            message = _message(one)
            if message is None:
                part = {"type": "text", "content": one.text}
                told.append({"role": "assistant", "parts": [part], "finish_reason": "stop"})
            else:
                facts = message.response_metadata
                reason = facts.get("finish_reason") or facts.get("stop_reason") or "stop"
                told.append({**_told(message), "role": "assistant", "finish_reason": reason})
    return told


def _told(message: Any) -> dict[str, Any]:
    role = message.type.removesuffix("MessageChunk").lower()
    return {"role": _ROLES.get(role, role), "parts": _parts(message)}


def _parts(message: Any) -> list[dict[str, Any]]:
    if message.type == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}]
    parts: list[dict[str, Any]] = []
    for block in message.content_blocks:
        kind = block.get("type")
        if kind == "text":
            parts.append({"type": "text", "content": block["text"]})
        elif kind == "tool_call":
            parts.append({"type": "tool_call", "id": block["id"], "name": block["name"], "arguments": block["args"]})
        else:
            parts.append(dict(block))
    return parts


def _message(generation: Any) -> Any:
    return getattr(generation, "message", None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are known, in the few types that spans take."""
    return {key: _plain(value) for key, value in attributes.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [str(each) for each in value]
    return str(value)


def _nanoseconds(event: Event) -> int:
    return int(event.time * 1e9)
