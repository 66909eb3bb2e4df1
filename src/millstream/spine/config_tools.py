"""Working with configs as dictionaries: complete, merge, change, repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..errors import InvalidArgument
from .config import DEFAULT_RECURSION_LIMIT, RunnableConfig
from .managers import BaseCallbackManager
from .scope import enter
from .warn import warn_user

__all__ = ["ensure_config", "get_config_list", "merge_configs", "patch_config", "warn_of_one_id"]


def ensure_config(config: Mapping[str, Any] | None = None) -> RunnableConfig:
    """A complete config: `config` over what the surrounding run hands on, over the defaults. Nothing given is changed."""
    config = config or {}
    scope = enter(config)
    whole = scope.config()
    if isinstance(callbacks := config.get("callbacks"), (list, tuple)):
        whole["callbacks"] = list(callbacks)
    if scope.run_name is not None:
        whole["run_name"] = scope.run_name
    if config.get("run_id") is not None:
        whole["run_id"] = config["run_id"]
    return whole


def merge_configs(*configs: Mapping[str, Any] | None) -> RunnableConfig:
    """One config out of several, later ones first: tags are united and sorted, `metadata` and `configurable` merged key
    by key, callbacks joined; a `recursion_limit` of 25, the default, overrides none. Each inherits from the surrounding run.
    """
    merged: dict[str, Any] = {}
    for config in configs:
        if config is None:
            continue
        whole: dict[str, Any] = {"tags": [], "metadata": {}, "configurable": {}, **ensure_config(config)}
        for key, value in whole.items():
            if key == "tags":
                merged["tags"] = sorted({*merged.get("tags", ()), *value})
            elif key in ("metadata", "configurable"):
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "callbacks":
                if value is not None:
                    merged[key] = _joined(merged.get(key), value)
            elif key == "recursion_limit":
                if value != DEFAULT_RECURSION_LIMIT or (key not in merged and (config or {}).get(key) is not None):
                    merged[key] = value
            elif value or key not in merged:
                merged[key] = value
    return cast(RunnableConfig, merged)


def patch_config(
    config: Mapping[str, Any] | None,
    *,
    callbacks: Any = None,
    recursion_limit: int | None = None,
    max_concurrency: int | None = None,
    run_name: str | None = None,
    configurable: Mapping[str, Any] | None = None,
) -> RunnableConfig:
    """A complete copy of `config` with changes. New callbacks take the name and id of the run with them."""
    whole = ensure_config(config)
    if callbacks is not None:
        whole["callbacks"] = callbacks
        whole.pop("run_name", None)
        whole.pop("run_id", None)
    if recursion_limit is not None:
        whole["recursion_limit"] = recursion_limit
    if max_concurrency is not None:
        whole["max_concurrency"] = max_concurrency
    if run_name is not None:
        whole["run_name"] = run_name
    if configurable is not None:
        whole["configurable"] = {**whole.get("configurable", {}), **configurable}
    return whole


def get_config_list(
    config: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, length: int
) -> list[RunnableConfig]:
    """A complete config for each of `length` inputs. One config is repeated; its `run_id` is the first one's only.

    Raises:
        InvalidArgument: (a ValueError) a negative length, or a list of another length.
    """
    if length < 0:
        raise InvalidArgument(f"the number of inputs cannot be negative: {length}.")
    if isinstance(config, Sequence):
        if len(config) != length:
            raise InvalidArgument(f"config is a list of {len(config)} for {length} inputs; give one for each.")
        return [ensure_config(each) for each in config]
    if config and config.get("run_id") is not None and length > 1:
        warn_of_one_id()
        rest = {key: value for key, value in config.items() if key != "run_id"}
        return [ensure_config(config), *(ensure_config(rest) for _ in range(length - 1))]
    return [ensure_config(config) for _ in range(length)]


def warn_of_one_id() -> None:
    """Warn that a `run_id` was given for several inputs."""
    warn_user("a run_id names one run: only the first input gets it.", RuntimeWarning)


def _joined(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return left if right is None else right
    if isinstance(left, BaseCallbackManager):
        merged = left.copy()
        return merged.merge(right) if isinstance(right, BaseCallbackManager) else _with_handlers(merged, right)
    if isinstance(right, BaseCallbackManager):
        return _with_handlers(right.copy(), left)
    return [*left, *right]


def _with_handlers(manager: BaseCallbackManager, handlers: Any) -> BaseCallbackManager:
    for handler in handlers:
        manager.add_handler(handler)
    return manager
