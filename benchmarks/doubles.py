"""A model and a tool as users write them, with nothing behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from names import AIMessage, AIMessageChunk, BaseChatModel, ChatGeneration, ChatGenerationChunk, ChatResult, tool

CALL = {"name": "lookup", "args": '{"query": "mill"}', "id": "call_1", "index": 0, "type": "tool_call_chunk"}


class Scripted(BaseChatModel):  # type: ignore[misc]
    """Streams `tokens`, `pause` seconds before each; with `calls_tool` asks for the tool first, in one chunk."""

    tokens: list[str]
    calls_tool: bool = False
    pause: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _asks(self, messages: list[Any]) -> bool:
        return self.calls_tool and messages[-1].type != "tool"

    def _result(self, messages: list[Any]) -> Any:
        if self._asks(messages):
            message = AIMessage(content="", tool_calls=[{"name": "lookup", "args": {"query": "mill"}, "id": "call_1"}])
        else:
            message = AIMessage(content="".join(self.tokens))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return self._result(messages)

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return self._result(messages)

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Any]:
        if self._asks(messages):
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[dict(CALL)]))
            return
        for token in self.tokens:
            yield ChatGenerationChunk(message=AIMessageChunk(content=token))

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        if self._asks(messages):
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[dict(CALL)]))
            return
        for token in self.tokens:
            if self.pause:
                await asyncio.sleep(self.pause)
            yield ChatGenerationChunk(message=AIMessageChunk(content=token))


@tool  # type: ignore[untyped-decorator]
def lookup(query: str) -> str:
    """Look something up."""
    return f"found {query}"


@tool("lookup")  # type: ignore[untyped-decorator]
async def alookup(query: str) -> str:
    """Look something up."""
    await asyncio.sleep(0)
    return f"found {query}"
