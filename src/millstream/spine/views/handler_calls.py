"""The view behind callback handlers: which method an event calls, and with which arguments. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ...data.coercion import get_buffer_string
from ...data.merging import merge_dicts
from ...data.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from ..events import CUSTOM, END, ERROR, MISSING, START, STREAM, Event
from ..run import Run

__all__ = ["Call", "call_of", "fallback_of", "kinds_wanted", "llm_result", "serialized_of"]

Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]
"""The name of a method, its positional arguments and its keywords."""

# For each type of run: kind, methods of which any one makes the kind wanted, and the property that takes it back.
_Row: TypeAlias = tuple[int, str, str]
_CHAIN: tuple[_Row, ...] = (
    (START, "on_chain_start", "ignore_chain"),
    (END, "on_chain_end", "ignore_chain"),
    (ERROR, "on_chain_error", "ignore_chain"),
)
_LLM: tuple[_Row, ...] = (
    (START, "on_llm_start", "ignore_llm"),
    (STREAM, "on_llm_new_token", "ignore_llm"),
    (END, "on_llm_end", "ignore_llm"),
    (ERROR, "on_llm_error", "ignore_llm"),
)
_ROWS: Final[dict[str, tuple[_Row, ...]]] = {
    "chain": _CHAIN,
    "prompt": _CHAIN,
    "parser": _CHAIN,
    "llm": _LLM,
    "chat_model": _LLM,
    "tool": (
        (START, "on_tool_start", "ignore_agent"),
        (END, "on_tool_end", "ignore_agent"),
        (ERROR, "on_tool_error", "ignore_agent"),
    ),
    "retriever": (
        (START, "on_retriever_start", "ignore_retriever"),
        (END, "on_retriever_end", "ignore_retriever"),
        (ERROR, "on_retriever_error", "ignore_retriever"),
    ),
}


def kinds_wanted(handler: Any, methods: dict[str, bool], run: Run) -> int:
    """The kinds of `run` for which `handler`, with these methods of its own, is to be called."""
    kinds = 0
    for kind, method, ignored in _ROWS.get(run.type, ()):
        if method in methods and not getattr(handler, ignored):
            kinds |= kind
    if run.type == "chat_model" and "on_chat_model_start" in methods:
        # Its own property decides, also against the one that would let `on_llm_start` stand in.
        kinds = kinds & ~START if handler.ignore_chat_model else kinds | START
    if "on_custom_event" in methods and not handler.ignore_custom_event:
        kinds |= CUSTOM
    return kinds


def call_of(event: Event, methods: dict[str, bool]) -> Call:
    """The call that tells a handler with these methods of `event`."""
    if event.kind == CUSTOM:
        return _custom(event)
    kind, run = event.kind, event.run
    if run.type == "chat_model" and kind == START and "on_chat_model_start" not in methods:
        return fallback_of(_chat_model_start(event))
    return _CALLS[kind, run.type](event)


def fallback_of(call: Call) -> Call:
    """`on_llm_start` in the place of `on_chat_model_start`: the conversations as text."""
    _, (serialized, conversations), keywords = call
    return "on_llm_start", (serialized, [get_buffer_string(messages) for messages in conversations]), keywords


def serialized_of(run: Run) -> dict[str, Any]:
    """The name, class and description of the object that runs, under the keys that handlers read."""
    given: dict[str, Any] | None = run.extra.get("serialized")
    if given is not None:
        return given
    runs = run.extra.get("object")
    if runs is None:
        return {"name": run.name}
    cls = type(runs)
    if run.type == "tool":
        return {"name": runs.name, "description": runs.description}
    return {"name": runs.get_name(), "id": [*cls.__module__.split("."), cls.__name__]}


def llm_result(run: Run, output: Any) -> LLMResult:
    """What a model's run gave, as the `LLMResult` that handlers get."""
    if isinstance(output, LLMResult):
        return output
    response = run.extra.get("response")
    if response is not None:
        return response  # type: ignore[no-any-return]
    result = run.extra.get("result")
    if result is not None:
        return LLMResult(generations=[list(result.generations)], llm_output=result.llm_output)
    if isinstance(output, dict):
        return LLMResult.model_validate(output)
    if output is None:
        return LLMResult(generations=[[]] if run.type == "chat_model" else [])
    return LLMResult(generations=[[_generation(output, run.extra.get("infos"))]])


def _generation(output: Any, infos: list[dict[str, Any]] | None) -> Any:
    if not hasattr(output, "response_metadata"):
        return output  # a text model's generation
    made = ChatGenerationChunk if hasattr(output, "chunk_position") else ChatGeneration
    return made(message=output, generation_info=merge_dicts(*infos) if infos else None)


def _ids(run: Run) -> dict[str, Any]:
    parent = run.parent
    return {"run_id": run.uuid, "parent_run_id": None if parent is None else parent.uuid, "tags": list(run.tags)}


def _started(run: Run) -> dict[str, Any]:
    return {**_ids(run), "metadata": dict(run.metadata), "name": run.name}


