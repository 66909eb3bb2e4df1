"""F-string templates, read once when a prompt is built.

Only plain names may be filled in. Attribute access, indexing and positions are refused, because a template that comes
from outside could reach through an object with them; so are format specs that would make a huge string out of a small one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from ..errors import InvalidArgument

__all__ = ["Template", "shortened"]

# A width or precision of five digits pads a value to at least 10,000 characters; no prompt needs that.
_MAX_SPEC_DIGITS = 4
_LONG_NUMBER = re.compile(rf"\d{{{_MAX_SPEC_DIGITS + 1},}}")
_MAX_SPEC_LENGTH = 64


class Template:
    """A text with `{name}` fields; `{{` and `}}` stand for braces.

    Raises:
        InvalidArgument: (a ValueError) the text is not a safe template; the message names the field.
    """

    __slots__ = ("literal", "names", "render", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgument(f"a template must be a str, not {text!r}.")
        self.text = text
        self.names = _names(text)
        # One C call, 0.2 us, with the language's own meaning of specs and conversions; safe here because `_names`
        # let only plain names through.
        self.render = text.format_map
        self.literal: str | None = None if self.names else text.format_map({})

    def format(self, values: Mapping[str, Any]) -> str:
        """The text with the fields filled in; a missing one is a plain KeyError."""
        return self.render(values)


def _names(text: str) -> tuple[str, ...]:
    names: dict[str, None] = {}
    try:
        for _, name, spec, conversion in Formatter().parse(text):
            if name is not None:
                _check_field(text, name, spec or "", conversion)
                names[name] = None
        return tuple(names)
    except InvalidArgument:
        raise
    except ValueError as error:
        raise InvalidArgument(f"template {shortened(text)} is not a valid f-string template: {error}.") from error


def _check_field(text: str, name: str, spec: str, conversion: str | None) -> None:
    where = f"in template {shortened(text)}"
    if not name or name.isdigit():
        raise InvalidArgument(f"the field {{{name}}} {where} has no name; fields are filled by name.")
    if "." in name or "[" in name or "]" in name:
        raise InvalidArgument(
            f"the field {{{name}}} {where} uses attribute access or indexing, which templates may not; "
            "pass the value itself as a variable."
        )
    if '"' in name or "'" in name or "\n" in name:
        raise InvalidArgument(
            f"the field {{{shortened(name)}}} {where} looks like literal braces; write them as {{{{ and }}}}."
        )
    if conversion not in (None, "r", "s", "a"):
        raise InvalidArgument(
            f"the field {{{name}}} {where} has the conversion {conversion!r}; there are !r, !s and !a."
        )
    if "{" in spec or "}" in spec:
        raise InvalidArgument(f"the field {{{name}}} {where} has a nested format spec; write the spec out.")
    if len(spec) > _MAX_SPEC_LENGTH or _LONG_NUMBER.search(spec):
        raise InvalidArgument(
            f"the field {{{name}}} {where} has the format spec {shortened(spec)}; "
            f"a width or precision may have at most {_MAX_SPEC_DIGITS} digits."
        )


def shortened(text: str) -> str:
    """A text for an error message: its beginning, quoted."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
