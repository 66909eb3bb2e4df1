"""Which items a search means: filters on values, conditions on namespaces, texts to be embedded. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ...errors import InvalidArgument
from .base import MatchCondition, Namespace, is_number

__all__ = ["cosine", "matches_filter", "matches_namespace", "passes", "texts_at"]

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": lambda value, want: bool(value == want),
    "$ne": lambda value, want: bool(value != want),
    "$gt": lambda value, want: is_number(value) and float(value) > float(want),
    "$gte": lambda value, want: is_number(value) and float(value) >= float(want),
    "$lt": lambda value, want: is_number(value) and float(value) < float(want),
    "$lte": lambda value, want: is_number(value) and float(value) <= float(want),
}


def matches_filter(value: Any, wanted: Any) -> bool:
    """Whether a value is what a filter asks for: equal, or so in every key and operator that the filter names.

    Raises:
        InvalidArgument: (a ValueError) an unknown operator.
    """
    if isinstance(wanted, dict):
        if any(isinstance(key, str) and key.startswith("$") for key in wanted):
            return all(_holds(value, operator, want) for operator, want in wanted.items())
        return isinstance(value, dict) and all(matches_filter(value.get(key), want) for key, want in wanted.items())
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(wanted)
            and all(matches_filter(v, w) for v, w in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _holds(value: Any, operator: str, want: Any) -> bool:
    if operator not in _OPERATORS:
        raise InvalidArgument(f"unknown operator {operator!r} in a filter; there are {list(_OPERATORS)}.")
    return _OPERATORS[operator](value, want)


def matches_namespace(namespace: Namespace, conditions: Sequence[MatchCondition]) -> bool:
    """Whether a namespace begins and ends as asked."""
    return all(_matches_one(namespace, condition) for condition in conditions)


def _matches_one(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    labels = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(want in ("*", label) for label, want in zip(labels, path, strict=True))


def texts_at(value: Any, path: str) -> list[str]:
    """The texts of a value at a path such as `"a.b"`, `"a[0]"`, `"a[*].c"`; `"$"` is the whole value."""
    found = [value] if path == "$" else _follow([value], re.findall(r"[^.\[\]]+|\[[^\]]*\]", path))
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False, sort_keys=True) for each in found]


def _follow(values: list[Any], steps: list[str]) -> list[Any]:
    for step in steps:
        reached: list[Any] = []
        for value in values:
            reached += _one_step(value, step)
        values = reached
    return [value for value in values if value is not None]


def _one_step(value: Any, step: str) -> list[Any]:
    if step.startswith("["):
        if not isinstance(value, list):
            return []
        if step == "[*]":
            return value
        number = int(step[1:-1])
        return [value[number]] if -len(value) <= number < len(value) else []
    if step == "*":
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    return [value[step]] if isinstance(value, dict) and step in value else []


def passes(value: Mapping[str, Any], filter: Mapping[str, Any] | None) -> bool:
    """Whether a document passes a filter."""
    return not filter or all(matches_filter(value.get(key), want) for key, want in filter.items())


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 where one has no length."""
    lengths = math.sqrt(math.fsum(x * x for x in left)) * math.sqrt(math.fsum(x * x for x in right))
    return math.fsum(x * y for x, y in zip(left, right, strict=True)) / lengths if lengths else 0.0
