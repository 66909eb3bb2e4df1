"""Keywords of a call of a model, as they may be shown: without what may be a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["shown_keywords"]

# What a call gives beside its parameters, and where some servers want their key.
_HIDDEN = ("extra_headers", "extra_query")


def shown_keywords(keywords: Mapping[str, Any], value: Callable[[Any], str] = lambda _: "**********") -> dict[str, Any]:
    """The keywords, of headers and queries only the names, and what `value` makes of each value: for traces, caches and reprs."""
    shown = dict(keywords)
    for name in _HIDDEN:
        if isinstance(given := shown.get(name), Mapping):
            shown[name] = {key: value(secret) for key, secret in given.items()}
    return shown
