"""What changed between two JSON values, as a JSON patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

__all__ = ["json_patch"]

Op = dict[str, Any]


def json_patch(old: Any, new: Any) -> list[Op]:
    """The operations that turn `old` into `new`: of a dict or list that grew only what is new, of a text the whole.

    Values that are put in are those of `new`, not copies.
    """
    ops: list[Op] = []
    _compare(old, new, "", ops)
    return ops


def _compare(old: Any, new: Any, path: str, ops: list[Op]) -> None:
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        _compare_dicts(old, new, path, ops)
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        _compare_lists(old, new, path, ops)
    elif type(old) is not type(new) or old != new:  # 1, 1.0 and True are equal, but not the same JSON
        ops.append({"op": "replace", "path": path, "value": new})


def _compare_dicts(old: dict[Any, Any], new: dict[Any, Any], path: str, ops: list[Op]) -> None:
    ops += [{"op": "remove", "path": _under(path, key)} for key in old if key not in new]
    ops += [{"op": "add", "path": _under(path, key), "value": value} for key, value in new.items() if key not in old]
    for key, value in old.items():
        if key in new:
            _compare(value, new[key], _under(path, key), ops)


def _compare_lists(old: Any, new: Any, path: str, ops: list[Op]) -> None:
    shared = min(len(old), len(new))
    for place in range(shared):
        _compare(old[place], new[place], f"{path}/{place}", ops)
    # From the end, so that each place is still right when its turn comes.
    ops += [{"op": "remove", "path": f"{path}/{place}"} for place in range(len(old) - 1, shared - 1, -1)]
    ops += [{"op": "add", "path": f"{path}/{place}", "value": new[place]} for place in range(shared, len(new))]


def _under(path: str, key: Any) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
