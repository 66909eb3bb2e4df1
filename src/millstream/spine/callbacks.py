"""Callback managers: the public form of a scope and of a run, for code that reports runs by hand.

A manager is what `config["callbacks"]` holds inside a run; a run manager is what functions get as `run_manager`. Both
are thin: they begin, feed and end the same runs as everything else. One class serves both colours: what the methods of
an async manager return can be awaited, which waits for handlers that are behind.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from ..data.ai_chunk import AIMessageChunk
from ..data.ids import new_id, run_message_id
from ..data.lazy import running_loop
from ..data.outputs import GenerationChunk
from ..errors import OutsideRun
from .events import CUSTOM, STREAM
from .hooks import hooks
from .listening import Deferred, HandlerListener, Once, as_listeners
from .managers import BaseCallbackManager, handlers_of, inheritable
from .run import Run
from .scope import Scope

__all__ = [
    "AsyncCallbackManager",
    "AsyncCallbackManagerForChainRun",
    "AsyncCallbackManagerForLLMRun",
    "AsyncCallbackManagerForRetrieverRun",
    "AsyncCallbackManagerForToolRun",
    "BaseRunManager",
    "CallbackManager",
    "CallbackManagerForChainRun",
    "CallbackManagerForLLMRun",
    "CallbackManagerForRetrieverRun",
    "CallbackManagerForToolRun",
    "ParentRunManager",
    "Told",
    "manager_of",
]

R = TypeVar("R", bound="BaseRunManager")


class Told:
    """What a method of a manager returns: nothing to use. Awaiting it waits for handlers that are behind."""

    __slots__ = ("_run", "_scope")

    def __init__(self, scope: Scope, run: Run | None) -> None:
        self._scope = scope
        self._run = run

    def __await__(self) -> Generator[Any, Any, None]:
        return _caught_up(self._scope, self._run).__await__()


async def _caught_up(scope: Scope, run: Run | None) -> None:
    for gate in scope.gates:
        if gate.behind:
            await gate.drain()
    if run is None:
        return
    for listener in run.listeners:
        inside = listener.listener if isinstance(listener, Once) else listener
        if isinstance(inside, Deferred):
            await inside.settle(run)


# -- run managers -----------------------------------------------------------------------------------------------------


class BaseRunManager:
    """A run, as the code inside it sees it."""

    is_async: ClassVar[bool] = False

    def __init__(self, scope: Scope, run: Run | None, run_id: str | None = None) -> None:
        self._scope = scope
        self._run = run
        self._given_id = run_id
        self._run_id: UUID | None = None

    @classmethod
    def get_noop_manager(cls) -> Self:
        """A manager whose run nobody watches."""
        return cls(Scope(), None)

    @property
    def run_id(self) -> UUID:
        """The id of the run; one made up where nobody watches it."""
        if self._run_id is None:
            self._run_id = self._run.uuid if self._run is not None else UUID(self._given_id or new_id())
        return self._run_id

    @property
    def parent_run_id(self) -> UUID | None:
        """The id of the run around it."""
        parent = None if self._run is None else self._run.parent
        return None if parent is None else parent.uuid

    @property
    def handlers(self) -> list[Any]:
        """The handlers of this run."""
        return handlers_of(() if self._run is None else self._run.listeners)

    @property
    def inheritable_handlers(self) -> list[Any]:
        """The handlers of this run and all below it."""
        return handlers_of(inheritable(self._scope.listeners))

    @property
    def tags(self) -> list[str]:
        """The tags of the run."""
        return list(self._scope.tags if self._run is None else self._run.tags)

    @property
    def inheritable_tags(self) -> list[str]:
        """The tags of the run and all below it."""
        return list(self._scope.tags)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the run."""
        return dict(self._scope.metadata if self._run is None else self._run.metadata)

    @property
    def inheritable_metadata(self) -> dict[str, Any]:
        """The metadata of the run and all below it."""
        return dict(self._scope.metadata)

    def on_text(self, text: str, **kwargs: Any) -> Told:
        """Call `on_text` of the handlers."""
        return self._tell("on_text", text, kwargs)

    def on_retry(self, retry_state: Any, **kwargs: Any) -> Told:
        """Call `on_retry` of the handlers."""
        return self._tell("on_retry", retry_state, kwargs, "ignore_retry")

    def _tell(self, method: str, value: Any, keywords: dict[str, Any], ignored: str | None = None) -> Told:
        run = self._run
        for listener in () if run is None else run.listeners:
            inside = listener.listener if isinstance(listener, Once) else listener
            if run is None or not isinstance(inside, HandlerListener) or method not in inside.methods:
                continue
            if ignored is None or not getattr(inside.handler, ignored):
                ids = {"run_id": self.run_id, "parent_run_id": self.parent_run_id, "tags": self.tags}
                inside.tell((method, (value,), {**ids, **keywords}), run)
        return Told(self._scope, run)

    def _end(self, output: Any) -> Told:
        if self._run is not None:
            self._run.end(output)
        return Told(self._scope, self._run)

    def _fail(self, error: BaseException) -> Told:
        if self._run is not None:
            self._run.fail(error)
        return Told(self._scope, self._run)

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from _caught_up(self._scope, self._run).__await__()
        return self


