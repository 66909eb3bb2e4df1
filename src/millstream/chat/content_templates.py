"""Message content with fields to fill in: a text, or a list of blocks with texts anywhere inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgument
from .templates import Template

__all__ = ["ContentTemplate"]

_Fill = Callable[[Mapping[str, Any]], Any]


class ContentTemplate:
    """Reads all templates of a content once; `render(values)` gives the content, `names` the variables."""

    __slots__ = ("names", "render")

    def __init__(self, content: str | list[Any]) -> None:
        names: dict[str, None] = {}
        self.render: _Fill = (
            _text(content, names) if isinstance(content, str) else _list([_block(item) for item in content], names)
        )
        self.names = tuple(names)


def _block(item: Any) -> Any:
    """A content block in its full form; a bare text is a text block, a bare image address an `image_url` block."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, dict):
        raise InvalidArgument(f"a content block of a prompt must be a text or a dict, not {item!r}.")
    if isinstance(item.get("image_url"), str):
        return {**item, "type": "image_url", "image_url": {"url": item["image_url"]}}
    if "type" not in item and "text" in item:
        return {"type": "text", **item}
    return item


def _fill(value: Any, names: dict[str, None]) -> _Fill:
    if isinstance(value, str):
        return _text(value, names)
    if isinstance(value, dict):
        return _dict(value, names)
    if isinstance(value, list):
        return _list(value, names)
    return lambda values: value


def _text(text: str, names: dict[str, None]) -> _Fill:
    template = Template(text)
    names.update(dict.fromkeys(template.names))
    literal = template.literal
    return template.render if literal is None else lambda values: literal


def _dict(value: dict[str, Any], names: dict[str, None]) -> _Fill:
    parts = [(key, _fill(item, names)) for key, item in value.items()]
    return lambda values: {key: fill(values) for key, fill in parts}


def _list(value: list[Any], names: dict[str, None]) -> _Fill:
    parts = [_fill(item, names) for item in value]
    return lambda values: [fill(values) for fill in parts]
