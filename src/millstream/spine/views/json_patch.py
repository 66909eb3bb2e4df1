"""JSON patches (RFC 6902): applied to a value without changing it, and made from two values.

A small one of our own: the values hold messages and other objects that are replaced whole, which libraries for JSON do
not compare, and applying must not copy what a patch leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ...errors import InvalidArgument

__all__ = ["Op", "apply", "differences", "escaped"]

Op: TypeAlias = Mapping[str, Any]


def escaped(key: str) -> str:
    """A key as a part of a path."""
    return key.replace("~", "~0").replace("/", "~1")


def apply(value: Any, ops: Iterable[Op]) -> Any:
    """`value` after all `ops`. What they change is copied, what they leave alone is shared.

    Raises:
        InvalidArgument: (a ValueError) an operation is unknown, leads nowhere, or tests what does not hold.
    """
    for op in ops:
        try:
            value = _applied(value, op)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, InvalidArgument):
                raise
            raise InvalidArgument(f"the operation {dict(op)!r} does not fit: {error!r}.") from error
    return value


def differences(old: Any, new: Any, path: str = "") -> list[dict[str, Any]]:
    """The operations, few and small, that make `new` out of `old`. Dicts and lists are compared inside, all else whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _in_dicts(old, new, path)
    if isinstance(old, list) and isinstance(new, list):
        return _in_lists(old, new, path)
    return [] if _same(old, new) else [{"op": "replace", "path": path, "value": new}]


def _in_dicts(old: dict[Any, Any], new: dict[Any, Any], path: str) -> list[dict[str, Any]]:
    ops: list[dict[str, Any]] = [
        {"op": "remove", "path": f"{path}/{escaped(str(key))}"} for key in old if key not in new
    ]
    ops += [{"op": "add", "path": f"{path}/{escaped(str(key))}", "value": new[key]} for key in new if key not in old]
    for key in new:
        if key in old:
            ops += differences(old[key], new[key], f"{path}/{escaped(str(key))}")
    return ops


def _in_lists(old: list[Any], new: list[Any], path: str) -> list[dict[str, Any]]:
    both = min(len(old), len(new))
    ops: list[dict[str, Any]] = []
    for index in range(both):
        if old[index] is not new[index]:
            ops += differences(old[index], new[index], f"{path}/{index}")
    # Each removal moves those after it to the same place.
    ops += [{"op": "remove", "path": f"{path}/{both}"} for _ in range(both, len(old))]
    ops += [{"op": "add", "path": f"{path}/{index}", "value": new[index]} for index in range(both, len(new))]
    return ops


def _same(old: Any, new: Any) -> bool:
    # Not by `==` alone, for which True is 1.
    try:
        return old is new or (type(old) is type(new) and bool(old == new))
    except Exception:  # an array, which says "ambiguous": send it again
        return False


def _applied(value: Any, op: Op) -> Any:
    kind, keys = op["op"], _keys(op["path"])
    if kind == "add":
        return _changed(value, keys, _put(op["value"], adding=True))
    if kind == "replace":
        return _changed(value, keys, _put(op["value"], adding=False))
    if kind == "remove":
        return _changed(value, keys, _remove)
    if kind == "test":
        if _found(value, keys) != op["value"]:
            raise InvalidArgument(f"the value at {op['path']!r} is not {op['value']!r}.")
        return value
    if kind in ("move", "copy"):
        source = _keys(op["from"])
        moved = _found(value, source)
        if kind == "move":
            value = _changed(value, source, _remove)
        return _changed(value, keys, _put(moved, adding=True))
    raise InvalidArgument(f"{kind!r} is no operation of a JSON patch.")


def _keys(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise InvalidArgument(f"the path {path!r} must be empty or begin with '/'.")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _found(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value[_place(value, key)]
    return value


def _place(holder: Any, key: str) -> Any:
    if not isinstance(holder, list):
        return key
    place = int(key)
    if not 0 <= place < len(holder):
        raise IndexError(key)
    return place


def _changed(value: Any, keys: list[str], change: Any) -> Any:
    """A copy of `value` with `change(holder, key)` made where `keys` lead; only the way there is copied."""
    if not keys:
        return change(None, "")
    key, *rest = keys
    if not isinstance(value, (dict, list)):
        raise TypeError(f"{type(value).__name__} has no parts")
    holder = value.copy()
    if rest:
        place = _place(holder, key)
        holder[place] = _changed(holder[place], rest, change)
    else:
        change(holder, key)
    return holder


def _put(value: Any, adding: bool) -> Any:
    def change(holder: Any, key: str) -> Any:
        if holder is None:
            return value
        if not isinstance(holder, list):
            if not adding and key not in holder:
                raise KeyError(key)
            holder[key] = value
        elif not adding:
            holder[_place(holder, key)] = value
        elif key == "-" or int(key) == len(holder):
            holder.append(value)
        else:
            holder.insert(_place(holder, key), value)
        return None

    return change


def _remove(holder: Any, key: str) -> Any:
    if holder is not None:
        del holder[_place(holder, key)]
    return None
