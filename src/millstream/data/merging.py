"""Joining the parts of streamed values: content, dictionaries, lists, usage.

Each function takes any number of values, left to right, and its cost is linear in their sum, because
strings are joined once from all their pieces. Operands are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import InvalidArgument, InvalidType

__all__ = ["add_usage", "merge_content", "merge_dicts", "merge_lists", "merge_obj", "subtract_usage"]

Content: TypeAlias = str | list[str | dict[str, Any]]

_KEPT_WHEN_EQUAL = frozenset({"id", "output_version", "model_provider"})
_LATEST_WINS = frozenset({"index", "created", "timestamp"})


def merge_dicts(left: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    """Merge dictionaries of streamed pieces: strings are concatenated, numbers summed, containers merged.

    `id`, `output_version` and `model_provider` are kept once when equal; the ints `index`, `created` and
    `timestamp` take the latest value; None counts as absent.

    Raises:
        InvalidType: (TypeError) two values of a key have different types, or cannot be joined.
    """
    if len(others) == 1:
        return _merge_two(left, others[0])
    values: dict[str, list[Any]] = {}
    for source in (left, *others):
        for key, value in source.items():
            seen = values.get(key)
            if seen is None:
                values[key] = [] if value is None else [value]
            elif value is not None:
                seen.append(value)
    return {key: _join(key, seen) for key, seen in values.items()}


def _merge_two(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    # Three times as fast as gathering; `+` does this for every chunk of a provider that repeats its name in each.
    merged = dict(left)
    for key, value in right.items():
        have = merged.get(key)
        if have is None:
            merged[key] = value
        elif value is not None and not (have is value and key in _KEPT_WHEN_EQUAL):
            merged[key] = _join(key, [have, value])
    return merged


def merge_lists(left: Sequence[Any] | None, *others: Sequence[Any] | None) -> list[Any] | None:
    """Merge lists of streamed pieces: dicts with the same `index` (and ids that agree) are merged, the rest appended.

    None counts as absent; only None gives None.
    """
    given = [part for part in (left, *others) if part is not None]
    if not given:
        return None
    fold = _ListFold(given[0])
    for part in given[1:]:
        fold.add(part)
    return fold.result()


def merge_content(first: Content, *others: Content) -> Content:
    """Join message contents: text to text, blocks to blocks; text after blocks joins a last text or is a new item."""
    contents = (first, *others)
    if all(isinstance(content, str) for content in contents):
        return "".join(contents)  # type: ignore[arg-type]
    text: list[str] = []
    fold: _ListFold | None = None
    for content in contents:
        if fold is not None:
            if isinstance(content, str):
                fold.add_text(content)
            else:
                fold.add(content)
        elif isinstance(content, str):
            text.append(content)
        else:
            fold = _ListFold(["".join(text), *content] if text else content)
    return fold.result() if fold is not None else "".join(text)


def merge_obj(left: Any, right: Any) -> Any:
    """Merge two values of any kind: None yields, str, dict and list are joined, others must be equal.

    Raises:
        InvalidType: (TypeError) they have different types.
        InvalidArgument: (ValueError) they are unequal and of a type that cannot be joined.
    """
    if left is None or right is None:
        return right if left is None else left
    if type(left) is not type(right):
        raise InvalidType(f"Cannot merge {type(left).__name__} with {type(right).__name__}.")
    if isinstance(left, str):
        return left + right
    if isinstance(left, dict):
        return merge_dicts(left, right)
    if isinstance(left, list):
        return merge_lists(left, right)
    if left == right:
        return left
    raise InvalidArgument(f"Cannot merge two unequal values of type {type(left).__name__}: {left!r}, {right!r}.")


def add_usage(left: Mapping[str, Any] | None, *others: Mapping[str, Any] | None) -> Any:
    """Sum usages: every number key by key, recursively. None counts as absent; only None gives None."""
    given = [usage for usage in (left, *others) if usage is not None]
    if not given:
        return None
    total = _copied(given[0])
    for usage in given[1:]:
        _add_into(total, usage)
    return total


def subtract_usage(left: Mapping[str, Any] | None, right: Mapping[str, Any] | None) -> Any:
    """What of usage `left` is beyond `right`: every number key by key, recursively, and never less than 0.

    A missing side counts as absent: the other is given; without both it is a usage of nothing.
    """
    if not left or not right:
        return _copied(left or right or {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0})
    rest = _copied(left)
    for key, value in right.items():
        have = rest.get(key)
        if isinstance(value, Mapping):
            rest[key] = subtract_usage(have, value) if have else dict.fromkeys(value, 0)
        elif isinstance(value, (int, float)):
            rest[key] = max((have or 0) - value, 0)
    return rest


def _add_into(total: dict[str, Any], usage: Mapping[str, Any]) -> None:
    for key, value in usage.items():
        have = total.get(key)
        if have is None:
            total[key] = _copied(value) if isinstance(value, Mapping) else value
        elif isinstance(have, dict) and isinstance(value, Mapping):
            _add_into(have, value)
        elif isinstance(have, (int, float)) and isinstance(value, (int, float)):
            total[key] = have + value
        elif value is not None and have != value:
            raise InvalidType(f"Cannot add usage `{key}`: {have!r} and {value!r}.")


def _copied(usage: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in usage.items()}


class _ListFold:
    """A list that grows by others; what belongs together is gathered and joined once, in `result`."""

    def __init__(self, first: Sequence[Any]) -> None:
        self.items: list[Any] = list(first)
        self.groups: dict[Any, list[_Group]] = {}
        for place, item in enumerate(self.items):
            if isinstance(item, dict) and _is_index(item.get("index")):
                self.groups.setdefault(item["index"], []).append(_Group(place, item))

    def add(self, part: Sequence[Any]) -> None:
        for item in part:
            index = item.get("index") if isinstance(item, dict) else None
            if not _is_index(index):
                self.items.append(item)
                continue
            same = self.groups.setdefault(index, [])
            id = item.get("id")
            for group in same:
                if group.takes(id):
                    group.add(item)
                    break
            else:
                same.append(_Group(len(self.items), item))
                self.items.append(item)

    def add_text(self, text: str) -> None:
        if not text:
            return
        last = self.items[-1] if self.items else None
        if isinstance(last, _Text):
            last.pieces.append(text)
        elif isinstance(last, str):
            self.items[-1] = _Text([last, text])
        else:
            self.items.append(text)

    def result(self) -> list[Any]:
        for same in self.groups.values():
            for group in same:
                if len(group.parts) > 1:
                    self.items[group.place] = merge_dicts(*group.parts)
        return ["".join(item.pieces) if isinstance(item, _Text) else item for item in self.items]


class _Text:
    """A string item that is still growing."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces


