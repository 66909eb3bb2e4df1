"""Callback handlers: classes with one method for each kind of event, as users write them.

A handler is no listener: `HandlerListener` (listening.py) makes one of it, which calls these methods.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID

from ...errors import Unsupported

__all__ = ["METHODS", "AsyncCallbackHandler", "BaseCallbackHandler", "overridden"]


class BaseCallbackHandler:
    """What may be given as `config["callbacks"]`, or as `callbacks=` of a model or a tool.

    Override the methods of the events that you want; each gets the keywords shown, so take `**kwargs`. A method that is
    not overridden costs nothing. In sync runs methods are called at once, in the thread of the run; in async runs on a
    worker thread, in order, and all before the call returns that the handler was given to. A method may be a coroutine
    function, whatever the run.
    """

    raise_error: bool = False
    """Whether an exception of this handler fails the run; by default it is logged."""
    run_inline: bool = False
    """Whether sync methods are called at once, in the event loop's thread, in async runs too."""

    @property
    def ignore_llm(self) -> bool:
        """Whether to leave out the tokens, ends and errors of models, and the starts of text models."""
        return False

    @property
    def ignore_chat_model(self) -> bool:
        """Whether to leave out the starts of chat models."""
        return False

    @property
    def ignore_chain(self) -> bool:
        """Whether to leave out chains, prompts and parsers."""
        return False

    @property
    def ignore_agent(self) -> bool:
        """Whether to leave out tools."""
        return False

    @property
    def ignore_retriever(self) -> bool:
        """Whether to leave out retrievers."""
        return False

    @property
    def ignore_custom_event(self) -> bool:
        """Whether to leave out custom events."""
        return False

    @property
    def ignore_retry(self) -> bool:
        """Whether to leave out retries."""
        return False

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chain, prompt or parser started. Also given: `name`, `run_type`."""

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """It ended. Also given: `tags`, and `inputs` where it was streamed into."""

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """It failed, or was cancelled, or its stream was left early."""

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chat model started. Also given: `name`, `invocation_params`, `options`, `batch_size`.

        A handler without this method gets `on_llm_start` with the messages as text.
        """
        raise Unsupported(f"{type(self).__name__} has no `on_chat_model_start`; `on_llm_start` is called instead.")

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A text model started. Also given: `name`, `invocation_params`, `options`, `batch_size`."""

    def on_llm_new_token(
        self, token: str, *, chunk: Any = None, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """A streaming model gave a piece: its text, and the whole of it as `chunk` (a `ChatGenerationChunk`)."""

    def on_llm_end(self, response: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """A model ended; `response` is an `LLMResult`."""

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """A model failed. Also given: `response`, an `LLMResult` with what had come until then."""

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tool started; `serialized` has its name and description. Also given: `tool_call_id`, `name`."""

    def on_tool_end(self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """A tool ended, with a result or with an error that it handled itself."""

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """A tool failed. Also given: `tool_call_id`."""

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A retriever started. Also given: `name`."""

    def on_retriever_end(
        self, documents: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """A retriever ended."""

    def on_retriever_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """A retriever failed."""

    def on_custom_event(
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A user's code dispatched an event of its own."""

    def on_text(self, text: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """Called by `run_manager.on_text` only."""

    def on_retry(self, retry_state: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """Called by `run_manager.on_retry` only."""

    def on_agent_action(self, action: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """Called by `run_manager.on_agent_action` only."""

    def on_agent_finish(self, finish: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """Called by `run_manager.on_agent_finish` only."""


class AsyncCallbackHandler(BaseCallbackHandler):
    """A handler whose methods are coroutine functions, awaited on the event loop of the run.

    In sync runs each is run to its end on an event loop of its own, before the run goes on.
    """


def _coroutine_form(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def form(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return form


METHODS = tuple(name for name in vars(BaseCallbackHandler) if name.startswith("on_"))
for _name in METHODS:  # so that `await super().on_llm_start(...)` works
    setattr(AsyncCallbackHandler, _name, _coroutine_form(getattr(BaseCallbackHandler, _name)))

_DEFAULTS = frozenset(getattr(cls, name) for cls in (BaseCallbackHandler, AsyncCallbackHandler) for name in METHODS)


def overridden(handler: BaseCallbackHandler) -> dict[str, bool]:
    """The methods that this handler has of its own, and whether each is a coroutine function."""
    cls = type(handler)
    known: dict[str, bool] | None = cls.__dict__.get("_ms_overridden")
    if known is None:
        known = {
            name: inspect.iscoroutinefunction(method)
            for name in METHODS
            if (method := getattr(cls, name, None)) is not None and method not in _DEFAULTS
        }
        type.__setattr__(cls, "_ms_overridden", known)
    own = [name for name in getattr(handler, "__dict__", ()) if name.startswith("on_") and name in METHODS]
    if not own:
        return known
    return {**known, **{name: inspect.iscoroutinefunction(getattr(handler, name)) for name in own}}
