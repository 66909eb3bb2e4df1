"""A message as an element of a transcript in XML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .lazy import Lazy
from .messages import AIMessage, BaseMessage, ChatMessage

if TYPE_CHECKING:
    import json
else:
    json = Lazy("json", globals())

__all__ = ["as_xml"]

_LONG = 500  # characters of what a server's tool was given or gave


def as_xml(message: BaseMessage, prefix: str) -> str:
    """One message; `prefix` names who speaks."""
    kind = prefix.lower() if not isinstance(message, ChatMessage) else prefix
    text = _xml_content(message.content)
    opening = f'<message type="{_escaped(kind)}">'
    calls = _xml_calls(message) if isinstance(message, AIMessage) else []
    if not calls:
        return f"{opening}{text}</message>"
    content = [f"  <content>{text}</content>"] if text else []
    return "\n".join([opening, *content, *calls, "</message>"])


def _xml_content(content: Any) -> str:
    """The text, and of blocks what a reader can follow: links, thoughts, what servers did. Data itself is left out."""
    if isinstance(content, str):
        return _escaped(content, quotes=False)
    shown = (_escaped(item, quotes=False) if isinstance(item, str) else _xml_block(item) for item in content)
    return " ".join(text for text in shown if text)


def _xml_block(block: Mapping[str, Any]) -> str:
    kind = block.get("type")
    if kind in ("text", "text-plain"):
        return _escaped(block.get("text") or "", quotes=False)
    if kind == "reasoning":
        thought = block.get("reasoning")
        return f"<reasoning>{_escaped(thought, quotes=False)}</reasoning>" if thought else ""
    if kind == "image_url":
        given = block.get("image_url")
        return _xml_link("image", given if isinstance(given, Mapping) else {"url": given})
    if kind in ("image", "audio", "video"):
        return _xml_link(kind, block)
    if kind == "server_tool_call":
        facts = {"id": block.get("id"), "name": block.get("name")}
        return _xml_json(kind, facts, block.get("args"))
    if kind == "server_tool_result":
        facts = {"tool_call_id": block.get("tool_call_id"), "status": block.get("status")}
        return _xml_json(kind, facts, block.get("output"))
    return ""


def _xml_link(kind: str, block: Mapping[str, Any]) -> str:
    url, file = block.get("url"), block.get("file_id")
    if isinstance(url, str) and not url.startswith("data:"):
        return f'<{kind} url="{_escaped(url)}" />'
    return f'<{kind} file_id="{_escaped(str(file))}" />' if file else ""


def _xml_json(kind: str, facts: Mapping[str, Any], value: Any) -> str:
    """What a server's tool was given or gave, shortened to what a reader of a transcript wants of it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= _LONG else f"{text[:_LONG]}..."
    marks = "".join(f' {key}="{_escaped(str(fact or ""))}"' for key, fact in facts.items())
    return f"<{kind}{marks}>{_escaped(text, quotes=False)}</{kind}>"


def _xml_calls(message: AIMessage) -> list[str]:
    lines = []
    for call in message.tool_calls:
        args = _escaped(json.dumps(call["args"], ensure_ascii=False, default=str), quotes=False)
        lines.append(
            f'  <tool_call id="{_escaped(call["id"] or "")}" name="{_escaped(call["name"])}">{args}</tool_call>'
        )
    function = message.additional_kwargs.get("function_call")
    if not lines and isinstance(function, dict):  # OpenAI's form before tool calls
        args = _escaped(str(function.get("arguments") or "{}"), quotes=False)
        lines.append(f'  <function_call name="{_escaped(str(function.get("name") or ""))}">{args}</function_call>')
    return lines


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;") if quotes else text
