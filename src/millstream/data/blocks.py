"""Content blocks: the typed form that every provider's content is shown in.

A block is a dict with a `type`. What a provider calls otherwise is translated when `content_blocks` is read;
what nobody knows is kept whole as a `non_standard` block.
"""

from __future__ import annotations

from typing import Any

from .ids import new_id
from .provider_blocks import CALLS, said_block

__all__ = ["content_blocks", "text_of"]

_KNOWN = frozenset(
    {
        "text",
        "reasoning",
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
        "image",
        "video",
        "audio",
        "file",
        "text-plain",
        "non_standard",
    }
)


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its texts and text blocks joined."""
    if isinstance(content, str):
        return content
    texts = (
        item if isinstance(item, str) else item.get("text") if item.get("type") == "text" else None for item in content
    )
    return "".join(text for text in texts if isinstance(text, str))


def content_blocks(message: Any) -> list[Any]:
    """The blocks of a message: its content translated, its reasoning before, its tool calls after."""
    content = message.content
    if message.response_metadata.get("output_version") == "v1" and isinstance(content, list):
        return content
    chunks: Any = getattr(message, "tool_call_chunks", None) or []
    arriving = bool(chunks) and message.chunk_position != "last"
    blocks = _blocks_of(content, arriving)
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning and not any(block["type"] == "reasoning" for block in blocks):
        blocks.insert(0, {"type": "reasoning", "reasoning": reasoning})
    if arriving and (content in ("", []) or _shows_calls(content)):
        return blocks + [
            {key: value for key, value in chunk.items() if value is not None or key != "index"} for chunk in chunks
        ]
    return blocks + _call_blocks(message, blocks)


def _blocks_of(content: Any, arriving: bool) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks: list[dict[str, Any]] = []
    for item in content:
        if isinstance(item, str):
            blocks.append({"type": "text", "text": item})
        elif not (arriving and item.get("type") in CALLS):
            blocks += said_block(item) or [_translated(item)]
    return blocks


def _shows_calls(content: Any) -> bool:
    return any(isinstance(item, dict) and item.get("type") in CALLS for item in content)


def _call_blocks(message: Any, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls that the content does not show already. One there that is invalid is shown as such, in its place."""
    invalid = {call["id"]: call for call in getattr(message, "invalid_tool_calls", ())}
    for place, block in enumerate(blocks):
        if block["type"] == "tool_call" and block.get("id") in invalid:
            blocks[place] = dict(invalid[block["id"]])
    shown = {block.get("id") for block in blocks if block["type"] in ("tool_call", "tool_call_chunk")}
    return [dict(call) for call in getattr(message, "tool_calls", ()) if call["id"] is None or call["id"] not in shown]


def _translated(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind in ("image", "audio", "file", "video") and ("source" in block or "source_type" in block or kind in block):
        made = _data_block(kind, block)
    elif kind in _KNOWN:
        return block
    else:
        translate = _TRANSLATORS.get(kind) if isinstance(kind, str) else None
        made = translate(block) if translate is not None else None
    return made if made is not None else {"type": "non_standard", "value": block}


def _data_block(kind: str, block: dict[str, Any]) -> dict[str, Any] | None:
    """The forms in which data comes: `{"source": {...}}` of Anthropic, `source_type` of old, OpenAI's `{"file": {...}}`."""
    source = block.get("source", block.get(kind))
    if isinstance(source, dict):
        return _sourced(kind, source, block)
    source_type, data = block.get("source_type"), block.get("data")
    found: dict[str, Any] | None = None
    if source_type == "url" and block.get("url"):
        found = {"url": block["url"]}
    elif source_type == "base64" and data:
        found = {"base64": data}
    elif source_type == "id" and block.get("id"):
        return {"type": kind, "id": new_id(), "file_id": block["id"]}
    elif source_type == "text" and block.get("text"):
        return {"type": "text-plain", "id": new_id(), "text": block["text"], "mime_type": "text/plain"}
    if found is None:
        return None
    mime = {"mime_type": block["mime_type"]} if block.get("mime_type") else {}
    return {"type": kind, "id": block.get("id") or new_id(), **found, **mime}


def _sourced(kind: str, source: dict[str, Any], block: dict[str, Any]) -> dict[str, Any] | None:
    made: dict[str, Any] = {"type": kind, "id": block.get("id") or new_id()}
    mime = source.get("media_type") or source.get("mime_type") or source.get("format")
    data = source.get("data") or source.get("file_data")
    if source.get("type") == "text" and isinstance(data, str):
        return {"type": "text-plain", "id": made["id"], "text": data, "mime_type": mime or "text/plain"}
    if isinstance(data, str) and data.startswith("data:"):
        _from_data_url(data, made)
    elif isinstance(data, str):
        made["base64"] = data
        if mime:
            made["mime_type"] = mime if "/" in mime else f"{kind}/{mime}"
    elif source.get("url"):
        made["url"] = source["url"]
    elif source.get("file_id"):
        made["file_id"] = source["file_id"]
    else:
        return None
    if source.get("filename"):
        made["extras"] = {"filename": source["filename"]}
    return made


def _from_data_url(url: str, made: dict[str, Any]) -> None:
    """Take `data:<mime>;base64,<data>` apart."""
    head, _, data = url.partition(",")
    made["base64"] = data
    mime = head.removeprefix("data:").partition(";")[0]
    if mime:
        made["mime_type"] = mime


def _image_url(block: dict[str, Any]) -> dict[str, Any] | None:
    """OpenAI's image: a URL, or an object with `url` and `detail`."""
    given = block.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str):
        return None
    made: dict[str, Any] = {"type": "image", "id": new_id()}
    if url.startswith("data:"):
        _from_data_url(url, made)
    else:
        made["url"] = url
    if isinstance(given, dict) and given.get("detail"):
        made["extras"] = {"detail": given["detail"]}
    return made


def _input_audio(block: dict[str, Any]) -> dict[str, Any] | None:
    sound = block.get("input_audio")
    return _sourced("audio", sound, block) if isinstance(sound, dict) else None


def _document(block: dict[str, Any]) -> dict[str, Any] | None:
    source = block.get("source")
    made = _sourced("file", source, block) if isinstance(source, dict) else None
    if made is not None:
        extras = {key: block[key] for key in ("title", "context", "citations") if block.get(key)}
        made.update({"extras": {**made.get("extras", {}), **extras}} if extras else {})
    return made


def _media(block: dict[str, Any]) -> dict[str, Any] | None:
    """Gemini's data: `mime_type` with `data` or `file_uri`."""
    mime = block.get("mime_type")
    if not isinstance(mime, str):
        return None
    major = mime.partition("/")[0]
    made: dict[str, Any] = {
        "type": major if major in ("image", "audio", "video") else "file",
        "id": new_id(),
        "mime_type": mime,
    }
    if block.get("file_uri"):
        return {**made, "url": block["file_uri"]}
    return {**made, "base64": block["data"]} if isinstance(block.get("data"), str) else None


_TRANSLATORS = {
    "document": _document,
    "image_url": _image_url,
    "input_audio": _input_audio,
    "media": _media,
}
