"""Wrappers of model and tool calls that are written once for both colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from ...flow.driver import ASYNC, SYNC, Driver
from ...flow.step import step
from ...spine.scope import enter
from ..middleware import (
    AgentMiddleware,
    AsyncModelHandler,
    AsyncToolHandler,
    ModelAnswer,
    ModelHandler,
    ModelRequest,
    ToolCallRequest,
    ToolHandler,
)

__all__ = ["ModelWrapper", "ToolWrapper", "ask_model", "model_named"]

Inside: TypeAlias = Callable[[Any], Awaitable[Any]]


class ModelWrapper(AgentMiddleware):
    """Middleware around model calls whose work is one `around_model`."""

    async def around_model(self, d: Driver, request: ModelRequest, inside: Inside) -> ModelAnswer:
        """What the call gives; `await inside(request)` makes it."""
        raise NotImplementedError

    def wrap_model_call(self, request: ModelRequest, handler: ModelHandler) -> ModelAnswer:
        return step(self.around_model(SYNC, request, _awaitable(handler)))

    async def awrap_model_call(self, request: ModelRequest, handler: AsyncModelHandler) -> ModelAnswer:
        return await self.around_model(ASYNC, request, handler)


class ToolWrapper(AgentMiddleware):
    """Middleware around tool calls whose work is one `around_tool`."""

    async def around_tool(self, d: Driver, request: ToolCallRequest, inside: Inside) -> Any:
        """What the call gives; `await inside(request)` makes it."""
        raise NotImplementedError

    def wrap_tool_call(self, request: ToolCallRequest, handler: ToolHandler) -> Any:
        return step(self.around_tool(SYNC, request, _awaitable(handler)))

    async def awrap_tool_call(self, request: ToolCallRequest, handler: AsyncToolHandler) -> Any:
        return await self.around_tool(ASYNC, request, handler)


def _awaitable(handler: Callable[[Any], Any]) -> Inside:
    async def call(request: Any) -> Any:
        return handler(request)

    return call


def model_named(model: Any) -> Any:
    """A chat model, given as such or as `"provider:model"`."""
    if isinstance(model, str):
        import millstream

        return millstream.init_chat_model(model)
    return model


async def ask_model(d: Driver, model: Any, messages: Any, source: str) -> Any:
    """A call of a model on the side; whoever watches the run sees `lc_source` in its metadata."""
    return await d.call(enter(None), model.invoke, model.ainvoke, messages, {"metadata": {"lc_source": source}})
