"""RunnableWithMessageHistory: a runnable that is told what was said before, and whose answers are remembered."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.addable import fold_chunks
from ..data.coercion import convert_to_messages
from ..data.messages import AIMessage, BaseMessage, HumanMessage
from ..errors import InvalidArgument, MissingKey
from ..flow.coerce import coerce
from ..flow.configurable import ConfigurableFieldSpec
from ..flow.driver import Driver
from ..flow.function import is_async
from ..flow.runnable import Kwargs, Runnable, exec_of, flow_of, folded, once
from ..spine.events import MISSING
from ..spine.scope import Scope
from .history import BaseChatMessageHistory

__all__ = ["RunnableWithMessageHistory"]

_SESSION = ConfigurableFieldSpec("session_id", str, "Session ID", "Names the conversation.", "", is_shared=True)


class RunnableWithMessageHistory(Runnable[Any, Any]):
    """`runnable` with the messages of a conversation put into its input; what is new is kept when it has answered.

    `get_session_history` gives the history for `config["configurable"]["session_id"]`, or for the keys that
    `history_factory_config` names, then as keyword arguments. A dict input gets the past under `history_messages_key`;
    without that key the past is put before the new messages, under `input_messages_key` or as the whole input.
    A run that fails, or whose stream is not read to its end, leaves the history as it was.

    Example:
        >>> sessions = {}
        >>> def history(session_id):
        ...     return sessions.setdefault(session_id, InMemoryChatMessageHistory())
        >>> count = RunnableLambda(lambda messages: f"{len(messages)} so far")
        >>> chat = RunnableWithMessageHistory(count, history)
        >>> config = {"configurable": {"session_id": "a"}}
        >>> chat.invoke("Hello", config), chat.invoke("Again", config)
        ('1 so far', '3 so far')
    """

    def __init__(
        self,
        runnable: Any,
        get_session_history: Callable[..., Any],
        *,
        input_messages_key: str | None = None,
        output_messages_key: str | None = None,
        history_messages_key: str | None = None,
        history_factory_config: Sequence[ConfigurableFieldSpec] | None = None,
    ) -> None:
        self.runnable: Runnable[Any, Any] = coerce(runnable)
        self.get_session_history = get_session_history
        self.input_messages_key = input_messages_key
        self.output_messages_key = output_messages_key
        self.history_messages_key = history_messages_key
        self.history_factory_config = list(history_factory_config or [_SESSION])
        self._run_inner = exec_of(self.runnable)
        self._flow_inner = flow_of(self.runnable)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What names the conversation, then what can be configured in the runnable."""
        specs = [*self.history_factory_config, *self.runnable.config_specs]
        return list({spec.id: spec for spec in specs}.values())

    def _parts_inside(self) -> Sequence[Runnable[Any, Any]]:
        return (self.runnable,)

    async def _body(self, d: Driver, input: Any, scope: Scope, kwargs: Kwargs) -> Any:
        turn = await self._begin_turn(d, input, scope)
        output = await self._run_inner(d, turn.input, scope, kwargs)
        await self._keep(d, scope, turn, output)
        return output

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        whole = await folded(inputs)
        if whole is MISSING:
            return
        turn = await self._begin_turn(d, whole, scope)
        chunks = []
        items = self._flow_inner(d, once(turn.input), scope, kwargs, turn.input)
        try:
            async for item in items:
                chunks.append(item)
                yield item
        finally:
            await items.aclose()
        if chunks:
            await self._keep(d, scope, turn, fold_chunks(chunks))

    # -- one turn of the conversation --------------------------------------------------------------------------------

    async def _begin_turn(self, d: Driver, input: Any, scope: Scope) -> _Turn:
        history = await self._history(d, scope)
        past: list[BaseMessage] = list(await d.call(scope, lambda: history.messages, history.aget_messages))
        value, key = input, self.input_messages_key
        if isinstance(input, dict):
            key = key or (next(iter(input)) if len(input) == 1 else "input")
            if key not in input:
                raise MissingKey(
                    f"The input has no key {key!r} (it has {sorted(input)}); say with `input_messages_key` "
                    "where its messages are.",
                    key=key,
                )
            value = input[key]
        new = _as_messages(value, HumanMessage, "input")
        if isinstance(input, dict) and self.history_messages_key is not None:
            return _Turn(history, new, {**input, self.history_messages_key: past})
        if isinstance(input, dict) and self.input_messages_key is not None:
            return _Turn(history, new, {**input, self.input_messages_key: past + new})
        return _Turn(history, new, past + new)

    async def _history(self, d: Driver, scope: Scope) -> BaseChatMessageHistory:
        factory = self.get_session_history
        keys = [spec.id for spec in self.history_factory_config]
        names = list(inspect.signature(factory).parameters)
        given = scope.configurable
        missing = [key for key in keys if key not in given]
        if missing and names:
            example = ", ".join(f"{key!r}: ..." for key in keys)
            raise InvalidArgument(
                f"The config does not say which conversation this is: it lacks {', '.join(missing)}. "
                f"Give it as config={{'configurable': {{{example}}}}}."
            )
        if len(keys) > 1 and set(keys) != set(names):
            raise InvalidArgument(
                f"`get_session_history` takes {sorted(names)}, but `history_factory_config` names {sorted(keys)}."
            )
        args = (given[keys[0]],) if len(keys) == 1 and names else ()
        named = {key: given[key] for key in keys} if len(keys) > 1 else {}
        forms = (None, factory) if is_async(factory) else (factory, None)
        history: BaseChatMessageHistory = await d.call(scope, *forms, *args, **named)
        return history

    async def _keep(self, d: Driver, scope: Scope, turn: _Turn, output: Any) -> None:
        if isinstance(output, dict):
            key = self.output_messages_key or (next(iter(output)) if len(output) == 1 else "output")
            if key not in output:
                raise MissingKey(
                    f"The output has no key {key!r} (it has {sorted(output)}); say with `output_messages_key` "
                    "where its messages are.",
                    key=key,
                )
            output = output[key]
        messages = [*turn.new, *_as_messages(output, AIMessage, "output")]
        await d.call(scope, turn.history.add_messages, turn.history.aadd_messages, messages)


@dataclass(slots=True)
class _Turn:
    history: BaseChatMessageHistory
    new: list[BaseMessage]
    input: Any


def _as_messages(value: Any, speaker: type[BaseMessage], side: str) -> list[BaseMessage]:
    if isinstance(value, str):
        return [speaker(value)]
    if isinstance(value, BaseMessage):
        return [value]
    if isinstance(value, (list, tuple)) or hasattr(value, "to_messages"):
        return convert_to_messages(value)
    raise InvalidArgument(
        f"The {side} of a runnable with history must be a text, a message or a list of messages, "
        f"or a dict with one under its key, not {type(value).__name__}."
    )
