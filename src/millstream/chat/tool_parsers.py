"""Parsers of the tool calls of an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pydantic
from pydantic import BaseModel

from ..data.ai_chunk import AIMessageChunk
from ..data.messages import BaseMessage
from ..errors import OutputParserException
from ..flow.driver import Driver, aclose
from ..flow.runnable import Kwargs
from ..spine.scope import Scope
from .growing_calls import GrowingCalls
from .parsers import BaseGenerationOutputParser

__all__ = ["JsonOutputKeyToolsParser", "JsonOutputToolsParser", "PydanticToolsParser"]


class JsonOutputToolsParser(BaseGenerationOutputParser[Any]):
    """The tool calls of an answer as `{"type": name, "args": {...}}`, with `return_id` also `"id"`.

    In a stream it gives the calls so far each time that they grow.
    """

    return_id: bool = False
    first_tool_only: bool = False

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        """The calls of the first of these generations, which must be a message.

        Raises:
            OutputParserException: (a ValueError) it is a text, or a call's arguments are not JSON.
        """
        message = getattr(result[0], "message", None)
        if not isinstance(message, BaseMessage):
            raise OutputParserException(f"{type(self).__name__} takes a message, not a text.")
        calls = list(getattr(message, "tool_calls", ()))
        one_is_enough = partial or (self.first_tool_only and calls)
        for call in () if one_is_enough else getattr(message, "invalid_tool_calls", ()):
            if not self._concerns(call["name"]):
                continue
            raise OutputParserException(
                f"the arguments of the call of {call['name']!r} are not JSON: {call['args']!r}",
                llm_output=str(call["args"]),
            )
        return self._of_calls(calls, partial)

    def _concerns(self, name: str | None) -> bool:
        """Whether calls of this name are what is asked for."""
        return True

    def _of_calls(self, calls: list[Any], partial: bool) -> Any:
        shown = [self._shown(call) for call in calls]
        return shown[0] if self.first_tool_only and shown else shown

    def _shown(self, call: Any) -> dict[str, Any]:
        one = {"args": call["args"], "type": call["name"]}
        if self.return_id:
            one["id"] = call["id"]
        return one

    def _streams(self) -> bool:
        return True

    async def _pour(
        self, d: Driver, inputs: AsyncIterator[Any], scope: Scope, kwargs: Kwargs
    ) -> AsyncGenerator[Any, None]:
        growing = GrowingCalls()
        shown: Any = None
        try:
            async for item in inputs:
                if isinstance(item, AIMessageChunk):
                    growing.feed(item)
                    value = self._of_calls(growing.calls(), True)
                else:
                    value = await self._body(d, item, scope, kwargs)
                if value is not None and value != shown:
                    shown = value
                    yield value
        finally:
            await aclose(inputs)


class JsonOutputKeyToolsParser(JsonOutputToolsParser):
    """The arguments of the calls of one tool, `key_name`; with `first_tool_only` those of the first call, or None."""

    key_name: str

    def __init__(self, key_name: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "key_name": key_name})

    def _concerns(self, name: str | None) -> bool:
        return name == self.key_name

    def _of_calls(self, calls: list[Any], partial: bool) -> Any:
        chosen = [self._shown(call) for call in calls if call["name"] == self.key_name]
        shown = chosen if self.return_id else [call["args"] for call in chosen]
        if self.first_tool_only:
            return shown[0] if shown else None
        return shown


class PydanticToolsParser(JsonOutputToolsParser):
    """The arguments of each call as an instance of the class in `tools` that has the call's name.

    In a stream a call is shown as soon as, and whenever, its arguments so far are valid.
    """

    tools: list[Any]

    def _of_calls(self, calls: list[Any], partial: bool) -> Any:
        classes = {_name_of(tool): tool for tool in self.tools}
        made = []
        for call in calls[:1] if self.first_tool_only else calls:
            cls = classes.get(call["name"])
            if cls is None:
                if partial and any(name.startswith(call["name"]) for name in classes):
                    continue  # the name itself may be arriving
                raise OutputParserException(
                    f"the model called {call['name']!r}, which is none of {sorted(classes)}.",
                    llm_output=str(call["args"]),
                )
            try:
                made.append(cls.model_validate(call["args"]))
            except pydantic.ValidationError:
                if not partial:
                    raise
        if self.first_tool_only:
            return made[0] if made else None
        return made


def _name_of(tool: type[BaseModel]) -> str:
    return str(tool.model_config.get("title") or tool.__name__)
