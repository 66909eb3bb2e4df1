"""Warnings that point at the user's line, however deep inside they are raised."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn the line that called us, once a place."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("millstream."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
