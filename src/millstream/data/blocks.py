"""Content blocks: the typed form that every provider's content is shown in.

A block is a dict with a `type`. What a provider calls otherwise is translated when `content_blocks` is read;
what nobody knows is kept whole as a `non_standard` block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .block_parts import Block, arguments, beyond, told
from .ids import new_id
from .lazy import Lazy

if TYPE_CHECKING:
    from . import provider_blocks
else:
    provider_blocks = Lazy(".provider_blocks", globals())

__all__ = ["content_blocks", "text_of", "with_whole_calls"]

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
    content, metadata = message.content, message.response_metadata
    if metadata.get("output_version") == "v1" and isinstance(content, list):
        return content
    piece = getattr(message, "chunk_position", "last") != "last"
    pieces = list(getattr(message, "tool_call_chunks", ())) if piece else []
    arriving = bool(pieces) and (not content or any(_is_call(item) for item in content))
    blocks = _blocks_of(content, metadata.get("model_provider"), piece, pieces)
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning and not any(block["type"] == "reasoning" for block in blocks):
        blocks.insert(0, {"type": "reasoning", "reasoning": reasoning})
    if arriving:
        return blocks + [_arrived(piece) for piece in pieces]
    return blocks + _call_blocks(message, blocks)


def with_whole_calls(content: Sequence[Any], calls: Sequence[Any], invalid: Sequence[Any]) -> list[Any]:
    """Standard blocks of a message that has ended, in which pieces of calls are the calls that they amount to."""
    whole = {call["id"]: call for call in (*invalid, *calls) if call["id"] is not None}
    made: list[Any] = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "tool_call_chunk" and block.get("id") in whole:
            extras = {"extras": block["extras"]} if "extras" in block else {}
            made.append({**whole[block["id"]], **extras})
        elif kind == "server_tool_call_chunk" and isinstance(block.get("args"), str):
            made.append({**block, "type": "server_tool_call", "args": arguments(block["args"])})
        else:
            made.append(block)
    return made


def _blocks_of(content: Any, provider: Any, piece: bool, pieces: list[Any]) -> list[dict[str, Any]]:
    """The blocks of the content. Pieces of calls take the places of the blocks that show them, and leave `pieces`."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    arriving = bool(pieces)
    blocks: list[dict[str, Any]] = []
    for item in content:
        if isinstance(item, str):
            blocks.append({"type": "text", "text": item})
        elif arriving and _is_call(item):
            shown = [each for each in pieces if each["index"] == item.get("index")]
            pieces[:] = [each for each in pieces if each not in shown]
            blocks += provider_blocks.arriving_call(item, [_arrived(each) for each in shown], provider)
        else:
            said = provider_blocks.said_block(item, _KNOWN, provider=provider, piece=piece)
            blocks += said or [_translated(item)]
    return blocks


def _is_call(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") in provider_blocks.CALLS


def _arrived(piece: Any) -> dict[str, Any]:
    return {key: value for key, value in piece.items() if value is not None or key != "index"}


def _call_blocks(message: Any, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls that the content does not show already. One there that is invalid is shown as such, in its place."""
    valid = {call["id"]: call for call in getattr(message, "tool_calls", ())}
    invalid = {call["id"]: call for call in getattr(message, "invalid_tool_calls", ())}
    for place, block in enumerate(blocks):
        if block["type"] != "tool_call":
            continue
        id = block.get("id")
        if id in invalid:
            blocks[place] = dict(invalid[id])
        elif id in valid and block.get("args") != valid[id]["args"]:
            blocks[place] = {**block, "args": valid[id]["args"]}
    shown = {block.get("id") for block in blocks if block["type"] in ("tool_call", "tool_call_chunk")}
    return [dict(call) for call in getattr(message, "tool_calls", ()) if call["id"] is None or call["id"] not in shown]


def _translated(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind in ("image", "audio", "file", "video") and ("source" in block or "source_type" in block or kind in block):
        made = _data_block(kind, block)
    elif kind in _KNOWN:
        return block
    elif block.keys() == {"text"}:  # as Gemini's messages have it
        return {"type": "text", **block}
    else:
        translate = _TRANSLATORS.get(kind) if isinstance(kind, str) else None
        made = translate(block) if translate is not None else None
    return made if made is not None else {"type": "non_standard", "value": block}


def _data_block(kind: str, block: Block) -> dict[str, Any] | None:
    """The forms in which data comes: `{"source": {...}}` of Anthropic, `source_type` of old, OpenAI's `{"file": {...}}`."""
    if isinstance(source := block.get("source"), dict):
        return _sourced({"type": kind}, source, beyond(block, ["source", "id"]), block.get("id"))
    if isinstance(source := block.get(kind), dict):
        return _sourced({"type": kind}, source, beyond(block, [kind, "id"]), block.get("id") or new_id())
    source_type, data = block.get("source_type"), block.get("data")
    extras = beyond(block, ["source_type", "url", "data", "id", "mime_type", "text"])
    made: dict[str, Any] = {"type": kind}
    if source_type == "url" and block.get("url"):
        made["url"] = block["url"]
    elif source_type == "base64" and data:
        made["base64"] = data
    elif source_type == "id" and block.get("id"):
        made["file_id"] = block["id"]
    elif source_type == "text" and block.get("text"):
        made = {"type": "text-plain", "text": block["text"], "mime_type": "text/plain"}
    else:
        return None
    if block.get("id") and source_type != "id":
        made["id"] = block["id"]
    if block.get("mime_type"):
        made["mime_type"] = block["mime_type"]
    return told(made, block, extras)


def _sourced(made: dict[str, Any], source: Block, extras: Block, id: str | None) -> dict[str, Any] | None:
    if id is not None:
        made["id"] = id
    mime = source.get("media_type") or source.get("mime_type") or source.get("format")
    data = source.get("data") or source.get("file_data")
    if source.get("type") == "text" and isinstance(data, str):
        made.update({"type": "text-plain", "text": data, "mime_type": mime or "text/plain"})
    elif isinstance(data, str) and data.startswith("data:"):
        _from_data_url(data, made)
    elif isinstance(data, str):
        made["base64"] = data
        if mime:
            made["mime_type"] = mime if "/" in mime else f"{made['type']}/{mime}"
    elif source.get("url"):
        made["url"] = source["url"]
    elif source.get("file_id"):
        made["file_id"] = source["file_id"]
    else:
        return None
    name = {"filename": source["filename"]} if source.get("filename") else {}
    return told(made, {}, {**name, **extras})


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
    if not isinstance(sound, dict):
        return None
    return _sourced({"type": "audio"}, sound, beyond(block, ["input_audio", "id"]), block.get("id") or new_id())


def _document(block: dict[str, Any]) -> dict[str, Any] | None:
    source = block.get("source")
    if not isinstance(source, dict):
        return None
    return _sourced({"type": "file"}, source, beyond(block, ["source", "id"]), block.get("id"))


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
