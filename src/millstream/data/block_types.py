"""The types of content blocks, for annotations. Apart from what computes them, because making the classes takes time."""

from __future__ import annotations

import sys
from typing import Any, Literal, TypeAlias

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:  # pydantic refuses typing.TypedDict before 3.12
    from typing_extensions import NotRequired, TypedDict  # noqa: UP035

__all__ = [
    "AudioContentBlock",
    "Citation",
    "ContentBlock",
    "DataContentBlock",
    "FileContentBlock",
    "ImageContentBlock",
    "NonStandardContentBlock",
    "PlainTextContentBlock",
    "ReasoningContentBlock",
    "ServerToolCall",
    "ServerToolCallChunk",
    "ServerToolResult",
    "TextContentBlock",
    "ToolCallBlock",
    "ToolCallChunkBlock",
    "VideoContentBlock",
]


class Citation(TypedDict, total=False):
    """Where a text comes from."""

    type: Literal["citation"]
    id: str
    url: str
    title: str
    start_index: int
    end_index: int
    cited_text: str
    extras: dict[str, Any]


class TextContentBlock(TypedDict):
    """Text."""

    type: Literal["text"]
    text: str
    id: NotRequired[str]
    index: NotRequired[int | str]
    annotations: NotRequired[list[Any]]
    extras: NotRequired[dict[str, Any]]


class ReasoningContentBlock(TypedDict):
    """What a model thought before it spoke."""

    type: Literal["reasoning"]
    reasoning: NotRequired[str]
    id: NotRequired[str]
    index: NotRequired[int | str]
    extras: NotRequired[dict[str, Any]]


class ToolCallBlock(TypedDict):
    """A tool call, placed among the content."""

    type: Literal["tool_call"]
    name: str
    args: dict[str, Any]
    id: str | None
    index: NotRequired[int | str]
    extras: NotRequired[dict[str, Any]]


class ToolCallChunkBlock(TypedDict):
    """A piece of a tool call, placed among the content."""

    type: Literal["tool_call_chunk"]
    name: str | None
    args: str | None
    id: str | None
    index: NotRequired[int | str | None]
    extras: NotRequired[dict[str, Any]]


class ServerToolCall(TypedDict):
    """A tool that the provider runs itself."""

    type: Literal["server_tool_call"]
    id: str
    name: str
    args: dict[str, Any]
    index: NotRequired[int | str]
    extras: NotRequired[dict[str, Any]]


class ServerToolCallChunk(TypedDict, total=False):
    """A piece of a call of a tool that the provider runs itself."""

    type: Literal["server_tool_call_chunk"]
    name: str
    args: str
    id: str
    index: int | str
    extras: dict[str, Any]


class ServerToolResult(TypedDict):
    """What a tool that the provider ran gave back."""

    type: Literal["server_tool_result"]
    tool_call_id: str
    status: Literal["success", "error"]
    id: NotRequired[str]
    output: NotRequired[Any]
    index: NotRequired[int | str]
    extras: NotRequired[dict[str, Any]]


class DataContentBlock(TypedDict, total=False):
    """Data by `url`, as `base64` text, or by the provider's `file_id`."""

    id: str
    index: int | str
    url: str
    base64: str
    file_id: str
    mime_type: str
    extras: dict[str, Any]


class ImageContentBlock(DataContentBlock):
    """An image."""

    type: Literal["image"]


class VideoContentBlock(DataContentBlock):
    """A video."""

    type: Literal["video"]


class AudioContentBlock(DataContentBlock):
    """Sound."""

    type: Literal["audio"]


class FileContentBlock(DataContentBlock):
    """Any other file, such as a PDF."""

    type: Literal["file"]


class PlainTextContentBlock(DataContentBlock, total=False):
    """A text document."""

    type: Literal["text-plain"]
    text: str
    title: str
    context: str


class NonStandardContentBlock(TypedDict):
    """A provider's own block, whole."""

    type: Literal["non_standard"]
    value: dict[str, Any]
    id: NotRequired[str]
    index: NotRequired[int | str]


ContentBlock: TypeAlias = (
    TextContentBlock
    | ReasoningContentBlock
    | ToolCallBlock
    | ToolCallChunkBlock
    | ServerToolCall
    | ServerToolCallChunk
    | ServerToolResult
    | ImageContentBlock
    | VideoContentBlock
    | AudioContentBlock
    | FileContentBlock
    | PlainTextContentBlock
    | NonStandardContentBlock
)
