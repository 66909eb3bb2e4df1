"""One call of a chat model: its run, its leaf, and what is done to every message that comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.accumulator import Accumulator
from ..data.ai_chunk import AIMessageChunk
from ..data.chunks import message_chunk_to_message
from ..data.ids import generation_id, new_id, run_message_id
from ..data.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from ..data.shown import shown_keywords
from ..data.types import ToolCall
from ..errors import InvalidArgument, InvalidType
from ..flow.driver import Driver
from ..flow.line import Leaf, Opened, Stage
from ..flow.runnable import Kwargs
from ..spine.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from ..spine.events import END, MISSING, STREAM, TOKENS, TOOL_CALL
from ..spine.run import Run
from ..spine.scope import Scope
from .cached_call import cached_call
from .model_input import as_messages
from .restarts import note_broken_stream, tell_restart

if TYPE_CHECKING:
    from .models import BaseChatModel

__all__ = ["ModelCall"]


class ModelCall(Stage):
    """Made for each call. `result` answers whole, `opened` in pieces; one of them is used, once.

    It is the stage of the line that the pieces come on.
    """

    __slots__ = (
        "_attempt",
        "_last",
        "_message_id",
        "_of",
        "_run_id",
        "_tell_chunk",
        "_told_apart",
        "_waits",
        "_whole",
        "can_stream",
        "d",
        "inner",
        "kwargs",
        "messages",
        "model",
        "run",
        "scope",
        "stop",
        "wanted",
    )

    def __init__(
        self, model: BaseChatModel, d: Driver, input: Any, scope: Scope, kwargs: Kwargs, *, of: int = 1
    ) -> None:
        self.model = model
        self.d = d
        self.messages = as_messages(input)
        self.scope = self.inner = scope
        self.stop = self.wanted = None
        if kwargs:
            kwargs = dict(kwargs)
            self.stop = kwargs.pop("stop", None)
            # How this call is to be made, not what is to be sent.
            streaming = kwargs.pop("streaming", None)
            self.wanted = kwargs.pop("stream", streaming)
        self.kwargs = kwargs
        self.run: Run | None = None
        self._whole: Accumulator | None = None
        self._last: Any = None
        self._run_id = scope.run_id
        self._message_id: str | None = None
        self._attempt = 1
        self._of = of
        self._waits = False  # begun, and not yet answered
        self.can_stream = self._can_stream()

    @property
    def run_id(self) -> str:
        """The id of the run, which names its messages, whether or not anybody watches it."""
        if self._run_id is None:
            self._run_id = self.run.id if self.run is not None else new_id()
        return self._run_id

    async def result(self) -> ChatResult:
        """Answer whole. Where a watcher wants tokens, and the model has them, by streaming inside."""
        if self._waits:
            self._waits = False
        else:
            self._begin()
        try:
            cached = cached_call(self.model, self.messages, self.stop, self.kwargs)
            kept = None if cached is None else await cached.found(self.d, self.inner)
            if kept is not None:
                result = ChatResult(generations=kept)
                self._tell(getattr(kept[0].message, "tool_calls", ()))
            else:
                if self.model.rate_limiter is not None:
                    await self._wait_for_turn()
                if self._streams_inside():
                    # In this frame, not in one of its own: hundreds of calls wait here at once.
                    self._prepare(keep=True)
                    leaf = self._leaf()
                    if self._told_apart:
                        await self.d.exhaust(leaf, self.take)
                    else:
                        pieces = self.d.iterate(leaf.scope, leaf.fn, leaf.afn, *leaf.args, **leaf.kwargs)
                        try:
                            async for piece in pieces:
                                self.take(piece)
                        finally:
                            await pieces.aclose()
                    self._close()
                    assert self._whole is not None
                    message = message_chunk_to_message(self._whole.message())
                    result = ChatResult(generations=[ChatGeneration(message=message)])
                else:
                    result = await self._generated()
                if cached is not None:
                    await cached.keep(self.d, self.inner, result.generations)
        except BaseException as error:
            self._failed(error)
            raise
        if self.run is not None:
            self.run.extra["result"] = result
            self.run.end(result.generations[0].message)
        return result

    def begin(self) -> None:
        """Begin the run before its turn: those of one `generate` begin together."""
        self._begin()
        self._waits = True

    def left_out(self, error: BaseException) -> None:
        """End the run of a call whose turn will not come."""
        if self._waits and self.run is not None:
            self.run.fail(error)

    async def opened(self) -> Opened:
        """Answer in pieces; in one, the whole message, where the model cannot stream or may not. For a `Line`."""
        if not self.can_stream:
            return Opened(self._in_one())
        self._begin()
        try:
            if self.model.rate_limiter is not None:
                await self._wait_for_turn()
            self._prepare(keep=self.run is not None)
        except BaseException as error:
            self._failed(error)
            raise
        return Opened(self._leaf(), (self,))

    def _leaf(self) -> Leaf:
        fn, afn = self.model._stream_forms()
        # Tokens are reported by `take`, once, so the method gets no manager to report them with.
        asked = {"stop": self.stop, "run_manager": None, **self.kwargs}
        return Leaf(self.inner, fn, afn, (self.messages,), asked)

    async def _in_one(self) -> AsyncGenerator[Any, None]:
        yield (await self.result()).generations[0].message

    def last(self) -> Any:
        closing = self._close()
        return MISSING if closing is None else closing

    def ended(self) -> None:
        if self.run is not None:
            self._end(self.run)

    def stopped(self, error: BaseException, left: bool) -> None:
        run = self.run
        if not left:
            self._failed(error)
        elif run is None:
            return
        # An early close counts as a normal end where the consumer is sync, as an error where it is async.
        elif self.d.sync:
            self._end(run)
        else:
            self._keep_partial(run)
            run.fail(error)

    # -- how -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        model, scope = self.model, self.scope
        if scope.heard("chat_model"):
            facts = model._get_ls_params(stop=self.stop, **self.kwargs)
            told = {"sent": {**shown_keywords(self.kwargs), "stop": self.stop}, "of": self._of}
            self._attempt = tell_restart(scope.parent, self.messages)
            self.run = model._begin(scope, self.messages, facts, told)
            self.inner = self.run.scope
        else:
            self.inner = scope.inner()

    def _can_stream(self) -> bool:
        model = self.model
        if self.wanted is False or model.disable_streaming is True:
            return False
        if model.disable_streaming == "tool_calling" and self.kwargs.get("tools"):
            return False
        if self.wanted is None and not model.__dict__.get("streaming", True) and "streaming" in model.model_fields_set:
            return False
        fn, afn = model._stream_forms()
        return fn is not None or (afn is not None and not self.d.sync)

    def _streams_inside(self) -> bool:
        if not self.can_stream:
            return False
        watched = self.run is not None and self.run.mask & TOKENS
        return bool(self.wanted or watched or self.model.__dict__.get("streaming"))

    # -- whole -------------------------------------------------------------------------------------------------------

    async def _wait_for_turn(self) -> None:
        limiter = self.model.rate_limiter
        await self.d.call(self.inner, limiter.acquire, limiter.aacquire, blocking=True)

    async def _generated(self) -> ChatResult:
        d, model, run = self.d, self.model, self.run
        fn, afn = model._generate_forms()
        manager: Any
        if d.sync or afn is None:
            afn, manager = None, CallbackManagerForLLMRun(self.inner, run, self.run_id)
        else:
            fn, manager = None, AsyncCallbackManagerForLLMRun(self.inner, run, self.run_id)
        result: ChatResult = await d.call(
            self.inner, fn, afn, self.messages, stop=self.stop, run_manager=manager, **self.kwargs
        )
        if not getattr(result, "generations", None):
            raise InvalidArgument(
                f"{type(model).__name__}._generate must give a ChatResult with at least one generation, "
                f"not {_shown(result)}."
            )
        result = self._finished(result)
        self._tell(getattr(result.generations[0].message, "tool_calls", ()))
        return result

    def _finished(self, result: ChatResult) -> ChatResult:
        """Each message with an id, and with what the model told beside it in its `response_metadata`."""
        output = result.llm_output if len(result.generations) == 1 else None
        generations = []
        for index, generation in enumerate(result.generations):
            message = generation.message
            changes: dict[str, Any] = {}
            if message.id is None:
                changes["id"] = generation_id(self.run_id, index)
            if output or generation.generation_info:
                changes["response_metadata"] = {
                    **(output or {}),
                    **(generation.generation_info or {}),
                    **message.response_metadata,
                }
            if changes:
                # A copy: a scripted model may give the same object again in its next run.
                message = message.model_copy(update=changes)
                generation = ChatGeneration(message=message, generation_info=generation.generation_info)
            generations.append(generation)
        return ChatResult(generations=generations, llm_output=result.llm_output)

    # -- in pieces ---------------------------------------------------------------------------------------------------

    def _prepare(self, keep: bool) -> None:
        """Before the first piece. Each goes through `take`, and after the last comes `_close`."""
        run = self.run
        self._whole = Accumulator(calls=run is not None and bool(run.mask & TOOL_CALL)) if keep else None
        self._tell_chunk: Callable[[Any], Any] | None = None
        self._told_apart = False  # whether `take` calls no code of users, so that it may run where the model does
        if run is not None and run.mask & STREAM:
            self._tell_chunk = run.telling()
            self._told_apart = self._tell_chunk is not None
            if not self._told_apart:
                self._tell_chunk = partial(run.emit, STREAM)

    def take(self, item: Any) -> Any:
        """The message of a piece, kept and reported."""
        if item.__class__ is ChatGenerationChunk and not item.generation_info:
            message = item.message
        elif item.__class__ is AIMessageChunk:
            message = item
        else:
            message = _message_of(item)
            if item.generation_info and self.run is not None:
                self.run.extra.setdefault("infos", []).append(item.generation_info)
        self._last = message
        if message.id is None:
            message.id = self._message_id or self._named()
        whole = self._whole
        if whole is not None:
            calls = whole.feed(message)
            if self._tell_chunk is not None:
                self._tell_chunk(message)
            if calls:
                self._tell(calls)
        return message

    def _named(self) -> str:
        """The id of the message, where the model gave none."""
        self._message_id = run_message_id(self.run_id)
        return self._message_id

    def _tell(self, calls: Sequence[ToolCall]) -> None:
        run = self.run
        if run is not None and run.mask & TOOL_CALL:
            for call in calls:
                run.emit(TOOL_CALL, call)

    def _close(self) -> Any:
        """The chunk that closes the message, where the model gave none: it says that the message is whole."""
        message, whole = self._last, self._whole
        if message is None:
            raise InvalidArgument(
                f"{type(self.model).__name__} streamed nothing; `_stream` must yield at least one chunk."
            )
        if whole is not None:
            self._tell(whole.finish())
        if message.chunk_position is not None:
            return None
        content: Any = [] if isinstance(message.content, list) else ""
        closing = AIMessageChunk(content, id=self._message_id or self._named(), chunk_position="last")
        if self._tell_chunk is not None:
            self._tell_chunk(closing)
        return closing

    def _failed(self, error: BaseException) -> None:
        shown = self._last
        if shown is not None and getattr(getattr(error, "partial", None), "id", "") is None:
            error.partial.id = shown.id  # type: ignore[attr-defined] # what was shown under this id
        run = self.run
        if run is None:
            return
        if self._keep_partial(run) and shown is not None and isinstance(error, Exception):
            note_broken_stream(self.scope.parent, shown.id, self.messages, self._attempt)
        run.fail(error)

    def _keep_partial(self, run: Run) -> bool:
        """Keep what has come so far with the run that fails, if anything has."""
        if not self._whole or self._last is None:
            return False
        run.extra["partial"] = self._whole.message()
        return True

    def _end(self, run: Run) -> None:
        """The closing chunk that we make is no part of the output."""
        if run.mask & END:
            run.end(self._whole.message() if self._whole else None)


def _message_of(piece: Any) -> Any:
    """The message of a `ChatGenerationChunk`, with what was told beside it in its `response_metadata`."""
    try:
        message = piece.message
    except AttributeError:
        raise InvalidType(f"`_stream` must yield ChatGenerationChunk or AIMessageChunk, not {_shown(piece)}.") from None
    if piece.generation_info:
        message.response_metadata = {**piece.generation_info, **message.response_metadata}
    return message


def _shown(value: Any) -> str:
    return f"{type(value).__name__}: {repr(value)[:80]}"
