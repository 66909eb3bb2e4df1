"""Calls as users write them, read by the type checkers and never run (`scripts/check`)."""

from __future__ import annotations

from typing import assert_type

import millstream
from millstream import MillstreamError, ProviderStatusError, UsageError


def errors_are_one_tree(error: MillstreamError) -> str:
    if isinstance(error, ProviderStatusError | UsageError):
        return str(error)
    assert_type(millstream.__all__, list[str])
    return repr(error)
