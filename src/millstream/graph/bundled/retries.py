"""What an agent does about failing models and tools: another try, another model, a word to the model."""

from __future__ import annotations

import random
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias

from ...data.messages import AIMessage, ToolMessage
from ...errors import GraphBubbleUp, InvalidArgument
from ...flow.driver import Driver
from ...spine.scope import enter
from ..middleware import ModelAnswer, ModelRequest, ModelResponse, ToolCallRequest
from ..retrying import RetryOn, RetryPolicy
from .colourless import Inside, ModelWrapper, ToolWrapper, model_named

__all__ = ["ModelFallbackMiddleware", "ModelRetryMiddleware", "ToolErrorMiddleware", "ToolRetryMiddleware"]

OnFailure: TypeAlias = Literal["continue", "error"] | Callable[[Exception], str]
Content: TypeAlias = str | list[Any] | None


class _Tries:
    """How often and when something is tried again."""

    def __init__(
        self,
        max_retries: int,
        retry_on: RetryOn,
        on_failure: OnFailure,
        backoff_factor: float,
        initial_delay: float,
        max_delay: float,
        jitter: bool,
        advice: str = "",
    ) -> None:
        if max_retries < 0 or initial_delay < 0 or max_delay < 0 or backoff_factor < 0:
            raise InvalidArgument("max_retries, initial_delay, max_delay and backoff_factor cannot be negative.")
        if not callable(on_failure) and on_failure not in ("continue", "error"):
            raise InvalidArgument(f"on_failure must be 'continue', 'error' or a function, not {on_failure!r}.")
        self.max_retries = max_retries
        self.on_failure = on_failure
        self._covers = RetryPolicy(retry_on=retry_on).covers
        self._factor = backoff_factor
        self._first = initial_delay
        self._most = max_delay
        self._jitter = jitter
        self._advice = advice

    async def run(self, d: Driver, attempt: Callable[[], Awaitable[Any]], told: Callable[[str], Any], what: str) -> Any:
        """What the first attempt that succeeds gives, else what is told of the last failure; others than `retry_on` are raised."""
        for tried in range(self.max_retries + 1):
            try:
                return await attempt()
            except GraphBubbleUp:
                raise
            except Exception as error:
                if not self._covers(error):
                    raise
                if tried < self.max_retries:
                    await d.sleep(self.pause(tried))
                    continue
                if callable(self.on_failure):
                    return told(self.on_failure(error))
                if self.on_failure == "error":
                    raise
                attempts = f"{tried + 1} attempt{'s' if tried else ''}"
                return told(f"{what} failed after {attempts} with {type(error).__name__}: {error}{self._advice}")
        raise AssertionError("unreachable")

    def pause(self, tried: int) -> float:
        """The seconds before another try: growing, and up to a quarter more or less so that many don't come at once."""
        pause = min(self._most, self._first * (self._factor**tried if self._factor else 1.0))
        return pause * random.uniform(0.75, 1.25) if self._jitter else pause


class ModelRetryMiddleware(ModelWrapper):
    """Calls the model again when a call fails.

    `retry_on` is exception classes or a function of the exception; others are raised at once. After `max_retries` further
    tries `on_failure` decides: the failure is the model's answer ("continue"), is raised ("error"), or a function gives the
    answer's text.
    """

    def __init__(
        self,
        *,
        max_retries: int = 2,
        retry_on: RetryOn = (Exception,),
        on_failure: OnFailure = "continue",
        backoff_factor: float = 2.0,
        initial_delay: float = 1.0,
        max_delay: float = 60.0,
        jitter: bool = True,
    ) -> None:
        self._tries = _Tries(max_retries, retry_on, on_failure, backoff_factor, initial_delay, max_delay, jitter)

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        answer: ModelAnswer = await self._tries.run(
            d, lambda: inside(request), lambda text: ModelResponse([AIMessage(text)]), "Model call"
        )
        return answer


class ModelFallbackMiddleware(ModelWrapper):
    """Asks other models, in order, when the agent's model fails. Models may be given as `"provider:model"`."""

    def __init__(self, first_model: Any, *additional_models: Any) -> None:
        self.models = [model_named(model) for model in (first_model, *additional_models)]

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        attempts = [request, *(request.override(model=model) for model in self.models)]
        for attempt in attempts[:-1]:
            try:
                return await inside(attempt)  # type: ignore[no-any-return]
            except GraphBubbleUp:
                raise
            except Exception:  # the next one may do better; what the last one raises is raised
                continue
        return await inside(attempts[-1])  # type: ignore[no-any-return]


class ToolRetryMiddleware(ToolWrapper):
    """Runs a tool again when it fails: all of them, or those in `tools` (tools or names).

    The other arguments are as in `ModelRetryMiddleware`; "continue" tells the model of the failure.
    """

    def __init__(
        self,
        *,
        max_retries: int = 2,
        tools: Sequence[Any] | None = None,
        retry_on: RetryOn = (Exception,),
        on_failure: OnFailure | Literal["raise", "return_message"] = "continue",
        backoff_factor: float = 2.0,
        initial_delay: float = 1.0,
        max_delay: float = 60.0,
        jitter: bool = True,
    ) -> None:
        if on_failure == "raise" or on_failure == "return_message":
            known: OnFailure = "error" if on_failure == "raise" else "continue"
            warnings.warn(f"on_failure={on_failure!r} is now {known!r}.", DeprecationWarning, stacklevel=2)
            on_failure = known
        advice = ". Please try again."
        self._tries = _Tries(
            max_retries, retry_on, on_failure, backoff_factor, initial_delay, max_delay, jitter, advice
        )
        self._names = _names(tools)

    async def around_tool(self, d: Driver, request: ToolCallRequest, inside: Inside) -> Any:
        name = request.tool_call["name"]
        if self._names is not None and name not in self._names:
            return await inside(request)
        return await self._tries.run(d, lambda: inside(request), lambda text: _told(request, text), f"Tool '{name}'")


class ToolErrorMiddleware(ToolWrapper):
    """Tells the model of failures of tools, as the handler wants: its text (or blocks), or None to let the error through.

    It is asked about all tools, or those in `tools` (tools or names). `on_error(error, request)` serves both colours; `aon_error` takes its place in async runs.

    Raises:
        InvalidArgument: (a ValueError) neither was given.
    """

    def __init__(
        self,
        on_error: Callable[[Exception, ToolCallRequest], Content] | None = None,
        *,
        aon_error: Callable[[Exception, ToolCallRequest], Awaitable[Content]] | None = None,
        tools: Sequence[Any] | None = None,
    ) -> None:
        if on_error is None and aon_error is None:
            raise InvalidArgument("give `on_error`, `aon_error` or both.")
        self.on_error = on_error
        self.aon_error = aon_error
        self._names = _names(tools)

    async def around_tool(self, d: Driver, request: ToolCallRequest, inside: Inside) -> Any:
        try:
            return await inside(request)
        except GraphBubbleUp:
            raise
        except Exception as error:
            if self._names is not None and request.tool_call["name"] not in self._names:
                raise
            content = await d.call(enter(None), self.on_error, self.aon_error, error, request)
            if content is None:
                raise
            return _told(request, content)


def _names(tools: Sequence[Any] | None) -> set[str] | None:
    return None if tools is None else {each if isinstance(each, str) else each.name for each in tools}


def _told(request: ToolCallRequest, content: Any) -> ToolMessage:
    call = request.tool_call
    return ToolMessage(content, name=call["name"], tool_call_id=call["id"], status="error")
