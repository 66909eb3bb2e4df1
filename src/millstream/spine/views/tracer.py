"""Tracers: handlers that keep what happened as a tree of records, one for each run."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ...data.coercion import get_buffer_string
from .handlers import BaseCallbackHandler

__all__ = ["BaseTracer", "Run", "RunRecorder"]


@dataclass(slots=True)
class Run:
    """What is known of one run, with those inside of it as `child_runs`. Times are aware datetimes."""

    id: UUID
    name: str
    run_type: str
    """"chain", "llm", "chat_model" (told to listeners; tracers know it as "llm"), "tool", "retriever", "prompt" or "parser"."""
    start_time: datetime
    parent_run_id: UUID | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    """The input; one that is no dict as `{"input": ...}`."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """The output, one that is no dict as `{"output": ...}`; empty until there is one."""
    error: str | None = None
    end_time: datetime | None = None
    tags: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    child_runs: list[Run] = field(default_factory=list)
    serialized: dict[str, Any] | None = None
    trace_id: UUID | None = None
    """The id of the root."""

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the run."""
        metadata: dict[str, Any] = self.extra.setdefault("metadata", {})
        return metadata


class RunRecorder(BaseCallbackHandler):
    """Keeps the tree of the runs that have begun and not ended, and calls `_begun` and `_ended` for each."""

    def __init__(self) -> None:
        self.run_map: dict[str, Run] = {}

    def _begun(self, run: Run, method: str) -> Any:
        """A run has begun; it is in the tree already. What this returns the handler's method returns."""

    def _ended(self, run: Run, method: str) -> Any:
        """A run has ended; it is still in the tree. What this returns the handler's method returns."""

    # -- starts ------------------------------------------------------------------------------------------------------

    def on_chain_start(self, serialized: dict[str, Any] | None, inputs: Any, **kwargs: Any) -> Any:
        run_type = kwargs.pop("run_type", None) or "chain"
        return self._begin("on_chain_start", serialized, run_type, _as_dict(inputs, "input"), kwargs)

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[Any]], **kwargs: Any) -> Any:
        return self._begin("on_chat_model_start", serialized, "chat_model", {"messages": messages}, kwargs)

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> Any:
        return self._begin("on_llm_start", serialized, "llm", {"prompts": prompts}, kwargs)

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, **kwargs: Any) -> Any:
        inputs = kwargs.pop("inputs", None)
        return self._begin("on_tool_start", serialized, "tool", inputs or {"input": input_str}, kwargs)

    def on_retriever_start(self, serialized: dict[str, Any], query: str, **kwargs: Any) -> Any:
        return self._begin("on_retriever_start", serialized, "retriever", {"query": query}, kwargs)

    # -- ends --------------------------------------------------------------------------------------------------------

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> Any:
        return self._end("on_chain_end", _as_dict(outputs, "output"), kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> Any:
        return self._end("on_llm_end", response.model_dump(), kwargs)

    def on_tool_end(self, output: Any, **kwargs: Any) -> Any:
        return self._end("on_tool_end", {"output": output}, kwargs)

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> Any:
        return self._end("on_retriever_end", {"documents": documents}, kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> Any:
        return self._fail("on_chain_error", error, kwargs)

    def on_llm_error(self, error: BaseException, *, response: Any = None, **kwargs: Any) -> Any:
        run = self.run_map.get(str(kwargs.get("run_id")))
        if run is not None and response is not None:
            run.outputs.update(response.model_dump())
        return self._fail("on_llm_error", error, kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> Any:
        return self._fail("on_tool_error", error, kwargs)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> Any:
        return self._fail("on_retriever_error", error, kwargs)

    # -- the tree ----------------------------------------------------------------------------------------------------

    def _begin(
        self, method: str, serialized: dict[str, Any] | None, run_type: str, inputs: Any, given: dict[str, Any]
    ) -> Any:
        parent_id = given.pop("parent_run_id", None)
        parent = self.run_map.get(str(parent_id))
        now = datetime.now(UTC)
        run = Run(
            id=given.pop("run_id"),
            name=given.pop("name", None) or (serialized or {}).get("name") or run_type,
            run_type=run_type,
            start_time=now,
            parent_run_id=parent_id,
            inputs=inputs,
            tags=list(given.pop("tags", None) or ()),
            events=[{"name": "start", "time": now}],
            serialized=serialized,
        )
        run.extra = {"metadata": given.pop("metadata", None) or {}, **given}
        run.trace_id = run.id if parent is None else parent.trace_id
        if parent is not None:
            parent.child_runs.append(run)
        self.run_map[str(run.id)] = run
        return self._begun(run, method)

    def _end(self, method: str, outputs: dict[str, Any], given: dict[str, Any]) -> Any:
        run = self.run_map.get(str(given.get("run_id")))
        if run is None:
            return None  # it began before anybody looked
        if "inputs" in given:
            run.inputs = _as_dict(given["inputs"], "input")
        run.outputs.update(outputs)  # in its place: who kept it at the start sees it
        return self._close(run, method, "end")

    def _fail(self, method: str, error: BaseException, given: dict[str, Any]) -> Any:
        run = self.run_map.get(str(given.get("run_id")))
        if run is None:
            return None
        if "inputs" in given:
            run.inputs = _as_dict(given["inputs"], "input")
        run.error = f"{error!r}\n\n{''.join(traceback.format_exception(error))}"
        return self._close(run, method, "error")

    def _close(self, run: Run, method: str, event: str) -> Any:
        run.end_time = datetime.now(UTC)
        run.events.append({"name": event, "time": run.end_time})
        try:
            return self._ended(run, method)
        finally:
            self.run_map.pop(str(run.id), None)


class BaseTracer(RunRecorder, ABC):
    """A handler that hands over each whole tree of runs: `_persist_run` gets the root when it has ended.

    A subclass may also override `_on_run_create`, `_on_run_update` (a run ended), `_on_llm_new_token`, and
    `_on_chain_start`, `_on_llm_end`, `_on_tool_error` and their like: each gets the `Run`.
    """

    @abstractmethod
    def _persist_run(self, run: Run) -> None:
        """A root has ended, with everything below it."""

    def _on_run_create(self, run: Run) -> None:
        """A run has begun."""

    def _on_run_update(self, run: Run) -> None:
        """A run has ended."""

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[Any]], **kwargs: Any) -> Any:
        """The model of a tracer takes texts: the conversations are rendered, unless `_on_chat_model_start` is there."""
        if hasattr(self, "_on_chat_model_start"):
            return super().on_chat_model_start(serialized, messages, **kwargs)
        return self.on_llm_start(serialized, [get_buffer_string(each) for each in messages], **kwargs)

    def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> None:
        """A piece of a model's answer: an event of its run."""
        run = self.run_map.get(str(kwargs.get("run_id")))
        if run is not None:
            told = {"token": token} if chunk is None else {"token": token, "chunk": chunk}
            run.events.append({"name": "new_token", "time": datetime.now(UTC), "kwargs": told})
            self._on_llm_new_token(run, token, chunk)

    def _on_llm_new_token(self, run: Run, token: str, chunk: Any) -> None:
        """A piece of a model's answer."""

    def _begun(self, run: Run, method: str) -> None:
        self._on_run_create(run)
        self._hook(run, method)

    def _ended(self, run: Run, method: str) -> None:
        if str(run.parent_run_id) not in self.run_map:
            self._persist_run(run)
        self._on_run_update(run)
        self._hook(run, method)

    def _hook(self, run: Run, method: str) -> None:
        hook = getattr(self, f"_{method}", None)
        if hook is not None:
            hook(run)


def _as_dict(value: Any, key: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else {key: value}
