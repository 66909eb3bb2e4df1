"""AnyMessage: any of the message classes, for annotations."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from .ai_chunk import AIMessageChunk
from .chunks import (
    ChatMessageChunk,
    FunctionMessageChunk,
    HumanMessageChunk,
    SystemMessageChunk,
    ToolMessageChunk,
)
from .messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

__all__ = ["AnyMessage"]


class _ByType:
    """Tells pydantic to choose the class by `type` instead of trying one after the other."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler.generate_schema(BaseMessage)

    def __repr__(self) -> str:
        return "by type"


AnyMessage: TypeAlias = Annotated[
    AIMessage
    | HumanMessage
    | ChatMessage
    | SystemMessage
    | FunctionMessage
    | ToolMessage
    | RemoveMessage
    | AIMessageChunk
    | HumanMessageChunk
    | ChatMessageChunk
    | SystemMessageChunk
    | FunctionMessageChunk
    | ToolMessageChunk,
    _ByType(),
]
"""Any message or chunk; pydantic chooses the class by `type`."""