class _Group:
    """Dicts of one `index` that will become one, at `place` of the list."""

    __slots__ = ("id", "parts", "place")

    def __init__(self, place: int, first: dict[str, Any]) -> None:
        self.place = place
        self.id = first.get("id")
        self.parts = [first]

    def takes(self, id: Any) -> bool:
        return not self.id or not id or self.id == id

    def add(self, item: dict[str, Any]) -> None:
        kind = self.parts[0].get("type")
        if item.get("type") == "non_standard" and kind not in (None, "non_standard") and "value" in item:
            value = item["value"]
            told = {key: each for key, each in value.items() if key != "type"} if isinstance(value, dict) else value
            self.parts.append({"extras": told})
        else:
            self.parts.append({key: value for key, value in item.items() if key != "type"})
        self.id = self.id or item.get("id")


def _is_index(index: Any) -> bool:
    return isinstance(index, int) or (isinstance(index, str) and index.startswith("lc_"))


def _join(key: str, values: list[Any]) -> Any:
    """Join the non-None values of one key."""
    if len(values) < 2:
        return values[0] if values else None
    first = values[0]
    kind = type(first)
    for value in values:
        if type(value) is not kind:
            raise InvalidType(
                f"Cannot merge `{key}`: it is {kind.__name__} in one piece and {type(value).__name__} in another."
            )
    if isinstance(first, str):
        return _join_strings(key, values)
    if isinstance(first, dict):
        return merge_dicts(*values)
    if isinstance(first, list):
        return merge_lists(*values)
    return _join_scalars(key, values)


def _join_strings(key: str, values: list[str]) -> str:
    if key == "index" and values[0].startswith("lc_"):
        return values[0]
    if key in _KEPT_WHEN_EQUAL:
        kept = values[0]
        for value in values[1:]:
            kept = kept if value == kept else kept + value
        return kept
    return "".join(values)


def _join_scalars(key: str, values: Iterable[Any]) -> Any:
    first, *rest = values
    for value in rest:
        if value == first:
            continue
        if not isinstance(first, int) or isinstance(first, bool):
            raise InvalidType(f"Cannot merge `{key}`: {first!r} and {value!r} are unequal and cannot be added.")
        first = value if key in _LATEST_WINS else first + value
    return first