def _named(run: Run) -> dict[str, Any]:
    """`_started` of a run whose `serialized` says its name: `name` is told only where the config gave another."""
    keywords = _started(run)
    if run.name == serialized_of(run).get("name"):
        keywords["name"] = None
    return keywords


def _chain_start(event: Event) -> Call:
    run = event.run
    # Of a run that is streamed into the input is not known yet.
    inputs = {"input": ""} if event.data is MISSING else event.data
    # A plain chain has no type of its own to tell.
    return "on_chain_start", (None, inputs), {**_started(run), "run_type": None if run.type == "chain" else run.type}


def _chain_end(event: Event) -> Call:
    run = event.run
    keywords = _ids(run)
    if run.input_late:
        keywords["inputs"] = run.input
    return "on_chain_end", (event.data,), keywords


def _chain_error(event: Event) -> Call:
    run = event.run
    keywords = _ids(run)
    if run.input_late:
        keywords["inputs"] = run.input
    return "on_chain_error", (event.data,), keywords


def _model_started(run: Run) -> dict[str, Any]:
    model = run.extra.get("object")
    sent = run.extra.get("sent", {})
    params: dict[str, Any] = {}
    if model is not None:
        params = {"_type": model._llm_type, **(getattr(model, "_identifying_params", None) or {})}
        name = run.metadata.get("ls_model_name")
        if name is not None:
            params.setdefault("model", name)
    return {
        **_named(run),
        "invocation_params": {**params, "stop": None, **sent},
        "options": {"stop": sent.get("stop")},
        "batch_size": run.extra.get("of", 1),
    }


def _chat_model_start(event: Event) -> Call:
    run = event.run
    return "on_chat_model_start", (serialized_of(run), [event.data]), _model_started(run)


def _llm_start(event: Event) -> Call:
    run, prompts = event.run, event.data
    return "on_llm_start", (serialized_of(run), [prompts] if isinstance(prompts, str) else prompts), _model_started(run)


def _new_token(event: Event) -> Call:
    # Once a token: written out, where the others share `_ids`.
    run, piece = event.run, event.data
    parent = run.parent
    if hasattr(piece, "response_metadata"):
        content = piece.content
        token = content if content.__class__ is str else piece.text
        piece = ChatGenerationChunk(piece)
    else:
        token = piece if isinstance(piece, str) else piece.text
    return (
        "on_llm_new_token",
        (token,),
        {
            "chunk": piece,
            "run_id": run.uuid,
            "parent_run_id": None if parent is None else parent.uuid,
            "tags": list(run.tags),
        },
    )


def _llm_end(event: Event) -> Call:
    run = event.run
    return "on_llm_end", (llm_result(run, event.data),), _ids(run)


def _llm_error(event: Event) -> Call:
    run = event.run
    partial = run.extra.get("partial")
    return "on_llm_error", (event.data,), {**_ids(run), "response": llm_result(run, partial)}


def _tool_start(event: Event) -> Call:
    run = event.run
    serialized = serialized_of(run)
    keywords = _named(run)
    keywords["inputs"] = event.data
    keywords["tool_call_id"] = run.extra.get("tool_call_id")
    return "on_tool_start", (serialized, run.extra.get("input_str", str(event.data))), keywords


def _tool_end(event: Event) -> Call:
    run = event.run
    return "on_tool_end", (event.data,), {**_ids(run), "name": serialized_of(run).get("name")}


def _tool_error(event: Event) -> Call:
    run = event.run
    return "on_tool_error", (event.data,), {**_ids(run), "tool_call_id": run.extra.get("tool_call_id")}


def _retriever_start(event: Event) -> Call:
    run = event.run
    return "on_retriever_start", (serialized_of(run), event.data), _started(run)


def _retriever_end(event: Event) -> Call:
    return "on_retriever_end", (event.data,), _ids(event.run)


def _retriever_error(event: Event) -> Call:
    return "on_retriever_error", (event.data,), _ids(event.run)


def _custom(event: Event) -> Call:
    run = event.run
    # As in `astream_events`: the tags that the run hands on, not those of the run alone.
    tags = [*getattr(event.data, "own_tags", ()), *run.scope.tags]
    return "on_custom_event", event.data, {"run_id": run.uuid, "tags": tags, "metadata": dict(run.metadata)}


_CALLS: Final[dict[tuple[int, str], Callable[[Event], Call]]] = {
    **{(START, each): _chain_start for each in ("chain", "prompt", "parser")},
    **{(END, each): _chain_end for each in ("chain", "prompt", "parser")},
    **{(ERROR, each): _chain_error for each in ("chain", "prompt", "parser")},
    (START, "chat_model"): _chat_model_start,
    (START, "llm"): _llm_start,
    **{(STREAM, each): _new_token for each in ("chat_model", "llm")},
    **{(END, each): _llm_end for each in ("chat_model", "llm")},
    **{(ERROR, each): _llm_error for each in ("chat_model", "llm")},
    (START, "tool"): _tool_start,
    (END, "tool"): _tool_end,
    (ERROR, "tool"): _tool_error,
    (START, "retriever"): _retriever_start,
    (END, "retriever"): _retriever_end,
    (ERROR, "retriever"): _retriever_error,
}
