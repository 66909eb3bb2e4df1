"""Tokens counted by OpenAI's own tokenizer, where a program names a model of it (`tiktoken_model_name`)."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["token_ids"]


def token_ids(model: str, text: str) -> list[int]:
    """The tokens of a text as numbers.

    The tokenizer fetches its tables from the network when a model is first named, and keeps them on disk: so it is asked for
    and never taken by itself.

    Raises:
        ImportError: tiktoken is not installed.
    """
    ids: list[int] = _encoding(model).encode(text, disallowed_special=())
    return ids


@cache
def _encoding(model: str) -> Any:
    try:
        tiktoken: Any = import_module("tiktoken")
    except ImportError as error:
        raise ImportError("tiktoken_model_name needs one more package: pip install tiktoken") from error
    try:
        return tiktoken.encoding_for_model(model)
    except KeyError:
        return tiktoken.get_encoding("o200k_base")
