"""Message content with fields to fill in: a text, or a list of blocks with texts anywhere inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgument
from .template_formats import compiled

__all__ = ["ContentTemplate"]

_Fill = Callable[[Mapping[str, Any]], Any]


class ContentTemplate:
    """Reads all templates of a content once; `render(values)` gives the content, `names` the variables."""

    __slots__ = ("_format", "_names", "names", "render")

    def __init__(self, content: str | list[Any], template_format: str = "f-string") -> None:
        self._format = template_format
        self._names: dict[str, None] = {}
        self.render = self._fill(content if isinstance(content, str) else [_block(item) for item in content])
        self.names = tuple(self._names)

    def _fill(self, value: Any) -> _Fill:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            named = [(key, self._fill(item)) for key, item in value.items()]
            return lambda values: {key: fill(values) for key, fill in named}
        if isinstance(value, list):
            parts = [self._fill(item) for item in value]
            return lambda values: [fill(values) for fill in parts]
        return lambda values: value

    def _text(self, text: str) -> _Fill:
        template = compiled(text, self._format)
        self._names.update(dict.fromkeys(template.names))
        literal = template.literal
        return template.render if literal is None else lambda values: literal


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
