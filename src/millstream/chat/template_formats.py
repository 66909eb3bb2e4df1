"""The template languages that a prompt may be written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import InvalidArgument
from .mustache import MustacheTemplate
from .templates import Template

__all__ = ["AnyTemplate", "compiled"]


class AnyTemplate(Protocol):
    """A template that was read."""

    @property
    def text(self) -> str:
        """The template itself."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that must be given."""
        ...

    @property
    def literal(self) -> str | None:
        """What it always gives, where that is known."""
        ...

    @property
    def render(self) -> Callable[[Mapping[str, Any]], str]:
        """The text for these variables."""
        ...


def compiled(text: str, template_format: str) -> AnyTemplate:
    """Read a template.

    Raises:
        InvalidArgument: (ValueError) the language is unknown, or the text is not a safe template in it.
    """
    if template_format == "f-string":
        return Template(text)
    if template_format == "mustache":
        return MustacheTemplate(text)
    if template_format == "jinja2":
        from .jinja import JinjaTemplate

        return JinjaTemplate(text)
    raise InvalidArgument(f"template_format is 'f-string', 'mustache' or 'jinja2', not {template_format!r}.")