class ParentRunManager(BaseRunManager):
    """The manager of a run that may have others inside."""

    def get_child(self, tag: str | None = None) -> CallbackManager:
        """What to give as `config["callbacks"]` to whatever runs inside this run.

        Needed only in threads of one's own: elsewhere the surrounding run is known.
        """
        return manager_of(self._scope.child(tag) if tag else self._scope, self.is_async)


class CallbackManagerForChainRun(ParentRunManager):
    """The run of a chain."""

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> Told:
        """The run ended."""
        return self._end(outputs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> Told:
        """The run failed."""
        return self._fail(error)

    def on_agent_action(self, action: Any, **kwargs: Any) -> Told:
        """Call `on_agent_action` of the handlers."""
        return self._tell("on_agent_action", action, kwargs, "ignore_agent")

    def on_agent_finish(self, finish: Any, **kwargs: Any) -> Told:
        """Call `on_agent_finish` of the handlers."""
        return self._tell("on_agent_finish", finish, kwargs, "ignore_agent")


class CallbackManagerForLLMRun(ParentRunManager):
    """The run of a model."""

    def on_llm_new_token(self, token: str, *, chunk: Any = None, **kwargs: Any) -> Told:
        """Report a token of a model that does not stream by itself."""
        run = self._run
        if run is not None and run.mask & STREAM:
            piece = getattr(chunk, "message", chunk)
            if piece is None and run.type == "chat_model":
                piece = AIMessageChunk(token, id=run_message_id(run.id))
            run.emit(STREAM, GenerationChunk(token) if piece is None else piece)
        return Told(self._scope, run)

    def on_llm_end(self, response: Any, **kwargs: Any) -> Told:
        """The run ended with an `LLMResult`."""
        run = self._run
        if run is not None:
            run.extra["response"] = response
            if run.type == "chat_model":
                response = response.generations[0][0].message
        return self._end(response)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> Told:
        """The run failed."""
        return self._fail(error)


class CallbackManagerForToolRun(ParentRunManager):
    """The run of a tool."""

    def on_tool_end(self, output: Any, **kwargs: Any) -> Told:
        """The run ended."""
        return self._end(output)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> Told:
        """The run failed."""
        return self._fail(error)


class CallbackManagerForRetrieverRun(ParentRunManager):
    """The run of a retriever."""

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> Told:
        """The run ended."""
        return self._end(documents)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> Told:
        """The run failed."""
        return self._fail(error)


class AsyncCallbackManagerForChainRun(CallbackManagerForChainRun):
    """The run of a chain, in async code."""

    is_async = True

    def get_sync(self) -> CallbackManagerForChainRun:
        """The same for sync code."""
        return CallbackManagerForChainRun(self._scope, self._run, str(self.run_id))


class AsyncCallbackManagerForLLMRun(CallbackManagerForLLMRun):
    """The run of a model, in async code."""

    is_async = True

    def get_sync(self) -> CallbackManagerForLLMRun:
        """The same for sync code."""
        return CallbackManagerForLLMRun(self._scope, self._run, str(self.run_id))


class AsyncCallbackManagerForToolRun(CallbackManagerForToolRun):
    """The run of a tool, in async code."""

    is_async = True

    def get_sync(self) -> CallbackManagerForToolRun:
        """The same for sync code."""
        return CallbackManagerForToolRun(self._scope, self._run, str(self.run_id))


class AsyncCallbackManagerForRetrieverRun(CallbackManagerForRetrieverRun):
    """The run of a retriever, in async code."""

    is_async = True

    def get_sync(self) -> CallbackManagerForRetrieverRun:
        """The same for sync code."""
        return CallbackManagerForRetrieverRun(self._scope, self._run, str(self.run_id))


# -- managers ---------------------------------------------------------------------------------------------------------


class _Started(list[R]):
    """The managers of several runs; awaiting it waits for handlers that are behind."""

    def __await__(self) -> Generator[Any, Any, list[R]]:
        for manager in self:
            yield from manager.__await__()
        return self


class CallbackManager(BaseCallbackManager):
    """Begins runs by hand: each `on_..._start` returns the run's manager, which ends it."""

    __slots__ = ()

    @classmethod
    def configure(
        cls,
        inheritable_callbacks: Any = None,
        local_callbacks: Any = None,
        verbose: bool = False,
        inheritable_tags: Iterable[str] | None = None,
        local_tags: Iterable[str] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
        local_metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """A manager out of what a caller was given: lists of handlers or managers, tags and metadata, and the hooks."""
        manager = cls._of(Scope())
        for given, inherit in ((inheritable_callbacks, True), (local_callbacks, False)):
            if isinstance(given, BaseCallbackManager):
                if inherit:
                    manager = cls._of(given._base)
                    manager._local, manager._local_metadata = list(given._local), dict(given._local_metadata)
                else:
                    for handler in given.handlers:
                        manager.add_handler(handler, inherit=False)
            else:
                for listener in as_listeners(given or ()):
                    manager.add_handler(listener, inherit)
        manager.add_tags(inheritable_tags or ())
        manager.add_tags(local_tags or (), inherit=False)
        manager.add_metadata(inheritable_metadata or {})
        manager.add_metadata(local_metadata or {}, inherit=False)
        for hook in hooks:
            for handler in hook(manager._base.listeners):
                manager.add_handler(handler)
        return manager

    def on_chain_start(
        self, serialized: dict[str, Any] | None, inputs: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> CallbackManagerForChainRun:
        """Begin the run of a chain."""
        made = AsyncCallbackManagerForChainRun if self.is_async else CallbackManagerForChainRun
        return made(*self._begin("chain", serialized, inputs, run_id, kwargs))

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: Sequence[str], run_id: UUID | None = None, **kwargs: Any
    ) -> list[CallbackManagerForLLMRun]:
        """Begin the runs of a text model, one for each prompt."""
        return self._begin_each("llm", serialized, [[prompt] for prompt in prompts], run_id, kwargs)

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: Sequence[Any], run_id: UUID | None = None, **kwargs: Any
    ) -> list[CallbackManagerForLLMRun]:
        """Begin the runs of a chat model, one for each conversation."""
        return self._begin_each("chat_model", serialized, messages, run_id, kwargs)

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForToolRun:
        """Begin the run of a tool."""
        made = AsyncCallbackManagerForToolRun if self.is_async else CallbackManagerForToolRun
        extra = {"input_str": input_str, "tool_call_id": kwargs.pop("tool_call_id", None)}
        return made(*self._begin("tool", serialized, inputs or {"input": input_str}, run_id, kwargs, extra))

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForRetrieverRun:
        """Begin the run of a retriever."""
        made = AsyncCallbackManagerForRetrieverRun if self.is_async else CallbackManagerForRetrieverRun
        return made(*self._begin("retriever", serialized, query, run_id, kwargs))

    def on_custom_event(self, name: str, data: Any, run_id: UUID | None = None, **kwargs: Any) -> Told:
        """Emit a custom event of the run that this manager is inside of.

        Raises:
            OutsideRun: (a RuntimeError) it is inside of none.
        """
        run = self._base.parent
        if run is None:
            raise OutsideRun("on_custom_event needs a surrounding run; this manager was given to none.")
        if run.mask & CUSTOM:
            run.emit(CUSTOM, (name, data))
        return Told(self._base, run)

    def _begin(
        self,
        type: str,
        serialized: dict[str, Any] | None,
        input: Any,
        run_id: UUID | None,
        keywords: dict[str, Any],
        extra: dict[str, Any] | None = None,
    ) -> tuple[Scope, Run]:
        scope = self.scope.copy()
        if self.is_async:
            scope.listeners = tuple(map(Deferred.of, scope.listeners))
        if run_id is not None:
            scope.run_id = str(run_id)
        serialized = serialized or {}
        name = keywords.get("name") or serialized.get("name") or (serialized.get("id") or [type])[-1]
        told = {"serialized": serialized, "sent": keywords.get("invocation_params") or {}}
        metadata, extra = self._local_metadata, {**told, **(extra or {})}
        run = scope.begin(name, keywords.get("run_type") or type, input, metadata=metadata, extra=extra)
        return run.scope, run

    def _begin_each(
        self,
        type: str,
        serialized: dict[str, Any],
        inputs: Iterable[Any],
        run_id: UUID | None,
        keywords: dict[str, Any],
    ) -> list[CallbackManagerForLLMRun]:
        made = AsyncCallbackManagerForLLMRun if self.is_async else CallbackManagerForLLMRun
        started: _Started[CallbackManagerForLLMRun] = _Started()
        for input in inputs:
            started.append(made(*self._begin(type, serialized, input, run_id, keywords)))
            run_id = None  # it names one run
        return started


class AsyncCallbackManager(CallbackManager):
    """A `CallbackManager` for async code: what its methods return can be awaited, and is the same then."""

    __slots__ = ()

    is_async = True


def manager_of(scope: Scope, is_async: bool | None = None) -> CallbackManager:
    """The manager for runs of `scope`; an async one by default where an event loop runs."""
    if is_async is None:
        is_async = running_loop() is not None
    return (AsyncCallbackManager if is_async else CallbackManager)._of(scope)
